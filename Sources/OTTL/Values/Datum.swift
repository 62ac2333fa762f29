import TextFormats
import Wire

/// A value while a statement runs: read in place where that is possible, owned where it was computed.
///
/// Views are valid until the record goes.
enum Datum {
    case none
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case text(UnsafeRawBufferPointer)
    case ownText([UInt8])
    case data(UnsafeRawBufferPointer)
    case ownData([UInt8])
    case list(OTLPList)
    case ownList([OTLPAnyValue])
    case map(OTLPMap)
    case attributes(OTLPAttributes)
    case ownMap(OTLPAnyValue.Map)
    indirect case time(GoTime)
    /// Nanoseconds.
    case duration(Int64)
    /// Messages that are no value, such as the events of a span: to be compared, counted and set as a whole.
    case messages(MessageKind, [[UInt8]])

    enum MessageKind: String {
        case events, links, status, exemplars, buckets
        case dataPoints = "data points"
        case quantiles = "quantile values"
    }

    /// A value read in place; an empty one is nothing.
    init(_ value: OTLPValue) {
        switch value {
        case .empty: self = .none
        case .string(let bytes): self = .text(bytes)
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .array(let list): self = .list(list)
        case .map(let map): self = .map(map)
        case .bytes(let bytes): self = .data(bytes)
        }
    }

    init(_ value: OTLPValue?) { self = value.map { Datum($0) } ?? .none }

    init(_ value: OTLPAnyValue) {
        switch value {
        case .empty: self = .none
        case .string(let bytes): self = .ownText(bytes)
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(value)
        case .double(let value): self = .double(value)
        case .array(let list): self = .ownList(list)
        case .map(let map): self = .ownMap(map)
        case .bytes(let bytes): self = .ownData(bytes)
        }
    }

    init(_ value: OTLPAnyValue?) { self = value.map { Datum($0) } ?? .none }

    static func string(_ text: String) -> Datum { .ownText(Array(text.utf8)) }

    var isNone: Bool {
        if case .none = self { return true }
        return false
    }

    /// How the type is called in errors.
    var typeName: String {
        switch self {
        case .none: "nil"
        case .bool: "bool"
        case .int: "int"
        case .double: "double"
        case .text, .ownText: "string"
        case .data, .ownData: "bytes"
        case .list, .ownList: "list"
        case .map, .attributes, .ownMap: "map"
        case .time: "time"
        case .duration: "duration"
        case .messages(let kind, _): kind.rawValue
        }
    }

    /// Calls `body` with the bytes of a string; nil for any other kind.
    @inline(__always)
    func withText<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result? {
        switch self {
        case .text(let bytes): try body(bytes)
        case .ownText(let bytes): try bytes.withUnsafeBytes(body)
        default: nil
        }
    }

    /// Calls `body` with the bytes of a byte string; nil for any other kind.
    @inline(__always)
    func withData<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result? {
        switch self {
        case .data(let bytes): try body(bytes)
        case .ownData(let bytes): try bytes.withUnsafeBytes(body)
        default: nil
        }
    }

    /// The bytes of a string; nil for any other kind.
    var textBytes: [UInt8]? { withText { Array($0) } }

    /// The bytes of a byte string; nil for any other kind.
    var dataBytes: [UInt8]? { withData { Array($0) } }

    /// The elements of a list; nil for any other kind.
    var elements: [OTLPAnyValue]? {
        switch self {
        case .list(let list):
            var elements: [OTLPAnyValue] = []
            list.forEach { elements.append(OTLPAnyValue($0)) }
            return elements
        case .ownList(let elements): return elements
        default: return nil
        }
    }

    /// The entries of a map; nil for any other kind.
    var entries: OTLPAnyValue.Map? {
        switch self {
        case .map(let map): OTLPAnyValue.Map(map)
        case .attributes(let attributes): attributes.map
        case .ownMap(let map): map
        default: nil
        }
    }

    /// The value as attributes can hold it; throws for times, durations and messages.
    func stored() throws -> OTLPAnyValue {
        switch self {
        case .none: .empty
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .double(let value): .double(value)
        case .text(let bytes): .string(Array(bytes))
        case .ownText(let bytes): .string(bytes)
        case .data(let bytes): .bytes(Array(bytes))
        case .ownData(let bytes): .bytes(bytes)
        case .list(let list): OTLPAnyValue(.array(list))
        case .ownList(let elements): .array(elements)
        case .map(let map): OTLPAnyValue(.map(map))
        case .attributes(let attributes): .map(attributes.map)
        case .ownMap(let map): .map(map)
        case .time: throw OTTLError("a time cannot be stored: convert it with UnixNano or FormatTime")
        case .duration: throw OTTLError("a duration cannot be stored: convert it with Nanoseconds or Seconds")
        case .messages(let kind, _): throw OTTLError("\(kind.rawValue) cannot be stored in an attribute or value")
        }
    }

    /// The value where it can be written without a copy of its own; nil for the others.
    @inline(__always)
    var inPlace: OTLPValue? {
        switch self {
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .double(let value): .double(value)
        case .text(let bytes): .string(bytes)
        case .data(let bytes): .bytes(bytes)
        case .list(let list): .array(list)
        case .map(let map): .map(map)
        default: nil
        }
    }
}
