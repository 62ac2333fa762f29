import Essentials
import Glibc

/// A sorted set of unique label names with their values; values are never empty.
///
/// One flat immutable allocation holds the labels as the protobuf `labels` fields of a remote-write `TimeSeries`
/// (field 1, each a message of name = 1 and value = 2; see prompb/types.proto of Prometheus). Equality is therefore a
/// comparison of bytes, and sending a series is a copy of ``encoded``. Copies share the allocation.
///
/// Sendable, unchecked, since the allocation is never written again once it is made.
package struct LabelSet: @unchecked Sendable {
    /// Nil for the set without labels, so that copying that one, which most entries carry, counts no references.
    fileprivate let storage: Storage?

    fileprivate typealias Storage = ManagedBuffer<Header, UInt8>

    /// What stands before the bytes in the allocation.
    fileprivate struct Header {
        let hash: UInt64
        let byteCount: UInt32
        let count: UInt32
    }

    private static func makeStorage(copying source: UnsafeRawBufferPointer, count: Int) -> Storage {
        let storage = Storage.create(minimumCapacity: source.count) { _ in
            Header(hash: ByteHash.hash(source), byteCount: UInt32(source.count), count: UInt32(count))
        }
        storage.withUnsafeMutablePointerToElements { bytes in
            UnsafeMutableRawBufferPointer(start: bytes, count: source.count).copyMemory(from: source)
        }
        return storage
    }

    private static let emptyHash = ByteHash.hash(UnsafeRawBufferPointer(start: nil, count: 0))

    /// The set without labels.
    package static var empty: LabelSet { LabelSet(storage: nil) }

    fileprivate init(storage: Storage?) { self.storage = storage }

    /// Takes labels already encoded, sorted and unique. `count` is their number.
    init(encoded: UnsafeRawBufferPointer, count: Int) {
        self = encoded.isEmpty ? .empty : LabelSet(storage: Self.makeStorage(copying: encoded, count: count))
    }

    /// Sorts, drops empty values and keeps the last of equal names.
    package init(_ labels: some Sequence<(String, String)>) {
        var builder = LabelSetBuilder()
        for (name, value) in labels { builder.set(name, to: value) }
        self = builder.finish()
    }

    /// The number of labels.
    package var count: Int { Int(storage?.header.count ?? 0) }
    package var isEmpty: Bool { storage == nil }

    /// Whether both are copies of one set and so share its bytes.
    package func isCopy(of other: LabelSet) -> Bool { storage === other.storage }

    /// A hash of all bytes, computed once. Not stable between processes.
    package var hash: UInt64 { storage?.header.hash ?? Self.emptyHash }

    /// The size of ``withEncoded(_:)``'s bytes.
    package var encodedByteCount: Int { Int(storage?.header.byteCount ?? 0) }

    /// Valid as long as the storage is.
    fileprivate var bytes: UnsafeRawBufferPointer {
        guard let storage else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return storage.withUnsafeMutablePointers { header, bytes in
            UnsafeRawBufferPointer(start: bytes, count: Int(header.pointee.byteCount))
        }
    }

    /// Calls `body` with the protobuf `labels` fields; the bytes are valid until it returns.
    package func withEncoded<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(storage) { try body(bytes) }
    }

    /// True when both are the same allocation: a cheap sufficient test of equality.
    package func isIdentical(to other: LabelSet) -> Bool { storage === other.storage }

    /// An identity for caches keyed by allocation; keep the set alive as long as the key.
    package var identity: ObjectIdentifier { storage.map { ObjectIdentifier($0) } ?? ObjectIdentifier(Storage.self) }

    /// Calls `body` with each name and value in order of names; the bytes are valid until it returns.
    package func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Void)
        rethrows
    {
        try withExtendedLifetime(storage) {
            var reader = LabelReader(bytes)
            while let label = reader.next() { try body(label.name, label.value) }
        }
    }

    /// Calls `body` with the value of `name`, or with nil when there is no such label.
    package func withValue<Result>(
        of name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime(storage) {
            var reader = LabelReader(bytes)
            while let label = reader.next() {
                if LabelReader.equal(label.name, name) { return try body(label.value) }
            }
            return try body(nil)
        }
    }

    /// The value of `name` as text, or nil.
    package subscript(name: String) -> String? {
        var name = name
        return name.withUTF8 { bytes in
            withValue(of: UnsafeRawBufferPointer(bytes)) { $0.map { String(decoding: $0, as: UTF8.self) } }
        }
    }

    package func contains(_ name: String) -> Bool { self[name] != nil }

    /// Names and values as text, in order of names.
    package var pairs: [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        pairs.reserveCapacity(count)
        forEach { pairs.append((String(decoding: $0, as: UTF8.self), String(decoding: $1, as: UTF8.self))) }
        return pairs
    }
}

extension LabelSet: Hashable {
    package static func == (left: LabelSet, right: LabelSet) -> Bool {
        if left.storage === right.storage { return true }
        guard left.hash == right.hash else { return false }
        return LabelReader.equal(left.bytes, right.bytes)
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}

extension LabelSet: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral labels: (String, String)...) { self.init(labels) }
}

extension LabelSet: CustomStringConvertible {
    /// As Prometheus prints it: `{a="1", b="2"}`.
    package var description: String {
        let parts = pairs.map { pair in
            let value = pair.value.flatMap { character -> String in
                switch character {
                case "\\": "\\\\"
                case "\"": "\\\""
                case "\n": "\\n"
                default: String(character)
                }
            }
            return "\(pair.name)=\"\(String(value))\""
        }
        return "{" + parts.joined(separator: ", ") + "}"
    }
}

/// Walks the encoded form, which only this module writes.
struct LabelReader {
    private var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    mutating func next() -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)? {
        guard !rest.isEmpty else { return nil }
        var offset = 1
        _ = readVarint(&offset)
        offset += 1
        let nameLength = readVarint(&offset)
        let name = UnsafeRawBufferPointer(rebasing: rest[offset..<offset + nameLength])
        offset += nameLength + 1
        let valueLength = readVarint(&offset)
        let value = UnsafeRawBufferPointer(rebasing: rest[offset..<offset + valueLength])
        rest = UnsafeRawBufferPointer(rebasing: rest[(offset + valueLength)...])
        return (name, value)
    }

    private func readVarint(_ offset: inout Int) -> Int {
        var result = 0
        var shift = 0
        while true {
            let byte = Int(rest[offset])
            offset += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
    }

    @inline(__always)
    static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        guard let left = a.baseAddress, let right = b.baseAddress else { return true }
        return memcmp(left, right, a.count) == 0
    }
}
