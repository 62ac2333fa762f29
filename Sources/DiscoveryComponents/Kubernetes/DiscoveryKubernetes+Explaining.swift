package import ComponentKit
import Kubernetes
import KubernetesKit
import Telemetry

extension DiscoveryKubernetes: Explaining {
    /// Of a pod given as an object, its targets, or why it is not found; of a pod's name, the targets found of it; of a
    /// target, whether the role gives such ones.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let request = arguments.current.request
        switch item.kind {
        case .target: return target(item, request)
        case .pod: return item.object.isEmpty ? found(item) : pod(item, request)
        default: return nil
        }
    }

    private func pod(_ item: ExplainedItem, _ request: DiscoveryRequest) -> Explanation? {
        // What other roles make of it depends on objects nobody has given.
        guard request.role == .pod, let question = try? PodQuestion(json: item.object) else { return nil }
        var explanation = Explanation()
        if let refusal = question.refusal(by: request) {
            explanation.steps = [ExplainedStep("pod", .dropped, "not found: \(refusal)", before: item, after: nil)]
            return explanation
        }
        if request.attachesNode || request.attachesNamespace {
            explanation.notes.append("labels of the pod's node and namespace are not known here and left out")
        }
        explanation.add(question.targets, of: item)
        return explanation
    }

    private func found(_ item: ExplainedItem) -> Explanation? {
        let (namespace, name) = (item.labels["namespace"], item.labels["name"])
        guard let targets = feed.targets else { return nil }
        let own = targets.filter {
            $0["__meta_kubernetes_namespace"] == namespace && $0["__meta_kubernetes_pod_name"] == name
        }
        var explanation = Explanation()
        if own.isEmpty {
            explanation.steps = [
                ExplainedStep(
                    "pod", .dropped, "none of the \(targets.count) targets found is of this pod", before: item,
                    after: nil)
            ]
        }
        explanation.add(own, of: item)
        return explanation
    }

    private func target(_ item: ExplainedItem, _ request: DiscoveryRequest) -> Explanation {
        var explanation = Explanation()
        if let role = DiscoveryRole(labels: item.labels), role != request.role {
            explanation.steps = [
                ExplainedStep(
                    "role", path: RulePath("role"), .dropped,
                    "not found here: its labels are those of the role \(role.rawValue), this finds "
                        + "\(request.role.rawValue) targets", before: item, after: nil)
            ]
            return explanation
        }
        if let namespace = item.labels["__meta_kubernetes_namespace"], !request.namespaces.isEmpty,
            !request.includesOwnNamespace, !request.namespaces.contains(namespace)
        {
            explanation.steps = [
                ExplainedStep(
                    "namespaces", path: RulePath("namespaces"), .dropped,
                    "not found here: it looks at \(request.namespaces.joined(separator: ", ")) only", before: item,
                    after: nil)
            ]
            return explanation
        }
        if let selector = request.selectors[request.role] {
            let text = [selector.label, selector.field].filter { !$0.isEmpty }.joined(separator: " and ")
            explanation.notes.append("found only when its object meets the selector \(text)")
        }
        explanation.results = [Explanation.Result(item, .targets("targets"))]
        return explanation
    }
}

extension Explanation {
    /// Adds targets that come of a pod.
    fileprivate mutating func add(_ targets: [LabelSet], of pod: ExplainedItem) {
        for labels in targets {
            var target = pod.with(labels: labels)
            target.kind = .target
            target.object = []
            steps.append(
                ExplainedStep(
                    "target", .changed, "a target at \(labels["__address__"] ?? "")", before: pod, after: target))
            results.append(Result(target, .targets("targets")))
        }
    }
}

extension DiscoveryRole {
    /// The role whose targets have such labels; nil when they do not tell.
    fileprivate init?(labels: LabelSet) {
        let names = labels.pairs.map(\.name)
        let marks: [(String, DiscoveryRole)] = [
            ("endpointslice_", .endpointslice), ("endpoint_", .endpoints), ("endpoints_", .endpoints),
            ("ingress_", .ingress), ("service_", .service), ("pod_", .pod), ("node_", .node),
        ]
        for (mark, role) in marks where names.contains(where: { $0.hasPrefix("__meta_kubernetes_" + mark) }) {
            self = role
            return
        }
        return nil
    }
}
