import TextFormats
package import Wire

extension Functions {
    /// Functions that read formats.
    static let parsingConverters: [Converter] = [
        Converter("ParseJSON", [.text("target")], .any) { arguments in
            let target = arguments.value(0)
            return { frame in
                let value = try target.evaluate(frame)
                guard let parsed = try value.withText({ try JSONText.decode($0) }) else {
                    _ = try value.requireText(arguments.what(0))
                    return .none
                }
                return Datum(parsed)
            }
        },
        Converter(
            "ParseKeyValue",
            [
                .text("target"), Parameter("delimiter", .string, optional: true),
                Parameter("pair_delimiter", .string, optional: true),
            ], .map
        ) { arguments in
            let target = arguments.value(0)
            let delimiter = Array((arguments.string(1) ?? "=").utf8)
            let pairDelimiter = Array((arguments.string(2) ?? " ").utf8)
            if delimiter.isEmpty { throw arguments.error(1, "must not be empty") }
            if pairDelimiter.isEmpty { throw arguments.error(2, "must not be empty") }
            if delimiter == pairDelimiter { throw arguments.error(2, "must differ from the delimiter") }
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                if text.isEmpty { throw OTTLError("ParseKeyValue: the value is empty") }
                return .ownMap(try KeyValueText.parse(text, delimiter, pairDelimiter))
            }
        },
        Converter(
            "ParseCSV",
            [
                .text("target"), .text("header"), Parameter("delimiter", .string, optional: true),
                Parameter("header_delimiter", .string, optional: true), Parameter("mode", .string, optional: true),
            ], .map
        ) { arguments in
            let (target, header) = (arguments.value(0), arguments.value(1))
            let delimiter = try single(arguments, 2) ?? UInt8(ascii: ",")
            let headerDelimiter = try single(arguments, 3) ?? delimiter
            guard let mode = CSVText.Mode(rawValue: arguments.string(4) ?? "strict") else {
                throw arguments.error(4, "must be \"strict\", \"lazyQuotes\" or \"ignoreQuotes\"")
            }
            return { frame in
                let names = try header.evaluate(frame).requireText(arguments.what(1))
                    .split(separator: headerDelimiter, omittingEmptySubsequences: false)
                let line = try target.evaluate(frame).requireText(arguments.what(0))
                let fields = try CSVText.fields(of: line, delimiter, mode)
                guard fields.count == names.count else {
                    throw OTTLError("ParseCSV: wrong number of fields: expected \(names.count), found \(fields.count)")
                }
                var map = MapBuilder()
                for (name, field) in zip(names, fields) { map.set(Array(name), to: .string(field)) }
                return .ownMap(map.map)
            }
        },
        Converter("ExtractPatterns", [.text("target"), Parameter("pattern", .pattern)], .map) { arguments in
            let target = arguments.value(0)
            let pattern = try arguments.pattern(1)
            if let literal = pattern.literal, literal.groupNames.allSatisfy({ $0 == nil }) {
                throw arguments.error(1, "needs one named group at least: (?P<name>...)")
            }
            return { frame in
                let expression = try pattern.expression(frame)
                let value = try target.evaluate(frame)
                let found = value.withText { text in
                    var map = OTLPAnyValue.Map()
                    var captures = RegularExpression.Captures()
                    guard expression.firstMatch(in: text, into: &captures) else { return map }
                    for (group, name) in expression.groupNames.enumerated() {
                        guard let name else { continue }
                        map[name] = .string(captures[group].map { Array(text[$0]) } ?? [])
                    }
                    return map
                }
                guard let found else {
                    _ = try value.requireText(arguments.what(0))
                    return .none
                }
                return .ownMap(found)
            }
        },
        Converter(
            "ExtractGrokPatterns",
            [
                .text("target"), Parameter("pattern", .string), Parameter("named_captures_only", .bool, optional: true),
                Parameter("pattern_definitions", .strings, optional: true),
            ], .map
        ) { arguments in
            let target = arguments.value(0)
            let isNamedOnly = arguments.bool(2) ?? false
            var definitions: [String: String] = [:]
            for text in arguments.strings(3) ?? [] {
                let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, !parts[0].isEmpty else {
                    throw arguments.error(3, "\"\(text)\" is not written NAME=pattern")
                }
                definitions[String(parts[0])] = String(parts[1])
            }
            let grok: Grok
            do {
                grok = try Grok(arguments.string(1) ?? "", isNamedOnly, definitions)
            } catch {
                throw arguments.error(1, "\(error)")
            }
            return { frame in
                let value = try target.evaluate(frame)
                guard let map = value.withText({ grok.map(of: $0) }) else {
                    _ = try value.requireText(arguments.what(0))
                    return .none
                }
                return .ownMap(map)
            }
        },
        Converter("ParseSeverity", [.any("target"), .map("severity_mapping")], .string) { arguments in
            let (target, mapping) = (arguments.value(0), arguments.value(1))
            return { frame in
                let value = try target.evaluate(frame)
                let levels = try mapping.evaluate(frame).requireMap(arguments.what(1))
                for level in levels.entries where try SeverityMapping.covers(level.value, value) {
                    return .ownText(level.key)
                }
                throw OTTLError("ParseSeverity: no level of the mapping covers the value")
            }
        },
    ]

    private static func single(_ arguments: Arguments, _ index: Int) throws -> UInt8? {
        guard let text = arguments.string(index) else { return nil }
        guard text.utf8.count == 1, let byte = text.utf8.first else {
            throw arguments.error(index, "must be one character")
        }
        return byte
    }
}

