package import Telemetry

extension Explanation {
    /// Applies `rules` to the labels of `item`, adds a step for each and returns what is left; nil when a rule dropped it.
    ///
    /// - Parameters:
    ///   - name: how the rules' blocks are called.
    ///   - path: where those blocks lie; nil for the component's own block.
    package mutating func relabel(
        _ item: ExplainedItem, by rules: Relabeling, named name: String = "rule", in path: RulePath? = nil
    ) -> ExplainedItem? {
        let labels = rules.apply(to: item.labels) { step in
            let after = step.after.map { item.with(labels: $0) }
            steps.append(
                ExplainedStep(
                    "\(name) \(step.index + 1): \(step.rule.summary)",
                    path: path?.inside(name, step.index) ?? RulePath(name, step.index), Self.outcome(of: step),
                    Self.detail(of: step), before: item.with(labels: step.before), after: after))
        }
        return labels.map { item.with(labels: $0) }
    }

    /// Ends the item when it has no labels left, as components that pass streams and series on do.
    package mutating func endUnlabelled(_ item: ExplainedItem?) -> ExplainedItem? {
        guard let item else { return nil }
        guard item.labels.isEmpty else { return item }
        steps.append(
            ExplainedStep("labels", .dropped, "no label is left", before: item, after: nil))
        return nil
    }

    private static func outcome(of step: RelabelStep) -> ExplainedStep.Outcome {
        guard let after = step.after else { return .dropped }
        switch step.rule.action {
        case .keep, .drop, .keepequal, .dropequal: return .kept
        default: return after == step.before ? .unchanged : .changed
        }
    }

    private static func detail(of step: RelabelStep) -> String {
        let source = "\"\(step.source)\""
        switch step.rule.action {
        case .keep, .drop, .replace:
            return (step.isMatch ?? false) ? "\(source) matches" : "\(source) does not match"
        case .keepequal, .dropequal:
            let target = step.before[step.rule.targetLabel] ?? ""
            return "\(source) is \(target == step.source ? "" : "not ")equal to \(step.rule.targetLabel) \"\(target)\""
        case .hashmod, .lowercase, .uppercase: return "of \(source)"
        case .labelmap, .labeldrop, .labelkeep:
            return step.after == step.before ? "no label's name is concerned" : ""
        }
    }
}
