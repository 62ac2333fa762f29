import CSnappy

/// Decodes the Snappy framing format; holds at most one chunk in and one chunk out (about 140 KiB).
final class SnappyFrameEngine: DecompressionEngine {
    static let streamIdentifier: [UInt8] = [0xFF, 6, 0, 0, 0x73, 0x4E, 0x61, 0x50, 0x70, 0x59]
    /// A chunk carries at most 65,536 bytes; 76,490 is what Snappy may make of them.
    static let largestChunk = 76_490 + 4

    private var chunk: [UInt8] = []
    private var decoded: [UInt8] = []
    private var taken = 0
    /// Bytes of a skippable chunk still to pass over.
    private var skipping = 0
    private var hasIdentifier = false

    var mayEnd: Bool { hasIdentifier && chunk.isEmpty && skipping == 0 && taken == decoded.count }

    func reset() {
        chunk.removeAll(keepingCapacity: true)
        decoded.removeAll(keepingCapacity: true)
        taken = 0
        skipping = 0
        hasIdentifier = false
    }

    func step(
        _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> EngineStep {
        if taken < decoded.count {
            let count = min(output.count, decoded.count - taken)
            decoded.withBytes { bytes in
                output.copyMemory(from: bytes.sliced(from: taken, to: taken + count))
            }
            taken += count
            return EngineStep(consumed: 0, produced: count)
        }
        if skipping > 0 {
            let count = min(skipping, input.count)
            skipping -= count
            return EngineStep(consumed: count, produced: 0)
        }
        let wanted = chunk.count < 4 ? 4 : 4 + length
        let count = min(wanted - chunk.count, input.count)
        chunk.append(contentsOf: input[..<count])
        if chunk.count == 4 { try openChunk() }
        if chunk.count >= 4, chunk.count == 4 + length { try closeChunk() }
        return EngineStep(consumed: count, produced: 0)
    }

    private var length: Int { Int(chunk[1]) | Int(chunk[2]) << 8 | Int(chunk[3]) << 16 }

    private func openChunk() throws(CompressionError) {
        let kind = chunk[0]
        guard hasIdentifier || kind == 0xFF else { throw .corrupt("snappy: stream identifier missing") }
        switch kind {
        case 0x00, 0x01:
            guard length >= 4, length <= Self.largestChunk else { throw .corrupt("snappy: chunk of \(length) bytes") }
        case 0xFF:
            guard length == 6 else { throw .corrupt("snappy: stream identifier of \(length) bytes") }
        case 0x80...0xFE:
            skipping = length
            chunk.removeAll(keepingCapacity: true)
        default:
            throw .corrupt("snappy: unskippable chunk type \(kind)")
        }
    }

    private func closeChunk() throws(CompressionError) {
        let body = chunk
        chunk.removeAll(keepingCapacity: true)
        decoded.removeAll(keepingCapacity: true)
        taken = 0
        if body[0] == 0xFF {
            guard body == Self.streamIdentifier else { throw .corrupt("snappy: wrong stream identifier") }
            hasIdentifier = true
            return
        }
        try body.withBytes { (bytes) throws(CompressionError) in
            let content = bytes.sliced(from: 8, to: bytes.count)
            if body[0] == 0 {
                try Snappy.decompress(content, limit: 65_536, into: &decoded)
            } else {
                guard content.count <= 65_536 else { throw .corrupt("snappy: chunk of \(content.count) bytes") }
                decoded.append(contentsOf: content)
            }
        }
        let stated = UInt32(body[4]) | UInt32(body[5]) << 8 | UInt32(body[6]) << 16 | UInt32(body[7]) << 24
        guard decoded.withBytes({ CRC32C.masked($0) }) == stated else { throw .corrupt("snappy: checksum mismatch") }
    }
}

/// CRC-32C (Castagnoli), reflected, as the framing format uses it; four tables, four bytes a step.
enum CRC32C {
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 1024)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1 }
            tables[index] = value
        }
        for index in 256..<1024 {
            let previous = tables[index - 256]
            tables[index] = (previous >> 8) ^ tables[Int(previous & 0xFF)]
        }
        return tables
    }()

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        tables.withUnsafeBufferPointer { table in
            var value = ~UInt32(0)
            var index = 0
            while index + 4 <= bytes.count {
                value ^= UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self))
                let low = table[768 + Int(value & 0xFF)] ^ table[512 + Int((value >> 8) & 0xFF)]
                let high = table[256 + Int((value >> 16) & 0xFF)] ^ table[Int(value >> 24)]
                value = low ^ high
                index += 4
            }
            while index < bytes.count {
                value = (value >> 8) ^ table[Int((value ^ UInt32(bytes[index])) & 0xFF)]
                index += 1
            }
            return ~value
        }
    }

    /// The checksum as the framing format stores it: rotated right by 15 and offset.
    static func masked(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let value = checksum(bytes)
        return ((value >> 15) | (value << 17)) &+ 0xA282_EAD8
    }
}
