package import Kubernetes

/// Targets of pods that are known as a list.
package enum PodTargets {
    /// Groups by their source, as the pod role of a discovery has them. No namespaces are all.
    package static func groups(of pods: [Pod], namespaces: [String]) -> [String: DiscoveredGroup] {
        var builder = TargetBuilder(TargetBuilder.Lookup(pod: { _ in nil }, service: { _ in nil }))
        var groups: [String: DiscoveredGroup] = [:]
        for pod in pods where namespaces.isEmpty || namespaces.contains(pod.metadata.namespace) {
            groups["pod/\(pod.metadata.key)"] = builder.group(pod)
        }
        return groups
    }
}
