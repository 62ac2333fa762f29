import Wire

/// A map that is built from input: adding stays cheap however many keys there are.
struct MapBuilder {
    private var entries: [OTLPAnyValue.Map.Entry] = []
    /// Where each key is; kept only once looking at all entries costs more.
    private var places: [[UInt8]: Int] = [:]

    private static let smallCount = 16

    init() {}

    init(_ map: OTLPAnyValue.Map) {
        entries = map.entries
        if entries.count > Self.smallCount { index() }
    }

    var map: OTLPAnyValue.Map { OTLPAnyValue.Map(unique: entries) }

    private mutating func index() { for (place, entry) in entries.enumerated() { places[entry.key] = place } }

    private func place(of key: [UInt8]) -> Int? {
        entries.count > Self.smallCount ? places[key] : entries.firstIndex { $0.key == key }
    }

    /// The value of a key; what is set replaces it or is added.
    subscript(key: [UInt8]) -> OTLPAnyValue? { place(of: key).map { entries[$0].value } }

    mutating func set(_ key: [UInt8], to value: OTLPAnyValue) {
        if let place = place(of: key) {
            entries[place].value = value
            return
        }
        entries.append(OTLPAnyValue.Map.Entry(key: key, value: value))
        if entries.count == Self.smallCount + 1 {
            index()
        } else if entries.count > Self.smallCount {
            places[key] = entries.count - 1
        }
    }
}
