import Kubernetes
import KubernetesKit
import Telemetry
import TextFormats

/// The custom resource that says which pods' logs are read (monitoring.grafana.com/v1alpha2).
enum PodLogsKind: CustomResource {
    static let resource = KubernetesResource(
        group: "monitoring.grafana.com", version: "v1alpha2", plural: "podlogs")
}

typealias PodLogs = CustomObject<PodLogsKind>

/// Makes log targets of PodLogs objects, pods and namespaces.
///
/// Agrees with grafana/alloy `loki.source.podlogs`: selectors, labels and rules.
struct PodLogsReconciler {
    /// How one object fared.
    struct Outcome: Sendable, Equatable {
        var key: ObjectKey
        var error = ""
        var containers = 0
        /// Containers whose labels name no pod after the rules, and why.
        var failures: [String] = []
    }

    struct Result {
        var targets: [LogTarget] = []
        var outcomes: [Outcome] = []
    }

    var selector: LabelSelector
    var namespaceSelector: LabelSelector
    var keepsMeta: Bool

    func reconcile(_ podLogs: [PodLogs], pods: [Pod], namespaces: [String: Namespace]) -> Result {
        var result = Result()
        for object in podLogs.sorted(by: { $0.metadata.key < $1.metadata.key }) {
            guard selector.matches(object.metadata.labels) else { continue }
            guard let namespace = namespaces[object.metadata.namespace],
                namespaceSelector.matches(namespace.metadata.labels)
            else { continue }
            var outcome = Outcome(key: object.metadata.key)
            do throws(TextFormatError) {
                try add(object, pods, namespaces, to: &result.targets, &outcome)
            } catch {
                outcome.error = "\(error)"
            }
            result.outcomes.append(outcome)
        }
        return result
    }

    private func add(
        _ object: PodLogs, _ pods: [Pod], _ namespaces: [String: Namespace], to targets: inout [LogTarget],
        _ outcome: inout Outcome
    ) throws(TextFormatError) {
        let wanted = try LabelSelector(json: object.spec["selector"])
        let wantedNamespaces = try LabelSelector(json: object.spec["namespaceSelector"])
        let rules = Relabeling(try RelabelRule.rules(json: object.spec["relabelings"]))
        var labels = MetaLabels()
        labels.begin()
        labels.set("podlogs_namespace", to: object.metadata.namespace)
        labels.set(metadata: object.metadata, of: "podlogs")
        let shared = labels.finish()
        var builder = LabelSetBuilder()
        var scratch = LabelSetBuilder()
        for pod in pods where wanted.matches(pod.metadata.labels) {
            guard let namespace = namespaces[pod.metadata.namespace],
                wantedNamespaces.matches(namespace.metadata.labels)
            else { continue }
            for container in pod.containers {
                labels.begin(with: shared)
                labels.set("namespace", to: pod.metadata.namespace)
                labels.set(metadata: namespace.metadata, of: "namespace", withName: false)
                labels.set(pod: pod)
                labels.set(container: container, withID: false)
                guard let processed = rules.apply(to: labels.finish(), scratch: &builder), !processed.isEmpty else {
                    continue
                }
                do throws(LogTargetError) {
                    targets.append(
                        try LogTarget(
                            processed, job: "\(object.metadata.key):\(container.name)", keepsMeta: keepsMeta,
                            scratch: &scratch))
                    outcome.containers += 1
                } catch {
                    outcome.failures.append("\(pod.metadata.key):\(container.name): \(error)")
                }
            }
        }
    }
}
