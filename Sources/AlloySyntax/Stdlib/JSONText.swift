/// Writes compact JSON with the escapes and number spellings of Go's `encoding/json`.
struct JSONText {
    private var out: [UInt8] = []

    /// What was written.
    var text: String { String(decoding: out, as: UTF8.self) }

    /// Writes a value, object keys sorted; a secret is written as what it holds, so the text must become one.
    mutating func append(_ value: Value) throws(FormatError) {
        switch value {
        case .null: raw("null")
        case .bool(let bool): raw(bool ? "true" : "false")
        case .number(let number): try append(number)
        case .string(let text): append(text)
        case .array(let elements):
            raw("[")
            for (index, element) in elements.enumerated() {
                if index > 0 { raw(",") }
                try append(element)
            }
            raw("]")
        case .object(let object): try append(object)
        case .capsule(let capsule):
            guard let object = capsule.object else {
                throw FormatError(message: "json: unsupported type: \(value.describedType)")
            }
            try append(object)
        case .function: throw FormatError(message: "json: unsupported type: function")
        case .secret, .optionalSecret: append(Revealing.text(of: value) ?? "")
        }
    }

    private mutating func append(_ object: ObjectValue) throws(FormatError) {
        raw("{")
        for (index, key) in object.dictionary.keys.sorted().enumerated() {
            if index > 0 { raw(",") }
            append(key)
            raw(":")
            try append(object[key] ?? .null)
        }
        raw("}")
    }

    private mutating func append(_ number: Number) throws(FormatError) {
        guard case .float(let value) = number else {
            raw(number.text)
            return
        }
        guard let text = FloatText.json(value) else {
            throw FormatError(message: "json: unsupported value: \(number.text)")
        }
        raw(text)
    }

    /// Writes text that is JSON already.
    mutating func raw(_ text: String) { out.append(contentsOf: text.utf8) }

    /// Writes a string, escaping what browsers could take for markup.
    mutating func append(_ text: String) {
        let hex = Array("0123456789abcdef".utf8)
        raw("\"")
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                raw("\\")
                raw(String(scalar))
            case "\n": raw("\\n")
            case "\r": raw("\\r")
            case "\t": raw("\\t")
            case "\u{08}": raw("\\b")
            case "\u{0C}": raw("\\f")
            case "<", ">", "&", "\u{2028}", "\u{2029}", "\u{00}"..."\u{1F}":
                raw("\\u")
                for shift in [12, 8, 4, 0] as [UInt32] { out.append(hex[Int(scalar.value >> shift & 15)]) }
            default: raw(String(scalar))
            }
        }
        raw("\"")
    }
}
