import TextFormats
import Wire

extension Functions {
    /// Editors of fields, maps and lists.
    static let mapEditors: [Editor] = [
        Editor("set", [Parameter("target", .target(.any)), .any("value")]) { arguments in
            let target = arguments.target(0)
            let value = arguments.value(1)
            guard let set = target.set else { throw arguments.error(0, "cannot be changed") }
            guard value.kind.can(be: target.kind) else {
                throw arguments.error(
                    1, "\(target.name) is a \(target.kind.rawValue), and this is a \(value.kind.rawValue)")
            }
            return { frame in
                let value = try value.evaluate(frame)
                if case .none = value { return }
                try set(frame, value)
            }
        },
        Editor(
            "append",
            [Parameter("target", .target(.any)), .any("value").optional, Parameter("values", .values, optional: true)]
        ) {
            arguments in
            let target = arguments.target(0)
            let value = arguments.value(1)
            let values = arguments.values(2)
            guard arguments.isPresent(1) || arguments.isPresent(2) else {
                throw arguments.error(1, "value or values must be given")
            }
            let hasValue = arguments.isPresent(1)
            return { frame in
                var list: [OTLPAnyValue]
                let present = try target.get(frame)
                if let elements = present.elements {
                    list = elements
                } else {
                    list = present.isNone ? [] : [try present.stored()]
                }
                if hasValue {
                    let added = try value.evaluate(frame)
                    if !added.isNone { list.append(contentsOf: try added.elements ?? [added.stored()]) }
                }
                for expression in values { list.append(try expression.evaluate(frame).stored()) }
                try target.set?(frame, .ownList(list))
            }
        },
        Editor(
            "delete_index",
            [Parameter("target", .target(.list)), .int("start_index"), Parameter.int("end_index").optional]
        ) { arguments in
            let target = arguments.target(0)
            let start = arguments.value(1)
            let end = arguments.isPresent(2) ? arguments.value(2) : nil
            return { frame in
                var list = try target.get(frame).requireList(arguments.what(0))
                let first = try start.evaluate(frame).requireInt(arguments.what(1))
                let last = try end?.evaluate(frame).requireInt(arguments.what(2)) ?? (first &+ 1)
                guard first >= 0, last >= first, last <= Int64(list.count) else {
                    throw OTTLError("delete_index: \(first) to \(last) is outside of a list of \(list.count)")
                }
                list.removeSubrange(Int(first)..<Int(last))
                try target.set?(frame, .ownList(list))
            }
        },
        Editor("delete_key", [Parameter("target", .target(.map)), .text("key")]) { arguments in
            let target = arguments.target(0)
            let key = arguments.value(1)
            return { frame in
                let key = try key.evaluate(frame)
                if let attributes = target.attributes?(frame) {
                    if key.withText({ attributes.remove($0) }) == nil { _ = try key.requireText(arguments.what(1)) }
                    return
                }
                let name = try key.requireText(arguments.what(1))
                try target.editMap(frame, arguments.what(0)) { $0[name] = nil }
            }
        },
        Editor("delete_matching_keys", [Parameter("target", .target(.map)), Parameter("pattern", .pattern)]) {
            arguments in
            let pattern = try arguments.pattern(1)
            return filtering(arguments) { frame in
                let expression = try pattern.expression(frame)
                return { !expression.matches($0) }
            }
        },
        Editor("keep_matching_keys", [Parameter("target", .target(.map)), Parameter("pattern", .pattern)]) {
            arguments in
            let pattern = try arguments.pattern(1)
            return filtering(arguments) { frame in
                let expression = try pattern.expression(frame)
                return { expression.matches($0) }
            }
        },
        Editor("keep_keys", [Parameter("target", .target(.map)), Parameter("keys", .values)]) { arguments in
            let keys = arguments.values(1)
            let literals = keys.compactMap { expression -> [UInt8]? in
                if case .string(let text)? = expression.literal { return text }
                return nil
            }
            if literals.count == keys.count {
                let kept = Set(literals.map { $0.withRawBytes { OTLPKey($0) } })
                let few = Array(kept)
                return filtering(arguments) { _ in
                    { key in
                        few.count <= 8
                            ? few.contains { OTLPBytes.equal($0.bytes, key) } : kept.contains(OTLPKey(key))
                    }
                }
            }
            return filtering(arguments) { frame in
                let kept = Set(try keys.map { try $0.evaluate(frame).requireText(arguments.what(1)) })
                return { kept.contains(Array($0)) }
            }
        },
        Editor(
            "limit",
            [Parameter("target", .target(.map)), Parameter("limit", .int), Parameter("priority_keys", .strings)]
        ) { arguments in
            let target = arguments.target(0)
            let limit = Int(clamping: arguments.int(1) ?? 0)
            let priority = Set((arguments.strings(2) ?? []).map { Array($0.utf8) })
            if limit < 0 { throw arguments.error(1, "must not be negative") }
            if priority.count > limit { throw arguments.error(2, "there are more than the limit of \(limit)") }
            return { frame in
                if let attributes = target.attributes?(frame), attributes.count <= limit { return }
                try target.editMap(frame, arguments.what(0)) { map in
                    guard map.count > limit else { return }
                    var room = limit - map.entries.count { priority.contains($0.key) }
                    map.filter { entry in
                        if priority.contains(entry.key) { return true }
                        room -= 1
                        return room >= 0
                    }
                }
            }
        },
        Editor(
            "truncate_all",
            [
                Parameter("target", .target(.map)), Parameter("limit", .int),
                Parameter("utf8_safe", .bool, optional: true), Parameter("truncation_marker", .string, optional: true),
            ]
        ) { arguments in
            let target = arguments.target(0)
            let limit = Int(clamping: arguments.int(1) ?? 0)
            let isSafe = arguments.bool(2) ?? true
            let marker = Array((arguments.string(3) ?? "").utf8)
            if limit < 0 { throw arguments.error(1, "must not be negative") }
            if marker.count > limit { throw arguments.error(3, "is longer than the limit") }
            return { frame in
                try Strings.change(target, frame, arguments.what(0)) { text in
                    guard text.count > limit else { return nil }
                    return Array(text[..<Strings.cut(text, at: limit - marker.count, isSafe)]) + marker
                }
            }
        },
        Editor(
            "flatten",
            [
                Parameter("target", .target(.map)), Parameter.text("prefix").optional,
                Parameter("depth", .int, optional: true),
                Parameter("resolve_conflicts", .bool, optional: true),
            ]
        ) { arguments in
            let target = arguments.target(0)
            let prefix = arguments.value(1)
            let depth = arguments.int(2).map { Int(clamping: $0) } ?? Int.max
            let resolves = arguments.bool(3) ?? false
            if depth < 0 { throw arguments.error(2, "must not be negative") }
            return { frame in
                let start = try prefix.evaluate(frame)
                let name = start.isNone ? [] : try start.requireText(arguments.what(1))
                try target.editMap(frame, arguments.what(0)) { map in
                    var flattener = Flattener(resolvesConflicts: resolves)
                    flattener.add(map, under: name, depth: depth)
                    map = flattener.result
                }
            }
        },
        Editor("merge_maps", [Parameter("target", .target(.map)), .map("source"), Parameter("strategy", .string)]) {
            arguments in
            let target = arguments.target(0)
            let source = arguments.value(1)
            let strategy = arguments.string(2) ?? ""
            guard ["insert", "update", "upsert"].contains(strategy) else {
                throw arguments.error(2, "must be \"insert\", \"update\" or \"upsert\"")
            }
            return { frame in
                let map = try source.evaluate(frame).requireMap(arguments.what(1))
                // Setting one by one is cheapest for a few entries and ruinous for many.
                if let attributes = target.attributes?(frame), map.count <= 64 {
                    for entry in map.entries {
                        entry.key.withRawBytes { key in
                            let isThere = attributes.value(of: key) != nil
                            if strategy == "upsert" || (strategy == "update") == isThere {
                                attributes.set(key, to: entry.value)
                            }
                        }
                    }
                    return
                }
                try target.editMap(frame, arguments.what(0)) { present in
                    var merged = MapBuilder(present)
                    for entry in map.entries {
                        let isThere = merged[entry.key] != nil
                        if strategy == "upsert" || (strategy == "update") == isThere {
                            merged.set(entry.key, to: entry.value)
                        }
                    }
                    present = merged.map
                }
            }
        },
        Editor("stringify_all", [Parameter("target", .target(.map))]) { arguments in
            let target = arguments.target(0)
            return { frame in
                try target.editMap(frame, arguments.what(0)) { map in
                    map = OTLPAnyValue.Map(
                        unique: map.entries.map { entry in
                            switch entry.value {
                            case .string: entry
                            case .bytes(let bytes):
                                OTLPAnyValue.Map.Entry(key: entry.key, value: .string(Base64.encode(bytes)))
                            default:
                                OTLPAnyValue.Map.Entry(
                                    key: entry.key, value: .string(Datum(entry.value).textual ?? []))
                            }
                        })
                }
            }
        },
    ]

