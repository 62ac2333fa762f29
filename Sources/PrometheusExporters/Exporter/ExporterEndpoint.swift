package import AlloySyntax
package import ComponentKit
import Essentials
import Glibc
import SelfMetrics
package import Telemetry

/// What every `prometheus.exporter.*` component exports: the targets to scrape.
package struct ExporterExports: WritableBlock {
    package var targets: [Target]
    package static let placeholder = ExporterExports(targets: [])

    package init(targets: [Target]) { self.targets = targets }

    package func write(to block: inout BlockWriter) {
        block.attribute("targets", targets, "The targets that `prometheus.scrape` collects the metrics from.")
    }
}

/// The part all exporter components share: targets that lead back into this process, and the page they lead to.
///
/// Labels and job name are those of Alloy's `internal/component/prometheus/exporter/exporter.go`.
package struct ExporterEndpoint: Sendable {
    /// Writes the metrics as Prometheus text; called once per scrape.
    package typealias Gather = @Sendable (ComponentRequest) async throws -> [UInt8]

    private let context: Context<ExporterExports>
    /// The last part of the component's name, such as `unix`.
    private let name: String

    package init(_ context: Context<ExporterExports>, name: String) {
        self.context = context
        self.name = name
    }

    /// The target with the labels every exporter's target has.
    package func target(instance: String) -> Target {
        let id = context.componentID
        let component = id.lastIndex(of: ".").map { String(id[..<$0]) } ?? id
        return Target(
            own: LabelSet([
                ("__address__", context.services.memoryAddress),
                ("__scheme__", "http"),
                ("__metrics_path__", context.servedPath + "metrics"),
                ("__meta_component_name", context.label.isEmpty ? id : component),
                ("__meta_component_id", id),
                ("job", "integrations/" + name),
                ("instance", instance),
            ]))
    }

    /// Exports one target for `instance`.
    package func export(instance: String) {
        context.export(ExporterExports(targets: [target(instance: instance)]))
    }

    /// Answers `<component>/metrics` with what `gather` writes until the component is gone.
    package func serve(_ gather: @escaping Gather) {
        context.serve { request in
            guard request.path == "/metrics" || request.path == "/metrics/" else {
                return ComponentResponse(status: 404, body: Array("404 page not found\n".utf8))
            }
            do {
                return ComponentResponse(
                    contentType: Exposition.contentType, body: try await gather(request))
            } catch {
                return ComponentResponse(status: 500, body: Array("\(error)\n".utf8))
            }
        }
    }

    /// How exporters of this machine name their instance: `HOSTNAME`, else the host name, else `unknown`.
    package static func hostInstance() -> String {
        if let value = getenv("HOSTNAME"), value.pointee != 0 { return String(cString: value) }
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.isEmpty ? "unknown" : text
    }
}
