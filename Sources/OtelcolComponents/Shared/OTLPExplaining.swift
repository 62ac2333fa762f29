import ComponentKit
import Telemetry
import Wire

/// How components of OpenTelemetry data explain what they do: by doing it to the item's batch.
enum OTLPExplaining {
    /// One of the rules of a processor.
    struct Rule {
        var title: String
        var path: RulePath?
        /// What the rules up to this one make of the batch that came in.
        var run: (OTLPBatch) throws -> OTLPBatch

        init(_ title: String, path: RulePath? = nil, _ run: @escaping (OTLPBatch) throws -> OTLPBatch) {
            self.title = title
            self.path = path
            self.run = run
        }
    }

    /// The item that stands for `batch`, made from `item`.
    static func item(_ batch: OTLPBatch, from item: ExplainedItem) -> ExplainedItem {
        var made = item.with(labels: OTLPFields.labels(of: batch))
        made.kind =
            switch batch.kind {
            case .traces: .span
            case .metrics: .otelMetric
            case .logs: .otelLog
            }
        made.batch = batch
        made.line = nil
        made.metadata = .empty
        return made
    }

    /// A step for each rule; what is left goes to the output of its signal. Nil when the item is no OpenTelemetry data.
    static func explanation(
        of item: ExplainedItem, _ rules: [Rule], to output: OTLPOutput, notes: [String] = []
    ) -> Explanation? {
        guard let batch = item.batch else { return nil }
        var explanation = Explanation(notes: notes)
        var current = item
        var left = batch
        for rule in rules {
            let next: OTLPBatch
            do {
                next = try rule.run(batch)
            } catch {
                explanation.steps.append(
                    ExplainedStep(
                        rule.title, path: rule.path, .dropped, "the batch is refused: \(error)", before: current,
                        after: nil))
                return explanation
            }
            let after = next.isEmpty ? nil : Self.item(next, from: current)
            let isSame = next.requestBytes == left.requestBytes
            var detail = ""
            if next.itemCount < left.itemCount, after != nil {
                detail = "\(next.itemCount) of \(left.itemCount) records are left"
            }
            explanation.steps.append(
                ExplainedStep(
                    rule.title, path: rule.path, after == nil ? .dropped : isSame ? .unchanged : .changed, detail,
                    before: current, after: after))
            guard let after else { return explanation }
            current = after
            left = next
        }
        explanation.results = [
            Explanation.Result(current, .receivers(output[batch.kind].owners))
        ]
        return explanation
    }

    /// What passes a component as it is.
    static func passing(_ item: ExplainedItem, to output: OTLPOutput, _ note: String) -> Explanation? {
        explanation(of: item, [], to: output, notes: [note])
    }

    /// What leaves the graph here.
    static func leaving(_ item: ExplainedItem, to destination: String) -> Explanation? {
        item.batch == nil ? nil : Explanation(results: [Explanation.Result(item, .destination(destination))])
    }

    /// A component that takes one signal only refuses others.
    static func refusing(_ item: ExplainedItem, _ kind: OTLPBatch.Kind) -> Explanation? {
        guard let batch = item.batch, batch.kind != kind else { return nil }
        return Explanation([
            ExplainedStep(
                "signal", .dropped, "\(batch.kind) are refused: it takes \(kind) only", before: item, after: nil)
        ])
    }
}
