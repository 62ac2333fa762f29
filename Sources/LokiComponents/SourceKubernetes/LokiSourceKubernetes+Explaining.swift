package import ComponentKit
import Telemetry

extension LokiSourceKubernetes: Explaining {
    /// Of a target, whose log is read and with which labels; a log entry is taken as it was read.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let receivers = arguments.current.forwardTo.owners
        switch item.kind {
        case .log:
            return Explanation(
                results: [Explanation.Result(item, .receivers(receivers))],
                notes: ["taken as it is read from a container, with the labels given"])
        case .target: break
        default: return nil
        }
        var explanation = Explanation()
        var scratch = LabelSetBuilder()
        do throws(LogTargetError) {
            let target = try LogTarget(item.labels, job: context.componentID, scratch: &scratch)
            var entry = item.with(labels: target.labels)
            entry.kind = .log
            explanation.steps.append(
                ExplainedStep("target", .changed, "reads the log of \(target.id)", before: item, after: entry))
            explanation.results = [Explanation.Result(entry, .receivers(receivers))]
        } catch {
            explanation.steps.append(
                ExplainedStep("target", .dropped, "not read: \(error)", before: item, after: nil))
        }
        return explanation
    }
}
