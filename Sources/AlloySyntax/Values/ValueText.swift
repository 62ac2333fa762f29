/// Prints values as Alloy text, the way they would be written in a configuration.
///
/// Objects take a line per field with their `=` aligned; secrets are `(secret)`; functions and capsules, which have no
/// spelling, are shown by their type.
enum ValueText {
    static func text(of value: Value, indent: Int = 0) -> String {
        switch value {
        case .null: return "null"
        case .bool(let bool): return bool ? "true" : "false"
        case .number(let number): return number.text
        case .string(let string): return StringLiteral.quoted(string)
        case .array(let elements):
            return "[" + elements.map { text(of: $0, indent: indent) }.joined(separator: ", ") + "]"
        case .object(let object): return text(of: object, indent: indent)
        case .function: return "function"
        case .capsule(let capsule):
            return capsule.object.map { text(of: $0, indent: indent) } ?? value.describedType
        case .secret: return "(secret)"
        case .optionalSecret(let optional):
            switch optional {
            case .plain(let string): return StringLiteral.quoted(string)
            case .secret: return "(secret)"
            }
        }
    }

    private static func text(of object: ObjectValue, indent: Int) -> String {
        guard !object.isEmpty else { return "{}" }
        let tabs = String(repeating: "\t", count: indent + 1)
        var lines: [(key: String, value: String)] = []
        for (key, value) in object.pairs {
            let name = isIdentifier(key) ? key : StringLiteral.quoted(key)
            lines.append((name, text(of: value, indent: indent + 1)))
        }
        var out = "{\n"
        var start = 0
        while start < lines.count {
            // A field of several lines ends the run of lines whose `=` stand in one column.
            var end = start
            while end < lines.count - 1, !lines[end].value.utf8.contains(UInt8(ascii: "\n")) { end += 1 }
            let width = lines[start...end].map { $0.key.unicodeScalars.count }.max() ?? 0
            for line in lines[start...end] {
                let padding = String(repeating: " ", count: width - line.key.unicodeScalars.count)
                out += "\(tabs)\(line.key)\(padding) = \(line.value),\n"
            }
            start = end + 1
        }
        return out + String(repeating: "\t", count: indent) + "}"
    }

    /// Whether a key needs no quotes.
    static func isIdentifier(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, first == "_" || isLetter(first) else { return false }
        guard !["null", "true", "false"].contains(text) else { return false }
        return text.unicodeScalars.allSatisfy {
            $0 == "_" || isLetter($0) || $0.properties.generalCategory == .decimalNumber
        }
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }
}

extension Value: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The value as Alloy text, secrets hidden.
    public var alloyText: String { ValueText.text(of: self) }

    public var description: String { alloyText }

    public var debugDescription: String { alloyText }

    public var customMirror: Mirror { Mirror(self, children: []) }
}
