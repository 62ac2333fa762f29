import Essentials
import Telemetry

/// The label sets of a pipeline by number, and how stages turn one into another.
///
/// A stage that sets labels from values asks for a transition: the set it starts from, the stage and the values. Lines
/// that look alike to it share the answer, so a set is built once however many lines carry it.
struct LabelTable {
    private struct Transition {
        var hash: UInt64
        var from: Int32
        var stage: Int32
        var keyOffset: Int
        var keyLength: Int
        var to: Int32
    }

    private(set) var sets: [LabelSet] = []
    private var index: [LabelSet: Int32] = [:]
    private var transitions: [Transition] = []
    /// Open addressing into `transitions`; -1 is free.
    private var slots: [Int32] = Array(repeating: -1, count: 1024)
    private var keys: [UInt8] = []
    private var builder = LabelSetBuilder()
    /// Grows when numbers lose their meaning.
    private(set) var epoch = 0

    private static let maximumSets = 1 << 16
    private static let maximumTransitions = 1 << 17
    private static let maximumKeyBytes = 8 << 20

    /// Starts over when the table has grown large. Call between batches: numbers given out before mean nothing then.
    mutating func trim() {
        guard
            sets.count > Self.maximumSets || transitions.count > Self.maximumTransitions
                || keys.count > Self.maximumKeyBytes
        else { return }
        self = LabelTable(epoch: epoch + 1)
    }

    init() {}

    private init(epoch: Int) { self.epoch = epoch }

    @inline(__always)
    subscript(id: Int32) -> LabelSet { sets[Int(id)] }

    mutating func intern(_ labels: LabelSet) -> Int32 {
        if let found = index[labels] { return found }
        let id = Int32(sets.count)
        sets.append(labels)
        index[labels] = id
        return id
    }

    /// The set that `change` makes of set `from`; `key` must hold all that `change` depends on.
    @inline(__always)
    mutating func transition(
        from: Int32, stage: Int32, key: UnsafeRawBufferPointer, _ change: (inout LabelSetBuilder) -> Void
    ) -> Int32 {
        let hash = ByteHash.hash(key, seed: UInt64(UInt32(bitPattern: from)) << 32 | UInt64(UInt32(bitPattern: stage)))
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] >= 0 {
            let found = transitions[Int(slots[slot])]
            if found.hash == hash, found.from == from, found.stage == stage, found.keyLength == key.count {
                let isSame = keys.withUnsafeBytes { $0.part(found.keyOffset, found.keyLength).equals(key) }
                if isSame { return found.to }
            }
            slot = (slot + 1) & mask
        }
        return make(from: from, stage: stage, key: key, hash: hash, change)
    }

    private mutating func make(
        from: Int32, stage: Int32, key: UnsafeRawBufferPointer, hash: UInt64, _ change: (inout LabelSetBuilder) -> Void
    ) -> Int32 {
        builder.reset(to: sets[Int(from)])
        change(&builder)
        let to = intern(builder.finish())
        transitions.append(
            Transition(hash: hash, from: from, stage: stage, keyOffset: keys.count, keyLength: key.count, to: to))
        keys.append(contentsOf: key)
        if transitions.count * 2 > slots.count {
            slots = Array(repeating: -1, count: slots.count * 2)
            for (number, transition) in transitions.enumerated() { place(Int32(number), transition.hash) }
        } else {
            place(Int32(transitions.count - 1), hash)
        }
        return to
    }

    private mutating func place(_ number: Int32, _ hash: UInt64) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] >= 0 { slot = (slot + 1) & mask }
        slots[slot] = number
    }
}
