/// Base64 (RFC 4648 sections 4 and 5).
package enum Base64 {
    /// The alphabet and padding of a text.
    package enum Variant: Sendable {
        case standard, standardUnpadded, url, urlUnpadded

        var isURL: Bool { self == .url || self == .urlUnpadded }
        var isPadded: Bool { self == .standard || self == .url }
    }

    /// `bytes` as text.
    package static func encode(_ bytes: some Sequence<UInt8>, _ variant: Variant = .standard) -> String {
        var letters = alphabet
        if variant.isURL {
            letters[62] = UInt8(ascii: "-")
            letters[63] = UInt8(ascii: "_")
        }
        var output: [UInt8] = []
        var bits: UInt32 = 0
        var held: UInt32 = 0
        for byte in bytes {
            bits = (bits << 8) | UInt32(byte)
            held += 8
            while held >= 6 {
                held -= 6
                output.append(letters[Int((bits >> held) & 63)])
            }
            bits &= (1 << held) - 1
        }
        if held > 0 { output.append(letters[Int((bits << (6 - held)) & 63)]) }
        while variant.isPadded, output.count % 4 != 0 { output.append(UInt8(ascii: "=")) }
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes of `text`, or nil when it is not of this variant; line breaks are skipped, as Go does.
    package static func decode(_ text: some Sequence<UInt8>, _ variant: Variant = .standard) -> [UInt8]? {
        var output: [UInt8] = []
        var bits: UInt32 = 0
        var held: UInt32 = 0
        var letters = 0
        var padding = 0
        for byte in text {
            if byte == 0x0A || byte == 0x0D { continue }
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = value(of: byte, isURL: variant.isURL) else { return nil }
            letters += 1
            bits = (bits << 6) | value
            held += 6
            if held >= 8 {
                held -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> held))
            }
            bits &= (1 << held) - 1
        }
        if letters % 4 == 1 { return nil }
        let wanted = variant.isPadded ? (4 - letters % 4) % 4 : 0
        return padding == wanted ? output : nil
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static func value(of byte: UInt8, isURL: Bool) -> UInt32? {
        switch byte {
        case 0x41...0x5A: return UInt32(byte - 0x41)
        case 0x61...0x7A: return UInt32(byte - 0x61) + 26
        case 0x30...0x39: return UInt32(byte - 0x30) + 52
        case isURL ? 0x2D : 0x2B: return 62
        case isURL ? 0x5F : 0x2F: return 63
        default: return nil
        }
    }
}
