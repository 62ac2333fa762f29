package import AlloySyntax
package import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Synchronization
import Telemetry

/// Follows the logs of the containers that PodLogs objects of the cluster select.
///
/// Agrees with grafana/alloy `loki.source.podlogs`; the deviations are those of `loki.source.kubernetes`.
package final class LokiSourcePodLogs: Component {
    package static let spec = ComponentSpec(
        "loki.source.podlogs", .generallyAvailable, "Follows the logs of containers that PodLogs objects select.")

    package struct Arguments: Block, Sendable {
        let forwardTo: Fanout<LogBatch>
        let startsAtEnd: Bool
        let keepsMeta: Bool
        let connection: KubernetesConnection
        let selector: LabelSelector
        let namespaceSelector: LabelSelector
        /// Nil for pods of every node.
        let nodeName: String?

        package init(from block: inout BlockReader) {
            forwardTo = block.required("forward_to", "Receivers the lines are sent to.")
            startsAtEnd = block.optional(
                "tail_from_end", default: false, "Whether only lines written from now on are read at first.")
            keepsMeta = block.optional(
                "preserve_discovered_labels", default: false, "Whether labels of discovery stay on the lines.")
            let client: KubernetesClientArguments = block.block("client", "How the Kubernetes API is reached.")
            connection = client.connection
            let selector: LabelSelectorArguments = block.block("selector", "Which PodLogs objects are used.")
            let namespaces: LabelSelectorArguments = block.block(
                "namespace_selector", "In which namespaces PodLogs objects are used.")
            self.selector = selector.selector
            namespaceSelector = namespaces.selector
            let filter: NodeFilter = block.block("node_filter", "Restricts the pods to those of one node.")
            nodeName = filter.nodeName
            let _: KubernetesClusteringArguments = block.block(
                "clustering", "Sharing of containers among cluster nodes.")
        }

        /// What the watches are begun anew for.
        var watched: Watched { Watched(connection: connection, nodeName: nodeName) }
    }

    /// The `node_filter` block.
    struct NodeFilter: Block, Sendable {
        let nodeName: String?

        init(from block: inout BlockReader) {
            let isEnabled = block.optional("enabled", default: false, "Whether only pods of one node are looked at.")
            let name = block.optional(
                "node_name", default: "", "Name of the node; the variable `NODE_NAME` when it is empty.")
            guard isEnabled else {
                nodeName = nil
                return
            }
            let found = name.isEmpty ? ProcessVariables["NODE_NAME"] ?? "" : name
            nodeName = found.isEmpty ? nil : found
            if found.isEmpty {
                block.warn("enabled", "has no effect: neither node_name nor the variable NODE_NAME is set")
            }
        }
    }

    struct Watched: Sendable, Equatable {
        var connection: KubernetesConnection
        var nodeName: String?
    }

    /// Changes of objects are gathered for this long, because a rollout changes many at once.
    private static let pause = Duration.seconds(1)

    let arguments: Live<Arguments>
    private let context: Context<NoValues>
    let tails: ContainerTails
    let outcomes = Mutex<[PodLogsReconciler.Outcome]>([])

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        tails = try ContainerTails(
            context, metricPrefix: "loki_source_podlogs", LogDelivery(context) { arguments.current.forwardTo })
    }

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await tails.run() }
            group.addTask { [self] in
                try await arguments.whileCurrent(\.watched) { watched in try await self.follow(watched) }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func follow(_ watched: Watched) async throws {
        let client = try await connect(watched.connection)
        let signal = ChangeSignal()
        let podLogs: ResourceCache<PodLogs> = client.cache(ObjectSelection())
        let pods: ResourceCache<Pod> = client.cache(
            ObjectSelection(fieldSelector: watched.nodeName.map { "spec.nodeName=\($0)" } ?? ""))
        let namespaces: ResourceCache<Namespace> = client.cache(ObjectSelection())
        let hear: @Sendable (CacheNotice) -> Void = { [context] notice in
            guard case .failed(let error) = notice else { return }
            context.log.error("Failed to list or watch objects", error)
            context.report(.unhealthy("unable to list or watch objects: \(error)"))
        }
        let first = podLogs.subscribe(signal, notice: hear)
        let second = pods.subscribe(signal, notice: hear)
        let third = namespaces.subscribe(signal, notice: hear)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await podLogs.serve() }
            group.addTask { try await pods.serve() }
            group.addTask { try await namespaces.serve() }
            group.addTask { [arguments] in
                // Selectors may change without anything else.
                while true {
                    try await arguments.change(after: arguments.version)
                    signal.set()
                }
            }
            group.addTask { [self] in
                while true {
                    try await signal.wait()
                    guard podLogs.isSynced, pods.isSynced, namespaces.isSynced else { continue }
                    _ = (first.take(), second.take(), third.take())
                    reconcile(podLogs.objects, pods.objects, namespaces.objects, client)
                    try await context.clock.sleep(for: Self.pause)
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func reconcile(
        _ podLogs: [PodLogs], _ pods: [Pod], _ namespaces: [Namespace], _ client: KubernetesClient
    ) {
        let current = arguments.current
        let reconciler = PodLogsReconciler(
            selector: current.selector, namespaceSelector: current.namespaceSelector, keepsMeta: current.keepsMeta)
        let byName = Dictionary(namespaces.map { ($0.metadata.name, $0) }, uniquingKeysWith: { first, _ in first })
        let result = reconciler.reconcile(podLogs, pods: pods, namespaces: byName)
        let before = outcomes.withLock { outcomes in
            defer { outcomes = result.outcomes }
            return outcomes
        }
        for outcome in result.outcomes where !outcome.error.isEmpty {
            if before.contains(where: { $0.key == outcome.key && $0.error == outcome.error }) { continue }
            context.log.error(
                "Failed to reconcile PodLogs", nil, ["key": "\(outcome.key)", .error: outcome.error])
        }
        tails.want(
            ContainerTails.Wanted(targets: result.targets, client: client, startsAtEnd: current.startsAtEnd))
    }

    private func connect(_ connection: KubernetesConnection) async throws -> KubernetesClient {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(60))
        while true {
            do {
                return try await context.services.kubernetes.client(for: connection)
            } catch {
                try Task.checkCancellation()
                context.log.error("Failed to find the API server", error)
                context.report(.unhealthy("unable to find the API server: \(error)"))
                try await context.clock.sleep(for: backoff.next())
            }
        }
    }

    package var debugInfo: DebugInfo {
        DebugInfo(objects: outcomes.withLock { $0 }, targets: tails.all.map { LogTargetInfo($0) })
    }

    /// The PodLogs objects in use and the containers read.
    package struct DebugInfo: WritableBlock {
        var objects: [PodLogsReconciler.Outcome]
        var targets: [LogTargetInfo]
        package static let placeholder = DebugInfo(objects: [], targets: [])
        package func write(to block: inout BlockWriter) {
            block.blocks("pod_logs", objects.map(ObjectInfo.init), "A PodLogs object in use.")
            block.blocks("target", targets, "A container whose log is followed.")
        }
    }

    /// How one PodLogs object fares.
    package struct ObjectInfo: WritableBlock {
        var outcome: PodLogsReconciler.Outcome
        package static let placeholder = ObjectInfo(outcome: PodLogsReconciler.Outcome(key: ObjectKey(name: "")))
        init(outcome: PodLogsReconciler.Outcome) { self.outcome = outcome }
        package func write(to block: inout BlockWriter) {
            block.attribute("namespace", outcome.key.namespace, "Namespace of the object.")
            block.attribute("name", outcome.key.name, "Name of the object.")
            block.attribute("reconcile_error", outcome.error, "Why the object cannot be used; empty when it can.")
            block.attribute("containers", outcome.containers, "Containers it selects.")
            block.attribute("failures", outcome.failures, "Containers that cannot be read, and why.")
        }
    }
}