    /// Keeps the entries of the first argument whose key the test made for the record accepts.
    private static func filtering(
        _ arguments: Arguments,
        _ test: @escaping @Sendable (OTTLFrame) throws -> (UnsafeRawBufferPointer) -> Bool
    ) -> @Sendable (OTTLFrame) throws -> Void {
        let target = arguments.target(0)
        return { frame in
            let isKept = try test(frame)
            if let attributes = target.attributes?(frame) {
                attributes.filter { key, _ in isKept(key) }
                return
            }
            try target.editMap(frame, arguments.what(0)) { map in
                map.filter { entry in entry.key.withRawBytes { isKept($0) } }
            }
        }
    }
}

/// Moves what is inside of maps and lists to the top, under keys joined by dots.
private struct Flattener {
    let resolvesConflicts: Bool
    private var entries: [OTLPAnyValue.Map.Entry] = []
    private var positions: [[UInt8]: Int] = [:]
    private var suffixes: [[UInt8]: Int] = [:]

    init(resolvesConflicts: Bool) { self.resolvesConflicts = resolvesConflicts }

    var result: OTLPAnyValue.Map { OTLPAnyValue.Map(unique: entries) }

    mutating func add(_ map: OTLPAnyValue.Map, under prefix: [UInt8], depth: Int) {
        for entry in map.entries { add(entry.value, Self.join(prefix, entry.key), depth: depth) }
    }

