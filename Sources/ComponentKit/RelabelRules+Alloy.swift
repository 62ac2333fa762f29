package import AlloySyntax
package import Telemetry

/// A `rule` or `write_relabel_config` block.
package struct RelabelRuleArguments: Block {
    package let rule: RelabelRule?

    package init(from block: inout BlockReader) {
        let sources: [String] =
            block.optional(
                "source_labels", "Labels whose values, joined by the separator, the expression is matched against.")
            ?? []
        let separator = block.optional("separator", default: RelabelRule.defaultSeparator, "Joins the source values.")
        let pattern = block.optional(
            "regex", default: RelabelRule.defaultPattern, "RE2 expression that must match the joined values as a whole."
        )
        let modulus: UInt64 = block.optional("modulus", "Divisor of the hash for the `hashmod` action.") ?? 0
        let target: String = block.optional("target_label", "Label that receives the result.") ?? ""
        let replacement = block.optional(
            "replacement", default: RelabelRule.defaultReplacement,
            "Result, in which `$1` or `${name}` stand for what the expression's groups matched.")
        let action = block.optional("action", default: RelabelAction.replace, "What the rule does.")
        do {
            rule = try RelabelRule(
                action: action, sourceLabels: sources, separator: separator, pattern: pattern, modulus: modulus,
                targetLabel: target, replacement: replacement)
        } catch {
            rule = nil
            if let argument = error.argument, block.isSet(argument) {
                block.reject(argument, error.message)
            } else {
                block.reject(error.message)
            }
        }
    }

    /// Reads all blocks named `name` into rules in source order.
    package static func read(_ name: String, _ doc: String, from block: inout BlockReader) -> Relabeling {
        let blocks: [RelabelRuleArguments] = block.blocks(name, doc)
        return Relabeling(blocks.compactMap(\.rule))
    }
}

extension RelabelAction: AlloyWord {
    package static var placeholder: RelabelAction { .replace }
}

/// Rules that one component exports and others apply.
package struct RelabelRules: CapsuleValue, AlloyDecodable, AlloyEncodable, Equatable {
    package static var capsuleName: String { "Rules" }
    package static var placeholder: RelabelRules { RelabelRules(Relabeling([])) }

    package let relabeling: Relabeling

    package init(_ relabeling: Relabeling) { self.relabeling = relabeling }
}
