import LogSources
import Testing

@testable import LokiComponents

@Suite("Text decoder")
struct TextDecoderTests {
    private func decode(_ bytes: [UInt8], _ set: CharacterSet) -> String? {
        guard let decoder = TextDecoder(set) else { return nil }
        var output: [UInt8] = []
        bytes.withUnsafeBytes { decoder.decode($0, into: &output) }
        return String(validating: output, as: UTF8.self)
    }

    @Test(
        "Names of character sets, whatever their case",
        arguments: [
            ("utf-8", .utf8), ("UTF8", .utf8), ("UTF-16LE", .utf16LE), ("utf-16be", .utf16BE), ("utf-16", .utf16),
            ("latin1", .iso88591), ("ISO-8859-1", .iso88591), ("windows-1252", .windows1252), ("cp1252", .windows1252),
            ("Shift_JIS", .shiftJIS), ("gbk", .gbk), ("koi8-r", .koi8R), ("IBM866", .ibm866), ("us-ascii", .ascii),
            ("iso-8859-15", .iso885915), ("euc-jp", .eucJP), ("big5", .big5), ("nonsense", nil), ("", nil),
        ] as [(String, CharacterSet?)])
    func names(_ name: String, _ expected: CharacterSet?) {
        #expect(CharacterSet(name: name) == expected)
    }

    @Test("Every character set can be had and reads ASCII, digits at least")
    func everySet() {
        for set in CharacterSet.allCases {
            switch set {
            case .utf16, .utf16BE: #expect(decode([0, 0x61, 0, 0x31], set) == "a1")
            case .utf16LE: #expect(decode([0x61, 0, 0x31, 0], set) == "a1")
            case .ibm037, .ibm1047, .ibm1140: #expect(decode([0x81, 0xF1], set) == "a1")
            default: #expect(decode([0x61, 0x31], set) == "a1", "\(set)")
            }
        }
    }

    @Test(
        "Characters beyond ASCII",
        arguments: [
            (.windows1252, [0x80, 0xE9, 0x81], "\u{20AC}\u{E9}\u{81}"),
            (.windows1251, [0xCF, 0xF0], "\u{41F}\u{440}"),
            (.iso88591, [0x80, 0xE9], "\u{80}\u{E9}"),
            (.iso885915, [0xA4], "\u{20AC}"),
            (.iso88597, [0xE1, 0xFF], "\u{3B1}\u{FFFD}"),
            (.koi8R, [0xD0], "\u{43F}"),
            (.ibm437, [0xC9], "\u{2554}"),
            (.macintosh, [0x8E], "\u{E9}"),
            (.ascii, [0x61, 0x80], "a\u{FFFD}"),
            (.utf8, [0xC3, 0xA9, 0xFF, 0x62], "\u{E9}\u{FFFD}b"),
            (.utf16BE, [0xD8, 0x3D, 0xDE, 0x00, 0xD8, 0x00, 0x00], "\u{1F600}\u{FFFD}\u{FFFD}"),
            (.shiftJIS, [0x93, 0xFA, 0x96, 0x7B], "\u{65E5}\u{672C}"),
            (.eucJP, [0xC6, 0xFC, 0xCB, 0xDC], "\u{65E5}\u{672C}"),
            (.iso2022JP, [0x1B, 0x24, 0x42, 0x46, 0x7C, 0x1B, 0x28, 0x42, 0x61], "\u{65E5}a"),
            (.eucKR, [0xC7, 0xD1], "\u{D55C}"),
            (.gbk, [0xC4, 0xE3, 0xFF, 0x61], "\u{4F60}\u{FFFD}a"),
            (.gb18030, [0x94, 0x39, 0xDA, 0x33], "\u{1F4A9}"),
            (.big5, [0xA7, 0x41], "\u{4F60}"),
            (.hzGB2312, Array("a~{<:Ky~}~~b".utf8), "a\u{5DF1}\u{6240}~b"),
            (.shiftJIS, [0x61, 0x93], "a\u{FFFD}"),
        ] as [(CharacterSet, [UInt8], String)])
    func characters(_ set: CharacterSet, _ bytes: [UInt8], _ expected: String) {
        #expect(decode(bytes, set) == expected)
    }

    @Test("EBCDIC lines end where EBCDIC says")
    func ebcdic() throws {
        let decoder = try #require(TextDecoder(.ibm037))
        #expect(decoder.newlineByte == 0x25)
    }

    @Test("Random bytes become valid text in every set")
    func random() {
        for set in CharacterSet.allCases {
            let bytes = (0..<300).map { _ in UInt8.random(in: 0...255) }
            #expect(decode(bytes, set) != nil, "\(set)")
        }
    }
}
