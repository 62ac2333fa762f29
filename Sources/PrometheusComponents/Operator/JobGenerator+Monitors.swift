import Kubernetes
import KubernetesKit
import Telemetry
import TextFormats

/// Pod monitors and service monitors.
extension JobGenerator {
    private static let anything = "(.+)"
    private static let ended = "(Failed|Succeeded)"

    /// The job of one endpoint of a pod monitor.
    func podJob(
        _ metadata: ObjectMetadata, _ spec: JSONValue, _ endpoint: JSONValue, _ index: Int
    ) async throws -> MonitorJob {
        let namespace = metadata.namespace
        var settings = defaults("podMonitor/\(namespace)/\(metadata.name)/\(index)")
        readEndpoint(endpoint, into: &settings)
        try readTimes(endpoint, interval: "interval", timeout: "scrapeTimeout", into: &settings)
        try readLimits(spec, into: &settings)
        try await readClient(endpoint, namespace, into: &settings.client)

        var rules = try firstRules()
        try addFilterOfEnded(endpoint, to: &rules)
        try add(spec["selector"], of: "pod", to: &rules)
        if let port = text(endpoint["port"]) {
            try rules.add(.keep, ["__meta_kubernetes_pod_container_port_name"], port)
        } else if let number = endpoint["portNumber"]?.intValue, number != 0 {
            try rules.add(.keep, ["__meta_kubernetes_pod_container_port_number"], "\(number)")
        } else {
            try addTargetPort(endpoint["targetPort"], to: &rules)
        }
        try rules.add(.replace, ["__meta_kubernetes_namespace"], target: "namespace")
        try rules.add(.replace, ["__meta_kubernetes_pod_container_name"], target: "container")
        try rules.add(.replace, ["__meta_kubernetes_pod_name"], target: "pod")
        try addLabels(spec["podTargetLabels"], of: "pod", to: &rules)
        try rules.add(.replace, target: "job", replacement: "\(namespace)/\(metadata.name)")
        try addJobLabel(spec, of: "pod", to: &rules)
        if let name = text(endpoint["port"]) ?? portText(endpoint["targetPort"]) {
            try rules.add(.replace, target: "endpoint", replacement: name)
        }
        try add(endpoint["relabelings"], to: &rules)
        return try job(settings, .kubernetes(request(.pod, spec, namespace)), rules, endpoint["metricRelabelings"])
    }

    /// The job of one endpoint of a service monitor.
    func serviceJob(
        _ metadata: ObjectMetadata, _ spec: JSONValue, _ endpoint: JSONValue, _ index: Int
    ) async throws -> MonitorJob {
        let namespace = metadata.namespace
        try refuseFiles(endpoint)
        var settings = defaults("serviceMonitor/\(namespace)/\(metadata.name)/\(index)")
        readEndpoint(endpoint, into: &settings)
        try readTimes(endpoint, interval: "interval", timeout: "scrapeTimeout", into: &settings)
        try readLimits(spec, into: &settings)
        try await readClient(endpoint, namespace, into: &settings.client)

        let prefix = arguments.role == .endpointslice ? "__meta_kubernetes_endpointslice" : "__meta_kubernetes_endpoint"
        var rules = try firstRules()
        try add(spec["selector"], of: "service", to: &rules)
        if let port = text(endpoint["port"]) {
            try rules.add(.keep, [prefix + "_port_name"], port)
        } else {
            try addTargetPort(endpoint["targetPort"], to: &rules)
        }
        let target = [prefix + "_address_target_kind", prefix + "_address_target_name"]
        try rules.add(.replace, target, "Node;(.*)", target: "node", replacement: "${1}")
        try rules.add(.replace, target, "Pod;(.*)", target: "pod", replacement: "${1}")
        try rules.add(.replace, ["__meta_kubernetes_namespace"], target: "namespace")
        try rules.add(.replace, ["__meta_kubernetes_service_name"], target: "service")
        try rules.add(.replace, ["__meta_kubernetes_pod_name"], target: "pod")
        try rules.add(.replace, ["__meta_kubernetes_pod_container_name"], target: "container")
        try addFilterOfEnded(endpoint, to: &rules)
        try addLabels(spec["targetLabels"], of: "service", to: &rules)
        try addLabels(spec["podTargetLabels"], of: "pod", to: &rules)
        try rules.add(.replace, ["__meta_kubernetes_service_name"], target: "job", replacement: "${1}")
        try addJobLabel(spec, of: "service", to: &rules)
        if let name = text(endpoint["port"]) ?? portText(endpoint["targetPort"]) {
            try rules.add(.replace, target: "endpoint", replacement: name)
        }
        try add(endpoint["relabelings"], to: &rules)
        let request = request(arguments.role, spec, namespace)
        return try job(settings, .kubernetes(request), rules, endpoint["metricRelabelings"])
    }

