import Compression
import Essentials

/// Puts the chunks of GELF messages together and takes compression off.
///
/// Format: GELF 1.1 over UDP, "GELF via UDP" of Graylog's documentation: a chunk begins with 0x1E 0x0F, eight bytes that
/// name the message, its number and how many there are, at most 128; chunks of a message that is not complete after
/// five seconds are dropped. Messages are plain JSON, gzip or zlib.
struct GELFAssembler {
    /// Why a datagram, or the message it completed, was dropped.
    enum Failure: Error, Equatable, CustomStringConvertible {
        case malformedChunk
        case tooManyMessages
        case compression(CompressionError)

        var description: String {
            switch self {
            case .malformedChunk: "malformed chunk"
            case .tooManyMessages: "chunks of too many messages at a time"
            case .compression(let error): "\(error)"
            }
        }
    }

    private struct Partial {
        var chunks: [[UInt8]?]
        var missing: Int
        var bytes = 0
        var deadline: Int64
    }

    private struct Key: Hashable {
        var id: UInt64
        var sender: String
    }

    private static let maximumChunks = 128
    private static let patience: Int64 = 5_000_000_000
    /// Bytes of chunks that wait for others, and of a message once it is decompressed.
    static let maximumBytes = 8 << 20

    private var partials: [Key: Partial] = [:]
    private(set) var heldBytes = 0

    /// Takes a datagram; returns the message it is or completes. `now` is on the monotonic clock.
    mutating func add(_ datagram: [UInt8], from sender: String, now: Int64) throws(Failure) -> [UInt8]? {
        guard datagram.count >= 2, datagram[0] == 0x1E, datagram[1] == 0x0F else { return try Self.inflate(datagram) }
        guard datagram.count > 12 else { throw .malformedChunk }
        let number = Int(datagram[10])
        let count = Int(datagram[11])
        guard count >= 1, count <= Self.maximumChunks, number < count else { throw .malformedChunk }
        let key = Key(
            id: datagram.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 2, as: UInt64.self) }, sender: sender)
        var partial =
            partials.removeValue(forKey: key)
            ?? Partial(chunks: Array(repeating: nil, count: count), missing: count, deadline: now &+ Self.patience)
        heldBytes -= partial.bytes
        guard partial.chunks.count == count else { throw .malformedChunk }
        if partial.chunks[number] == nil {
            partial.missing -= 1
            partial.chunks[number] = Array(datagram[12...])
            partial.bytes += datagram.count + 64
        }
        if partial.missing == 0 { return try Self.inflate(partial.chunks.flatMap { $0 ?? [] }) }
        guard heldBytes + partial.bytes <= Self.maximumBytes else { throw .tooManyMessages }
        heldBytes += partial.bytes
        partials[key] = partial
        return nil
    }

    /// Drops messages whose time is over and returns how many.
    mutating func expire(now: Int64) -> Int {
        let before = partials.count
        partials = partials.filter { $0.value.deadline > now }
        if partials.count != before { heldBytes = partials.values.reduce(0) { $0 + $1.bytes } }
        return before - partials.count
    }

    private static func inflate(_ bytes: [UInt8]) throws(Failure) -> [UInt8] {
        guard bytes.count >= 2 else { return bytes }
        do throws(CompressionError) {
            if bytes[0] == 0x1F, bytes[1] == 0x8B { return try Gzip.decompress(bytes, limit: maximumBytes) }
            let isZlib = bytes[0] == 0x78 && (Int(bytes[0]) * 256 + Int(bytes[1])) % 31 == 0
            if isZlib { return try Deflate.decompress(bytes, .zlib, limit: maximumBytes) }
        } catch {
            throw .compression(error)
        }
        return bytes
    }
}
