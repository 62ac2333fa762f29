package import ComponentKit

/// The components of this family, by name.
package let prometheusExporters: [any Component.Type] = [
    PrometheusExporterSelf.self,
    PrometheusExporterUnix.self,
]
