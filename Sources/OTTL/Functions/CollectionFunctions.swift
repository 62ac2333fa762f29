import TextFormats
import Wire

extension Functions {
    /// Functions of lists and maps.
    static let collectionConverters: [Converter] = [
        Converter("Keys", [.map("target")], .list) { arguments in
            let target = arguments.value(0)
            return { frame in
                .ownList(try target.evaluate(frame).requireMap(arguments.what(0)).entries.map { .string($0.key) })
            }
        },
        Converter("Values", [.map("target")], .list) { arguments in
            let target = arguments.value(0)
            return { frame in
                .ownList(try target.evaluate(frame).requireMap(arguments.what(0)).entries.map(\.value))
            }
        },
        Converter("ContainsValue", [.list("target"), .any("item")], .bool) { arguments in
            let (target, item) = (arguments.value(0), arguments.value(1))
            return { frame in
                let wanted = try item.evaluate(frame)
                let list = try target.evaluate(frame).requireList(arguments.what(0))
                return .bool(list.contains { Comparison.holds(.equal, Datum($0), wanted) })
            }
        },
        Converter("Index", [.any("target"), .any("value")], .int) { arguments in
            let (target, value) = (arguments.value(0), arguments.value(1))
            return { frame in
                let target = try target.evaluate(frame)
                let wanted = try value.evaluate(frame)
                if let text = target.textBytes {
                    let needle = try wanted.requireText(arguments.what(1))
                    return .int(Int64(Text.firstIndex(of: needle, in: text) ?? -1))
                }
                let list = try target.requireList(arguments.what(0))
                return .int(Int64(list.firstIndex { Comparison.holds(.equal, Datum($0), wanted) } ?? -1))
            }
        },
        Converter("Sort", [.list("target"), Parameter("order", .string, optional: true)], .list) { arguments in
            let target = arguments.value(0)
            let order = arguments.string(1) ?? "asc"
            guard order == "asc" || order == "desc" else { throw arguments.error(1, "must be \"asc\" or \"desc\"") }
            return { frame in
                let list = try target.evaluate(frame).requireList(arguments.what(0))
                return .ownList(try Sorting.sorted(list, isDescending: order == "desc"))
            }
        },
        Converter(
            "SliceToMap",
            [
                .list("target"), Parameter("key_path", .strings, optional: true),
                Parameter("value_path", .strings, optional: true),
            ], .map
        ) { arguments in
            let target = arguments.value(0)
            @Sendable func steps(_ path: [String]?) -> [OTLPPathStep]? { path?.map { .key(OTLPKey($0)) } }
            let keyPath = steps(arguments.strings(1))
            let valuePath = steps(arguments.strings(2))
            return { frame in
                var map = MapBuilder()
                for (place, element) in try target.evaluate(frame).requireList(arguments.what(0)).enumerated() {
                    var key = Array(String(place).utf8)
                    if keyPath != nil || valuePath != nil, case .map = element {
                    } else if keyPath != nil || valuePath != nil {
                        throw OTTLError("SliceToMap: element \(place) is no map")
                    }
                    if let keyPath {
                        guard case .string(let name)? = element.value(at: keyPath) else {
                            throw OTTLError("SliceToMap: element \(place) has no string at the key's path")
                        }
                        key = name
                    }
                    if let valuePath {
                        guard let value = element.value(at: valuePath) else {
                            throw OTTLError("SliceToMap: element \(place) has nothing at the value's path")
                        }
                        map.set(key, to: value)
                    } else {
                        map.set(key, to: element)
                    }
                }
                return .ownMap(map.map)
            }
        },
        Converter(
            "ToKeyValueString",
            [
                .map("target"), Parameter("delimiter", .string, optional: true),
                Parameter("pair_delimiter", .string, optional: true), Parameter("sort_output", .bool, optional: true),
            ], .string
        ) { arguments in
            let target = arguments.value(0)
            let delimiter = Array((arguments.string(1) ?? "=").utf8)
            let pairDelimiter = Array((arguments.string(2) ?? " ").utf8)
            let isSorted = arguments.bool(3) ?? false
            if delimiter.isEmpty { throw arguments.error(1, "must not be empty") }
            if pairDelimiter.isEmpty { throw arguments.error(2, "must not be empty") }
            if delimiter == pairDelimiter { throw arguments.error(2, "must differ from the delimiter") }
            @Sendable func quoted(_ text: [UInt8]) -> [UInt8] {
                let isPlain =
                    Text.firstIndex(of: delimiter, in: text) == nil
                    && Text.firstIndex(of: pairDelimiter, in: text) == nil
                if isPlain { return text }
                var output = [UInt8(ascii: "\"")]
                for byte in text {
                    if byte == UInt8(ascii: "\"") { output.append(UInt8(ascii: "\\")) }
                    output.append(byte)
                }
                return output + [UInt8(ascii: "\"")]
            }
            return { frame in
                var entries = try target.evaluate(frame).requireMap(arguments.what(0)).entries
                if isSorted { entries.sort { $0.key.lexicographicallyPrecedes($1.key) } }
                var output: [UInt8] = []
                for (place, entry) in entries.enumerated() {
                    if place > 0 { output.append(contentsOf: pairDelimiter) }
                    output.append(contentsOf: quoted(entry.key))
                    output.append(contentsOf: delimiter)
                    output.append(contentsOf: quoted(Datum(entry.value).textual ?? []))
                }
                return .ownText(output)
            }
        },
    ]
}

/// Sorting lists of numbers, strings and booleans.
private enum Sorting {
    static func sorted(_ list: [OTLPAnyValue], isDescending: Bool) throws -> [OTLPAnyValue] {
        var isNumeric = true
        for element in list {
            switch element {
            case .int, .double: break
            case .string, .bool: isNumeric = false
            default: throw OTTLError("Sort: lists of numbers, strings and bools can be sorted")
            }
        }
        if isNumeric {
            return list.sorted { left, right in
                if case .int(let a) = left, case .int(let b) = right { return isDescending ? a > b : a < b }
                let (a, b) = (Datum(left).floating ?? 0, Datum(right).floating ?? 0)
                return isDescending ? a > b : a < b
            }
        }
        let keyed = list.map { (key: Datum($0).textual ?? [], value: $0) }
        return keyed.sorted { left, right in
            isDescending ? right.key.lexicographicallyPrecedes(left.key) : left.key.lexicographicallyPrecedes(right.key)
        }.map(\.value)
    }
}
