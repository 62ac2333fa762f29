package import AlloySyntax
package import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Storage
import Synchronization
import Telemetry
import TextFormats

/// Forwards the events of a Kubernetes cluster as log lines.
///
/// Agrees with grafana/alloy `loki.source.kubernetes_events`. Deviation: events of the second in which the process was
/// stopped are not lost, because their versions are looked at too.
package final class LokiSourceKubernetesEvents: Component {
    package static let spec = ComponentSpec(
        "loki.source.kubernetes_events", .generallyAvailable, "Forwards the events of a Kubernetes cluster as lines.")

    package struct Arguments: Block, Sendable {
        let forwardTo: Fanout<LogBatch>
        let jobName: String
        let namespaces: [String]
        let format: ClusterEvent.Format
        let connection: KubernetesConnection

        package init(from block: inout BlockReader) {
            forwardTo = block.required("forward_to", "Receivers the lines are sent to.")
            jobName = block.optional(
                "job_name", default: "loki.source.kubernetes_events", "Value of the label `job`.")
            namespaces = block.optional(
                "namespaces", default: [], "Namespaces whose events are forwarded; empty is all of them.")
            let word = block.optional("log_format", default: "logfmt", "Form of the lines: `logfmt` or `json`.")
            let client: KubernetesClientArguments = block.block("client", "How the Kubernetes API is reached.")
            connection = client.connection
            let _: KubernetesClusteringArguments = block.block(
                "clustering", "Sharing of namespaces among cluster nodes.")
            format = ClusterEvent.Format(rawValue: word) ?? .logfmt
            if ClusterEvent.Format(rawValue: word) == nil {
                block.reject("log_format", "must be \"logfmt\" or \"json\"")
            }
            if jobName.isEmpty { block.reject("job_name", "must not be an empty string") }
        }

        /// What a watch is begun anew for.
        var watched: Watched { Watched(namespaces: Set(namespaces), connection: connection) }
    }

    struct Watched: Sendable, Equatable {
        var namespaces: Set<String>
        var connection: KubernetesConnection
    }

    private let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let positions: Positions
    private let delivery: LogDelivery
    private let followers = Mutex<[EventFollower]>([])

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        try Files.makeDirectory(context.storagePath)
        positions = try Positions(path: context.storagePath + "/positions.yml")
        delivery = LogDelivery(context) { arguments.current.forwardTo }
    }

    package func run() async throws {
        let result: Result<Void, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [self] in
                    await positions.saveRegularly(
                        clock: context.clock, on: context.services.blocking, log: context.log)
                    try Task.checkCancellation()
                }
                group.addTask { [self] in
                    try await arguments.whileCurrent(\.watched) { watched in try await self.follow(watched) }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        try? await context.services.blocking.run { [self] in
            do {
                try positions.save()
            } catch {
                context.log.error("error writing positions file", error)
            }
        }
        try result.get()
    }

    private func follow(_ watched: Watched) async throws {
        let client = try await connect(watched.connection)
        let namespaces = watched.namespaces.isEmpty ? [""] : watched.namespaces.sorted()
        let made = namespaces.map { namespace in
            EventFollower(namespace: namespace, client, context, positions, delivery) { [arguments] in
                let current = arguments.current
                return (current.format, current.jobName)
            }
        }
        followers.withLock { $0 = made }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for follower in made { group.addTask { try await follower.run() } }
            defer { group.cancelAll() }
            try await group.next()
        }
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
        DebugInfo(
            controllers: followers.withLock { $0 }.map { follower in
                Controller(
                    namespace: follower.namespace,
                    lastTimestamp: follower.lastTime.map { GoTimeLayout("RFC3339Nano").format(unixNanoseconds: $0) }
                        ?? "0001-01-01T00:00:00Z")
            })
    }

    /// How far each namespace is.
    package struct DebugInfo: WritableBlock {
        var controllers: [Controller]
        package static let placeholder = DebugInfo(controllers: [])
        package func write(to block: inout BlockWriter) {
            block.blocks("event_controller", controllers, "The events of a namespace, or of all.")
        }
    }

    /// How far one namespace is.
    package struct Controller: WritableBlock {
        var namespace: String
        var lastTimestamp: String
        package static let placeholder = Controller(namespace: "", lastTimestamp: "")
        package func write(to block: inout BlockWriter) {
            block.attribute("namespace", namespace, "The namespace; empty is all of them.")
            block.attribute("last_event_timestamp", lastTimestamp, "Time of the last event forwarded.")
        }
    }
}
