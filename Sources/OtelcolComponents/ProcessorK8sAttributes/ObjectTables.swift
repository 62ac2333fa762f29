import Kubernetes
import Synchronization

/// What is known of the objects around pods. A table without a cache is empty.
final class ObjectTables: Sendable {
    /// Its UID stands for the cluster's.
    static let systemNamespace = "kube-system"

    let replicaSets: ObjectTable<ReplicaSetKind>
    let deployments: ObjectTable<DeploymentKind>
    let statefulSets: ObjectTable<StatefulSetKind>
    let daemonSets: ObjectTable<DaemonSetKind>
    let jobs: ObjectTable<JobKind>
    let namespaces: ObjectTable<NamespaceKind>
    let nodes: ObjectTable<NodeKind>

    /// Objects that are gone are known for `graceNanoseconds`: their pods may still be at work.
    init(_ rules: ExtractionRules, _ keys: AttributeKeys, graceNanoseconds grace: Int64) {
        replicaSets = ObjectTable(nil, rules, keys, grace)
        deployments = ObjectTable(.deployment, rules, keys, grace)
        statefulSets = ObjectTable(.statefulset, rules, keys, grace)
        daemonSets = ObjectTable(.daemonset, rules, keys, grace)
        jobs = ObjectTable(.job, rules, keys, grace)
        namespaces = ObjectTable(.namespace, rules, keys, grace)
        nodes = ObjectTable(.node, rules, keys, grace)
    }

    func surroundings(of metadata: ObjectMetadata) -> PodDescription.Surroundings {
        var surroundings = PodDescription.Surroundings()
        surroundings.clusterUID = namespaces.named(Self.systemNamespace)?.uid
        let uid = metadata.controllerUID
        if metadata.controllerKind == "ReplicaSet", let owner = replicaSets[uid]?.owner, owner.kind == "Deployment" {
            surroundings.deployment = (owner.name, owner.uid)
        }
        if metadata.controllerKind == "Job", let owner = jobs[uid]?.owner, owner.kind == "CronJob" {
            surroundings.cronJobUID = owner.uid
        }
        return surroundings
    }

    /// Forgets what has been gone for the grace period. `now` is monotonic.
    func forget(now: Int64) {
        replicaSets.forget(now: now)
        deployments.forget(now: now)
        statefulSets.forget(now: now)
        daemonSets.forget(now: now)
        jobs.forget(now: now)
        namespaces.forget(now: now)
        nodes.forget(now: now)
    }

    /// The object attributes may come from; `name` is a UID, or a name for what is in no namespace.
    func object(_ origin: TextRule.Origin, _ name: String) -> KnownObject? {
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

/// What is kept of an object.
struct KnownObject: Sendable {
    var uid: String
    /// Who controls it.
    var owner: (kind: String, name: String, uid: String)?
    /// Made of its labels and annotations.
    var attributes: [AttributeList.Attribute]
}

/// Objects of one kind by UID, and by name.
final class ObjectTable<Kind: ObjectKind>: Sendable {
    private struct State {
        var byUID: [String: KnownObject] = [:]
        var uids: [ObjectKey: String] = [:]
        /// What is gone, with the time it is forgotten, the earliest first.
        var gone: [(end: Int64, key: ObjectKey, uid: String)] = []
    }

    /// Whose rules are followed; nil for objects without attributes.
    let origin: TextRule.Origin?
    private let rules: ExtractionRules
    private let keys: AttributeKeys
    private let graceNanoseconds: Int64
    private let state = Mutex(State())

    /// Attributes come of the rules for `origin`; none without.
    fileprivate init(_ origin: TextRule.Origin?, _ rules: ExtractionRules, _ keys: AttributeKeys, _ grace: Int64) {
        self.origin = origin
        self.rules = rules
        self.keys = keys
        graceNanoseconds = grace
    }

    subscript(uid: String) -> KnownObject? { state.withLock { $0.byUID[uid] } }

    /// Of a kind that is in no namespace.
    func named(_ name: String) -> KnownObject? {
        state.withLock { state in state.uids[ObjectKey(name: name)].flatMap { state.byUID[$0] } }
    }

    /// Takes over what changed. `now` is monotonic.
    func update(_ keys: Set<ObjectKey>, from cache: ResourceCache<MetadataObject<Kind>>, now: Int64) {
        let changes = keys.map { key in (key, cache[key].map { known($0.metadata) }) }
        state.withLock { state in
            for (key, object) in changes {
                if let old = state.uids[key], old != object?.uid {
                    state.gone.append((now + graceNanoseconds, key, old))
                }
                state.uids[key] = object?.uid
                if let object { state.byUID[object.uid] = object }
            }
        }
    }

    /// Forgets objects whose time is over.
    func forget(now: Int64) {
        state.withLock { state in
            let count = state.gone.firstIndex { $0.end > now } ?? state.gone.count
            for (_, key, uid) in state.gone.prefix(count) where state.uids[key] != uid { state.byUID[uid] = nil }
            state.gone.removeFirst(count)
        }
    }

    private func known(_ metadata: ObjectMetadata) -> KnownObject {
        var list = AttributeList(keys)
        for rule in rules.labels where rule.origin == origin { rule.extract(from: metadata.labels, into: &list) }
        for rule in rules.annotations where rule.origin == origin {
            rule.extract(from: metadata.annotations, into: &list)
        }
        let owner = (metadata.controllerKind, metadata.controllerName, metadata.controllerUID)
        return KnownObject(
            uid: metadata.uid, owner: owner.0.isEmpty ? nil : owner, attributes: list.attributes)
    }
}
