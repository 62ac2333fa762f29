import Essentials
import Kubernetes
import Synchronization

/// Pods by what they are found by, with their descriptions, and what else their attributes come from.
///
/// Pods that are gone stay for the grace period, because what they sent may still be under way.
final class PodIndex: Sendable {
    private struct Entry {
        var pod: DescribedPod
        var description: PodDescription
        var identifiers: Set<PodIdentifier>
        /// When a pod that is gone is forgotten; nil while it is there.
        var end: Int64?
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// UIDs of pods.
        var pods: [PodIdentifier: String] = [:]
        /// Names of pods that are there, to find their entry when they go.
        var names: [ObjectKey: String] = [:]
        var isComplete = false
    }

    private let rules: ExtractionRules
    private let matcher: PodMatcher
    private let excluded: @Sendable (DescribedPod) -> Bool
    private let graceNanoseconds: Int64
    let objects: ObjectTables
    private let state = Mutex(State())

    init(
        _ rules: ExtractionRules, _ matcher: PodMatcher, grace: Duration, objects: ObjectTables,
        excluded: @escaping @Sendable (DescribedPod) -> Bool
    ) {
        self.rules = rules
        self.matcher = matcher
        self.excluded = excluded
        self.objects = objects
        graceNanoseconds = grace.nanoseconds
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// Whether everything has been listed once.
    var isComplete: Bool { state.withLock { $0.isComplete } }
    func complete() { state.withLock { $0.isComplete = true } }

    func description(for identifier: PodIdentifier) -> PodDescription? {
        state.withLock { state in state.pods[identifier].flatMap { state.entries[$0]?.description } }
    }

    // MARK: Changes

    /// Takes over pods that came or changed (a value) or went (nil). `now` is monotonic.
    func update(_ changes: [(key: ObjectKey, pod: DescribedPod?)], now: Int64) {
        // Described outside of the lock: lookups go on meanwhile.
        let described = changes.map { change in
            (key: change.key, entry: change.pod.flatMap { excluded($0) ? nil : makeEntry($0) })
        }
        state.withLock { state in
            for change in described {
                let uid = change.entry?.pod.metadata.uid
                if let old = state.names[change.key], old != uid { Self.retire(old, now + graceNanoseconds, &state) }
                state.names[change.key] = uid
                if let entry = change.entry, let uid { Self.put(entry, uid, &state) }
            }
            Self.forget(now, &state)
        }
    }

    /// Describes all pods anew: something their attributes come from has changed.
    func redescribe() {
        let pods = state.withLock { state in state.entries.map { (uid: $0.key, pod: $0.value.pod, end: $0.value.end) } }
        let made = pods.map { (uid: $0.uid, entry: makeEntry($0.pod), end: $0.end) }
        state.withLock { state in
            for (uid, var entry, end) in made where state.entries[uid]?.pod == entry.pod {
                entry.end = end
                Self.put(entry, uid, &state)
            }
        }
    }

    /// Forgets pods whose time is over, and tells when the next one's is.
    func forget(now: Int64) -> Int64? {
        state.withLock { state in
            Self.forget(now, &state)
            return state.entries.values.compactMap(\.end).min()
        }
    }

    private func makeEntry(_ pod: DescribedPod) -> Entry {
        let description = PodDescription(pod, rules, objects.surroundings(of: pod.metadata))
        let identifiers = matcher.identifiers(of: pod) { description.attributes[$0] }
        return Entry(pod: pod, description: description, identifiers: identifiers, end: nil)
    }

    private static func put(_ entry: Entry, _ uid: String, _ state: inout State) {
        if let old = state.entries[uid] {
            for identifier in old.identifiers.subtracting(entry.identifiers) where state.pods[identifier] == uid {
                state.pods[identifier] = nil
            }
        }
        state.entries[uid] = entry
        for identifier in entry.identifiers {
            // An address may have been given to another pod: the one that began last has it.
            if let other = state.pods[identifier].flatMap({ state.entries[$0] }), other.pod.metadata.uid != uid,
                other.pod.started > entry.pod.started
            {
                continue
            }
            state.pods[identifier] = uid
        }
    }

    private static func retire(_ uid: String, _ end: Int64, _ state: inout State) {
        if state.entries[uid]?.end == nil { state.entries[uid]?.end = end }
    }

    private static func forget(_ now: Int64, _ state: inout State) {
        for (uid, entry) in state.entries {
            guard let end = entry.end, end <= now else { continue }
            for identifier in entry.identifiers where state.pods[identifier] == uid { state.pods[identifier] = nil }
            state.entries[uid] = nil
        }
    }
}

/// What is known of the objects around pods. A table without a cache is empty.
final class ObjectTables: Sendable {
    /// Its UID stands for the cluster's.
    static let systemNamespace = "kube-system"

    let replicaSets = ObjectTable<ReplicaSetKind>()
    let deployments = ObjectTable<DeploymentKind>()
    let statefulSets = ObjectTable<StatefulSetKind>()
    let daemonSets = ObjectTable<DaemonSetKind>()
    let jobs = ObjectTable<JobKind>()
    let namespaces = ObjectTable<NamespaceKind>()
    let nodes = ObjectTable<NodeKind>()

    func surroundings(of metadata: ObjectMetadata) -> PodDescription.Surroundings {
        var surroundings = PodDescription.Surroundings()
        surroundings.clusterUID = namespaces.named(Self.systemNamespace)?.uid
        let uid = metadata.controllerUID
        if metadata.controllerKind == "ReplicaSet", let owner = replicaSets[uid], owner.controllerKind == "Deployment" {
            surroundings.deployment = (owner.controllerName, owner.controllerUID)
        }
        if metadata.controllerKind == "Job", let owner = jobs[uid], owner.controllerKind == "CronJob" {
            surroundings.cronJobUID = owner.controllerUID
        }
        return surroundings
    }

    /// The metadata of the object attributes may come from; `name` is a UID, or a name for what is in no namespace.
    func metadata(_ origin: TextRule.Origin, _ name: String) -> ObjectMetadata? {
        switch origin {
        case .pod: nil
        case .namespace: namespaces.named(name)
        case .node: nodes.named(name)
        case .deployment: deployments[name]
        case .statefulset: statefulSets[name]
        case .daemonset: daemonSets[name]
        case .job: jobs[name]
        }
    }
}

/// Objects of one kind by UID, and by name.
final class ObjectTable<Kind: ObjectKind>: Sendable {
    private struct State {
        var byUID: [String: ObjectMetadata] = [:]
        var uids: [ObjectKey: String] = [:]
    }

    private let state = Mutex(State())

    subscript(uid: String) -> ObjectMetadata? { state.withLock { $0.byUID[uid] } }

    /// Of a kind that is in no namespace.
    func named(_ name: String) -> ObjectMetadata? {
        state.withLock { state in state.uids[ObjectKey(name: name)].flatMap { state.byUID[$0] } }
    }

    func update(_ keys: Set<ObjectKey>, from cache: ResourceCache<MetadataObject<Kind>>) {
        let changes = keys.map { ($0, cache[$0]?.metadata) }
        state.withLock { state in
            for (key, metadata) in changes {
                if let old = state.uids[key], old != metadata?.uid { state.byUID[old] = nil }
                state.uids[key] = metadata?.uid
                if let metadata { state.byUID[metadata.uid] = metadata }
            }
        }
    }
}
