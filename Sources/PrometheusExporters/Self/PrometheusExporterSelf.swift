package import AlloySyntax
package import ComponentKit
import SelfMetrics

/// Exports the metrics of this process as a target.
package final class PrometheusExporterSelf: Component {
    package static let spec = ComponentSpec(
        "prometheus.exporter.self", .generallyAvailable, "Exports the metrics of this process as a target.")

    package typealias Exports = ExporterExports

    package struct Arguments: Block {
        package init(from block: inout BlockReader) {}
    }

    package init(_ arguments: Live<Arguments>, _ context: Context<ExporterExports>) throws {
        let endpoint = ExporterEndpoint(context, name: "self")
        let metrics = context.services.metrics
        endpoint.serve { _ in Exposition.text(metrics.collect()) }
        endpoint.export(instance: ExporterEndpoint.hostInstance())
        context.report(.healthy("ready"))
    }
}
