import Kubernetes
import Storage
import Telemetry

/// Why the log of a target cannot be read.
struct LogTargetError: Error, CustomStringConvertible {
    let description: String
}

/// One container whose log is read, and the labels its lines get.
///
/// Labels agree with grafana/alloy `kubetail`: which pod and container it is comes from `__pod_namespace__` and its
/// like, or else from discovery's labels; reserved labels are not part of the lines' labels.
struct LogTarget: Sendable, Hashable {
    let pod: ObjectKey
    let container: String
    let uid: String
    /// The labels of every line.
    let labels: LabelSet

    /// `job` is the default of that label; `keepsMeta` leaves labels of discovery among the lines'.
    init(
        _ given: LabelSet, job: String, keepsMeta: Bool = false, scratch: inout LabelSetBuilder
    ) throws(LogTargetError) {
        func first(_ names: String...) -> String? { names.lazy.compactMap { given[$0] }.first { !$0.isEmpty } }
        guard let namespace = first("__pod_namespace__", "__meta_kubernetes_namespace") else {
            throw LogTargetError(description: "missing pod namespace label")
        }
        guard let name = first("__pod_name__", "__meta_kubernetes_pod_name") else {
            throw LogTargetError(description: "missing pod name label")
        }
        guard let container = first("__pod_container_name__", "__meta_kubernetes_pod_container_name") else {
            throw LogTargetError(description: "missing pod container name label")
        }
        guard let uid = first("__pod_uid__", "__meta_kubernetes_pod_uid") else {
            throw LogTargetError(description: "missing pod UID label")
        }
        pod = ObjectKey(namespace: namespace, name: name)
        self.container = container
        self.uid = uid
        scratch.reset(to: given)
        if given["job"] == nil { scratch.set("job", to: job) }
        if given["instance"] == nil { scratch.set("instance", to: "\(namespace)/\(name):\(container)") }
        scratch.filter { name, _ in
            let isReserved = name.count >= 2 && name[0] == UInt8(ascii: "_") && name[1] == UInt8(ascii: "_")
            return !isReserved || (keepsMeta && Self.isMeta(name))
        }
        labels = scratch.finish()
    }

    private static func isMeta(_ name: UnsafeRawBufferPointer) -> Bool { name.starts(with: "__meta_".utf8) }

    /// `namespace/pod:container`.
    var id: String { "\(pod):\(container)" }

    /// Where upstream keeps the time of the last line, in microseconds.
    var positionKey: PositionKey { PositionKey(path: "cursor-\(id):\(uid)", labels: "\(labels)") }

    /// Where it is kept to the nanosecond and the line.
    var exactPositionKey: PositionKey { PositionKey(path: "cursor-\(id):\(uid):exact", labels: "\(labels)") }
}
