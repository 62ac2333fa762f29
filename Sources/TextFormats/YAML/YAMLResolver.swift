/// Which of Go's YAML libraries resolves plain scalars and treats duplicate keys.
package enum YAMLDialect: Sendable {
    /// gopkg.in/yaml.v2: `yes`, `no`, `on`, `off`, `y`, `n` are Booleans; the last of duplicate keys wins.
    case v2
    /// gopkg.in/yaml.v3: only `true` and `false` are Booleans; `0o17` is octal; duplicate keys are an error.
    case v3
}

extension YAMLScalar {
    /// The Boolean words of YAML 1.1 beyond `true` and `false`.
    static let oldBooleans: [String: Bool] = {
        var words: [String: Bool] = [:]
        for word in ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"] { words[word] = true }
        for word in ["n", "N", "no", "No", "NO", "off", "Off", "OFF"] { words[word] = false }
        return words
    }()

    private static let words: [String: Resolved] = {
        var words: [String: Resolved] = ["": .null, "~": .null, "null": .null, "Null": .null, "NULL": .null]
        for word in ["true", "True", "TRUE"] { words[word] = .bool(true) }
        for word in ["false", "False", "FALSE"] { words[word] = .bool(false) }
        for word in [".nan", ".NaN", ".NAN"] { words[word] = .float(.nan) }
        for word in [".inf", ".Inf", ".INF"] {
            words[word] = .float(.infinity)
            words["+" + word] = .float(.infinity)
            words["-" + word] = .float(-.infinity)
        }
        return words
    }()

    /// Resolves a plain scalar without a tag; timestamps stay strings.
    static func resolve(_ text: String, _ dialect: YAMLDialect) -> Resolved {
        guard let first = text.utf8.first else { return .null }
        let isNumeric = (first >= 0x30 && first <= 0x39) || first == 0x2B || first == 0x2D || first == 0x2E
        if !isNumeric {
            if dialect == .v2, let value = oldBooleans[text] { return .bool(value) }
            return words[text] ?? .string
        }
        if let word = words[text] { return word }
        let plain = String(decoding: text.utf8.filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        if first == 0x2E { return GoNumber.parseFloat(text).map { .float($0) } ?? .string }
        let isModernOctal = plain.dropFirst(plain.hasPrefix("-") || plain.hasPrefix("+") ? 1 : 0).hasPrefix("0o")
        if !isModernOctal || dialect == .v3 {
            if let value = GoNumber.parseInt(plain, base: 0) { return .int(value) }
            if let value = GoNumber.parseUInt(plain, base: 0) { return .uint(value) }
        }
        if let value = DecimalParser.parse(plain), !value.isInfinite { return .float(value) }
        return .string
    }

    /// Resolves a scalar by its explicit tag, or by its text when it has none.
    static func resolve(
        _ text: String, tag: String, isPlain: Bool, _ dialect: YAMLDialect
    ) throws(TextFormatError) -> YAMLScalar {
        let core = "tag:yaml.org,2002:"
        if tag.isEmpty { return YAMLScalar(text: text, resolved: isPlain ? resolve(text, dialect) : .string) }
        guard tag.hasPrefix(core) else { return YAMLScalar(text: text, resolved: .string) }
        let name = tag.dropFirst(core.count)
        let resolved = resolve(text, dialect)
        switch (name, resolved) {
        case ("binary", _):
            guard let bytes = Base64.decode(text.utf8.filter { $0 > 0x20 }) else {
                throw TextFormatError("!!binary value contains invalid base64 data")
            }
            return YAMLScalar(text: String(decoding: bytes, as: UTF8.self), resolved: .string)
        case ("null", .null), ("bool", .bool), ("int", .int), ("int", .uint), ("float", .float):
            return YAMLScalar(text: text, resolved: resolved)
        case ("float", .int(let value)):
            return YAMLScalar(text: text, resolved: .float(Double(value)))
        case ("null", _), ("bool", _), ("int", _), ("float", _):
            throw TextFormatError("cannot decode `\(text)` as a !!\(name)")
        default:
            return YAMLScalar(text: text, resolved: .string)
        }
    }
}
