import Wire

/// A place in an entry: `body`, `body.a.b`, `attributes["k8s.pod"]`, `resource.x`; without a prefix it is in the body.
///
/// Values are put as the collector's `pkg/stanza` does: a map merges into what is there, and what stands in the way is
/// replaced by maps.
struct StanzaField: Sendable, Equatable {
    enum Root: String, Sendable { case body, attributes, resource }

    let root: Root
    let keys: [[UInt8]]

    static let body = StanzaField(.body, [])
    static let attributes = StanzaField(.attributes, [])

    static func attribute(_ name: String) -> StanzaField { StanzaField(.attributes, [Array(name.utf8)]) }
    static func resource(_ name: String) -> StanzaField { StanzaField(.resource, [Array(name.utf8)]) }

    init(_ root: Root, _ keys: [[UInt8]]) {
        self.root = root
        self.keys = keys
    }

    /// Reads the text of a field.
    init(_ text: String) throws(StanzaError) {
        var parts: [[UInt8]] = []
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "[") {
                guard index + 1 < bytes.count, bytes[index + 1] == 0x22 || bytes[index + 1] == 0x27,
                    let end = bytes[(index + 2)...].firstIndex(of: bytes[index + 1]),
                    end + 1 < bytes.count, bytes[end + 1] == UInt8(ascii: "]"), !parts.isEmpty
                else { throw StanzaError("invalid field \"\(text)\": expecting a key in quotes within brackets") }
                parts.append(Array(bytes[(index + 2)..<end]))
                index = end + 2
                continue
            }
            if !parts.isEmpty {
                guard bytes[index] == UInt8(ascii: ".") else {
                    throw StanzaError("invalid field \"\(text)\": expecting a dot or a bracket")
                }
                index += 1
            }
            let end = bytes[index...].firstIndex { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") } ?? bytes.count
            guard end > index else { throw StanzaError("invalid field \"\(text)\": a key is empty") }
            parts.append(Array(bytes[index..<end]))
            index = end
        }
        guard let first = parts.first else { throw StanzaError("a field must not be empty") }
        let word = String(decoding: first, as: UTF8.self)
        if let root = Root(rawValue: word == "$body" || word == "$" ? "body" : word) {
            self.init(root, Array(parts.dropFirst()))
        } else {
            self.init(.body, parts)
        }
    }

    /// For people.
    var text: String {
        keys.reduce(root.rawValue) { $0 + "." + String(decoding: $1, as: UTF8.self) }
    }

    /// The field that holds this one; the field itself at a root.
    var parent: StanzaField { StanzaField(root, Array(keys.dropLast())) }

    func child(_ key: [UInt8]) -> StanzaField { StanzaField(root, keys + [key]) }

    // MARK: Values

    /// The value in the entry; nil when there is none.
    func get(_ entry: StanzaEntry) -> OTLPAnyValue? {
        var value: OTLPAnyValue
        switch root {
        case .body: value = entry.body
        case .attributes: value = .map(entry.attributes)
        case .resource: value = .map(entry.resource)
        }
        if root == .body, keys.isEmpty, value == .empty { return nil }
        for key in keys {
            guard case .map(let map) = value, let next = map[key] else { return nil }
            value = next
        }
        return value
    }

    /// The text of the value; throws when there is none or it is none.
    func string(_ entry: StanzaEntry) throws(StanzaError) -> [UInt8] {
        switch get(entry) {
        case .string(let bytes)?, .bytes(let bytes)?: return bytes
        case let other?: throw StanzaError("\(text) is \(other.kindName), not a string")
        case nil: throw StanzaError("entry is missing \(text)")
        }
    }

    /// Puts a value.
    func set(_ value: OTLPAnyValue, in entry: inout StanzaEntry) throws(StanzaError) {
        switch root {
        case .body:
            if keys.isEmpty, case .map(let added) = value, case .map(var map) = entry.body {
                Self.merge(added, into: &map)
                entry.body = .map(map)
            } else if keys.isEmpty {
                entry.body = value
            } else {
                var map = OTLPAnyValue.Map()
                if case .map(let present) = entry.body { map = present }
                Self.set(value, at: keys[...], in: &map)
                entry.body = .map(map)
            }
        case .attributes: try set(value, in: &entry.attributes)
        case .resource: try set(value, in: &entry.resource)
        }
    }

    private func set(_ value: OTLPAnyValue, in map: inout OTLPAnyValue.Map) throws(StanzaError) {
        if keys.isEmpty {
            guard case .map(let added) = value else {
                throw StanzaError("\(value.kindName) cannot be put in place of all \(root.rawValue)")
            }
            Self.merge(added, into: &map)
        } else {
            Self.set(value, at: keys[...], in: &map)
        }
    }

    private static func merge(_ added: OTLPAnyValue.Map, into map: inout OTLPAnyValue.Map) {
        for entry in added.entries { map[entry.key] = entry.value }
    }

    private static func set(_ value: OTLPAnyValue, at keys: ArraySlice<[UInt8]>, in map: inout OTLPAnyValue.Map) {
        guard let key = keys.first else { return }
        let rest = keys.dropFirst()
        if rest.isEmpty {
            if case .map(let added) = value, case .map(var present)? = map[key] {
                merge(added, into: &present)
                map[key] = .map(present)
            } else {
                map[key] = value
            }
            return
        }
        var inner = OTLPAnyValue.Map()
        if case .map(let present)? = map[key] { inner = present }
        set(value, at: rest, in: &inner)
        map[key] = .map(inner)
    }

    /// Takes the value away and returns it; nil when there is none.
    func delete(from entry: inout StanzaEntry) -> OTLPAnyValue? {
        guard let value = get(entry) else { return nil }
        switch root {
        case .body:
            if keys.isEmpty {
                entry.body = .empty
            } else if case .map(var map) = entry.body {
                Self.remove(keys[...], from: &map)
                entry.body = .map(map)
            }
        case .attributes: Self.remove(keys[...], from: &entry.attributes)
        case .resource: Self.remove(keys[...], from: &entry.resource)
        }
        return value
    }

    private static func remove(_ keys: ArraySlice<[UInt8]>, from map: inout OTLPAnyValue.Map) {
        guard let key = keys.first else {
            map = OTLPAnyValue.Map()
            return
        }
        let rest = keys.dropFirst()
        if rest.isEmpty {
            map[key] = nil
        } else if case .map(var inner)? = map[key] {
            remove(rest, from: &inner)
            map[key] = .map(inner)
        }
    }
}

extension OTLPAnyValue {
    /// What kind of value it is, for people.
    var kindName: String {
        switch self {
        case .empty: "nil"
        case .string: "a string"
        case .bool: "a boolean"
        case .int, .double: "a number"
        case .array: "a list"
        case .map: "a map"
        case .bytes: "bytes"
        }
    }
}
