import ComponentKit
import Essentials
import Kubernetes

/// Watches what the rules need and keeps a ``PodIndex`` up to date.
struct ClusterWatch: Sendable {
    let client: KubernetesClient
    let selection: ObjectSelection
    /// The only node whose pods are watched; empty for all.
    let node: String
    let rules: ExtractionRules
    let index: PodIndex
    let clock: EngineClock
    /// Told once everything has been listed.
    let synced: @Sendable () -> Void
    let failed: @Sendable (KubernetesError) -> Void

    /// A kind of objects beside the pods.
    private struct Follower: Sendable {
        var serve: @Sendable () async throws -> Void
        /// Takes over changes; whether pods must be described anew.
        var update: @Sendable () -> Bool
        var isSynced: @Sendable () -> Bool
    }

    func run() async throws {
        let signal = ChangeSignal()
        let pods: ResourceCache<DescribedPod> = client.cache(
            rules.selection(
                selection, of: .pod,
                labels: Set(ExtractionRules.serviceLabels.filter { rules.wants($0.0) }.map(\.1)),
                annotations: [ExcludedPods.annotation]))
        let failed = failed
        let hear: @Sendable (CacheNotice) -> Void = { notice in
            if case .failed(let error) = notice { failed(error) }
        }
        let podChanges = pods.subscribe(signal, notice: hear)
        let followers = makeFollowers(signal, hear)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pods.serve() }
            for follower in followers { group.addTask { try await follower.serve() } }
            group.addTask { [self] in
                var isSynced = false
                while true {
                    // All of them, not the first that has changed.
                    let hasChanged = followers.reduce(false) { $1.update() || $0 }
                    index.update(
                        podChanges.take().map { ($0, pods.kept($0)) }, now: clock.monotonicNanoseconds)
                    if hasChanged { index.redescribe() }
                    if !isSynced, pods.isSynced, followers.allSatisfy({ $0.isSynced() }) {
                        isSynced = true
                        synced()
                    }
                    try await signal.wait()
                }
            }
            group.addTask { [self] in
                while true {
                    let next = index.forget(now: clock.monotonicNanoseconds)
                    let wait = next.map { Duration.nanoseconds($0 - clock.monotonicNanoseconds) }
                    try await clock.sleep(for: min(max(wait ?? .seconds(20), .seconds(1)), .seconds(20)))
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func makeFollowers(
        _ signal: ChangeSignal, _ hear: @escaping @Sendable (CacheNotice) -> Void
    ) -> [Follower] {
        let tables = index.objects
        let clock = clock
        let namespace = selection.namespace
        func follow<Kind: ObjectKind>(
            _ table: ObjectTable<Kind>, in namespace: String? = nil, named name: String = "",
            describesPods: Bool = false
        ) -> Follower {
            let cache: ResourceCache<MetadataObject<Kind>> = client.cache(
                rules.selection(
                    ObjectSelection(namespace: namespace, fieldSelector: name.isEmpty ? "" : "metadata.name=\(name)"),
                    of: table.origin))
            let changes = cache.subscribe(signal, notice: hear)
            return Follower(
                serve: { try await cache.serve() },
                update: {
                    let keys = changes.take()
                    table.update(keys, from: cache, now: clock.monotonicNanoseconds)
                    return describesPods && !keys.isEmpty
                },
                isSynced: { cache.isSynced })
        }
        var followers: [Follower] = []
        let needsDeployment =
            rules.wants(.deploymentUID) || rules.reads(.deployment)
            || (!rules.trimsReplicaSetNames && (rules.wants(.deploymentName) || rules.wants(.serviceName)))
        if needsDeployment { followers.append(follow(tables.replicaSets, in: namespace, describesPods: true)) }
        if rules.reads(.deployment) { followers.append(follow(tables.deployments, in: namespace)) }
        if rules.reads(.statefulset) { followers.append(follow(tables.statefulSets, in: namespace)) }
        if rules.reads(.daemonset) { followers.append(follow(tables.daemonSets, in: namespace)) }
        if rules.reads(.job) || rules.wants(.cronJobUID) {
            followers.append(follow(tables.jobs, in: namespace, describesPods: rules.wants(.cronJobUID)))
        }
        if rules.reads(.namespace) {
            followers.append(follow(tables.namespaces, describesPods: rules.wants(.clusterUID)))
        } else if rules.wants(.clusterUID) {
            followers.append(follow(tables.namespaces, named: ObjectTables.systemNamespace, describesPods: true))
        }
        if rules.reads(.node) || rules.wants(.nodeUID) { followers.append(follow(tables.nodes, named: node)) }
        return followers
    }
}
