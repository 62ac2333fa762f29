package import AlloySyntax
package import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Synchronization
import Telemetry
import TextFormats

/// Follows the logs of containers through the Kubernetes API.
///
/// Agrees with grafana/alloy `loki.source.kubernetes`. Deviations: lines carry no line end, and a connection that is
/// opened again neither repeats nor loses lines that share a time.
package final class LokiSourceKubernetes: Component {
    package static let spec = ComponentSpec(
        "loki.source.kubernetes", .generallyAvailable, "Follows the logs of containers through the Kubernetes API.")

    let arguments: Live<Arguments>
    let context: Context<NoValues>
    private let tails: ContainerTails
    private let warned = Mutex<ForeignNodes?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        tails = try ContainerTails(
            context, metricPrefix: "loki_source_kubernetes", LogDelivery(context) { arguments.current.forwardTo })
    }

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await tails.run() }
            group.addTask { [self] in try await followArguments() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func followArguments() async throws {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(60))
        while true {
            let (current, version) = arguments.snapshot
            do {
                let client = try await context.services.kubernetes.client(for: current.connection)
                tails.want(ContainerTails.Wanted(targets: targets(of: current), client: client))
                backoff.reset()
                try await arguments.change(after: version)
            } catch {
                try Task.checkCancellation()
                context.log.error("Failed to find the API server", error)
                context.report(.unhealthy("unable to find the API server: \(error)"))
                try await context.clock.sleep(for: backoff.next())
            }
        }
    }

    private func targets(of current: Arguments) -> [LogTarget] {
        var scratch = LabelSetBuilder()
        var found: [LogTarget] = []
        found.reserveCapacity(current.targets.count)
        for target in current.targets {
            do throws(LogTargetError) {
                found.append(try LogTarget(target.labels, job: context.componentID, scratch: &scratch))
            } catch {
                context.log.error("Failed to process input target", error, ["target": "\(target.labels)"])
            }
        }
        warnAboutForeignNodes(current.targets)
        return found
    }

    private func warnAboutForeignNodes(_ targets: [Target]) {
        let foreign = ForeignNodes(targets)
        let isNew = warned.withLock { warned in
            defer { warned = foreign ?? warned }
            return foreign != nil && warned == nil
        }
        guard isNew, let foreign else { return }
        context.log.warn(
            "Logs of other nodes are read; if this collector runs on every node, each line is collected many times",
            nil,
            [
                "node": foreign.node, "targets_on_other_nodes": "\(foreign.foreign)", "targets": "\(foreign.known)",
                "remedy": ForeignNodes.remedy,
            ])
    }

    package var debugInfo: DebugInfo { DebugInfo(targets: tails.all.map { LogTargetInfo($0) }) }

    /// The state of every container.
    package struct DebugInfo: WritableBlock {
        var targets: [LogTargetInfo]
        package static let placeholder = DebugInfo(targets: [])
        package func write(to block: inout BlockWriter) {
            block.blocks("target", targets, "A container whose log is followed.")
        }
    }
}

/// The state of one container.
package struct LogTargetInfo: WritableBlock {
    var id: String
    var labels: LabelSet
    var lastError: String
    var updateTime: String
    var hasEnded: Bool

    package static let placeholder = LogTargetInfo(
        id: "", labels: .empty, lastError: "", updateTime: "", hasEnded: false)

    package func write(to block: inout BlockWriter) {
        block.attribute("id", id, "Namespace, pod and container.")
        block.attribute("labels", labels, "Labels of the lines.")
        block.attribute("last_error", lastError, "Why the log cannot be read; empty when it can.")
        block.attribute("update_time", updateTime, "Time of the last line.")
        block.attribute("has_ended", hasEnded, "Whether no more lines will come.")
    }
}

extension LogTargetInfo {
    init(_ tail: ContainerTail) {
        let status = tail.status
        self.init(
            id: tail.target.id, labels: tail.target.labels, lastError: status.lastError,
            updateTime: status.lastLine.map { GoTimeLayout("RFC3339Nano").format(unixNanoseconds: $0) }
                ?? "0001-01-01T00:00:00Z",
            hasEnded: status.hasEnded)
    }
}
