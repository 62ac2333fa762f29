package import AlloySyntax
import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Telemetry
import TextFormats

/// What every `prometheus.operator.*` component does: watches objects and scrapes what they describe.
struct MonitorEngine<Resource: MonitorResource>: Sendable {
    private let controller: MonitorController<Resource>
    private let context: Context<NoValues>

    init(
        _ context: Context<NoValues>, _ arguments: @escaping @Sendable () -> OperatorArguments
    ) {
        self.context = context
        controller = MonitorController(context, arguments)
    }

    /// Scrapes until cancelled; `follow` runs its argument with the part of the arguments that is watched.
    func run(
        following follow:
            @escaping @Sendable (
                @escaping @Sendable (OperatorArguments.Watched) async throws -> Void
            ) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await controller.runJobs() }
            group.addTask { try await follow { watched in try await controller.follow(watched) } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    func argumentsChanged() { controller.argumentsChanged() }

    /// What the jobs of the objects known now make of a pod or a target; nil when there are none.
    func explain(_ item: ExplainedItem) -> Explanation? {
        MonitorExplanation.explanation(of: item, controller.runners.compactMap(\.explained))
    }

    var debugInfo: MonitorDebugInfo {
        let layout = GoTimeLayout("RFC3339Nano")
        return MonitorDebugInfo(
            objects: controller.outcomes.map { outcome in
                MonitorDebugInfo.Object(
                    namespace: outcome.key.namespace, name: outcome.key.name, error: outcome.error)
            },
            targets: controller.runners.flatMap { runner in
                runner.pool.activeLoops.map { loop in
                    let status = loop.status
                    return PrometheusScrape.TargetStatus(
                        job: runner.name, url: loop.identity.url, health: status.health.rawValue,
                        labels: loop.identity.labels, lastError: status.lastError,
                        lastScrape: status.lastScrape.map { layout.format(unixNanoseconds: $0) }
                            ?? "0001-01-01T00:00:00Z",
                        lastScrapeDuration: status.lastDuration, lastScrapeSamples: status.lastSamples,
                        lastScrapeBytes: status.lastBytes)
                }
            })
    }
}

/// The objects in use and the targets they led to.
package struct MonitorDebugInfo: WritableBlock {
    var objects: [Object]
    var targets: [PrometheusScrape.TargetStatus]

    package static let placeholder = MonitorDebugInfo(objects: [], targets: [])

    package func write(to block: inout BlockWriter) {
        block.blocks("crds", objects, "An object in use.")
        block.blocks("targets", targets, "A target and how its last scrape went.")
    }

    /// How one object fares.
    package struct Object: WritableBlock {
        var namespace: String
        var name: String
        var error: String

        package static let placeholder = Object(namespace: "", name: "", error: "")

        package func write(to block: inout BlockWriter) {
            block.attribute("namespace", namespace, "Namespace of the object.")
            block.attribute("name", name, "Name of the object.")
            block.attribute("reconcile_error", error, "What cannot be used of it; empty when all can.")
        }
    }
}
