import Glibc
import TextFormats
import Wire

/// The functions of expressions.
enum ExpressionFunction: String, Sendable {
    /// A variable of the environment; empty when it is not set.
    case env
    case len, lower, upper, trim, trimPrefix, trimSuffix, hasPrefix, hasSuffix, indexOf, replace, split, join
    case int, float, string, type, abs

    var argumentCounts: ClosedRange<Int> {
        switch self {
        case .env, .len, .lower, .upper, .int, .float, .string, .type, .abs: 1...1
        case .trim: 1...2
        case .trimPrefix, .trimSuffix, .hasPrefix, .hasSuffix, .indexOf, .split: 2...2
        case .join: 1...2
        case .replace: 3...3
        }
    }

    func call(_ values: [ExpressionValue]) throws(StanzaError) -> ExpressionValue {
        switch self {
        case .env:
            let name = String(decoding: try text(values, 0), as: UTF8.self)
            return .string(getenv(name).map { Array(String(cString: $0).utf8) } ?? [])
        case .len:
            switch values[0] {
            case .string(let bytes): return .int(Int64(String(decoding: bytes, as: UTF8.self).unicodeScalars.count))
            case .list(let elements): return .int(Int64(elements.count))
            case .map(let map): return .int(Int64(map.count))
            default: throw wrong(values[0])
            }
        case .lower: return .string(Array(String(decoding: try text(values, 0), as: UTF8.self).lowercased().utf8))
        case .upper: return .string(Array(String(decoding: try text(values, 0), as: UTF8.self).uppercased().utf8))
        case .trim:
            let set = values.count > 1 ? try text(values, 1) : [0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D]
            var rest = try text(values, 0)[...]
            while let first = rest.first, set.contains(first) { rest = rest.dropFirst() }
            while let last = rest.last, set.contains(last) { rest = rest.dropLast() }
            return .string(Array(rest))
        case .trimPrefix:
            let (text, part) = (try text(values, 0), try text(values, 1))
            return .string(text.starts(with: part) ? Array(text.dropFirst(part.count)) : text)
        case .trimSuffix:
            let (text, part) = (try text(values, 0), try text(values, 1))
            return .string(text.reversed().starts(with: part.reversed()) ? Array(text.dropLast(part.count)) : text)
        case .hasPrefix: return .bool(try text(values, 0).starts(with: text(values, 1)))
        case .hasSuffix: return .bool(try text(values, 0).reversed().starts(with: text(values, 1).reversed()))
        case .indexOf: return .int(Int64(Self.index(of: try text(values, 1), in: try text(values, 0)) ?? -1))
        case .replace: return .string(try replaced(values))
        case .split:
            let (whole, mark) = (try text(values, 0), try text(values, 1))
            if mark.isEmpty { throw StanzaError("split needs a separator") }
            return .list(Self.parts(of: whole, by: mark).map { .string($0) })
        case .join:
            guard case .list(let elements) = values[0] else { throw wrong(values[0]) }
            let mark = values.count > 1 ? try text(values, 1) : []
            var output: [UInt8] = []
            for (index, element) in elements.enumerated() {
                guard case .string(let bytes) = element else { throw wrong(element) }
                if index > 0 { output += mark }
                output += bytes
            }
            return .string(output)
        case .int, .float: return try number(values[0])
        case .string: return .string(Array(Self.string(values[0]).utf8))
        case .type: return .string(Array(Self.typeName(values[0]).utf8))
        case .abs:
            switch values[0] {
            case .int(let number): return .int(Int64(clamping: number.magnitude))
            case .double(let number): return .double(number.magnitude)
            default: throw wrong(values[0])
            }
        }
    }

    static func power(_ base: Double, _ exponent: Double) -> Double { pow(base, exponent) }

    private func wrong(_ value: ExpressionValue) -> StanzaError {
        StanzaError("function \(rawValue) does not take \(value.kindName)")
    }

    private func text(_ values: [ExpressionValue], _ index: Int) throws(StanzaError) -> [UInt8] {
        guard case .string(let bytes) = values[index] else { throw wrong(values[index]) }
        return bytes
    }

    private func number(_ value: ExpressionValue) throws(StanzaError) -> ExpressionValue {
        let isInt = self == .int
        switch value {
        case .int(let number): return isInt ? value : .double(Double(number))
        case .double(let number): return isInt ? .int(Int64(exactly: number.rounded(.towardZero)) ?? 0) : value
        case .string(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            if isInt, let number = Int64(text) { return .int(number) }
            if !isInt, let number = Double(text) { return .double(number) }
            throw StanzaError("\"\(text)\" is no number")
        default: throw wrong(value)
        }
    }

    private func replaced(_ values: [ExpressionValue]) throws(StanzaError) -> [UInt8] {
        let (whole, old, new) = (try text(values, 0), try text(values, 1), try text(values, 2))
        if old.isEmpty { return whole }
        var output: [UInt8] = []
        for (index, part) in Self.parts(of: whole, by: old).enumerated() {
            if index > 0 { output += new }
            output += part
            guard output.count <= 64 << 20 else { throw StanzaError("the result of replace is too large") }
        }
        return output
    }

    private static func parts(of text: [UInt8], by mark: [UInt8]) -> [[UInt8]] {
        var parts: [[UInt8]] = []
        var rest = text[...]
        while let place = index(of: mark, in: rest) {
            parts.append(Array(rest[..<place]))
            rest = rest[(place + mark.count)...]
        }
        parts.append(Array(rest))
        return parts
    }

    /// The place of `part` in `text`, as an index of it.
    static func index(of part: [UInt8], in text: [UInt8]) -> Int? { index(of: part, in: text[...]) }

    private static func index(of part: [UInt8], in text: ArraySlice<UInt8>) -> Int? {
        guard let first = part.first else { return text.startIndex }
        var rest = text
        while let place = rest.firstIndex(of: first) {
            if text[place...].starts(with: part) { return place }
            rest = rest[(place + 1)...]
        }
        return nil
    }

    private static func string(_ value: ExpressionValue) -> String {
        if case .null = value { return "<nil>" }
        return OTLPText.string(value.anyValue)
    }

    private static func typeName(_ value: ExpressionValue) -> String {
        switch value {
        case .null: "nil"
        case .bool: "bool"
        case .int: "int"
        case .double: "float"
        case .string: "string"
        case .list: "array"
        case .map: "map"
        case .time: "time.Time"
        }
    }
}
