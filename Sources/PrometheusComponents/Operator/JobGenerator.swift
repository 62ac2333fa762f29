import Essentials
import Kubernetes
import KubernetesKit
import Telemetry
import TextFormats
import Transport
import Wire

/// Makes the jobs that objects of the Prometheus operator ask for.
///
/// Agrees with grafana/alloy `prometheus.operator.*`, and through it with the Prometheus operator: names of jobs, rules
/// and defaults. Deviation: values of selectors are compared as they are, not as expressions.
struct JobGenerator: Sendable {
    let arguments: OperatorArguments
    let values: ReferencedValues

    /// The jobs of an object, and what is wrong with those that cannot be made.
    func jobs(
        of kind: MonitorKind, _ metadata: ObjectMetadata, _ spec: JSONValue
    ) async throws -> (jobs: [MonitorJob], problems: [String]) {
        var jobs: [MonitorJob] = []
        var problems: [String] = []
        func attempt(_ make: () async throws -> MonitorJob?) async throws {
            do {
                if let job = try await make() { jobs.append(job) }
            } catch {
                try Task.checkCancellation()
                problems.append("\(error)")
            }
        }
        switch kind {
        case .podMonitors:
            for (index, endpoint) in (spec["podMetricsEndpoints"]?.arrayValue ?? []).enumerated() {
                try await attempt { try await podJob(metadata, spec, endpoint, index) }
            }
        case .serviceMonitors:
            for (index, endpoint) in (spec["endpoints"]?.arrayValue ?? []).enumerated() {
                try await attempt { try await serviceJob(metadata, spec, endpoint, index) }
            }
        case .probes: try await attempt { try await probeJob(metadata, spec) }
        case .scrapeConfigs:
            for (index, config) in (spec["staticConfigs"]?.arrayValue ?? []).enumerated() {
                try await attempt { try await staticJob(metadata, spec, config, index) }
            }
            for (index, config) in (spec["httpSDConfigs"]?.arrayValue ?? []).enumerated() {
                try await attempt { try await httpJob(metadata, spec, config, index) }
            }
            let unknown = (spec.objectValue ?? JSONObject()).map { $0.key }
                .filter { $0.hasSuffix("SDConfigs") && $0 != "httpSDConfigs" }
            if !unknown.isEmpty {
                problems.append("not supported and left out: \(unknown.joined(separator: ", "))")
            }
        }
        return (jobs, problems)
    }

    // MARK: Settings

    /// The settings a job begins with.
    func defaults(_ name: String) -> ScrapeJobSettings {
        var settings = ScrapeJobSettings(name: name)
        settings.interval = arguments.scrape.interval
        settings.timeout = arguments.scrape.timeout
        settings.options = arguments.scrape.options
        settings.options.limits.samples = Int(clamping: arguments.scrape.sampleLimit)
        if settings.options.scrapesNativeHistograms { settings.protocols = ScrapeProtocol.protobufFirst }
        return settings
    }

    /// Takes what `spec` says about limits and protocols.
    func readLimits(_ spec: JSONValue, into settings: inout ScrapeJobSettings) throws {
        func limit(_ name: String) -> Int? { spec[name]?.intValue.map { Int(clamping: max($0, 0)) } }
        if let samples = limit("sampleLimit") { settings.options.limits.samples = samples }
        settings.targetLimit = UInt(limit("targetLimit") ?? 0)
        settings.options.limits.labels = limit("labelLimit") ?? 0
        settings.options.limits.labelNameLength = limit("labelNameLengthLimit") ?? 0
        settings.options.limits.labelValueLength = limit("labelValueLengthLimit") ?? 0
        if let text = spec["bodySizeLimit"]?.stringValue, !text.isEmpty {
            guard let bytes = try? ByteSize.parseBase2(text) else {
                throw MonitorError("invalid bodySizeLimit \"\(text)\"")
            }
            settings.options.limits.bodyBytes = Int(clamping: bytes)
        }
        if let names = spec["scrapeProtocols"]?.arrayValue {
            settings.protocols = try names.map { name in
                guard let known = name.stringValue.flatMap({ ScrapeProtocol(rawValue: $0) }) else {
                    throw MonitorError("unknown scrape protocol \(name.stringValue ?? "")")
                }
                return known
            }
        }
    }

