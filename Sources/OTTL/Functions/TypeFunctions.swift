import Glibc
import TextFormats
import Wire

extension Functions {
    /// Conversions between types and questions about them.
    static let typeConverters: [Converter] = [
        Converter("Bool", [.any("target")], .bool) { arguments in
            let value = arguments.value(0)
            return { frame in
                switch try value.evaluate(frame) {
                case .bool(let flag): return .bool(flag)
                case .int(let number): return .bool(number != 0)
                case .double(let number): return .bool(number != 0)
                case let other:
                    switch other.withText({ String(decoding: $0, as: UTF8.self) }) {
                    case "1", "t", "T", "true", "TRUE", "True": return .bool(true)
                    case "0", "f", "F", "false", "FALSE", "False": return .bool(false)
                    default: return .none
                    }
                }
            }
        },
        Converter("Int", [.any("target")], .int) { arguments in
            let value = arguments.value(0)
            return { frame in try value.evaluate(frame).integer.map { .int($0) } ?? .none }
        },
        Converter("Double", [.any("target")], .double) { arguments in
            let value = arguments.value(0)
            return { frame in try value.evaluate(frame).floating.map { .double($0) } ?? .none }
        },
        Converter("String", [.any("target")], .string) { arguments in
            let value = arguments.value(0)
            return { frame in
                let value = try value.evaluate(frame)
                if case .text = value { return value }
                return value.textual.map { .ownText($0) } ?? .none
            }
        },
        Converter("Hex", [.any("target")], .string) { arguments in
            let value = arguments.value(0)
            return { frame in try value.evaluate(frame).binary.map { .string(Hex.encode($0)) } ?? .none }
        },
        test("IsBool") { if case .bool = $0 { true } else { false } },
        test("IsInt") { if case .int = $0 { true } else { false } },
        test("IsDouble") { if case .double = $0 { true } else { false } },
        test("IsString") { $0.withText { _ in true } ?? false },
        test("IsMap") { value in
            switch value {
            case .map, .attributes, .ownMap: true
            default: false
            }
        },
        test("IsList") { value in
            switch value {
            case .list, .ownList: true
            case .messages(let kind, _): kind != .status && kind != .buckets
            default: false
            }
        },
        test("IsEmpty") { value in
            switch value {
            case .none: true
            case .bool(let flag): !flag
            case .int(let number), .duration(let number): number == 0
            case .double(let number): number == 0
            case .text, .ownText: value.withText { $0.isEmpty } ?? true
            case .data, .ownData: value.withData { $0.allSatisfy { $0 == 0 } } ?? true
            case .list, .ownList: (value.elements ?? []).isEmpty
            case .attributes(let attributes): attributes.isEmpty
            case .map(let map): map.count == 0
            case .ownMap(let map): map.isEmpty
            case .time: false
            case .messages(_, let list): list.isEmpty
            }
        },
        Converter("Len", [.any("target")], .int) { arguments in
            let value = arguments.value(0)
            return { frame in
                switch try value.evaluate(frame) {
                case .text(let bytes), .data(let bytes): return .int(Int64(bytes.count))
                case .ownText(let bytes), .ownData(let bytes): return .int(Int64(bytes.count))
                case .list(let list): return .int(Int64(list.count))
                case .ownList(let list): return .int(Int64(list.count))
                case .map(let map): return .int(Int64(map.count))
                case .attributes(let attributes): return .int(Int64(attributes.count))
                case .ownMap(let map): return .int(Int64(map.count))
                case .messages(_, let list): return .int(Int64(list.count))
                case let other: throw OTTLError("Len: \(other.typeName) has no length")
                }
            }
        },
        Converter("Log", [.any("target")], .double) { arguments in
            let value = arguments.value(0)
            return { frame in
                guard let number = try value.evaluate(frame).floating else {
                    throw OTTLError("Log: the value is no number")
                }
                guard number > 0 else { throw OTTLError("Log: the value must be greater than zero") }
                return .double(log(number))
            }
        },
        Converter("Coalesce", [Parameter("values", .values)], .any) { arguments in
            let values = arguments.values(0)
            if values.isEmpty { throw arguments.error(0, "must name one value at least") }
            return { frame in
                for value in values {
                    let found = try value.evaluate(frame)
                    if !found.isNone { return found }
                }
                return .none
            }
        },
        identifier("TraceID", count: 16),
        identifier("SpanID", count: 8),
        identifier("ProfileID", count: 16),
        Converter("IsValidLuhn", [.any("value")], .bool) { arguments in
            let value = arguments.value(0)
            return { frame in
                let value = try value.evaluate(frame)
                let digits: [UInt8]
                if case .int(let number) = value, number >= 0 {
                    digits = Array(String(number).utf8)
                } else {
                    digits = try value.requireText(arguments.what(0))
                }
                guard digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
                    throw OTTLError("IsValidLuhn: the value must have digits only")
                }
                var sum = 0
                for (place, digit) in digits.reversed().enumerated() {
                    var number = Int(digit - 0x30)
                    if place % 2 == 1 { number = number * 2 > 9 ? number * 2 - 9 : number * 2 }
                    sum = (sum + number) % 10
                }
                return .bool(!digits.isEmpty && sum == 0)
            }
        },
    ]

    private static func test(_ name: String, _ body: @escaping @Sendable (Datum) -> Bool) -> Converter {
        Converter(name, [.any("target")], .bool) { arguments in
            let value = arguments.value(0)
            return { frame in .bool(body(try value.evaluate(frame))) }
        }
    }

    private static func identifier(_ name: String, count: Int) -> Converter {
        Converter(name, [.any("target")], .bytes) { arguments in
            let value = arguments.value(0)
            @Sendable func bytes(_ value: Datum) throws -> [UInt8] {
                if let bytes = value.dataBytes {
                    guard bytes.count == count else {
                        throw OTTLError("\(name) has \(count) bytes, not \(bytes.count)")
                    }
                    return bytes
                }
                let text = try value.requireText(arguments.what(0))
                guard let bytes = Hex.decode(text), bytes.count == count else {
                    throw OTTLError("\(name) is written in \(count * 2) hexadecimal digits")
                }
                return bytes
            }
            guard let literal = value.literal else { return { frame in .ownData(try bytes(value.evaluate(frame))) } }
            let constant: [UInt8]
            do { constant = try bytes(Datum(literal)) } catch { throw arguments.error(0, "\(error)") }
            return { _ in .ownData(constant) }
        }
    }
}
