import AlloySyntax
import Wire

/// Reads the severity of an entry from a field: the `severity` block of parsers, and `severity_parser`.
struct StanzaSeverity: Sendable {
    private let field: StanzaField
    private let levels: [[UInt8]: Int]
    private let ranges: [(bounds: ClosedRange<Int64>, level: Int)]
    private let overwritesText: Bool

    private static let names = ["trace", "debug", "info", "warn", "error", "fatal"]

    /// The number of a level by name or number.
    private static func level(_ word: String) -> Int? {
        if word == "default" { return 0 }
        if let number = Int(word), (1...24).contains(number) { return number }
        for (index, name) in names.enumerated() where word.hasPrefix(name) {
            let rest = word.dropFirst(name.count)
            if rest.isEmpty { return index * 4 + 1 }
            if let step = Int(rest), (2...4).contains(step) { return index * 4 + step }
        }
        return nil
    }

    /// The short name of a level: `ERROR`, `INFO3`.
    private static func shortName(_ level: Int) -> String {
        guard (1...24).contains(level) else { return "" }
        let step = (level - 1) % 4
        return names[(level - 1) / 4].uppercased() + (step == 0 ? "" : "\(step + 1)")
    }

    private static func preset(_ name: String) -> [[UInt8]: Int]? {
        var levels: [[UInt8]: Int] = [:]
        if name == "none" { return levels }
        for number in 1...24 {
            levels[Array(shortName(number).lowercased().utf8)] = number
            levels[Array("\(number)".utf8)] = number
        }
        if name == "otel" || name == "aliases" { return levels }
        guard name.isEmpty || name == "default" else { return nil }
        for step in 1...4 {
            let suffix = step == 1 ? "" : "\(step)"
            levels[Array("warning\(suffix)".utf8)] = 12 + step
            levels[Array("err\(suffix)".utf8)] = 16 + step
        }
        return levels
    }

    init?(_ reader: inout OperatorReader) {
        field = reader.requiredField("parse_from")
        overwritesText = reader.bool("overwrite_text", default: false)
        let name = reader.string("preset") ?? "default"
        guard var levels = Self.preset(name) else {
            reader.reject("unknown preset '\(name)'")
            return nil
        }
        var ranges: [(bounds: ClosedRange<Int64>, level: Int)] = []
        if let mapping = reader.value("mapping") {
            guard let fields = mapping.objectFields else {
                reader.reject("'mapping' must be an object")
                return nil
            }
            for (word, value) in fields.pairs {
                guard let level = Self.level(word.lowercased()) else {
                    reader.reject("'mapping': unknown severity '\(word)'")
                    continue
                }
                let values: [Value] = if case .array(let list) = value { list } else { [value] }
                for value in values {
                    if !Self.add(value, level, &levels, &ranges) {
                        reader.reject("'mapping': a value of '\(word)' cannot be read as a severity")
                    }
                }
            }
        }
        self.levels = levels
        self.ranges = ranges
    }

    private static func add(
        _ value: Value, _ level: Int, _ levels: inout [[UInt8]: Int],
        _ ranges: inout [(bounds: ClosedRange<Int64>, level: Int)]
    ) -> Bool {
        switch value {
        case .number(let number):
            guard let whole: Int64 = number.integer() else { return false }
            levels[Array("\(whole)".utf8)] = level
        case .string(let text):
            if text.count == 3, text.hasSuffix("xx"), let first = text.first?.wholeNumberValue, (2...5).contains(first)
            {
                ranges.append((Int64(first * 100)...Int64(first * 100 + 99), level))
            } else {
                levels[Array(text.lowercased().utf8)] = level
            }
        default:
            guard let object = value.objectFields, case .number(let low)? = object["min"],
                case .number(let high)? = object["max"], let first: Int64 = low.integer(),
                let last: Int64 = high.integer()
            else { return false }
            ranges.append((min(first, last)...max(first, last), level))
        }
        return true
    }

    /// Puts number and text of the severity into the entry.
    func parse(_ entry: inout StanzaEntry) throws(StanzaError) {
        guard let value = field.get(entry) else { throw StanzaError("severity parser: entry is missing \(field.text)") }
        var text: [UInt8]
        switch value {
        case .string(let bytes), .bytes(let bytes): text = bytes
        case .int(let number): text = Array("\(number)".utf8)
        case .double(let number):
            guard let whole = Int64(exactly: number) else {
                throw StanzaError("severity parser: \(number) cannot be read as a severity")
            }
            text = Array("\(whole)".utf8)
        default: throw StanzaError("severity parser: \(value.kindName) cannot be read as a severity")
        }
        var level = levels[Array(String(decoding: text, as: UTF8.self).lowercased().utf8)]
        if level == nil, !ranges.isEmpty, let number = Int64(String(decoding: text, as: UTF8.self)) {
            level = ranges.last { $0.bounds.contains(number) }?.level
        }
        entry.severity = level ?? 0
        if overwritesText { text = Array(Self.shortName(level ?? 0).utf8) }
        entry.severityText = text
    }
}
