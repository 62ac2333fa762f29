package import ComponentKit
import Kubernetes
import Synchronization
import Telemetry

extension LokiSourcePodLogs: Explaining {
    /// Of a pod, whose containers the PodLogs objects known now choose; a log entry is taken as it was read.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let receivers = arguments.current.forwardTo.owners
        switch item.kind {
        case .log:
            return Explanation(
                results: [Explanation.Result(item, .receivers(receivers))],
                notes: ["taken as it is read from a container, with the labels given"])
        case .pod: break
        default: return nil
        }
        let objects = outcomes.withLock { $0.count }
        guard objects > 0, let namespace = item.labels["namespace"], let name = item.labels["name"] else { return nil }
        let pod = ObjectKey(namespace: namespace, name: name)
        var explanation = Explanation()
        for tail in tails.all where tail.target.pod == pod {
            var entry = item.with(labels: tail.target.labels)
            entry.kind = .log
            entry.object = []
            explanation.steps.append(
                ExplainedStep("target", .changed, "reads the log of \(tail.target.id)", before: item, after: entry))
            explanation.results.append(Explanation.Result(entry, .receivers(receivers)))
        }
        if explanation.results.isEmpty {
            explanation.steps = [
                ExplainedStep(
                    "target", .dropped, "none of \(objects) PodLogs objects chooses a container of it", before: item,
                    after: nil)
            ]
        }
        return explanation
    }
}
