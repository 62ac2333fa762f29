package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import TextFormats

/// Follows the logs of containers through a Docker daemon.
///
/// Agrees with grafana/alloy `loki.source.docker`. Deviations: a connection that is opened again neither repeats nor loses
/// lines that share a second; lines above 1 MiB are cut instead of left out; streams that a rule drops are dropped.
package final class LokiSourceDocker: Component {
    package static let spec = ComponentSpec(
        "loki.source.docker", .generallyAvailable, "Follows the logs of containers through a Docker daemon.")

    let arguments: Live<Arguments>
    private let context: Context<NoValues>
    private let tails: DockerTails

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        self.context = context
        tails = try DockerTails(context, LogDelivery(context) { arguments.current.forwardTo })
    }

    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in await tails.keepPositions() }
            group.addTask { [self] in try? await follow() }
            await group.next()
            group.cancelAll()
        }
        await tails.savePositions()
        try Task.checkCancellation()
    }

    private func follow() async throws {
        try await arguments.whileCurrent(\.connection) { [self] connection in
            guard let connection else { return }
            let client = DockerClient(connection, on: context.services.eventLoops, clock: context.clock)
            defer { client.shutDown() }
            tails.healthChanged()
            try await arguments.forEachCurrent({ [self] in targets(of: $0) }, keyedBy: \.key) { [tails] target in
                try await tails.follow(target, client)
            }
        }
    }

    private func targets(of current: Arguments) -> [DockerTarget] {
        let (found, unnamed) = DockerTarget.all(
            current.targets, labels: current.labels.map { ($0.key, $0.value) }, rules: current.relabeling)
        if unnamed > 0 {
            context.log.debug(
                "Targets without the label __meta_docker_container_id are left out", nil, ["targets": "\(unnamed)"])
        }
        tails.retain(Set(found.map(\.key)))
        return found
    }

    package var debugInfo: DebugInfo { DebugInfo(targets: tails.all.map { TargetInfo($0) }) }

    /// The state of every container.
    package struct DebugInfo: WritableBlock {
        var targets: [TargetInfo]
        package static let placeholder = DebugInfo(targets: [])
        package func write(to block: inout BlockWriter) {
            block.blocks("targets_info", targets, "A container whose log is followed.")
        }
    }

    /// The state of one container.
    package struct TargetInfo: WritableBlock {
        var id: String
        var lastError: String
        var labels: String
        var isRunning: Bool
        var readOffset: String

        package static let placeholder = TargetInfo(
            id: "", lastError: "", labels: "", isRunning: false, readOffset: "")

        package func write(to block: inout BlockWriter) {
            block.attribute("id", id, "The container's ID.")
            block.attribute("last_error", lastError, "Why the log cannot be read; empty when it can.")
            block.attribute("labels", labels, "Labels of the target.")
            block.attribute("is_running", isRunning, "Whether the log is being read.")
            block.attribute("read_offset", readOffset, "Time of the newest line, in seconds since 1970.")
        }
    }
}

extension LokiSourceDocker.TargetInfo {
    init(_ tail: DockerTail) {
        let status = tail.status
        self.init(
            id: tail.key.containerID, lastError: status.lastError, labels: "\(tail.key.labels)",
            isRunning: status.isRunning, readOffset: status.newest.map { "\($0 / 1_000_000_000)" } ?? "")
    }
}
