/// What a block says once it is read: every argument with its value, given or by default, and the blocks inside.
///
/// Exports and debug information take the same form. Secrets stay secrets, so no printed form shows them.
public struct EffectiveValues: Sendable, Equatable {
    /// One argument or block.
    public enum Statement: Sendable, Equatable {
        /// An argument; `isDefault` when it has the value it would have had if left out.
        case attribute(name: String, value: Value, isDefault: Bool)
        /// A block; `isDefault` when it was left out.
        case block(name: String, label: String?, values: EffectiveValues, isDefault: Bool)
    }

    /// The arguments and blocks, in the order the type reads or writes them.
    public var statements: [Statement]

    /// Makes values.
    public init(_ statements: [Statement] = []) {
        self.statements = statements
    }

    /// The value of an argument; `nil` when there is none of that name.
    public subscript(name: String) -> Value? {
        for case .attribute(name, let value, _) in statements { return value }
        return nil
    }

    /// The values of the blocks of a name, in order.
    public func blocks(_ name: String) -> [EffectiveValues] {
        statements.compactMap { if case .block(name, _, let values, _) = $0 { values } else { nil } }
    }

    /// Whether every value is what it would be if nothing were said.
    public var isDefault: Bool {
        statements.allSatisfy { statement in
            switch statement {
            case .attribute(_, _, let isDefault): isDefault
            case .block(_, _, let values, let isDefault): isDefault || values.isDefault
            }
        }
    }

    /// The values as Alloy text; what has its default is left out unless asked for.
    public func alloyText(includingDefaults: Bool = false, indent: Int = 0) -> String {
        let tabs = String(repeating: "\t", count: indent)
        var out = ""
        for statement in statements {
            switch statement {
            case .attribute(let name, let value, let isDefault):
                if isDefault && !includingDefaults { continue }
                out += "\(tabs)\(name) = \(ValueText.text(of: value, indent: indent))\n"
            case .block(let name, let label, let values, let isDefault):
                if isDefault && !includingDefaults { continue }
                let quoted = label.map { " " + StringLiteral.quoted($0) } ?? ""
                let inner = values.alloyText(includingDefaults: includingDefaults, indent: indent + 1)
                out += "\(tabs)\(name)\(quoted) {" + (inner.isEmpty ? " }\n" : "\n\(inner)\(tabs)}\n")
            }
        }
        return out
    }
}

/// Writes values in the JSON form of Alloy's HTTP interface (grafana/alloy `syntax/encoding/alloyjson`).
public enum AlloyJSON {
    /// `{"type": ..., "value": ...}` of one value.
    public static func text(of value: Value) -> String {
        var json = JSONText()
        append(value, to: &json)
        return json.text
    }

    /// `[{"name": ..., "type": "attr" | "block", ...}]` of a block's content.
    ///
    /// What has its default is left out unless asked for.
    public static func text(of values: EffectiveValues, includingDefaults: Bool = false) -> String {
        var json = JSONText()
        append(values, includingDefaults, to: &json)
        return json.text
    }

    private static func append(_ values: EffectiveValues, _ includingDefaults: Bool, to json: inout JSONText) {
        json.raw("[")
        var isFirst = true
        for statement in values.statements {
            switch statement {
            case .attribute(let name, let value, let isDefault):
                if isDefault && !includingDefaults { continue }
                json.raw(isFirst ? "{\"name\":" : ",{\"name\":")
                json.append(name)
                json.raw(",\"type\":\"attr\",\"value\":")
                append(value, to: &json)
            case .block(let name, let label, let inner, let isDefault):
                if isDefault && !includingDefaults { continue }
                json.raw(isFirst ? "{\"name\":" : ",{\"name\":")
                json.append(name)
                json.raw(",\"type\":\"block\"")
                if let label, !label.isEmpty {
                    json.raw(",\"label\":")
                    json.append(label)
                }
                json.raw(",\"body\":")
                append(inner, includingDefaults, to: &json)
            }
            json.raw("}")
            isFirst = false
        }
        json.raw("]")
    }

    private static func append(_ value: Value, to json: inout JSONText) {
        switch value {
        case .null: json.raw("{\"type\":\"null\",\"value\":null}")
        case .bool(let bool): json.raw("{\"type\":\"bool\",\"value\":\(bool)}")
        case .number(let number):
            // JSON has no word for what is not a number.
            json.raw("{\"type\":\"number\",\"value\":\(FloatText.json(number.double) ?? "null")}")
        case .string(let text): append("string", text, to: &json)
        case .array(let elements):
            json.raw("{\"type\":\"array\",\"value\":[")
            for (index, element) in elements.enumerated() {
                if index > 0 { json.raw(",") }
                append(element, to: &json)
            }
            json.raw("]}")
        case .object(let object): append(object, to: &json)
        case .function: append("function", "function", to: &json)
        case .capsule(let capsule):
            if let object = capsule.object {
                append(object, to: &json)
            } else {
                append("capsule", capsule.text ?? value.describedType, to: &json)
            }
        case .secret, .optionalSecret: append("capsule", value.alloyText, to: &json)
        }
    }

    private static func append(_ object: ObjectValue, to json: inout JSONText) {
        json.raw("{\"type\":\"object\",\"value\":[")
        for (index, field) in object.pairs.enumerated() {
            json.raw(index > 0 ? ",{\"key\":" : "{\"key\":")
            json.append(field.key)
            json.raw(",\"value\":")
            append(field.value, to: &json)
            json.raw("}")
        }
        json.raw("]}")
    }

    private static func append(_ type: String, _ text: String, to json: inout JSONText) {
        json.raw("{\"type\":\"\(type)\",\"value\":")
        json.append(text)
        json.raw("}")
    }
}
