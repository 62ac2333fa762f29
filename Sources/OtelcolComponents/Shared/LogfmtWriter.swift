import Essentials
import TextFormats
import Wire

/// Writes `key=value` pairs, quoted where they must be.
struct LogfmtWriter {
    private(set) var bytes: [UInt8] = []

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    /// Adds a pair; one whose key has no usable character is left out.
    mutating func append(_ key: UnsafeRawBufferPointer, _ value: OTLPValue) {
        let start = bytes.count
        if start > 0 { bytes.append(0x20) }
        let beginning = bytes.count
        // What would end a key is left out of it.
        for byte in key where byte > 0x20 && byte != 0x3D && byte != 0x22 { bytes.append(byte) }
        if bytes.count == beginning {
            bytes.removeLast(bytes.count - start)
            return
        }
        bytes.append(0x3D)
        switch value {
        case .empty: bytes += "null".utf8
        case .string(let text): append(text, isText: true)
        case .bytes(let content): append(content, isText: false)
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .int(let value): bytes += "\(value)".utf8
        case .double(let value): bytes += Self.text(value).utf8
        case .array, .map: bytes += "\"unsupported value type\"".utf8
        }
    }

    /// Adds a pair whose value owns its content.
    mutating func append(_ key: UnsafeRawBufferPointer, owned value: OTLPAnyValue) {
        switch value {
        case .empty: append(key, .empty)
        case .array, .map: append(key, .string(OTLPBytes.empty))
        case .string(let text): text.withUnsafeBytes { append(key, .string($0)) }
        case .bytes(let content): content.withUnsafeBytes { append(key, .bytes($0)) }
        case .bool(let value): append(key, .bool(value))
        case .int(let value): append(key, .int(value))
        case .double(let value): append(key, .double(value))
        }
    }

    /// As Go prints numbers: scientific below 1e-4 and from 1e21 on.
    private static func text(_ value: Double) -> String {
        let isPlain = value == 0 || (value.magnitude >= 1e-4 && value.magnitude < 1e21)
        return isPlain ? GoNumber.formatFloat(value, "f", precision: -1) : GoNumber.format(value)
    }

    private mutating func append(_ text: UnsafeRawBufferPointer, isText: Bool) {
        let isNull = isText && text.elementsEqual("null".utf8)
        var hasSpecial = isNull
        var isASCII = true
        for byte in text {
            if byte <= 0x20 || byte == 0x3D || byte == 0x22 { hasSpecial = true }
            if byte >= 0x80 { isASCII = false }
        }
        if !isASCII {
            // Broken sequences are replaced, and then quoted.
            let repaired = String(decoding: text, as: UTF8.self)
            if repaired.unicodeScalars.contains("\u{FFFD}") { hasSpecial = true }
            if hasSpecial { appendQuoted(Array(repaired.utf8)) } else { bytes += repaired.utf8 }
        } else if hasSpecial {
            appendQuoted(text)
        } else {
            bytes.append(contentsOf: text)
        }
    }

    private mutating func appendQuoted(_ text: some Sequence<UInt8>) {
        bytes.append(0x22)
        for byte in text {
            switch byte {
            case 0x22, 0x5C: bytes += [0x5C, byte]
            case 0x0A: bytes += "\\n".utf8
            case 0x0D: bytes += "\\r".utf8
            case 0x09: bytes += "\\t".utf8
            case 0..<0x20:
                bytes += "\\u00".utf8
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit) }
            default: bytes.append(byte)
            }
        }
        bytes.append(0x22)
    }
}
