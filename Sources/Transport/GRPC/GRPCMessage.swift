import Compression

/// How messages are compressed; the names are those of `grpc-encoding`.
package enum GRPCCompression: String, Sendable, CaseIterable {
    case identity, gzip, zstd, snappy, deflate

    /// What goes into `grpc-accept-encoding`.
    static let accepted = allCases.filter { $0 != .identity }.map(\.rawValue).joined(separator: ",")

    func compress(_ bytes: [UInt8]) throws(CompressionError) -> [UInt8] {
        var output: [UInt8] = []
        switch self {
        case .identity: return bytes
        case .gzip: try Gzip(level: 1).compress(bytes, into: &output)
        case .zstd: try Zstandard(level: 3).compress(bytes, into: &output)
        case .snappy: try Snappy.compressFramed(bytes, into: &output)
        case .deflate: try Deflate(.zlib).compress(bytes, into: &output)
        }
        return output
    }

    func decompress(_ bytes: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
        switch self {
        case .identity: return bytes
        case .gzip: return try Gzip.decompress(bytes, limit: limit)
        case .zstd: return try Zstandard.decompress(bytes, limit: limit)
        case .snappy: return try Snappy.decompressFramed(bytes, limit: limit)
        case .deflate: return try Deflate.decompress(bytes, limit: limit)
        }
    }
}

/// The frame around a message: one byte that says whether it is compressed, four of length.
enum GRPCFrame {
    static let headerCount = 5

    static func encode(_ message: [UInt8], isCompressed: Bool) -> [UInt8] {
        let count = UInt32(clamping: message.count)
        var frame: [UInt8] = []
        frame.reserveCapacity(message.count + headerCount)
        frame.append(isCompressed ? 1 : 0)
        for shift in [24, 16, 8, 0] as [UInt32] { frame.append(UInt8(truncatingIfNeeded: count >> shift)) }
        frame.append(contentsOf: message)
        return frame
    }

    /// The message of a body that holds exactly one frame.
    static func decode(
        _ body: [UInt8], encoding: GRPCCompression, limit: Int
    ) throws(GRPCStatus) -> [UInt8] {
        guard body.count >= headerCount else { throw GRPCStatus(.internal, "the message is missing or cut off") }
        let length = body[1..<5].reduce(0) { $0 << 8 | Int($1) }
        guard length <= limit else { throw tooLarge(length, limit) }
        guard length == body.count - headerCount else {
            throw GRPCStatus(.internal, "the message is cut off, or there is more than one")
        }
        let content = Array(body[headerCount...])
        switch body[0] {
        case 0: return content
        case 1:
            guard encoding != .identity else {
                throw GRPCStatus(.internal, "grpc: compressed flag set with identity or empty encoding")
            }
            do throws(CompressionError) {
                return try encoding.decompress(content, limit: limit)
            } catch .limitExceeded {
                throw GRPCStatus(
                    .resourceExhausted, "grpc: received message after decompression larger than max \(limit)")
            } catch {
                throw GRPCStatus(.internal, "grpc: failed to decompress the received message: \(error)")
            }
        default: throw GRPCStatus(.internal, "grpc: received unexpected payload format \(body[0])")
        }
    }

    static func tooLarge(_ length: Int, _ limit: Int) -> GRPCStatus {
        GRPCStatus(.resourceExhausted, "grpc: received message larger than max (\(length) vs. \(limit))")
    }
}

/// `grpc-timeout`: digits and a unit.
enum GRPCTimeout {
    static func encode(_ timeout: Duration) -> String {
        let parts = timeout.components
        let milliseconds = max(1, parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000)
        // Eight digits at most.
        return milliseconds < 100_000_000 ? "\(milliseconds)m" : "\(min(milliseconds / 1000, 99_999_999))S"
    }

    static func decode(_ text: String) -> Duration? {
        guard let unit = text.last, text.count <= 9, let value = Int64(text.dropLast()), value >= 0 else { return nil }
        switch unit {
        case "H": return .seconds(value * 3600)
        case "M": return .seconds(value * 60)
        case "S": return .seconds(value)
        case "m": return .milliseconds(value)
        case "u": return .microseconds(value)
        case "n": return .nanoseconds(value)
        default: return nil
        }
    }
}
