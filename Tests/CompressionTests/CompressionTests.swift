import Foundation
import Testing

@testable import Compression

/// Deterministic bytes: text with some repetition and some noise.
private func sample(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    var bytes: [UInt8] = []
    while bytes.count < count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        if state >> 62 == 0 {
            bytes.append(contentsOf: (0..<8).map { UInt8(truncatingIfNeeded: state >> ($0 * 8)) })
        } else {
            bytes.append(contentsOf: Array("level=info msg=\"request served\" status=200 \(state >> 58)\n".utf8))
        }
    }
    return Array(bytes.prefix(count))
}

private func compressed(_ format: CompressionFormat, _ bytes: [UInt8]) throws -> [UInt8] {
    var output: [UInt8] = []
    switch format {
    case .gzip: try Gzip().compress(bytes, into: &output)
    case .zlib: try Deflate(.zlib).compress(bytes, into: &output)
    case .rawDeflate: try Deflate(.raw).compress(bytes, into: &output)
    case .zstandard: try Zstandard().compress(bytes, into: &output)
    case .bzip2: try Bzip2().compress(bytes, into: &output)
    case .snappyFramed: try Snappy.compressFramed(bytes, into: &output)
    }
    return output
}

private func decompressed(_ format: CompressionFormat, _ bytes: [UInt8], limit: Int = 1 << 24) throws -> [UInt8] {
    switch format {
    case .gzip: try Gzip.decompress(bytes, limit: limit)
    case .zlib: try Deflate.decompress(bytes, .zlib, limit: limit)
    case .rawDeflate: try Deflate.decompress(bytes, .raw, limit: limit)
    case .zstandard: try Zstandard.decompress(bytes, limit: limit)
    case .bzip2: try Bzip2.decompress(bytes, limit: limit)
    case .snappyFramed: try Snappy.decompressFramed(bytes, limit: limit)
    }
}

private func streamed(_ format: CompressionFormat, _ bytes: [UInt8], chunk: Int, atMost: Int) throws -> [UInt8] {
    let decoder = try StreamingDecompressor(format)
    var output: [UInt8] = []
    var offset = 0
    while offset < bytes.count {
        decoder.push(Array(bytes[offset..<min(bytes.count, offset + chunk)]))
        offset += chunk
        while true {
            var piece: [UInt8] = []
            let count = try decoder.pull(into: &piece, atMost: atMost)
            #expect(count == piece.count && count <= atMost)
            if count == 0 { break }
            output += piece
        }
    }
    try decoder.finish()
    return output
}

@Suite("Compression")
struct CompressionTests {
    @Test("Every format gives back what it was given", arguments: CompressionFormat.allCases)
    func roundTrips(format: CompressionFormat) throws {
        for count in [0, 1, 3, 100, 65_535, 65_536, 65_537, 400_000] {
            let bytes = sample(count)
            let packed = try compressed(format, bytes)
            #expect(try decompressed(format, packed) == bytes, "\(format) \(count)")
            #expect(try streamed(format, packed, chunk: 1000, atMost: 700) == bytes)
        }
        let packed = try compressed(format, sample(5000))
        #expect(try streamed(format, packed, chunk: 1, atMost: 1) == sample(5000))
    }

    @Test("A context compresses again after use")
    func contextsAreReusable() throws {
        let gzip = Gzip(level: 9)
        let zstd = try Zstandard(level: 1)
        for seed in 1...3 {
            let bytes = sample(10_000, seed: UInt64(seed))
            var output: [UInt8] = []
            try gzip.compress(bytes, into: &output)
            #expect(try Gzip.decompress(output, limit: 20_000) == bytes)
            output.removeAll(keepingCapacity: true)
            try zstd.compress(bytes, into: &output)
            #expect(try Zstandard.decompress(output, limit: 20_000) == bytes)
        }
    }

    @Test("Output stops at the limit and not one byte before", arguments: CompressionFormat.allCases)
    func limit(format: CompressionFormat) throws {
        let packed = try compressed(format, [UInt8](repeating: 0x61, count: 1 << 20))
        #expect(try decompressed(format, packed, limit: 1 << 20).count == 1 << 20)
        for limit in [0, 1, 65_535, 65_536, (1 << 20) - 1] {
            #expect(throws: CompressionError.limitExceeded(limit)) { try decompressed(format, packed, limit: limit) }
        }
    }

    @Test("A stream cut anywhere is an error and never a trap", arguments: CompressionFormat.allCases)
    func truncation(format: CompressionFormat) throws {
        let packed = try compressed(format, sample(3000))
        var step = 1
        var cut = 0
        while cut < packed.count {
            // The identifier alone is a whole, empty framed stream.
            if format != .snappyFramed || cut != 10 {
                #expect(throws: CompressionError.self) { try decompressed(format, Array(packed[..<cut])) }
            }
            cut += step
            step = cut < 64 ? 1 : 7
        }
    }

