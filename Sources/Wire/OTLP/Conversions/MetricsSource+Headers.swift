import Telemetry

/// Resources and scopes, encoded anew only when `target_info` or `otel_scope_info` changed.
extension MetricsSource {
    private static let kubernetesAttributes: [(label: String, attribute: String)] = [
        ("__meta_kubernetes_pod_name", "k8s.pod.name"),
        ("__meta_kubernetes_pod_uid", "k8s.pod.uid"),
        ("__meta_kubernetes_pod_container_name", "k8s.container.name"),
        ("__meta_kubernetes_namespace", "k8s.namespace.name"),
        ("__meta_kubernetes_pod_node_name", "k8s.node.name"),
        ("__meta_kubernetes_node_name", "k8s.node.name"),
        ("__meta_kubernetes_endpoint_node_name", "k8s.node.name"),
    ]

    private static let controllerAttributes = [
        "ReplicaSet": "k8s.replicaset.name", "DaemonSet": "k8s.daemonset.name", "StatefulSet": "k8s.statefulset.name",
        "Job": "k8s.job.name", "CronJob": "k8s.cronjob.name",
    ]

    mutating func encodeHeader(ofResource index: Int) {
        let resource = resources[index]
        let info = resource.infoBatch == batchNumber ? resource.info : -1
        guard resource.headerInfo != info else { return }
        let message = OTLPMessage()
        message.clear(as: .resource)
        let (host, port) = Self.split(resource.instance)
        set(message, "service.name", resource.job)
        if Self.isDiscernible(host) {
            set(message, "net.host.name", host)
            set(message, "server.address", host)
        }
        set(message, "service.instance.id", resource.instance)
        let scheme = origin?.discoveredLabels["__scheme__"] ?? ""
        set(message, "net.host.port", port)
        set(message, "http.scheme", scheme)
        set(message, "server.port", port)
        set(message, "url.scheme", scheme)
        if let labels = origin?.discoveredLabels, labels.count > 1 { setKubernetes(message, labels) }
        setInfo(message, info)
        resources[index].header = Self.field(OTLPField.ResourceGroup.resource, message)
        resources[index].headerInfo = info
    }

    mutating func encodeHeader(ofScope index: Int) {
        let scope = scopes[index]
        let info = scope.infoBatch == batchNumber ? scope.info : -1
        guard scope.headerInfo != info else { return }
        let identity = scope.identity.isEmpty ? defaultScope : scope.identity
        let message = OTLPMessage()
        message.clear(as: .scope)
        identity.attributes.withRawBytes { attributes in
            // Cannot fail: the bytes were encoded here.
            try? message.load(attributes, as: .scope)
        }
        identity.name.withRawBytes { message.set(OTLPField.Scope.name, bytes: $0) }
        identity.version.withRawBytes { message.set(OTLPField.Scope.version, bytes: $0) }
        setInfo(message, info)
        var header = Self.field(OTLPField.ScopeGroup.scope, message)
        if !identity.schemaURL.isEmpty {
            var writer = ProtobufWriter()
            identity.schemaURL.withRawBytes { writer.field(OTLPField.ScopeGroup.schemaURL, bytes: $0) }
            header += writer.bytes
        }
        scopes[index].header = header
        scopes[index].headerInfo = info
    }

    /// The labels of an info series become attributes, in the place of those of the same name.
    private func setInfo(_ message: OTLPMessage, _ series: Int32) {
        guard series >= 0, let labels = infoLabels[series] else { return }
        labels.forEach { name, value in
            switch String(decoding: name, as: UTF8.self) {
            case "job", "instance", "__name__", "otel_scope_name", "otel_scope_version", "otel_scope_schema_url": return
            default: message.attributes.set(name, to: .string(value) as OTLPValue)
            }
        }
    }

    private func setKubernetes(_ message: OTLPMessage, _ labels: LabelSet) {
        for (label, attribute) in Self.kubernetesAttributes {
            if let value = labels[label] { set(message, attribute, value) }
        }
        if let name = labels["__meta_kubernetes_pod_controller_name"],
            let kind = labels["__meta_kubernetes_pod_controller_kind"], let attribute = Self.controllerAttributes[kind]
        {
            set(message, attribute, name)
        }
    }

    private func set(_ message: OTLPMessage, _ name: String, _ value: String) {
        message.attributes.set(OTLPKey(name), to: value)
    }

    private static func field(_ number: Int, _ message: OTLPMessage) -> [UInt8] {
        var writer = ProtobufWriter()
        message.encoded.withRawBytes { writer.field(number, bytes: $0) }
        return writer.bytes
    }

    // MARK: Addresses

    /// Host and port of an address as Go's `net.SplitHostPort` takes it apart; all of it is the host where that fails.
    static func split(_ instance: String) -> (host: String, port: String) {
        if instance.hasPrefix("[") {
            guard let close = instance.firstIndex(of: "]") else { return (instance, "") }
            let rest = instance[instance.index(after: close)...]
            guard rest.hasPrefix(":"), !rest.dropFirst().contains(":") else { return (instance, "") }
            return (String(instance[instance.index(after: instance.startIndex)..<close]), String(rest.dropFirst()))
        }
        let parts = instance.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 2 ? (String(parts[0]), String(parts[1])) : (instance, "")
    }

    /// Whether the host says where it is: not a loopback or unspecified address.
    static func isDiscernible(_ host: String) -> Bool {
        if host == "localhost" || host == "0.0.0.0" || host == "::" || host == "::1" { return false }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        let isIPv4 = parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
        return !(isIPv4 && parts[0] == "127")
    }
}
