package import Kubernetes
package import Telemetry

/// Writes the labels by which Prometheus describes objects of Kubernetes.
///
/// Names agree with the Prometheus documentation, section `kubernetes_sd_config`, and prometheus/prometheus
/// `discovery/kubernetes`. An empty value is no label, as relabelling cannot tell the two apart.
package struct MetaLabels {
    private static let prefix = "__meta_kubernetes_"

    private var builder = LabelSetBuilder()
    /// Names of labels and annotations repeat, and making them valid is the dearest part.
    private var names: [NameKey: String] = [:]

    private struct NameKey: Hashable {
        var prefix: String
        var name: String
    }

    /// Starts without labels.
    package init() {}

    /// Forgets what was set and starts from `labels`.
    package mutating func begin(with labels: LabelSet = .empty) { builder.reset(to: labels) }

    /// The labels set since the beginning.
    package mutating func finish() -> LabelSet { builder.finish() }

    /// Sets a label without the common prefix, such as `__address__`.
    mutating func set(plain name: String, to value: String) { builder.set(name, to: value) }

    /// Sets `__meta_kubernetes_<name>`.
    package mutating func set(_ name: String, to value: String) { builder.set(Self.prefix + name, to: value) }

    mutating func set(_ name: String, to value: String?) { if let value { set(name, to: value) } }

    mutating func set(_ name: String, to value: Bool?) { if let value { set(name, to: value ? "true" : "false") } }

    /// Sets `__meta_kubernetes_<prefix><name made valid>`.
    mutating func set(_ prefix: String, _ name: String, to value: String) {
        builder.set(label(prefix, name), to: value)
    }

    /// Sets the labels every kind has: its name, its labels and its annotations.
    package mutating func set(metadata: ObjectMetadata, of kind: String, withName: Bool = true) {
        if withName { set(kind + "_name", to: metadata.name) }
        for pair in metadata.labels {
            set(kind + "_label_", pair.name, to: pair.text)
            set(kind + "_labelpresent_", pair.name, to: "true")
        }
        for pair in metadata.annotations {
            set(kind + "_annotation_", pair.name, to: pair.text)
            set(kind + "_annotationpresent_", pair.name, to: "true")
        }
    }

    /// Sets the labels of a pod, without its namespace.
    package mutating func set(pod: Pod) {
        set("pod_ip", to: pod.podIP)
        set("pod_ready", to: pod.ready)
        set("pod_phase", to: pod.phase)
        set("pod_node_name", to: pod.nodeName)
        set("pod_host_ip", to: pod.hostIP)
        set("pod_uid", to: pod.metadata.uid)
        set(metadata: pod.metadata, of: "pod")
        set("pod_controller_kind", to: pod.metadata.controllerKind)
        set("pod_controller_name", to: pod.metadata.controllerName)
    }

    /// Sets the labels of a container, and of a port of it.
    package mutating func set(container: Pod.Container, port: Pod.Port? = nil, withID: Bool = true) {
        set("pod_container_name", to: container.name)
        if withID { set("pod_container_id", to: container.id) }
        set("pod_container_image", to: container.image)
        set("pod_container_init", to: container.isInit)
        guard let port else { return }
        set("pod_container_port_number", to: "\(port.number)")
        set("pod_container_port_name", to: port.name)
        set("pod_container_port_protocol", to: port.transport)
    }

    private mutating func label(_ prefix: String, _ name: String) -> String {
        let key = NameKey(prefix: prefix, name: name)
        if let known = names[key] { return known }
        var text = Array((Self.prefix + prefix).utf8)
        for byte in name.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 95: text.append(byte)
            // A character of several bytes becomes one underscore.
            case 0x80..<0xC0: break
            default: text.append(95)
            }
        }
        let made = String(decoding: text, as: UTF8.self)
        if names.count >= 4_096 { names.removeAll() }
        names[key] = made
        return made
    }
}

/// `host:port` with brackets around an IPv6 address.
func joinedAddress(_ host: String, _ port: Int) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
}

extension MetaLabels {
    /// A name with every character that no label may have replaced by an underscore.
    package static func validName(_ name: String) -> String {
        String(
            name.map { character in
                character.isASCII && (character.isLetter || character.isNumber || character == "_") ? character : "_"
            })
    }
}
