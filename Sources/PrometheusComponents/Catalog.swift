package import ComponentKit

/// The components of this family, by name.
package let prometheusComponents: [any Component.Type] = [
    PrometheusEcho.self,
    PrometheusRelabel.self,
    PrometheusRemoteWrite.self,
    PrometheusScrape.self,
]
