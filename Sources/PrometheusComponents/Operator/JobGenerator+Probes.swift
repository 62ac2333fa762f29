import Essentials
import Kubernetes
import KubernetesKit
import Telemetry
import TextFormats
import Transport
import Wire

/// Probes and scrape configurations.
extension JobGenerator {
    /// The job of a probe; nil when it names no targets.
    func probeJob(_ metadata: ObjectMetadata, _ spec: JSONValue) async throws -> MonitorJob? {
        let namespace = metadata.namespace
        let prober = spec["prober"] ?? .null
        var settings = defaults("probe/\(namespace)/\(metadata.name)")
        // An empty path is the prober's usual one (prometheus-operator, `ProberSpec`).
        settings.metricsPath = text(prober["path"]) ?? "/probe"
        if let scheme = text(prober["scheme"]) { settings.scheme = scheme.lowercased() }
        if let module = text(spec["module"]) { settings.params = ["module": [module]] }
        try readTimes(spec, interval: "interval", timeout: "scrapeTimeout", into: &settings)
        try readLimits(spec, into: &settings)
        try await readClient(spec, namespace, into: &settings.client)
        if let proxy = text(prober["proxyUrl"]) { settings.client.proxy.url = Secret(proxy) }
        if let problem = settings.client.proxy.problem { throw MonitorError("proxyUrl: \(problem.reason)") }
        guard let url = text(prober["url"]) else { throw MonitorError("the prober has no url") }

        var rules = try firstRules()
        if let name = text(spec["jobName"]) { try rules.add(.replace, target: "job", replacement: name) }
        let targets = spec["targets"]
        if let fixed = targets?["staticConfig"], fixed.objectValue != nil {
            var labels = Self.labels(fixed["labels"])
            if labels["namespace"] == nil { labels["namespace"] = namespace }
            try rules.add(.replace, ["__address__"], target: "__param_target")
            try rules.add(.replace, ["__param_target"], target: "instance")
            try rules.add(.replace, target: "__address__", replacement: url)
            try add(fixed["relabelingConfigs"], to: &rules)
            let addresses = (fixed["static"]?.arrayValue ?? []).compactMap(\.stringValue)
            return try job(
                settings, .fixed(addresses: addresses, labels: LabelSet(labels.map { ($0.key, $0.value) })), rules,
                spec["metricRelabelings"])
        }
        guard let ingress = targets?["ingress"], ingress.objectValue != nil else { return nil }
        try add(ingress["selector"], of: "ingress", to: &rules)
        try rules.add(
            .replace, ["__meta_kubernetes_ingress_scheme", "__address__", "__meta_kubernetes_ingress_path"],
            "(.+);(.+);(.+)", target: "__param_target", replacement: "${1}://${2}${3}")
        try rules.add(.replace, ["__meta_kubernetes_namespace"], target: "namespace")
        try rules.add(.replace, ["__meta_kubernetes_ingress_name"], target: "ingress")
        try rules.add(.replace, ["__address__"], "(.+)", target: "__tmp_ingress_address")
        try rules.add(.replace, ["__param_target"], target: "instance")
        try rules.add(.replace, target: "__address__", replacement: url)
        try add(ingress["relabelingConfigs"], to: &rules)
        return try job(
            settings, .kubernetes(request(.ingress, ingress, namespace)), rules, spec["metricRelabelings"])
    }

    /// The job of one list of fixed targets.
    func staticJob(
        _ metadata: ObjectMetadata, _ spec: JSONValue, _ config: JSONValue, _ index: Int
    ) async throws -> MonitorJob {
        var (settings, rules) = try await common(metadata, spec)
        settings.name = "scrapeConfig/\(metadata.namespace)/\(metadata.name)/static/\(index)"
        try rules.add(.replace, ["__address__"], target: "instance")
        let addresses = (config["targets"]?.arrayValue ?? []).compactMap(\.stringValue)
        let labels = LabelSet(Self.labels(config["labels"]).map { ($0.key, $0.value) })
        return try job(settings, .fixed(addresses: addresses, labels: labels), rules, spec["metricRelabelings"])
    }

    /// The job of targets that are fetched over HTTP.
    func httpJob(
        _ metadata: ObjectMetadata, _ spec: JSONValue, _ config: JSONValue, _ index: Int
    ) async throws -> MonitorJob {
        let (shared, rules) = try await common(metadata, spec)
        var settings = shared
        settings.name = "scrapeConfig/\(metadata.namespace)/\(metadata.name)/http/\(index)"
        guard let address = text(config["url"]), let url = HTTPURL(address), url.scheme.hasPrefix("http") else {
            throw MonitorError("httpSDConfigs has no usable url")
        }
        var client = HTTPClientSettings()
        try await readClient(config, metadata.namespace, into: &client)
        let interval = try duration(config["refreshInterval"]) ?? .seconds(30)
        if interval <= .zero { throw MonitorError("refreshInterval must be greater than 0") }
        return try job(
            settings, .http(url: url, interval: interval, client: client), rules, spec["metricRelabelings"])
    }

    private func common(
        _ metadata: ObjectMetadata, _ spec: JSONValue
    ) async throws -> (ScrapeJobSettings, RuleList) {
        var settings = defaults("scrapeConfig/\(metadata.namespace)/\(metadata.name)")
        if let honors = spec["honorLabels"]?.boolValue { settings.honorsLabels = honors }
        if let honors = spec["honorTimestamps"]?.boolValue { settings.options.honorsTimestamps = honors }
        if let tracks = spec["trackTimestampsStaleness"]?.boolValue {
            settings.options.tracksTimestampStaleness = tracks
        }
        if let path = text(spec["metricsPath"]) { settings.metricsPath = path }
        if let scheme = text(spec["scheme"]) { settings.scheme = scheme.lowercased() }
        if let compresses = spec["enableCompression"]?.boolValue { settings.isCompressionEnabled = compresses }
        settings.params = Self.parameters(spec["params"])
        try readTimes(spec, interval: "scrapeInterval", timeout: "scrapeTimeout", into: &settings)
        try readLimits(spec, into: &settings)
        try await readClient(spec, metadata.namespace, into: &settings.client)
        var rules = try firstRules()
        try rules.add(
            .replace, target: "__meta_kubernetes_scrapeconfig_namespace", replacement: metadata.namespace)
        try rules.add(.replace, target: "__meta_kubernetes_scrapeconfig_name", replacement: metadata.name)
        try add(spec["relabelings"], to: &rules)
        return (settings, rules)
    }

    private static func labels(_ value: JSONValue?) -> [String: String] {
        var labels: [String: String] = [:]
        for (key, value) in value?.objectValue ?? JSONObject() { labels[key] = value.stringValue ?? "" }
        return labels
    }
}
