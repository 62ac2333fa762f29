import Essentials
import Glibc
import TextFormats

/// Reads a MaxMind database (MaxMind DB File Format Specification 2.0), held in memory as a whole.
///
/// Every offset and length of the file is checked; a damaged file gives errors, never more than its own size of work.
final class MaxMindDatabase: Sendable {
    struct Invalid: Error, CustomStringConvertible {
        let message: String
        var description: String { message }
    }

    private let bytes: [UInt8]
    private let nodeCount: Int
    private let recordSize: Int
    private let treeSize: Int
    private let isIPv6: Bool
    /// Where addresses of 32 bits begin in a tree of 128.
    private let ipv4Root: Int
    /// One past the last byte of the data section.
    private let dataEnd: Int

    private static let marker: [UInt8] = [0xAB, 0xCD, 0xEF] + Array("MaxMind.com".utf8)
    private static let maximumDepth = 64
    private static let maximumValues = 10_000

    convenience init(path: String) throws {
        let bytes: [UInt8]
        do {
            bytes = try Files.read(path, limit: .mebibytes(1024))
        } catch {
            throw Invalid(message: "open \(path): \(error)")
        }
        try self.init(bytes)
    }

    init(_ bytes: [UInt8]) throws(Invalid) {
        self.bytes = bytes
        guard let start = Self.findMetadata(bytes) else {
            throw Invalid(message: "error opening database: invalid MaxMind DB file")
        }
        dataEnd = start - Self.marker.count
        var budget = Self.maximumValues
        var offset = start
        let metadata = try Self.value(bytes, &offset, base: start, end: bytes.count, depth: 0, &budget)
        guard let nodes = metadata["node_count"]?.intValue, let size = metadata["record_size"]?.intValue,
            let version = metadata["ip_version"]?.intValue, nodes >= 0, nodes < Int64(bytes.count),
            [24, 28, 32].contains(size), version == 4 || version == 6
        else { throw Invalid(message: "the MaxMind DB file's metadata is damaged") }
        nodeCount = Int(nodes)
        recordSize = Int(size)
        treeSize = nodeCount * recordSize / 4
        isIPv6 = version == 6
        guard treeSize + 16 <= dataEnd else { throw Invalid(message: "the MaxMind DB file's search tree is damaged") }
        var node = 0
        if version == 6 {
            for _ in 0..<96 where node < nodeCount {
                node = Self.record(bytes, node, right: false, size: recordSize)
            }
        }
        ipv4Root = node
    }

    private static func findMetadata(_ bytes: [UInt8]) -> Int? {
        let first = max(0, bytes.count - (128 << 10) - marker.count)
        var index = bytes.count - marker.count
        while index >= first, index >= 0 {
            if bytes[index..<index + marker.count].elementsEqual(marker) { return index + marker.count }
            index -= 1
        }
        return nil
    }

    /// The offset of the data about `address` (IPv4 or IPv6 text), nil when there is none. Throws when the text is no
    /// address the database can hold.
    func find(_ address: UnsafeRawBufferPointer) throws(Invalid) -> Int? {
        guard let (bits, isIPv4) = Self.parse(address) else {
            throw Invalid(message: "source is not an ip")
        }
        if !isIPv4, !isIPv6 {
            throw Invalid(message: "an IPv6 address cannot be looked up in an IPv4-only database")
        }
        var node = isIPv4 ? ipv4Root : 0
        for byte in bits {
            for place in (0..<8).reversed() {
                if node >= nodeCount { break }
                node = Self.record(bytes, node, right: byte >> UInt8(place) & 1 == 1, size: recordSize)
            }
            if node >= nodeCount { break }
        }
        if node == nodeCount { return nil }
        guard node > nodeCount else { throw Invalid(message: "the MaxMind DB file's search tree is damaged") }
        let offset = treeSize + node - nodeCount
        guard offset >= treeSize + 16, offset < dataEnd else {
            throw Invalid(message: "the MaxMind DB file's search tree is damaged")
        }
        return offset
    }

    /// The data at an offset that ``find(_:)`` gave.
    func record(at offset: Int) throws(Invalid) -> JSONValue {
        var offset = offset
        var budget = Self.maximumValues
        return try Self.value(bytes, &offset, base: treeSize + 16, end: dataEnd, depth: 0, &budget)
    }

