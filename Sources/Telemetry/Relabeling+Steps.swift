import TextFormats

/// What one rule did to one set of labels.
package struct RelabelStep: Sendable {
    /// Where the rule stands among the others.
    package let index: Int
    package let rule: RelabelRule
    /// The values of the source labels, joined: what the expression was matched against.
    package let source: String
    /// Whether the expression matched `source`; nil where the rule asks for something else.
    package let isMatch: Bool?
    package let before: LabelSet
    /// Nil when the rule dropped the labels.
    package let after: LabelSet?
}

extension Relabeling {
    /// As ``apply(to:scratch:)``, telling what each rule did: the same rules on the same labels, for whoever asks why.
    package func apply(to labels: LabelSet, observing observe: (RelabelStep) -> Void) -> LabelSet? {
        var scratch = Scratch()
        var builder = LabelSetBuilder()
        var current = labels
        for (index, rule) in rules.enumerated() {
            builder.reset(to: current)
            var source: [UInt8] = []
            rule.join(builder, into: &source)
            let isKept = rule.apply(to: &builder, &scratch)
            let after = isKept ? builder.finish() : nil
            observe(
                RelabelStep(
                    index: index, rule: rule, source: String(decoding: source, as: UTF8.self),
                    isMatch: rule.isMatch(source), before: current, after: after))
            guard let after else { return nil }
            current = after
        }
        return current
    }
}

extension RelabelRule {
    /// Whether the action asks if the expression matches the joined values.
    fileprivate func isMatch(_ source: [UInt8]) -> Bool? {
        switch action {
        case .keep, .drop, .replace: source.withUnsafeBytes { expression.matchesWhole($0) }
        default: nil
        }
    }

    /// The rule in words that fit a line.
    package var summary: String {
        var parts = [action.rawValue]
        if !sourceLabels.isEmpty { parts.append("[" + sourceLabels.joined(separator: ", ") + "]") }
        switch action {
        case .keepequal, .dropequal, .lowercase, .uppercase: parts.append("-> " + targetLabel)
        case .hashmod: parts.append("% \(modulus) -> " + targetLabel)
        case .replace:
            parts.append("=~ \"\(pattern)\" -> \(targetLabel) = \"\(replacement)\"")
        case .labelmap: parts.append("=~ \"\(pattern)\" -> \"\(replacement)\"")
        case .keep, .drop, .labeldrop, .labelkeep: parts.append("=~ \"\(pattern)\"")
        }
        return parts.joined(separator: " ")
    }
}
