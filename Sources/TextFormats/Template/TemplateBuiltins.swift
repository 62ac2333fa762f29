/// The functions every template has.
enum TemplateBuiltins {
    typealias Function = GoTemplate.Function

    static let table: [String: Function] = [
        // `and` and `or` are evaluated by the execution, which stops early.
        "and": Function([.any], rest: .any) { $0.last ?? .nil },
        "or": Function([.any], rest: .any) { $0.last ?? .nil },
        "not": Function([.any]) { .bool(!$0[0].isTrue) },
        "call": Function([.any], rest: .any) { values in
            throw TextFormatError("non-function of type \(values[0].typeName)")
        },
        "print": Function([], rest: .any) { .string(GoFormat.sprint($0)) },
        "println": Function([], rest: .any) { .string(GoFormat.sprintln($0)) },
        "printf": Function([.string], rest: .any) { values in
            .string(GoFormat.sprintf(values[0].text, Array(values.dropFirst())))
        },
        "html": Function([], rest: .any) { .string(TemplateEscaping.html(joined($0))) },
        "js": Function([], rest: .any) { .string(TemplateEscaping.javaScript(joined($0))) },
        "urlquery": Function([], rest: .any) { .string(TemplateEscaping.query(joined($0))) },
        "len": Function([.any]) { .int(Int64(try length($0[0]))) },
        "index": Function([.any], rest: .any) { values in
            try values.dropFirst().reduce(values[0]) { try element(of: $0, at: $1) }
        },
        "slice": Function([.any], rest: .any) { try slice($0[0], Array($0.dropFirst())) },
        "eq": Function([.any], rest: .any) { values in
            guard values.count > 1 else { throw TextFormatError("missing argument for comparison") }
            for other in values.dropFirst() where try isEqual(values[0], other) { return .bool(true) }
            return .bool(false)
        },
        "ne": Function([.any, .any]) { .bool(try !isEqual($0[0], $0[1])) },
        "lt": Function([.any, .any]) { .bool(try isLess($0[0], $0[1])) },
        "le": Function([.any, .any]) { .bool(try isLess($0[0], $0[1]) || isEqual($0[0], $0[1])) },
        "gt": Function([.any, .any]) { .bool(try !isLess($0[0], $0[1]) && !isEqual($0[0], $0[1])) },
        "ge": Function([.any, .any]) { .bool(try !isLess($0[0], $0[1])) },
    ]

    private static func joined(_ values: [GoValue]) -> String {
        if values.count == 1, case .string(let text) = values[0] { return text }
        return GoFormat.sprint(values)
    }

    static func length(_ value: GoValue) throws -> Int {
        switch value {
        case .string(let text): return text.utf8.count
        case .list(let elements): return elements.count
        case .map(let map): return map.count
        case .nil: throw TextFormatError("len of nil pointer")
        default: throw TextFormatError("len of type \(value.typeName)")
        }
    }

    private static func position(_ value: GoValue, upTo limit: Int) throws -> Int {
        switch value {
        case .int(let number):
            guard number >= 0, number <= Int64(limit) else { throw TextFormatError("index out of range: \(number)") }
            return Int(number)
        case .uint(let number):
            guard number <= UInt64(limit) else { throw TextFormatError("index out of range: \(number)") }
            return Int(number)
        case .nil: throw TextFormatError("cannot index slice/array with nil")
        default: throw TextFormatError("cannot index slice/array with type \(value.typeName)")
        }
    }

    private static func element(of value: GoValue, at key: GoValue) throws -> GoValue {
        switch value {
        case .list(let elements): return elements[try position(key, upTo: elements.count - 1)]
        case .string(let text):
            let bytes = Array(text.utf8)
            return .uint(UInt64(bytes[try position(key, upTo: bytes.count - 1)]))
        case .map(let map):
            guard case .string(let name) = key else {
                throw TextFormatError("value has type \(key.typeName); should be string")
            }
            return map[name] ?? .nil
        case .nil: throw TextFormatError("index of untyped nil")
        default: throw TextFormatError("can't index item of type \(value.typeName)")
        }
    }

    private static func slice(_ value: GoValue, _ bounds: [GoValue]) throws -> GoValue {
        guard bounds.count <= 3 else { throw TextFormatError("too many slice indexes: \(bounds.count)") }
        let count: Int
        switch value {
        case .string(let text):
            if bounds.count == 3 { throw TextFormatError("cannot 3-index slice a string") }
            count = text.utf8.count
        case .list(let elements): count = elements.count
        case .nil: throw TextFormatError("slice of untyped nil")
        default: throw TextFormatError("can't slice item of type \(value.typeName)")
        }
        let limits = try bounds.map { try position($0, upTo: count) }
        let low = limits.first ?? 0
        let high = limits.count > 1 ? limits[1] : count
        guard low <= high else { throw TextFormatError("invalid slice index: \(low) > \(high)") }
        if case .string(let text) = value {
            return .string(String(decoding: Array(text.utf8)[low..<high], as: UTF8.self))
        }
        if case .list(let elements) = value { return .list(Array(elements[low..<high])) }
        return .nil
    }

    private static let incompatible = TextFormatError("incompatible types for comparison")

