/// Attributes under construction: set, found and taken out by name in constant time however many there are.
package struct AttributeTable: Sendable {
    private var entries: [OTLPAnyValue.Map.Entry?] = []
    private var places: [String: Int] = [:]

    package init() {}

    package var isEmpty: Bool { places.isEmpty }

    /// The value of an attribute; setting nil removes it.
    package subscript(key: String) -> OTLPAnyValue? {
        get { places[key].flatMap { entries[$0]?.value } }
        set {
            guard let newValue else {
                if let place = places.removeValue(forKey: key) { entries[place] = nil }
                return
            }
            if let place = places[key] {
                entries[place]?.value = newValue
            } else {
                places[key] = entries.count
                entries.append(OTLPAnyValue.Map.Entry(key: Array(key.utf8), value: newValue))
            }
        }
    }

    /// Removes an attribute and returns its value.
    package mutating func take(_ key: String) -> OTLPAnyValue? {
        guard let place = places.removeValue(forKey: key) else { return nil }
        defer { entries[place] = nil }
        return entries[place]?.value
    }

    /// As ``take(_:)`` for an attribute that is text.
    package mutating func takeString(_ key: String) -> String? {
        guard case .string? = self[key] else { return nil }
        return take(key)?.string
    }

    /// What is there, in the order it came.
    package var map: OTLPAnyValue.Map { OTLPAnyValue.Map(unique: entries.compactMap { $0 }) }
}