    private mutating func add(_ value: OTLPAnyValue, _ key: [UInt8], depth: Int) {
        switch value {
        case .map(let map) where depth > 0: add(map, under: key, depth: depth - 1)
        case .array(let elements) where depth > 0:
            for (index, element) in elements.enumerated() {
                add(element, resolvesConflicts ? key : Self.join(key, Array(String(index).utf8)), depth: depth - 1)
            }
        default: put(value, key)
        }
    }

    private mutating func put(_ value: OTLPAnyValue, _ key: [UInt8]) {
        var name = key
        while let position = positions[name] {
            guard resolvesConflicts else {
                entries[position].value = value
                return
            }
            let suffix = suffixes[key, default: 0]
            suffixes[key] = suffix + 1
            name = Self.join(key, Array(String(suffix).utf8))
        }
        positions[name] = entries.count
        entries.append(OTLPAnyValue.Map.Entry(key: name, value: value))
    }

    private static func join(_ prefix: [UInt8], _ key: [UInt8]) -> [UInt8] {
        prefix.isEmpty ? key : prefix + [UInt8(ascii: ".")] + key
    }
}

/// Changing strings and cutting them.
enum Strings {
    /// Calls `body` with each string of a map; what it returns takes the string's place.
    static func change(
        _ target: Accessor, _ frame: OTTLFrame, _ what: String,
        _ body: (UnsafeRawBufferPointer) throws -> [UInt8]?
    ) throws {
        if let attributes = target.attributes?(frame) {
            try attributes.replaceValues { _, value in
                guard let text = value.stringBytes, let changed = try body(text) else { return nil }
                return .string(changed)
            }
            return
        }
        try target.editMap(frame, what) { map in
            map = OTLPAnyValue.Map(
                unique: try map.entries.map { entry in
                    guard case .string(let text) = entry.value, let changed = try text.withUnsafeBytes(body) else {
                        return entry
                    }
                    return OTLPAnyValue.Map.Entry(key: entry.key, value: .string(changed))
                })
        }
    }

    /// The largest length up to `limit` that cuts no UTF-8 sequence.
    static func cut(_ text: UnsafeRawBufferPointer, at limit: Int, _ isSafe: Bool) -> Int {
        guard isSafe, limit < text.count else { return min(limit, text.count) }
        var end = limit
        // A sequence has at most three continuation bytes; what is longer is no UTF-8 and cut anywhere.
        while end > 0, limit - end < 4, text[end] & 0xC0 == 0x80 { end -= 1 }
        return limit - end >= 4 ? limit : end
    }
}