    /// A monitor is written by others than who runs this process: files of the process are not theirs to read.
    private func refuseFiles(_ endpoint: JSONValue) throws {
        if arguments.allowsFiles { return }
        let fields: [(JSONValue?, String, String)] = [
            (endpoint["bearerTokenFile"], "bearerTokenFile", "bearerTokenSecret or authorization"),
            (endpoint["tlsConfig"]?["caFile"], "tlsConfig.caFile", "tlsConfig.ca"),
            (endpoint["tlsConfig"]?["certFile"], "tlsConfig.certFile", "tlsConfig.cert"),
            (endpoint["tlsConfig"]?["keyFile"], "tlsConfig.keyFile", "tlsConfig.keySecret"),
        ]
        for (value, name, instead) in fields where text(value) != nil {
            throw MonitorError(
                "\(name) is disallowed because allow_arbitrary_file_access is false; use \(instead) instead")
        }
    }

    // MARK: Parts

    func job(
        _ settings: ScrapeJobSettings, _ source: MonitorJob.Source, _ rules: RuleList, _ metricRules: JSONValue?
    ) throws -> MonitorJob {
        var settings = settings
        settings.metricRelabeling = Relabeling(try RelabelRule.rules(json: metricRules))
        return MonitorJob(settings: settings, source: source, relabeling: Relabeling(rules.rules))
    }

    func text(_ value: JSONValue?) -> String? {
        guard let text = value?.stringValue, !text.isEmpty else { return nil }
        return text
    }

    /// A port that may be a name or a number.
    private func portText(_ value: JSONValue?) -> String? {
        text(value) ?? value?.intValue.map { "\($0)" }
    }

    private func addTargetPort(_ port: JSONValue?, to rules: inout RuleList) throws {
        if let name = text(port) {
            try rules.add(.keep, ["__meta_kubernetes_pod_container_port_name"], name)
        } else if let number = port?.intValue, number != 0 {
            try rules.add(.keep, ["__meta_kubernetes_pod_container_port_number"], "\(number)")
        }
    }

    private func addFilterOfEnded(_ endpoint: JSONValue, to rules: inout RuleList) throws {
        if endpoint["filterRunning"]?.boolValue == false { return }
        try rules.add(.drop, ["__meta_kubernetes_pod_phase"], Self.ended)
    }

    private func addLabels(_ names: JSONValue?, of kind: String, to rules: inout RuleList) throws {
        for name in (names?.arrayValue ?? []).compactMap(\.stringValue) {
            let valid = MetaLabels.validName(name)
            try rules.add(
                .replace, ["__meta_kubernetes_\(kind)_label_\(valid)"], Self.anything, target: valid,
                replacement: "${1}")
        }
    }

    private func addJobLabel(_ spec: JSONValue, of kind: String, to rules: inout RuleList) throws {
        guard let name = text(spec["jobLabel"]) else { return }
        try rules.add(
            .replace, ["__meta_kubernetes_\(kind)_label_\(MetaLabels.validName(name))"], Self.anything, target: "job",
            replacement: "${1}")
    }
}
