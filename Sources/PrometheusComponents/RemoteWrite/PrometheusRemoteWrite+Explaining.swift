package import ComponentKit
import Telemetry
import Transport

extension PrometheusRemoteWrite: Explaining {
    /// Each endpoint on its own: the labels added, the rules, and where the series is sent.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .metric else { return nil }
        let settings = arguments.current
        var explanation = Explanation()
        if settings.endpoints.isEmpty { explanation.notes.append("there is no endpoint") }
        for (index, endpoint) in settings.endpoints.enumerated() {
            let path = RulePath("endpoint", index)
            var left: ExplainedItem? = item
            if !settings.externalLabels.isEmpty {
                var scratch = LabelSetBuilder()
                let labels = ExternalLabels.added(settings.externalLabels, to: item.labels, &scratch)
                left = item.with(labels: labels)
                explanation.steps.append(
                    ExplainedStep(
                        "external_labels", path: RulePath("external_labels"),
                        labels == item.labels ? .unchanged : .changed, "added where the series has none of the name",
                        before: item, after: left))
            }
            left = left.flatMap {
                explanation.relabel($0, by: endpoint.relabeling, named: "write_relabel_config", in: path)
            }
            guard let left = explanation.endUnlabelled(left) else { continue }
            let url = endpoint.url?.text ?? ""
            let name = endpoint.name.isEmpty ? url : "\(endpoint.name): \(url)"
            explanation.results.append(Explanation.Result(left, .destination("remote write to \(name)")))
        }
        return explanation
    }
}

/// Labels that are added to series which have none of their names.
enum ExternalLabels {
    static func added(_ external: LabelSet, to labels: LabelSet, _ scratch: inout LabelSetBuilder) -> LabelSet {
        scratch.reset(to: labels)
        external.forEach { name, value in
            let isTaken = scratch.withValue(of: name) { $0 != nil }
            if !isTaken { scratch.set(name, to: value) }
        }
        return scratch.finish()
    }
}
