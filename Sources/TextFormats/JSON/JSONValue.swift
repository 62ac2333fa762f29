/// A JSON document as a tree.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// An integer.
    package static func int(_ value: Int) -> JSONValue { .number(JSONNumber(Int64(value))) }

    /// A floating-point number; infinities and NaN, which JSON cannot carry, become null.
    package static func double(_ value: Double) -> JSONValue { JSONNumber(value).map { .number($0) } ?? .null }

    /// The member called `key`, when this is an object that has one.
    package subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { return object[key] }
        return nil
    }

    /// The element at `index`, when this is an array that long.
    package subscript(index: Int) -> JSONValue? {
        if case .array(let array) = self, array.indices.contains(index) { return array[index] }
        return nil
    }

    package var stringValue: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    package var boolValue: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    package var intValue: Int64? {
        if case .number(let value) = self { return value.intValue }
        return nil
    }

    package var doubleValue: Double? {
        if case .number(let value) = self { return value.doubleValue }
        return nil
    }

    package var arrayValue: [JSONValue]? {
        if case .array(let value) = self { return value }
        return nil
    }

    package var objectValue: JSONObject? {
        if case .object(let value) = self { return value }
        return nil
    }
}

/// A JSON number: the text it was written with, so that nothing is lost on the way through.
package struct JSONNumber: Sendable, Equatable {
    /// The number as JSON text.
    package let text: String

    init(validated text: String) { self.text = text }

    package init(_ value: Int64) { text = String(value) }

    package init(_ value: UInt64) { text = String(value) }

    /// Writes `value` as Go's encoding/json does; nil for infinities and NaN.
    package init?(_ value: Double) {
        guard value.isFinite else { return nil }
        let magnitude = value.magnitude
        if magnitude != 0, magnitude < 1e-6 || magnitude >= 1e21 {
            var written = Array(GoNumber.formatFloat(value, "e", precision: -1).utf8)
            let count = written.count
            // Go shortens e-09 to e-9.
            if count >= 4, written[count - 4] == UInt8(ascii: "e"), written[count - 3] == UInt8(ascii: "-"),
                written[count - 2] == 0x30
            {
                written.remove(at: count - 2)
            }
            text = String(decoding: written, as: UTF8.self)
        } else {
            text = GoNumber.formatFloat(value, "f", precision: -1)
        }
    }

    /// The value when the text is an integer (no point, no exponent) that fits.
    package var intValue: Int64? { Int64(text) }

    /// The value when the text is an unsigned integer that fits.
    package var uintValue: UInt64? { UInt64(text) }

    /// The nearest double; infinity when out of range.
    package var doubleValue: Double { DecimalParser.parse(text) ?? .nan }
}

/// The members of a JSON object in the order they came; keys are unique.
package struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral, Sequence {
    package private(set) var members: [(key: String, value: JSONValue)] = []
    /// Positions by key, kept once a linear search would be slow.
    private var positions: [String: Int] = [:]
    private static let linear = 12

    package init() {}

    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (key, value) in elements { self[key] = value }
    }

    package var count: Int { members.count }
    package var keys: [String] { members.map(\.key) }

    /// The value of `key`; setting replaces in place (the last of duplicates wins) or appends, nil removes.
    package subscript(key: String) -> JSONValue? {
        get { position(of: key).map { members[$0].value } }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?):
                members[position].value = value
            case (let position?, nil):
                members.remove(at: position)
                index()
            case (nil, let value?):
                members.append((key, value))
                if !positions.isEmpty {
                    positions[key] = members.count - 1
                } else if members.count > Self.linear {
                    index()
                }
            case (nil, nil):
                break
            }
        }
    }

    package func makeIterator() -> IndexingIterator<[(key: String, value: JSONValue)]> { members.makeIterator() }

    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
    }

    private func position(of key: String) -> Int? {
        positions.isEmpty ? members.firstIndex { $0.key == key } : positions[key]
    }

    private mutating func index() {
        positions.removeAll()
        guard members.count > Self.linear else { return }
        for (position, member) in members.enumerated() { positions[member.key] = position }
    }
}