    private static func parse(_ text: UnsafeRawBufferPointer) -> (bits: [UInt8], isIPv4: Bool)? {
        guard text.count < 64, !text.contains(0) else { return nil }
        let address = text.string
        var four = in_addr()
        if inet_pton(AF_INET, address, &four) == 1 { return (withUnsafeBytes(of: &four) { Array($0) }, true) }
        var six = in6_addr()
        guard inet_pton(AF_INET6, address, &six) == 1 else { return nil }
        let bits = withUnsafeBytes(of: &six) { Array($0) }
        let isMapped = bits[0..<10].allSatisfy { $0 == 0 } && bits[10] == 0xFF && bits[11] == 0xFF
        return isMapped ? (Array(bits[12...]), true) : (bits, false)
    }

    /// One side of a node; the caller has checked that the node lies in the tree and the tree in the file.
    private static func record(_ bytes: [UInt8], _ node: Int, right: Bool, size: Int) -> Int {
        let base = node * size / 4
        func number(_ start: Int, _ count: Int) -> Int { bytes[start..<start + count].reduce(0) { $0 << 8 | Int($1) } }
        switch size {
        case 24: return number(base + (right ? 3 : 0), 3)
        case 28:
            let middle = Int(bytes[base + 3])
            return right ? (middle & 0x0F) << 24 | number(base + 4, 3) : (middle & 0xF0) << 20 | number(base, 3)
        default: return number(base + (right ? 4 : 0), 4)
        }
    }

    // MARK: Data

    private static func value(
        _ bytes: [UInt8], _ offset: inout Int, base: Int, end: Int, depth: Int, _ budget: inout Int
    ) throws(Invalid) -> JSONValue {
        let damaged = Invalid(message: "the MaxMind DB file's data section contains bad data")
        budget -= 1
        guard budget > 0, depth < maximumDepth, offset >= 0, offset < end else { throw damaged }
        let control = bytes[offset]
        offset += 1
        var type = Int(control >> 5)
        func number(_ count: Int) throws(Invalid) -> UInt64 {
            guard count >= 0, count <= 8, offset <= end - count else { throw damaged }
            defer { offset += count }
            return bytes[offset..<offset + count].reduce(0) { $0 << 8 | UInt64($1) }
        }
        if type == 1 {
            let width = Int(control >> 3) & 3
            let low = width == 3 ? 0 : UInt64(control & 7)
            let rest = try number(width + 1)
            let value = low << UInt64(8 * (width + 1)) | rest
            let bias: UInt64 = [0, 2048, 526_336, 0][width]
            guard value + bias < UInt64(end) else { throw damaged }
            var target = base + Int(value + bias)
            // A pointer may not lead to another.
            guard target < end, bytes[target] >> 5 != 1 else { throw damaged }
            return try Self.value(bytes, &target, base: base, end: end, depth: depth + 1, &budget)
        }
        if type == 0 { type = Int(try number(1)) + 7 }
        var size = Int(control & 31)
        switch size {
        case 29: size = 29 + Int(try number(1))
        case 30: size = 285 + Int(try number(2))
        case 31: size = 65_821 + Int(try number(3))
        default: break
        }
        switch type {
        case 2, 4:
            guard size <= end - offset else { throw damaged }
            defer { offset += size }
            return .string(String(decoding: bytes[offset..<offset + size], as: UTF8.self))
        case 3:
            guard size == 8 else { throw damaged }
            return .double(Double(bitPattern: try number(8)))
        case 5, 6, 9: return .number(JSONNumber(try number(size)))
        case 8:
            let raw = try number(size)
            guard size <= 4 else { throw damaged }
            return .number(JSONNumber(size == 4 ? Int64(Int32(truncatingIfNeeded: raw)) : Int64(raw)))
        case 10:
            guard size <= 16 else { throw damaged }
            if size <= 8 { return .number(JSONNumber(try number(size))) }
            let high = try number(size - 8)
            let low = try number(8)
            return .double(Double(high) * 0x1p64 + Double(low))
        case 7:
            var object = JSONObject()
            for _ in 0..<size {
                guard case .string(let key) = try value(bytes, &offset, base: base, end: end, depth: depth + 1, &budget)
                else { throw damaged }
                object[key] = try value(bytes, &offset, base: base, end: end, depth: depth + 1, &budget)
            }
            return .object(object)
        case 11:
            var array: [JSONValue] = []
            for _ in 0..<size {
                array.append(try value(bytes, &offset, base: base, end: end, depth: depth + 1, &budget))
            }
            return .array(array)
        case 14: return .bool(size != 0)
        case 15:
            guard size == 4 else { throw damaged }
            return .double(Double(Float(bitPattern: UInt32(try number(4)))))
        default: throw damaged
        }
    }
}