    /// Takes interval and timeout under the given names, and checks them.
    func readTimes(
        _ spec: JSONValue, interval: String, timeout: String, into settings: inout ScrapeJobSettings
    ) throws {
        settings.interval = try duration(spec[interval]) ?? settings.interval
        let given = try duration(spec[timeout])
        settings.timeout = given ?? min(settings.timeout, settings.interval)
        if settings.timeout > settings.interval {
            throw MonitorError("scrape timeout greater than scrape interval for job \"\(settings.name)\"")
        }
    }

    func duration(_ value: JSONValue?) throws -> Duration? {
        guard let text = value?.stringValue, !text.isEmpty else { return nil }
        do {
            return try PrometheusDuration.parse(text)
        } catch {
            throw MonitorError("invalid duration \"\(text)\": \(error)")
        }
    }

    /// Takes what an endpoint says of paths, parameters and how targets are asked.
    func readEndpoint(_ endpoint: JSONValue, into settings: inout ScrapeJobSettings) {
        settings.honorsLabels = endpoint["honorLabels"]?.boolValue ?? false
        if let honors = endpoint["honorTimestamps"]?.boolValue { settings.options.honorsTimestamps = honors }
        if let tracks = endpoint["trackTimestampsStaleness"]?.boolValue {
            settings.options.tracksTimestampStaleness = tracks
        }
        if let path = endpoint["path"]?.stringValue, !path.isEmpty { settings.metricsPath = path }
        if let scheme = endpoint["scheme"]?.stringValue, !scheme.isEmpty { settings.scheme = scheme.lowercased() }
        settings.params = Self.parameters(endpoint["params"])
        if let follows = endpoint["followRedirects"]?.boolValue { settings.client.followsRedirects = follows }
        if let http2 = endpoint["enableHttp2"]?.boolValue { settings.client.isHTTP2Enabled = http2 }
    }

    static func parameters(_ value: JSONValue?) -> [String: [String]] {
        var parameters: [String: [String]] = [:]
        for (key, values) in value?.objectValue ?? JSONObject() {
            parameters[key] = (values.arrayValue ?? []).compactMap(\.stringValue)
        }
        return parameters
    }

    // MARK: Credentials

    /// Takes certificates and credentials, whose values are in Secrets of `namespace`.
    func readClient(_ endpoint: JSONValue, _ namespace: String, into client: inout HTTPClientSettings) async throws {
        if let proxy = endpoint["proxyUrl"]?.stringValue, !proxy.isEmpty { client.proxy.url = Secret(proxy) }
        if let problem = client.proxy.problem { throw MonitorError("proxyUrl: \(problem.reason)") }
        if let tls = endpoint["tlsConfig"], tls.objectValue != nil {
            client.tls = try await certificates(tls, namespace)
        }
        var ways: [HTTPAuthorisation] = []
        if let file = endpoint["bearerTokenFile"]?.stringValue, !file.isEmpty {
            ways.append(.bearer(.file(file)))
        } else if let selector = endpoint["bearerTokenSecret"], selector["name"]?.stringValue?.isEmpty == false {
            ways.append(.bearer(.inline(try await values.secret(namespace, selector))))
        }
        if let basic = endpoint["basicAuth"], basic.objectValue != nil {
            let username = try await values.secret(namespace, basic["username"]).reveal { $0 }
            ways.append(
                .basic(username: username, password: .inline(try await values.secret(namespace, basic["password"]))))
        }
        if let oauth2 = endpoint["oauth2"], oauth2.objectValue != nil {
            ways.append(.oauth2(try await oauth2Settings(oauth2, namespace)))
        }
        if let authorization = endpoint["authorization"], authorization.objectValue != nil {
            let type = authorization["type"]?.stringValue ?? ""
            var credentials = Secret("")
            if let selector = authorization["credentials"], selector.objectValue != nil {
                credentials = try await values.secret(namespace, selector)
            }
            ways.append(.credentials(type: type.isEmpty ? "Bearer" : type, .inline(credentials)))
        }
        if ways.count > 1 {
            throw MonitorError("at most one of basicAuth, authorization, oauth2 and bearer tokens may be given")
        }
        client.authorisation = ways.first ?? .none
    }

