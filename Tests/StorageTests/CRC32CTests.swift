import Testing

@testable import Storage

@Suite("CRC32C")
struct CRC32CTests {
    @Test("The check value of the polynomial, by instruction and by tables")
    func checkValue() {
        let bytes = Array("123456789".utf8)
        bytes.withUnsafeBytes { bytes in
            #expect(CRC32C.checksum(bytes) == 0xE306_9283)
            #expect(CRC32C.tableChecksum(bytes) == 0xE306_9283)
        }
    }

    @Test("Both ways agree on every length and continue from what came before")
    func agreement() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
        bytes.withUnsafeBytes { bytes in
            for length in 0...bytes.count {
                let head = UnsafeRawBufferPointer(rebasing: bytes[..<length])
                let tail = UnsafeRawBufferPointer(rebasing: bytes[length...])
                #expect(CRC32C.checksum(head) == CRC32C.tableChecksum(head))
                #expect(CRC32C.checksum(tail, seed: CRC32C.checksum(head)) == CRC32C.tableChecksum(bytes))
            }
        }
    }
}