    static func isEqual(_ left: GoValue, _ right: GoValue) throws -> Bool {
        switch (left, right) {
        case (.nil, _), (_, .nil): return left.isNil && right.isNil
        case (.int(let left), .uint(let right)): return left >= 0 && UInt64(left) == right
        case (.uint(let left), .int(let right)): return right >= 0 && UInt64(right) == left
        case (.int(let left), .duration(let right)), (.duration(let left), .int(let right)): return left == right
        case (.bool, .bool), (.int, .int), (.uint, .uint), (.float, .float), (.string, .string), (.time, .time),
            (.duration, .duration):
            return left == right
        case (.list, _), (.map, _): throw TextFormatError("non-comparable type \(left.text): \(left.typeName)")
        case (_, .list), (_, .map): throw TextFormatError("non-comparable type \(right.text): \(right.typeName)")
        default: throw incompatible
        }
    }

    static func isLess(_ left: GoValue, _ right: GoValue) throws -> Bool {
        switch (left, right) {
        case (.int(let left), .int(let right)), (.duration(let left), .duration(let right)): return left < right
        case (.uint(let left), .uint(let right)): return left < right
        case (.int(let left), .uint(let right)): return left < 0 || UInt64(left) < right
        case (.uint(let left), .int(let right)): return right >= 0 && left < UInt64(right)
        case (.float(let left), .float(let right)): return left < right
        case (.string(let left), .string(let right)): return left.utf8.lexicographicallyPrecedes(right.utf8)
        case (.bool, _), (.list, _), (.map, _), (.nil, _), (.time, _):
            throw TextFormatError("invalid type for comparison")
        default: throw incompatible
        }
    }
}

/// Escaping of `html`, `js` and `urlquery`.
enum TemplateEscaping {
    static func html(_ text: String) -> String {
        let entities: [UInt8: String] = [
            UInt8(ascii: "<"): "&lt;", UInt8(ascii: ">"): "&gt;", UInt8(ascii: "&"): "&amp;",
            UInt8(ascii: "'"): "&#39;",
            UInt8(ascii: "\""): "&#34;", 0: "\u{FFFD}",
        ]
        var output: [UInt8] = []
        for byte in text.utf8 {
            if let entity = entities[byte] { output.append(contentsOf: entity.utf8) } else { output.append(byte) }
        }
        return String(decoding: output, as: UTF8.self)
    }

    static func javaScript(_ text: String) -> String {
        var output: [UInt8] = []
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\", "'", "\"":
                output.append(0x5C)
                output.append(UInt8(scalar.value))
            case "<", ">", "&", "=":
                output.append(contentsOf: GoFormat.sprintf("\\u%04X", [.int(Int64(scalar.value))]).utf8)
            default:
                if scalar.value < 0x20 || !(GoQuote.isPrintable(scalar.value) || scalar == " ") {
                    output.append(contentsOf: GoFormat.sprintf("\\u%04X", [.int(Int64(scalar.value))]).utf8)
                } else {
                    UTF8Bytes.append(scalar, to: &output)
                }
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Percent-encodes all but letters, digits and `-_.~`; a space becomes `+`.
    static func query(_ text: String) -> String { percent(text, keeping: "-_.~", spaceAsPlus: true) }

    static func percent(_ text: String, keeping kept: String, spaceAsPlus: Bool) -> String {
        var output: [UInt8] = []
        for byte in text.utf8 {
            let isPlain = (byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
            if isPlain || kept.utf8.contains(byte) {
                output.append(byte)
            } else if byte == 0x20, spaceAsPlus {
                output.append(UInt8(ascii: "+"))
            } else {
                output.append(contentsOf: GoFormat.sprintf("%%%02X", [.int(Int64(byte))]).utf8)
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}

/// The methods of `time.Time` templates use.
enum TemplateTimeMethods {
    static let table: [String: @Sendable (GoTime, [GoValue]) throws -> GoValue] = [
        "Format": { time, values in
            guard values.count == 1, case .string(let layout) = values[0] else {
                throw TextFormatError("want one layout")
            }
            return .string(GoTimeLayout(verbatim: layout).format(time))
        },
        "Unix": { time, _ in .int(time.unixSeconds) },
        "UnixMilli": { time, _ in .int(time.unixSeconds &* 1000 &+ Int64(time.nanoseconds / 1_000_000)) },
        "UnixMicro": { time, _ in .int(time.unixSeconds &* 1_000_000 &+ Int64(time.nanoseconds / 1000)) },
        "UnixNano": { time, _ in .int(time.unixSeconds &* 1_000_000_000 &+ Int64(time.nanoseconds)) },
        "Year": { time, _ in .int(time.civil.year) },
        "Month": { time, _ in .string(CalendarNames.months[time.civil.month - 1]) },
        "Day": { time, _ in .int(Int64(time.civil.day)) },
        "Hour": { time, _ in .int(Int64(time.civil.hour)) },
        "Minute": { time, _ in .int(Int64(time.civil.minute)) },
        "Second": { time, _ in .int(Int64(time.civil.second)) },
        "Nanosecond": { time, _ in .int(Int64(time.nanoseconds)) },
        "Weekday": { time, _ in .string(CalendarNames.weekdays[time.civil.weekday]) },
        "YearDay": { time, _ in .int(Int64(time.civil.dayOfYear)) },
        "UTC": { time, _ in .time(time.converted(to: .utc)) },
        "String": { time, _ in .string(time.description) },
    ]
}
