package import Kubernetes
package import Telemetry
package import TextFormats

/// What a discovery would make of one pod, given as the API server gives it.
package struct PodQuestion: Sendable {
    package let pod: Pod

    /// Reads a pod from JSON; throws for what is none.
    package init(json: [UInt8]) throws(TextFormatError) {
        var texts = TextTable()
        let read = json.withUnsafeBytes { bytes -> Result<Pod, TextFormatError> in
            do throws(TextFormatError) {
                var cursor = JSONCursor(bytes)
                return .success(try Pod(&cursor, &texts))
            } catch {
                return .failure(error)
            }
        }
        pod = try read.get()
    }

    /// The labels of the pod's targets: of its group and its own together.
    package var targets: [LabelSet] {
        PodTargets.groups(of: [pod], namespaces: []).values.flatMap { group in
            group.targets.map { Target(own: $0, group: group.labels).labels }
        }
    }

    /// Why a discovery of pods does not find this one; nil when it does.
    package func refusal(by request: DiscoveryRequest) -> String? {
        if !request.namespaces.isEmpty, !request.includesOwnNamespace,
            !request.namespaces.contains(pod.metadata.namespace)
        {
            return "it looks at \(request.namespaces.joined(separator: ", ")) only"
        }
        if let selector = request.selectors[.pod] {
            if let labels = LabelSelector(text: selector.label), !labels.matches(pod.metadata.labels) {
                return "the pod's labels do not meet its selector \"\(selector.label)\""
            }
            if let field = unmet(selector.field) { return "the pod does not meet its selector \"\(field)\"" }
        }
        return pod.podIP.isEmpty ? "the pod has no address yet" : nil
    }

    /// The first condition on a field that the pod does not meet.
    private func unmet(_ text: String) -> String? {
        for part in text.split(separator: ",") {
            guard let equals = part.firstIndex(of: "=") else { continue }
            let isNegated = equals > part.startIndex && part[part.index(before: equals)] == "!"
            let name = part[..<(isNegated ? part.index(before: equals) : equals)].filter { !$0.isWhitespace }
            let wanted = part[part.index(after: equals)...].drop { $0 == "=" || $0 == " " }
            guard let value = value(of: name) else { continue }
            if (value == wanted) == isNegated { return String(part) }
        }
        return nil
    }

    private func value(of field: String) -> String? {
        switch field {
        case "metadata.name": pod.metadata.name
        case "metadata.namespace": pod.metadata.namespace
        case "spec.nodeName": pod.nodeName
        case "status.phase": pod.phase
        case "status.podIP": pod.podIP
        default: nil
        }
    }
}
