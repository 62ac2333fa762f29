import Testing

@testable import OTTL

@Suite("XXH3")
struct XXH3Tests {
    /// Digests the reference implementation (xxHash 0.8) gives of bytes `index * 7 % 128`, by their number: those around
    /// every change of the algorithm.
    static let cases: [(count: Int, hash64: String, hash128: String)] = [
        (1, "c44bdff4074eecdb", "a6cd5e9392000f6ac44bdff4074eecdb"),
        (3, "c3489259e968ad9e", "656e81c56e41fe02c3489259e968ad9e"),
        (4, "d3d60c1519014e89", "ab5c3e7474d809db81a65295de8e7dde"),
        (8, "b88dee77f6bf6980", "e4b9dd0b66ff3c50ebabbd0695002ff6"),
        (9, "03688dcad730d826", "82ddc95bc76007671c69c3f04aaed08c"),
        (16, "9da23836adf2be1e", "ddf6c1254d70f76794eaa17b20756f46"),
        (17, "f34c3c9cf5a112d1", "263f67af63088041735fe434ded90c3c"),
        (32, "8d28b0cd5f081e67", "bf1ad97f9c04044ed1c9ad49007badfa"),
        (33, "17b51ad0bc869401", "f2be7ed35d54551bf43694525a5e57b3"),
        (64, "b732d137d44a0df2", "02156b8462991222bf7e060a849f3c9a"),
        (65, "444a330dea881b7c", "cee4ba8b0aca775bd9cc67c97dd5d74b"),
        (96, "5b091588be1d4d02", "fe0ba3afcbb301077518a458b77b9949"),
        (97, "53f5e343da0946b1", "46936da00d061efa71379bbef78d0916"),
        (128, "b9c42f4dc6afcb1d", "9e050b2f9f7f6ee650561a1fddb4ba61"),
        (129, "ca9175e9dfcb723d", "28509ceeb238ca8f750c9e462861f9b6"),
        (143, "d18ad9a90c7c7024", "78ffaf021f5f64d08da613dc58023174"),
        (144, "e2c4fb54d33a5684", "f44c284f616c5b130daa8d2a30e4130e"),
        (192, "25fb8efbe36c35ee", "e3296bac32059c9f0df6da012b619694"),
        (240, "b62e036881223d0a", "da7f94586540841fe0b94465c42bbd9b"),
        (241, "f103bd41bf9769f1", "fe06ab920fec3126f103bd41bf9769f1"),
        (256, "bcc20eefc5d0f786", "e90149c28b8ff1acbcc20eefc5d0f786"),
        (319, "396bf5b78f1751e7", "fb98a32934a9d109396bf5b78f1751e7"),
        (320, "479fdc04a8fceaef", "d685459e75b6e562479fdc04a8fceaef"),
        (1024, "bea0208484464b2b", "4712aa176863ea41bea0208484464b2b"),
        (1025, "65c017b9626c8aa4", "5f8cf3531dd846cb65c017b9626c8aa4"),
        (1088, "93e6fb03ec566571", "befb15320c8aa18f93e6fb03ec566571"),
        (2048, "501043130514d4b2", "d371a92f6fe79ee3501043130514d4b2"),
        (2100, "4b8f4e08c7f0a601", "202f9bfae84d75484b8f4e08c7f0a601"),
    ]

    @Test("Digests of all lengths are those of the reference", arguments: cases)
    func digests(_ count: Int, _ hash64: String, _ hash128: String) {
        let bytes = (0..<count).map { UInt8($0 * 7 & 127) }
        bytes.withUnsafeBytes { bytes in
            #expect(XXH3.hash64(bytes) == UInt64(hash64, radix: 16))
            let (low, high) = XXH3.hash128(bytes)
            #expect(high == UInt64(hash128.prefix(16), radix: 16) && low == UInt64(hash128.suffix(16), radix: 16))
        }
    }
}
