package import ComponentKit

/// The components of this family, by name.
package let prometheusComponents: [any Component.Type] = [
    PrometheusEcho.self,
    PrometheusOperatorPodMonitors.self,
    PrometheusOperatorProbes.self,
    PrometheusOperatorScrapeConfigs.self,
    PrometheusOperatorServiceMonitors.self,
    PrometheusRelabel.self,
    PrometheusRemoteWrite.self,
    PrometheusScrape.self,
]
