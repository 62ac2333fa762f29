/// LZ4 frames (`lz4_Frame_format.md`, 1.6.x), as OTLP clients may send them: decompressing only.
///
/// Frames may follow each other and be mixed with skippable ones. Every checksum that is there is checked. Frames that need
/// a dictionary and the format before frames are refused.
package enum LZ4 {
    private static let frameMagic: UInt32 = 0x184D_2204
    private static let skippableMagics: ClosedRange<UInt32> = 0x184D_2A50...0x184D_2A5F
    /// Matches reach back no further.
    private static let windowSize = 65_535
    private static let minimumMatch = 4

    /// Decompresses all frames; output past `limit` bytes is refused.
    package static func decompressFrames(_ bytes: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
        try bytes.withBytes { (raw) throws(CompressionError) in try decompressFrames(raw, limit: limit) }
    }

    /// Decompresses all frames; output past `limit` bytes is refused.
    package static func decompressFrames(
        _ bytes: UnsafeRawBufferPointer, limit: Int
    ) throws(CompressionError) -> [UInt8] {
        var output: [UInt8] = []
        var input = LittleEndianInput(bytes)
        repeat {
            let magic = try input.word()
            if skippableMagics.contains(magic) {
                _ = try input.take(Int(try input.word()))
            } else if magic == frameMagic {
                try decompressFrame(&input, limit, &output)
            } else {
                throw .corrupt("lz4: not a frame")
            }
        } while !input.isAtEnd
        return output
    }

    private struct Descriptor {
        var hasIndependentBlocks: Bool
        var hasBlockChecksums: Bool
        var hasContentChecksum: Bool
        var contentSize: UInt64?
        var largestBlock: Int
    }

    private static func descriptor(_ input: inout LittleEndianInput) throws(CompressionError) -> Descriptor {
        let start = input.position
        let flags = try input.byte()
        let blocks = try input.byte()
        guard flags >> 6 == 1, flags & 0x02 == 0 else { throw .corrupt("lz4: unknown version of frames") }
        guard flags & 0x01 == 0 else { throw .corrupt("lz4: frame with a dictionary") }
        let size = Int(blocks >> 4 & 0x07)
        guard blocks & 0x8F == 0, size >= 4 else { throw .corrupt("lz4: block size") }
        var contentSize: UInt64?
        if flags & 0x08 != 0 {
            let low = try input.word()
            contentSize = UInt64(try input.word()) << 32 | UInt64(low)
        }
        let sum = XXHash32.hash(input.bytes(from: start, to: input.position))
        guard try input.byte() == UInt8(truncatingIfNeeded: sum >> 8) else { throw .corrupt("lz4: header checksum") }
        return Descriptor(
            hasIndependentBlocks: flags & 0x20 != 0, hasBlockChecksums: flags & 0x10 != 0,
            hasContentChecksum: flags & 0x04 != 0, contentSize: contentSize, largestBlock: 1 << (8 + 2 * size))
    }

    private static func decompressFrame(
        _ input: inout LittleEndianInput, _ limit: Int, _ output: inout [UInt8]
    ) throws(CompressionError) {
        let frame = try descriptor(&input)
        let start = output.count
        if let size = frame.contentSize, size > UInt64(limit - start) { throw .limitExceeded(limit) }
        while true {
            let word = try input.word()
            if word == 0 { break }
            let size = Int(word & 0x7FFF_FFFF)
            guard size <= frame.largestBlock else { throw .corrupt("lz4: block of \(size) bytes") }
            let block = try input.take(size)
            if frame.hasBlockChecksums, try input.word() != XXHash32.hash(block) {
                throw .corrupt("lz4: block checksum")
            }
            let room = min(frame.largestBlock, limit - output.count)
            if word >> 31 != 0 {
                guard block.count <= room else { throw .limitExceeded(limit) }
                output.append(contentsOf: block)
                continue
            }
            let floor = frame.hasIndependentBlocks ? output.count : max(start, output.count - windowSize)
            let written = output.count + room
            do throws(CompressionError) {
                try decompressBlock(block, floor: floor, end: written, &output)
            } catch .limitExceeded {
                guard written < limit else { throw .limitExceeded(limit) }
                throw .corrupt("lz4: block with more than its size")
            }
        }
        let content = output.count - start
        if let size = frame.contentSize, size != UInt64(content) { throw .corrupt("lz4: content size") }
        if frame.hasContentChecksum {
            let sum = output.withUnsafeBytes { XXHash32.hash(UnsafeRawBufferPointer(rebasing: $0[start...])) }
            guard try input.word() == sum else { throw .corrupt("lz4: content checksum") }
        }
    }

    /// Appends a block's bytes to `output`, up to a count of `end`; matches begin at `floor` or after it.
    private static func decompressBlock(
        _ block: UnsafeRawBufferPointer, floor: Int, end: Int, _ output: inout [UInt8]
    ) throws(CompressionError) {
        var input = LittleEndianInput(block)
        while true {
            let token = try input.byte()
            let literals = try input.take(try length(Int(token >> 4), &input))
            guard literals.count <= end - output.count else { throw .limitExceeded(end) }
            output.append(contentsOf: literals)
            // The last sequence has literals only.
            if input.isAtEnd { return }
            let low = try input.byte()
            let offset = Int(try input.byte()) << 8 | Int(low)
            let count = try length(Int(token & 0x0F), &input) + minimumMatch
            guard offset > 0, output.count - offset >= floor else { throw .corrupt("lz4: match before the beginning") }
            guard count <= end - output.count else { throw .limitExceeded(end) }
            repeatBytes(count, offset, &output)
        }
    }

    /// Appends `count` bytes found `offset` bytes before the end, which may include those being appended.
    private static func repeatBytes(_ count: Int, _ offset: Int, _ output: inout [UInt8]) {
        let source = output.count - offset
        if offset >= count {
            output.append(contentsOf: output[source..<source + count])
            return
        }
        output.reserveCapacity(output.count + count)
        for index in source..<source + count { output.append(output[index]) }
    }

    /// A length of which the token says the first 15.
    private static func length(_ first: Int, _ input: inout LittleEndianInput) throws(CompressionError) -> Int {
        guard first == 15 else { return first }
        var length = first
        while true {
            let next = try input.byte()
            length += Int(next)
            if next != 255 { return length }
        }
    }
}

/// Reads bytes and little-endian words from a buffer.
private struct LittleEndianInput {
    private let raw: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ raw: UnsafeRawBufferPointer) { self.raw = raw }

    var isAtEnd: Bool { position == raw.count }

    mutating func byte() throws(CompressionError) -> UInt8 {
        guard position < raw.count else { throw .truncated }
        defer { position += 1 }
        return raw[position]
    }

    mutating func word() throws(CompressionError) -> UInt32 {
        guard raw.count - position >= 4 else { throw .truncated }
        defer { position += 4 }
        return UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: position, as: UInt32.self))
    }

    mutating func take(_ count: Int) throws(CompressionError) -> UnsafeRawBufferPointer {
        guard raw.count - position >= count else { throw .truncated }
        defer { position += count }
        return bytes(from: position, to: position + count)
    }

    func bytes(from start: Int, to end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: raw[start..<end])
    }
}