    private func certificates(_ tls: JSONValue, _ namespace: String) async throws -> TLSClientSettings {
        var made = TLSClientSettings()
        made.skipsVerification = tls["insecureSkipVerify"]?.boolValue ?? false
        made.caPEM = try await values.secretOrConfigMap(namespace, tls["ca"])?.reveal { $0 }
        made.certificatePEM = try await values.secretOrConfigMap(namespace, tls["cert"])?.reveal { $0 }
        if let selector = tls["keySecret"], selector.objectValue != nil {
            made.keyPEM = try await values.secret(namespace, selector)
        }
        func text(_ name: String) -> String? { tls[name]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } }
        made.serverName = text("serverName")
        made.caFile = text("caFile")
        made.certificateFile = text("certFile")
        made.keyFile = text("keyFile")
        if let version = text("minVersion") {
            guard let known = TLSProtocolVersion(configured: version) else {
                throw MonitorError("unknown TLS version \(version)")
            }
            made.minimumVersion = known
        }
        if let problem = made.problem { throw MonitorError("tlsConfig: \(problem.reason)") }
        return made
    }

    private func oauth2Settings(_ oauth2: JSONValue, _ namespace: String) async throws -> OAuth2Settings {
        guard let identifier = try await values.secretOrConfigMap(namespace, oauth2["clientId"]) else {
            throw MonitorError("oauth2 has no clientId")
        }
        var made = OAuth2Settings(
            clientID: identifier.reveal { $0 },
            clientSecret: .inline(try await values.secret(namespace, oauth2["clientSecret"])),
            tokenURL: oauth2["tokenUrl"]?.stringValue ?? "")
        made.scopes = (oauth2["scopes"]?.arrayValue ?? []).compactMap(\.stringValue)
        for (key, value) in oauth2["endpointParams"]?.objectValue ?? JSONObject() {
            made.endpointParameters[key] = value.stringValue ?? ""
        }
        return made
    }

    // MARK: Rules

    /// The rules every job begins with.
    func firstRules() throws -> RuleList {
        var rules = RuleList(arguments.rules)
        try rules.add(.replace, ["job"], target: "__tmp_prometheus_job_name")
        return rules
    }

    /// Adds rules that keep the targets whose objects of `kind` have the labels of a selector.
    func add(_ selector: JSONValue?, of kind: String, to rules: inout RuleList) throws {
        for requirement in try LabelSelector(json: selector).requirements {
            let name = MetaLabels.validName(requirement.key)
            let value = "__meta_kubernetes_\(kind)_label_\(name)"
            let presence = "__meta_kubernetes_\(kind)_labelpresent_\(name)"
            let choice = requirement.values.map(Self.escaped).joined(separator: "|")
            switch requirement.operation {
            case .in: try rules.add(.keep, [value, presence], "(\(choice));true")
            case .notIn: try rules.add(.drop, [value, presence], "(\(choice));true")
            case .exists: try rules.add(.keep, [presence], "true")
            case .doesNotExist: try rules.add(.drop, [presence], "true")
            }
        }
    }

    /// A value of a label as an expression: of the characters it may have, only the full stop means something.
    static func escaped(_ value: String) -> String {
        var text = ""
        for character in value {
            if character.isASCII, !(character.isLetter || character.isNumber || character == "-" || character == "_") {
                text += "\\"
            }
            text.append(character)
        }
        return text
    }

    /// Adds the rules of an object.
    func add(_ rules: JSONValue?, to list: inout RuleList) throws {
        list.add(contentsOf: try RelabelRule.rules(json: rules))
    }

    /// Targets that objects of a role in the selected namespaces give.
    func request(_ role: DiscoveryRole, _ spec: JSONValue, _ namespace: String) -> DiscoveryRequest {
        var request = DiscoveryRequest(connection: arguments.connection, role: role)
        let selector = spec["namespaceSelector"]
        if selector?["any"]?.boolValue != true {
            let names = (selector?["matchNames"]?.arrayValue ?? []).compactMap(\.stringValue)
            request.namespaces = names.isEmpty ? [namespace] : names
        }
        request.attachesNode = spec["attachMetadata"]?["node"]?.boolValue ?? false
        return request
    }
}
