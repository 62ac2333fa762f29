package import ComponentKit

/// The components of this family, by name.
package let prometheusExporters: [any Component.Type] = [
    PrometheusExporterCadvisor.self,
    PrometheusExporterProcess.self,
    PrometheusExporterSelf.self,
    PrometheusExporterUnix.self,
]
