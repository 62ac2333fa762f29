package import ComponentKit
import Telemetry

extension LokiSourceAPI: Explaining {
    /// What becomes of the labels of an entry that is pushed.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .log else { return nil }
        let current = arguments.current
        var explanation = Explanation(notes: ["taken as it is pushed, without a tenant"])
        var builder = LabelSetBuilder(item.labels)
        current.labels.forEach { builder.set($0, to: $1) }
        let labelled = item.with(labels: builder.finish())
        if !current.labels.isEmpty {
            explanation.steps.append(
                ExplainedStep(
                    "labels", path: RulePath("labels"), labelled.labels == item.labels ? .unchanged : .changed,
                    "added over labels of the same name", before: item, after: labelled))
        }
        let left = explanation.relabel(labelled, by: current.relabeling, named: "relabel_rules")
        guard let left = explanation.endUnlabelled(left) else { return explanation }
        var batch = LogBatch()
        batch.append(item.line ?? "", labels: item.labels, timestamp: item.timestamp)
        _ = PushMapper(labels: current.labels, relabeling: current.relabeling, tenant: "").map(&batch)
        guard let sent = batch.streams.first else { return explanation }
        let entry = left.with(labels: sent)
        if entry.labels != left.labels {
            explanation.steps.append(
                ExplainedStep("labels", .changed, "labels that begin with __ go", before: left, after: entry))
        }
        explanation.results = [Explanation.Result(entry, .receivers(current.forwardTo.owners))]
        return explanation
    }
}
