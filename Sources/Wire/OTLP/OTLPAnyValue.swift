/// A value that owns its content: literals of a configuration, caches, values built up in steps.
///
/// Where a value only moves from one attribute to another, ``OTLPValue`` does without allocating.
package indirect enum OTLPAnyValue: Sendable, Hashable {
    case empty
    case string([UInt8])
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case array([OTLPAnyValue])
    case map(Map)
    case bytes([UInt8])

    /// Entries in the order they were added; keys are unique.
    package struct Map: Sendable, Hashable {
        package struct Entry: Sendable, Hashable {
            package let key: [UInt8]
            package var value: OTLPAnyValue

            package init(key: [UInt8], value: OTLPAnyValue) {
                self.key = key
                self.value = value
            }
        }

        package fileprivate(set) var entries: [Entry]

        package init() { entries = [] }

        /// A map of entries whose keys the caller knows to differ.
        package init(unique entries: [Entry]) { self.entries = entries }

        package var count: Int { entries.count }
        package var isEmpty: Bool { entries.isEmpty }

        /// The value of `key`; setting nil removes it.
        package subscript(key: [UInt8]) -> OTLPAnyValue? {
            get { entries.first { $0.key == key }?.value }
            set {
                guard let index = entries.firstIndex(where: { $0.key == key }) else {
                    if let newValue { entries.append(Entry(key: key, value: newValue)) }
                    return
                }
                if let newValue {
                    entries[index].value = newValue
                } else {
                    entries.remove(at: index)
                }
            }
        }

        package subscript(key: String) -> OTLPAnyValue? {
            get { self[Array(key.utf8)] }
            set { self[Array(key.utf8)] = newValue }
        }

        /// Keeps the entries for which `isIncluded` is true.
        package mutating func filter(_ isIncluded: (Entry) throws -> Bool) rethrows {
            entries = try entries.filter(isIncluded)
        }
    }

    /// Deeper values are cut off: scanned input is not deeper.
    static let maximumDepth = 128

    package static func string(_ text: String) -> OTLPAnyValue { .string(Array(text.utf8)) }

    /// A copy of a value read in place.
    package init(_ value: OTLPValue) { self.init(value, depth: 0) }

    fileprivate init(_ value: OTLPValue, depth: Int) {
        switch value {
        case .empty: self = .empty
        case .string(let bytes): self = .string(Array(bytes))
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .bytes(let bytes): self = .bytes(Array(bytes))
        case .array(let list):
            var elements: [OTLPAnyValue] = []
            if depth < Self.maximumDepth { list.forEach { elements.append(OTLPAnyValue($0, depth: depth + 1)) } }
            self = .array(elements)
        case .map(let map): self = .map(Map(map, depth: depth))
        }
    }

    /// The text of a string; nil for any other kind.
    package var string: String? {
        if case .string(let bytes) = self { return String(decoding: bytes, as: UTF8.self) }
        return nil
    }

    /// The value at `path` below this one; nil when there is none.
    package func value(at path: some Sequence<OTLPPathStep>) -> OTLPAnyValue? {
        var value = self
        for step in path {
            switch (step, value) {
            case (.key(let key), .map(let map)):
                guard let next = map[Array(key.bytes)] else { return nil }
                value = next
            case (.index(let index), .array(let elements)):
                guard elements.indices.contains(index) else { return nil }
                value = elements[index]
            default: return nil
            }
        }
        return value
    }

    /// Puts `newValue` at `path`, making maps for keys that are missing on the way; nil removes what is there.
    ///
    /// False, with nothing changed, when the path leads through something that is no map or list or outside a list.
    @discardableResult
    package mutating func set(_ path: some Collection<OTLPPathStep>, to newValue: OTLPAnyValue?) -> Bool {
        guard let step = path.first else {
            self = newValue ?? .empty
            return true
        }
        let rest = path.dropFirst()
        switch step {
        case .key(let key):
            var map: Map
            switch self {
            case .map(let present): map = present
            case .empty: map = Map()
            default: return false
            }
            let name = Array(key.bytes)
            if rest.isEmpty {
                map[name] = newValue
            } else {
                var child = map[name] ?? .empty
                guard child.set(rest, to: newValue) else { return false }
                map[name] = child
            }
            self = .map(map)
        case .index(let index):
            guard case .array(var elements) = self, elements.indices.contains(index) else { return false }
            if rest.isEmpty {
                if let newValue { elements[index] = newValue } else { elements.remove(at: index) }
            } else {
                guard elements[index].set(rest, to: newValue) else { return false }
            }
            self = .array(elements)
        }
        return true
    }

    /// Appends the content of the `AnyValue` message.
    package func encode(into writer: inout ProtobufWriter) {
        switch self {
        case .empty: break
        case .string(let bytes): bytes.withRawBytes { writer.field(OTLPField.AnyValue.string, bytes: $0) }
        case .bool(let value): writer.field(OTLPField.AnyValue.bool, bool: value)
        case .int(let value): writer.field(OTLPField.AnyValue.int, int64: value)
        case .double(let value): writer.field(OTLPField.AnyValue.double, double: value)
        case .bytes(let bytes): bytes.withRawBytes { writer.field(OTLPField.AnyValue.bytes, bytes: $0) }
        case .array(let elements):
            let list = writer.beginMessage(OTLPField.AnyValue.array)
            for element in elements {
                let mark = writer.beginMessage(1)
                element.encode(into: &writer)
                writer.endMessage(mark)
            }
            writer.endMessage(list)
        case .map(let map):
            let list = writer.beginMessage(OTLPField.AnyValue.map)
            map.encode(field: 1, into: &writer)
            writer.endMessage(list)
        }
    }
}

extension OTLPAnyValue.Map {
    /// A copy of a map read in place; the last of equal keys stays.
    package init(_ map: OTLPMap) { self.init(map, depth: 0) }

    fileprivate init(_ map: OTLPMap, depth: Int) {
        if depth < OTLPAnyValue.maximumDepth {
            self.init(count: map.count, depth: depth + 1) { map.forEach($0) }
        } else {
            self.init()
        }
    }

    /// A copy of attributes read in place; the last of equal keys stays.
    package init(_ attributes: OTLPAttributes) {
        self.init(count: attributes.count, depth: 0) { attributes.forEach($0) }
    }

    private init(count: Int, depth: Int, _ walk: ((UnsafeRawBufferPointer, OTLPValue) -> Void) -> Void) {
        self.init()
        var positions: [[UInt8]: Int] = [:]
        entries.reserveCapacity(count)
        walk { key, value in
            let key = Array(key)
            let value = OTLPAnyValue(value, depth: depth)
            // Comparing with each entry is cheapest for small maps and ruinous for large ones.
            if count <= 16 {
                self[key] = value
            } else if let position = positions[key] {
                entries[position].value = value
            } else {
                positions[key] = entries.count
                entries.append(Entry(key: key, value: value))
            }
        }
    }

    /// Appends the entries as repeated `KeyValue` messages in `field`.
    package func encode(field: Int, into writer: inout ProtobufWriter) {
        for entry in entries {
            let mark = writer.beginMessage(field)
            entry.key.withRawBytes { writer.field(OTLPField.KeyValue.key, bytes: $0) }
            let value = writer.beginMessage(OTLPField.KeyValue.value)
            entry.value.encode(into: &writer)
            writer.endMessage(value)
            writer.endMessage(mark)
        }
    }
}

extension OTLPAnyValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral
{
    package init(stringLiteral text: String) { self = .string(text) }
    package init(integerLiteral value: Int64) { self = .int(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
}
