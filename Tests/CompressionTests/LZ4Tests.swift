import Testing

@testable import Compression

@Suite("LZ4 frames")
struct LZ4Tests {
    private func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { XXHash32.hash($0) } }

    private func little(_ word: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }

    /// A frame of compressed blocks (or verbatim ones), with every checksum.
    private func frame(_ blocks: [[UInt8]], isVerbatim: Bool = false, linked: Bool = true, content: [UInt8]) -> [UInt8]
    {
        let descriptor: [UInt8] =
            [0x40 | 0x10 | 0x08 | 0x04 | (linked ? 0 : 0x20), 0x40]
            + little(UInt32(content.count)) + little(0)
        var bytes = little(0x184D_2204) + descriptor + [UInt8(truncatingIfNeeded: checksum(descriptor) >> 8)]
        for block in blocks {
            bytes += little(UInt32(block.count) | (isVerbatim ? 0x8000_0000 : 0)) + block + little(checksum(block))
        }
        return bytes + little(0) + little(checksum(content))
    }

    private let abc = Array("abcabcabcabcX".utf8)
    /// `abc` as literals, nine bytes from three before, `X` as the last literal.
    private let abcBlock: [UInt8] = [0x35] + Array("abc".utf8) + [3, 0] + [0x10] + Array("X".utf8)

    @Test("xxHash32 has its published values")
    func hashes() {
        #expect(checksum([]) == 0x02CC_5D05)
        #expect(checksum(Array("a".utf8)) == 0x550D_7456)
        #expect(checksum(Array("abc".utf8)) == 0x32D1_53FF)
        #expect(checksum(Array("Nobody inspects the spammish repetition".utf8)) == 0xE229_3B2F)
    }

    @Test("Blocks, verbatim blocks, long lengths, skippable frames and frames in a row")
    func reading() throws {
        let one = frame([abcBlock], content: abc)
        #expect(try LZ4.decompressFrames(one, limit: 100) == abc)
        #expect(try LZ4.decompressFrames(frame([abc], isVerbatim: true, content: abc), limit: 100) == abc)
        let skipped = little(0x184D_2A53) + little(2) + [1, 2]
        #expect(try LZ4.decompressFrames(skipped + one + one, limit: 100) == abc + abc)
        let zeros = [UInt8](repeating: 0, count: 1 + 4 + 15 + 255 + 7)
        let long = frame([[0x1F, 0, 1, 0, 255, 7, 0x00]], content: zeros)
        #expect(try LZ4.decompressFrames(long, limit: 1000) == zeros)
        // The second block reaches into the first.
        let reaching: [UInt8] = [0x00, 13, 0, 0x00]
        let linked = frame([abcBlock, reaching], content: abc + abc[..<4])
        #expect(try LZ4.decompressFrames(linked, limit: 100) == abc + abc[..<4])
        #expect(throws: CompressionError.self) {
            try LZ4.decompressFrames(frame([abcBlock, reaching], linked: false, content: abc + abc[..<4]), limit: 100)
        }
    }

    @Test("The limit holds, and whatever is cut or changed is refused or at least bounded")
    func hostile() throws {
        let good = frame([abcBlock], content: abc)
        #expect(throws: CompressionError.limitExceeded(12)) { try LZ4.decompressFrames(good, limit: 12) }
        for count in 0..<good.count {
            #expect(throws: CompressionError.self) { try LZ4.decompressFrames(Array(good[..<count]), limit: 100) }
        }
        for index in good.indices {
            for bit in 0..<8 {
                var bad = good
                bad[index] ^= 1 << bit
                #expect(throws: CompressionError.self) { try LZ4.decompressFrames(bad, limit: 100) }
            }
        }
        let old = little(0x184C_2102) + [0, 0, 0, 0]
        #expect(throws: CompressionError.self) { try LZ4.decompressFrames(old, limit: 9) }
    }
}