    @Test("Flipped bytes never trap and stay within the limit", arguments: CompressionFormat.allCases)
    func corruption(format: CompressionFormat) throws {
        let packed = try compressed(format, sample(2000))
        for index in 0..<packed.count {
            var damaged = packed
            damaged[index] ^= 0x55
            if let output = try? decompressed(format, damaged, limit: 100_000) { #expect(output.count <= 100_000) }
        }
        #expect(throws: CompressionError.self) { try decompressed(format, [UInt8](repeating: 0xEE, count: 300)) }
    }

    @Test(
        "Members and frames that follow each other are one stream",
        arguments: [
            CompressionFormat.gzip, .zstandard, .bzip2, .snappyFramed,
        ])
    func concatenation(format: CompressionFormat) throws {
        let packed = try compressed(format, sample(1000)) + compressed(format, sample(500, seed: 9))
        #expect(try decompressed(format, packed) == sample(1000) + sample(500, seed: 9))
        #expect(try streamed(format, packed, chunk: 3, atMost: 64) == sample(1000) + sample(500, seed: 9))
    }

    @Test("Garbage after a gzip member is refused")
    func trailingGarbage() throws {
        let packed = try compressed(.gzip, sample(10)) + [1, 2, 3, 4]
        #expect(throws: CompressionError.self) { try Gzip.decompress(packed, limit: 1000) }
    }

    @Test(
        "gzip made by another implementation is read",
        arguments: [
            // python3: gzip.compress(b"hello", mtime=0), zlib.compress(b"hello"), bz2.compress(b"hello")
            (CompressionFormat.gzip, "1f8b08000000000002ffcb48cdc9c9070086a6103605000000"),
            (.zlib, "789ccb48cdc9c90700062c0215"),
            (.bzip2, "425a68393141592653591931653d00000081000244a000219a68334d07338bb9229c28480c98b29e80"),
        ])
    func foreign(format: CompressionFormat, hex: String) throws {
        let digits = Array(hex.filter { $0 != " " })
        let bytes = stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16) ?? 0 }
        #expect(try decompressed(format, bytes) == Array("hello".utf8))
    }

    @Test("A flush lets the reader decode all that was written")
    func streamingEncoder() throws {
        let encoder = StreamingGzipEncoder()
        let decoder = try StreamingDecompressor(.gzip)
        var seen: [UInt8] = []
        for part in 0..<5 {
            var wire: [UInt8] = []
            try encoder.write(sample(3000, seed: UInt64(part)), into: &wire)
            try encoder.flush(into: &wire)
            decoder.push(wire)
            while try decoder.pull(into: &seen) > 0 {}
            #expect(seen.count == 3000 * (part + 1))
        }
        #expect(throws: CompressionError.truncated) { try decoder.finish() }
        var tail: [UInt8] = []
        try encoder.finish(into: &tail)
        decoder.push(tail)
        #expect(try decoder.pull(into: &seen) == 0)
        try decoder.finish()
        decoder.reset()
        var wire: [UInt8] = []
        try encoder.write(sample(10), into: &wire)
        try encoder.finish(into: &wire)
        var again: [UInt8] = []
        try wire.withUnsafeBytes { try decoder.decompress($0, into: &again) }
        #expect(again == sample(10))
    }

    @Test("A snappy block that lies about its length is refused")
    func snappyBlocks() throws {
        for count in [0, 1, 60, 100_000] {
            var packed: [UInt8] = []
            try Snappy.compress(sample(count), into: &packed)
            #expect(try Snappy.decompress(packed, limit: count) == sample(count))
            if count > 0 {
                #expect(throws: CompressionError.limitExceeded(count - 1)) {
                    try Snappy.decompress(packed, limit: count - 1)
                }
                #expect(throws: CompressionError.self) { try Snappy.decompress(packed.dropLast(), limit: count) }
            }
        }
        #expect(throws: CompressionError.self) {
            try Snappy.decompress([0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0], limit: .max)
        }
        #expect(throws: CompressionError.truncated) { try Snappy.decompress([], limit: 10) }
    }

    @Test("CRC-32C agrees with the vectors of RFC 3720")
    func crc() {
        let check = { (bytes: [UInt8]) in bytes.withUnsafeBytes { CRC32C.checksum($0) } }
        #expect(check([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(check([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(check((0..<32).map { UInt8($0) }) == 0x46DD_794E)
        #expect(check(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test("A zstd frame with a window over the cap is refused")
    func windowCap() throws {
        let packed = try compressed(.zstandard, sample(10_000))
        #expect(try Zstandard.decompress(packed, limit: 20_000, maximumWindowLog: 14).count == 10_000)
        // Magic, descriptor without single segment, window descriptor for 1 GiB.
        let bomb: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 20 << 3, 1, 0, 0]
        #expect(throws: CompressionError.self) { try Zstandard.decompress(bomb, limit: 20_000) }
    }
}
