import Kubernetes

/// Pods by what they are found by: those that are there, and those that are gone until they are forgotten.
struct PodTable {
    /// Where a pod is in the list of entries.
    typealias Slot = Int32

    struct Entry {
        var pod: KeptObject<DescribedPod>
        /// Nil until somebody asks.
        var description: PodDescription?
        var identifiers: [PodIdentifier]
        /// Has its identifiers to itself, but is not described.
        var isExcluded: Bool
    }

    private var entries: [Entry?] = []
    private var free: [Slot] = []
    private var slots: [PodIdentifier: Slot] = [:]
    /// Pods that are there, to find their entry when they change.
    private var named: [ObjectKey: Slot] = [:]
    /// Pods that are gone, with the time they are forgotten, the earliest first.
    private var gone: [(end: Int64, slot: Slot)] = []

    /// Pods that are there.
    var count: Int { named.count }

    /// What pods are found by.
    var identifierCount: Int { slots.count }

    enum Change { case added, updated, deleted }

    var present: [(slot: Slot, pod: KeptObject<DescribedPod>)] {
        named.values.compactMap { slot in entries[Int(slot)].map { (slot, $0.pod) } }
    }

    func entry(of identifier: PodIdentifier) -> (slot: Slot, entry: Entry)? {
        slots[identifier].flatMap { slot in entries[Int(slot)].map { (slot, $0) } }
    }

    /// Keeps a description of a pod unless the pod has changed meanwhile.
    mutating func describe(_ pod: KeptObject<DescribedPod>, at slot: Slot, _ description: PodDescription) {
        if entries[Int(slot)]?.pod === pod { entries[Int(slot)]?.description = description }
    }

    /// Of the pods that are there.
    mutating func forgetDescriptions() {
        for slot in named.values { entries[Int(slot)]?.description = nil }
    }

    /// Takes over a pod that came or changed, or nil where one went. The pod that had its name is forgotten at `end`
    /// unless it is the same one. Tells what that was; nil where nothing went.
    mutating func put(_ entry: Entry?, at key: ObjectKey, forgetOld end: Int64) -> Change? {
        let old = named[key]
        if let old {
            if let entry, entries[Int(old)]?.pod.object.metadata.uid == entry.pod.object.metadata.uid {
                replace(old, with: entry)
                return .updated
            }
            gone.append((end, old))
        }
        named[key] = entry.map { add($0) }
        return entry != nil ? .added : old != nil ? .deleted : nil
    }

    /// Replaces what is known of a pod unless the pod has changed meanwhile.
    mutating func renew(_ entry: Entry, at slot: Slot) {
        if entries[Int(slot)]?.pod === entry.pod, named[entry.pod.object.metadata.key] == slot {
            replace(slot, with: entry)
        }
    }

    /// Forgets pods whose time is over, and tells when the next one's is.
    @discardableResult
    mutating func forget(_ now: Int64) -> Int64? {
        let count = gone.firstIndex { $0.end > now } ?? gone.count
        for (_, slot) in gone.prefix(count) {
            for identifier in entries[Int(slot)]?.identifiers ?? [] where slots[identifier] == slot {
                slots[identifier] = nil
            }
            entries[Int(slot)] = nil
            free.append(slot)
        }
        gone.removeFirst(count)
        return gone.first?.end
    }

    private mutating func add(_ entry: Entry) -> Slot {
        let slot: Slot
        if let reused = free.popLast() {
            slot = reused
            entries[Int(slot)] = entry
        } else {
            slot = Slot(entries.count)
            entries.append(entry)
        }
        claim(entry, slot)
        return slot
    }

    private mutating func replace(_ slot: Slot, with entry: Entry) {
        for identifier in entries[Int(slot)]?.identifiers ?? []
        where slots[identifier] == slot && !entry.identifiers.contains(identifier) {
            slots[identifier] = nil
        }
        entries[Int(slot)] = entry
        claim(entry, slot)
    }

    private mutating func claim(_ entry: Entry, _ slot: Slot) {
        for identifier in entry.identifiers {
            // An address may have been given to another pod: the one that began last has it.
            if let other = slots[identifier], other != slot, let holder = entries[Int(other)],
                holder.pod.object.started > entry.pod.object.started
            {
                continue
            }
            slots[identifier] = slot
        }
    }
}
