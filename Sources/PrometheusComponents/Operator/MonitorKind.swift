import Kubernetes

/// The kinds of objects by which the Prometheus operator describes what is scraped.
///
/// Source: prometheus-operator, "API reference" (monitoring.coreos.com/v1 and v1alpha1).
enum MonitorKind: Sendable, Equatable {
    case podMonitors, serviceMonitors, probes, scrapeConfigs

    /// What the names of jobs begin with.
    var jobPrefix: String {
        switch self {
        case .podMonitors: "podMonitor"
        case .serviceMonitors: "serviceMonitor"
        case .probes: "probe"
        case .scrapeConfigs: "scrapeConfig"
        }
    }
}

/// A custom resource of the Prometheus operator.
protocol MonitorResource: CustomResource {
    static var kind: MonitorKind { get }
}

enum PodMonitorResource: MonitorResource {
    static let kind = MonitorKind.podMonitors
    static let resource = KubernetesResource(group: "monitoring.coreos.com", plural: "podmonitors")
}

enum ServiceMonitorResource: MonitorResource {
    static let kind = MonitorKind.serviceMonitors
    static let resource = KubernetesResource(group: "monitoring.coreos.com", plural: "servicemonitors")
}

enum ProbeResource: MonitorResource {
    static let kind = MonitorKind.probes
    static let resource = KubernetesResource(group: "monitoring.coreos.com", plural: "probes")
}

enum ScrapeConfigResource: MonitorResource {
    static let kind = MonitorKind.scrapeConfigs
    static let resource = KubernetesResource(
        group: "monitoring.coreos.com", version: "v1alpha1", plural: "scrapeconfigs")
}