/// `a=1 b="two words"`.
package enum KeyValueText {
    /// Reads pairs; both delimiters have one byte at least.
    package static func parse(_ text: [UInt8], _ delimiter: [UInt8], _ pairDelimiter: [UInt8]) throws
        -> OTLPAnyValue.Map
    {
        var map = MapBuilder()
        for pair in try split(text, by: pairDelimiter) {
            let trimmed = Array(Text.trimmed(pair[...]))
            if trimmed.isEmpty { continue }
            guard let mark = Text.firstIndex(of: delimiter, in: trimmed) else {
                throw OTTLError(
                    "ParseKeyValue: \"\(String(decoding: trimmed, as: UTF8.self))\" has no "
                        + "\"\(String(decoding: delimiter, as: UTF8.self))\"")
            }
            map.set(unquoted(trimmed[..<mark]), to: .string(unquoted(trimmed[(mark + delimiter.count)...])))
        }
        return map.map
    }

    /// The parts between delimiters that stand outside of quotes.
    private static func split(_ text: [UInt8], by delimiter: [UInt8]) throws -> [[UInt8]] {
        var parts: [[UInt8]] = []
        var current: [UInt8] = []
        var quote: UInt8?
        var index = 0
        while index < text.count {
            let byte = text[index]
            if let open = quote {
                if byte == open, text[index - 1] != UInt8(ascii: "\\") { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == delimiter[0], text[index...].starts(with: delimiter) {
                parts.append(current)
                current = []
                index += delimiter.count
                continue
            }
            current.append(byte)
            index += 1
        }
        if quote != nil { throw OTTLError("ParseKeyValue: a quote is not closed") }
        parts.append(current)
        return parts
    }

    private static func unquoted(_ text: ArraySlice<UInt8>) -> [UInt8] {
        let trimmed = Text.trimmed(text)
        guard trimmed.count >= 2, let first = trimmed.first, first == trimmed.last,
            first == UInt8(ascii: "\"") || first == UInt8(ascii: "'")
        else { return Array(trimmed) }
        return Array(trimmed.dropFirst().dropLast())
    }
}

/// One row of comma-separated values (RFC 4180).
package enum CSVText {
    package enum Mode: String, Sendable {
        case strict, lazyQuotes, ignoreQuotes
    }

    /// The fields of a row.
    package static func fields(of line: [UInt8], _ delimiter: UInt8, _ mode: Mode) throws -> [[UInt8]] {
        var row = line[...]
        while let first = row.first, first == 0x0A || first == 0x0D { row = row.dropFirst() }
        while let last = row.last, last == 0x0A || last == 0x0D { row = row.dropLast() }
        if row.isEmpty { throw OTTLError("ParseCSV: the row is empty") }
        if mode == .ignoreQuotes {
            return row.split(separator: delimiter, omittingEmptySubsequences: false).map { Array($0) }
        }
        var fields: [[UInt8]] = []
        var index = row.startIndex
        while true {
            let (field, end) = try field(row, index, delimiter, isLazy: mode == .lazyQuotes)
            fields.append(field)
            guard end < row.endIndex else { return fields }
            index = end + 1
        }
    }

    private static func field(
        _ row: ArraySlice<UInt8>, _ start: Int, _ delimiter: UInt8, isLazy: Bool
    ) throws -> ([UInt8], Int) {
        let quote = UInt8(ascii: "\"")
        var output: [UInt8] = []
        var index = start
        guard index < row.endIndex, row[index] == quote else {
            while index < row.endIndex, row[index] != delimiter {
                if row[index] == quote, !isLazy { throw OTTLError("ParseCSV: a bare quote in a field without quotes") }
                output.append(row[index])
                index += 1
            }
            return (output, index)
        }
        index += 1
        while index < row.endIndex {
            let byte = row[index]
            guard byte == quote else {
                output.append(byte)
                index += 1
                continue
            }
            let next = index + 1
            if next < row.endIndex, row[next] == quote {
                output.append(quote)
                index += 2
            } else if next == row.endIndex || row[next] == delimiter {
                return (output, next)
            } else if isLazy {
                output.append(quote)
                index += 1
            } else {
                throw OTTLError("ParseCSV: text behind a closing quote")
            }
        }
        if isLazy { return (output, index) }
        throw OTTLError("ParseCSV: a quote is not closed")
    }
}

/// The rules of `ParseSeverity`: `[{"equals": [...]}, {"range": {"min": 200, "max": 299}}, {"range": "2xx"}]`.
enum SeverityMapping {
    static func covers(_ rules: OTLPAnyValue, _ value: Datum) throws -> Bool {
        guard case .array(let list) = rules else { throw OTTLError("ParseSeverity: a level is mapped from a list") }
        return try list.contains { rule in
            guard case .map(let map) = rule else {
                throw OTTLError("ParseSeverity: a rule is a map with \"equals\" or \"range\"")
            }
            if let wanted = map["equals"] {
                let values: [OTLPAnyValue] = if case .array(let list) = wanted { list } else { [wanted] }
                if values.contains(where: { Comparison.holds(.equal, Datum($0), value) }) { return true }
            }
            guard let range = map["range"], case .int(let number) = value else { return false }
            return try bounds(range).contains(number)
        }
    }

    private static func bounds(_ range: OTLPAnyValue) throws -> ClosedRange<Int64> {
        if let text = range.string {
            guard text.count == 3, text.hasSuffix("xx"), let first = text.first?.wholeNumberValue,
                (2...5).contains(first)
            else { throw OTTLError("ParseSeverity: \"\(text)\" is none of 2xx, 3xx, 4xx and 5xx") }
            return Int64(first * 100)...Int64(first * 100 + 99)
        }
        guard case .map(let map) = range, case .int(let low)? = map["min"], case .int(let high)? = map["max"],
            low <= high
        else { throw OTTLError("ParseSeverity: a range has \"min\" and \"max\"") }
        return low...high
    }
}
