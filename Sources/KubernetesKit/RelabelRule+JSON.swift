package import Telemetry
package import TextFormats

extension RelabelRule {
    /// Reads a rule of a custom resource (prometheus-operator API, `RelabelConfig`). Empty fields count as left out.
    package init(json: JSONValue) throws(TextFormatError) {
        func text(_ name: String) -> String? {
            json[name]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
        }
        let word = (text("action") ?? "replace").lowercased()
        guard let action = RelabelAction(rawValue: word) else {
            throw TextFormatError("unknown relabel action \"\(word)\"")
        }
        let modulus = json["modulus"]?.intValue ?? 0
        do {
            try self.init(
                action: action,
                sourceLabels: (json["sourceLabels"]?.arrayValue ?? []).compactMap(\.stringValue),
                separator: text("separator") ?? RelabelRule.defaultSeparator,
                pattern: text("regex") ?? RelabelRule.defaultPattern, modulus: UInt64(max(modulus, 0)),
                targetLabel: text("targetLabel") ?? "",
                replacement: text("replacement") ?? RelabelRule.defaultReplacement)
        } catch {
            throw TextFormatError(error.message)
        }
    }

    /// Reads a list of rules; nothing is no rules.
    package static func rules(json: JSONValue?) throws(TextFormatError) -> [RelabelRule] {
        var rules: [RelabelRule] = []
        for rule in json?.arrayValue ?? [] { rules.append(try RelabelRule(json: rule)) }
        return rules
    }
}
