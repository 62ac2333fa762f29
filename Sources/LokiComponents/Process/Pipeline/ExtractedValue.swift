import Telemetry

/// One value of the map that stages share, with the types upstream's map has.
struct ExtractedValue: Sendable {
    enum Kind: UInt8, Sendable {
        /// Nothing was stored since the entry came in: the label of this name counts, if there is one.
        case unread
        case absent
        case text
        /// A number as its JSON text; a 64-bit float by meaning.
        case jsonNumber
        case number
        case unsigned
        case bool
        /// There, but without a text form: JSON's null.
        case null
        /// There, but without a text form: a list or an object.
        case composite
    }

    var kind: Kind
    var slice = TextSlice.empty
    /// The bits of a number, an unsigned integer or a truth value.
    var bits: UInt64 = 0

    static let unread = ExtractedValue(kind: .unread)
    static let absent = ExtractedValue(kind: .absent)
    static let null = ExtractedValue(kind: .null)
    static let composite = ExtractedValue(kind: .composite)

    @inline(__always)
    static func text(_ slice: TextSlice) -> ExtractedValue { ExtractedValue(kind: .text, slice: slice) }
    static func number(_ value: Double) -> ExtractedValue { ExtractedValue(kind: .number, bits: value.bitPattern) }
    static func bool(_ value: Bool) -> ExtractedValue { ExtractedValue(kind: .bool, bits: value ? 1 : 0) }

    var isThere: Bool { kind != .unread && kind != .absent }
}

/// An entry that waits inside a stage, with everything later stages may ask for.
final class HeldEntry {
    var text: [UInt8] = []
    var line = TextSlice.empty
    var timestamp: Int64 = 0
    var labels: LabelSet = .empty
    var origin: LabelSet = .empty
    var metadata: LabelSet = .empty
    var values: [ExtractedValue] = []
    var named: [NamedValue] = []
}

/// A value whose name no stage of the configuration mentions.
struct NamedValue: Sendable {
    var name: TextSlice
    var value: ExtractedValue
}
