import TextFormats

extension SHA256 {
    /// The digest of a text in hexadecimal.
    static func hex(of text: String) -> String { hex(digest(text)) }

    /// The digest of everything taken, in hexadecimal; the value must not be updated afterwards.
    consuming func hexDigest() -> String { SHA256.hex(finish()) }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 0xF)]] }, as: UTF8.self)
    }
}
