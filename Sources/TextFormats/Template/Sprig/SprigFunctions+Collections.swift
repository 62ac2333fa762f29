extension SprigFunctions {
    static let lists: [String: Function] = {
        var table: [String: Function] = [
            "list": Function([], rest: .any) { .list($0) },
            "tuple": Function([], rest: .any) { .list($0) },
            "concat": Function([], rest: .any) { values in
                .list(try bounded(try values.flatMap { try Casting.list($0, for: "concat") }))
            },
        ]
        let must: [String: Function] = [
            "append": Function([.any, .any]) { .list(try bounded(try Casting.list($0[0], for: "push") + [$0[1]])) },
            "push": Function([.any, .any]) { .list(try bounded(try Casting.list($0[0], for: "push") + [$0[1]])) },
            "prepend": Function([.any, .any]) {
                .list(try bounded([$0[1]] + (try Casting.list($0[0], for: "prepend"))))
            },
            "first": Function([.any]) { try Casting.list($0[0], for: "find first").first ?? .nil },
            "last": Function([.any]) { try Casting.list($0[0], for: "find last").last ?? .nil },
            "rest": Function([.any]) { .list(Array(try Casting.list($0[0], for: "find rest").dropFirst())) },
            "initial": Function([.any]) { .list(try Casting.list($0[0], for: "find initial").dropLast()) },
            "reverse": Function([.any]) { .list(try Casting.list($0[0], for: "find reverse").reversed()) },
            "compact": Function([.any]) { .list(try Casting.list($0[0], for: "compact").filter(\.isTrue)) },
            "uniq": Function([.any]) { values in
                .list(
                    try Casting.list(values[0], for: "find uniq").reduce(into: []) { kept, value in
                        if !kept.contains(value) { kept.append(value) }
                    })
            },
            "without": Function([.any], rest: .any) { values in
                let omitted = values.dropFirst()
                return .list(try Casting.list(values[0], for: "find without").filter { !omitted.contains($0) })
            },
            "has": Function([.any, .any]) { values in
                if values[1].isNil { return .bool(false) }
                return .bool(try Casting.list(values[1], for: "find has").contains(values[0]))
            },
            "slice": Function([.any], rest: .any) { values in
                let elements = try Casting.list(values[0], for: "slice")
                if elements.isEmpty { return .nil }
                let start = values.count > 1 ? Casting.int(values[1]) : 0
                let end = values.count > 2 ? Casting.int(values[2]) : elements.count
                guard start >= 0, start <= end, end <= elements.count else {
                    throw TextFormatError("slice bounds out of range [\(start):\(end)]")
                }
                return .list(Array(elements[start..<end]))
            },
            "chunk": Function([.int, .any]) { values in
                let size = Casting.int(values[0])
                let elements = try Casting.list(values[1], for: "chunk")
                guard size > 0 else { throw TextFormatError("chunk size must be positive") }
                var chunks: [GoValue] = []
                for start in stride(from: 0, to: elements.count, by: size) {
                    chunks.append(.list(Array(elements[start..<(start + min(size, elements.count - start))])))
                }
                return .list(chunks)
            },
        ]
        for (name, function) in must {
            table[name] = function
            table[mustName(name)] = function
        }
        return table
    }()

    private static func bounded(_ elements: [GoValue]) throws -> [GoValue] {
        guard elements.count <= largestList else { throw TextFormatError("list exceeds \(largestList) elements") }
        return elements
    }

    /// `mustFirst` for `first`: the same function, since neither panics here.
    private static func mustName(_ name: String) -> String { "must" + name.prefix(1).uppercased() + name.dropFirst() }

    static let maps: [String: Function] = {
        let merge = Function([.map], rest: .map) { values in
            let target = Casting.map(values[0])
            for source in values.dropFirst() { fill(target, from: Casting.map(source), overwriting: false, depth: 0) }
            return .map(target)
        }
        let overwrite = Function([.map], rest: .map) { values in
            let target = Casting.map(values[0])
            for source in values.dropFirst() { fill(target, from: Casting.map(source), overwriting: true, depth: 0) }
            return .map(target)
        }
        let copy = Function([.any]) { deepCopy($0[0], depth: 0) }
        return [
            "merge": merge, "mustMerge": merge, "mergeOverwrite": overwrite, "mustMergeOverwrite": overwrite,
            "deepCopy": copy, "mustDeepCopy": copy,
            "dict": Function([], rest: .any) { values in
                var entries: [String: GoValue] = [:]
                for index in stride(from: 0, to: values.count, by: 2) {
                    entries[values[index].text] = index + 1 < values.count ? values[index + 1] : .string("")
                }
                return .dictionary(entries)
            },
            "get": Function([.map, .string]) { Casting.map($0[0])[$0[1].text] ?? .string("") },
            "set": Function([.map, .string, .any]) { values in
                let map = Casting.map(values[0])
                guard map.count < largestList else { throw TextFormatError("map exceeds \(largestList) entries") }
                map[values[1].text] = values[2]
                return values[0]
            },
            "unset": Function([.map, .string]) { values in
                Casting.map(values[0])[values[1].text] = nil
                return values[0]
            },
            "hasKey": Function([.map, .string]) { .bool(Casting.map($0[0])[$0[1].text] != nil) },
            "pluck": Function([.string], rest: .map) { values in
                .list(values.dropFirst().compactMap { Casting.map($0)[values[0].text] })
            },
            "keys": Function([], rest: .map) { values in
                .list(values.flatMap { Casting.map($0).sortedKeys.map { .string($0) } })
            },
            "values": Function([.map]) { values in
                let map = Casting.map(values[0])
                return .list(map.sortedKeys.map { map[$0] ?? .nil })
            },
            "pick": Function([.map], rest: .string) { values in
                let names = Set(values.dropFirst().map(\.text))
                return .dictionary(Casting.map(values[0]).entries.filter { names.contains($0.key) })
            },
            "omit": Function([.map], rest: .string) { values in
                let names = Set(values.dropFirst().map(\.text))
                return .dictionary(Casting.map(values[0]).entries.filter { !names.contains($0.key) })
            },
            "dig": Function([.any, .any, .any], rest: .any) { values in
                var current = values[values.count - 1]
                for key in values.dropLast(2) {
                    guard case .map(let map) = current else { throw TextFormatError("dig into a \(current.kindName)") }
                    guard let next = map[key.text] else { return values[values.count - 2] }
                    current = next
                }
                return current
            },
        ]
    }()

    /// Takes what `target` lacks (or has empty) from `source`; overwriting, all that is not empty.
    private static func fill(_ target: GoMap, from source: GoMap, overwriting: Bool, depth: Int) {
        guard depth < 100 else { return }
        for (key, value) in source.entries {
            let old = target[key]
            if case .map(let inner)? = old, case .map(let other) = value {
                fill(inner, from: other, overwriting: overwriting, depth: depth + 1)
            } else if overwriting ? value.isTrue || old == nil : old?.isTrue != true {
                target[key] = value
            }
        }
    }

    private static func deepCopy(_ value: GoValue, depth: Int) -> GoValue {
        guard depth < 100 else { return .nil }
        switch value {
        case .map(let map): return .dictionary(map.entries.mapValues { deepCopy($0, depth: depth + 1) })
        case .list(let elements): return .list(elements.map { deepCopy($0, depth: depth + 1) })
        default: return value
        }
    }

    static let defaults: [String: Function] = {
        func json(_ writer: JSONWriter) -> Function {
            Function([.any]) { values in
                let output = writer.text(values[0].json)
                _ = try TextTools.bounded(output.utf8.count)
                return .string(output)
            }
        }
        let plain = json(JSONWriter(sortsKeys: true))
        let raw = json(JSONWriter(escapesHTML: false, sortsKeys: true))
        let pretty = json(JSONWriter(sortsKeys: true, indent: "  "))
        return [
            "toJson": plain, "mustToJson": plain, "toRawJson": raw, "mustToRawJson": raw, "toPrettyJson": pretty,
            "mustToPrettyJson": pretty,
            "fromJson": Function([.string]) { (try? GoValue(JSONValue(parsing: $0[0].text))) ?? .nil },
            "mustFromJson": Function([.string]) { try GoValue(JSONValue(parsing: $0[0].text)) },
            "default": Function([.any], rest: .any) { $0.count > 1 && $0[1].isTrue ? $0[1] : $0[0] },
            "empty": Function([.any]) { .bool(!$0[0].isTrue) },
            "coalesce": Function([], rest: .any) { $0.first(where: \.isTrue) ?? .nil },
            "all": Function([], rest: .any) { .bool($0.allSatisfy(\.isTrue)) },
            "any": Function([], rest: .any) { .bool($0.contains(where: \.isTrue)) },
            "ternary": Function([.any, .any, .bool]) { $0[2].isTrue ? $0[0] : $0[1] },
            "typeOf": Function([.any]) { .string($0[0].typeName) },
            "typeIs": Function([.string, .any]) { .bool($0[0].text == $0[1].typeName) },
            "typeIsLike": Function([.string, .any]) { values in
                .bool(values[0].text == values[1].typeName || "*" + values[0].text == values[1].typeName)
            },
            "kindOf": Function([.any]) { .string($0[0].kindName) },
            "kindIs": Function([.string, .any]) { .bool($0[0].text == $0[1].kindName) },
            "deepEqual": Function([.any, .any]) { .bool($0[0] == $0[1]) },
        ]
    }()
}

extension GoValue {
    /// The value as `json.Marshal` sees it.
    package var json: JSONValue { json(depth: 0) }

    private func json(depth: Int) -> JSONValue {
        guard depth < 100 else { return .null }
        switch self {
        case .nil: return .null
        case .bool(let value): return .bool(value)
        case .int(let value), .duration(let value): return .number(JSONNumber(value))
        case .uint(let value): return .number(JSONNumber(value))
        case .float(let value): return .double(value)
        case .string(let value): return .string(value)
        case .time(let time): return .string(GoTimeLayout("RFC3339Nano").format(time))
        case .list(let elements): return .array(elements.map { $0.json(depth: depth + 1) })
        case .map(let map):
            var object = JSONObject()
            let entries = map.entries
            for key in map.sortedKeys { object[key] = (entries[key] ?? .nil).json(depth: depth + 1) }
            return .object(object)
        }
    }
}
