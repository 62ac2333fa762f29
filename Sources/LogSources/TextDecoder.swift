import Glibc
import Synchronization

/// Turns the bytes of a line into UTF-8. Bytes that stand for nothing become U+FFFD.
package final class TextDecoder: Sendable {
    /// How a character set's lines are found and read.
    private enum Method: Sendable {
        /// The bytes are taken as they are.
        case verbatim
        case repairedUTF8
        case utf16(isBigEndian: Bool)
        /// UTF-8 by byte: up to three bytes and their number in the highest.
        case table([UInt32])
        case iconv(Converter)
        case hz(Converter)
    }

    private let method: Method
    /// Bytes of one code unit: line breaks are found at multiples of this.
    package let unit: Int
    /// The byte that a line break contains and that is searched for.
    package let newlineByte: UInt8
    /// Which byte of the code unit that is.
    package let newlineOffset: Int
    /// The bytes of a carriage return.
    package let carriageReturn: [UInt8]

    /// Takes bytes as they are: what an empty `encoding` means.
    package static let verbatim = TextDecoder(.verbatim)
    package static let utf16BigEndian = TextDecoder(.utf16(isBigEndian: true))
    package static let utf16LittleEndian = TextDecoder(.utf16(isBigEndian: false))

    /// A decoder of `set`; nil when the C library lacks it.
    package init?(_ set: CharacterSet) {
        let method: Method
        switch set {
        case .utf8: method = .repairedUTF8
        // Without a byte order mark UTF-16 is big-endian.
        case .utf16, .utf16BE: method = .utf16(isBigEndian: true)
        case .utf16LE: method = .utf16(isBigEndian: false)
        case .ascii: method = .table(Self.table(upper: (128..<256).map { _ in 0xFFFD }))
        case .hzGB2312:
            guard let converter = Converter(from: "EUC-CN") else { return nil }
            method = .hz(converter)
        default:
            if let values = Self.values(set) {
                method = .table(Self.table(upper: values))
            } else {
                guard let name = set.iconvName, let converter = Converter(from: name) else { return nil }
                method = .iconv(converter)
            }
        }
        (unit, newlineByte, newlineOffset, carriageReturn) = Self.layout(method)
        self.method = method
    }

    private init(_ method: Method) {
        self.method = method
        (unit, newlineByte, newlineOffset, carriageReturn) = Self.layout(method)
    }

    /// True when the bytes of a line are its text.
    package var isVerbatim: Bool {
        if case .verbatim = method { return true }
        return false
    }

    private static func layout(_ method: Method) -> (Int, UInt8, Int, [UInt8]) {
        switch method {
        case .utf16(let isBigEndian): return (2, 0x0A, isBigEndian ? 1 : 0, isBigEndian ? [0, 0x0D] : [0x0D, 0])
        case .table(let table):
            let newline = table.firstIndex(of: 1 << 24 | 0x0A) ?? 0x0A
            let carriageReturn = table.firstIndex(of: 1 << 24 | 0x0D) ?? 0x0D
            return (1, UInt8(newline), 0, [UInt8(carriageReturn)])
        default: return (1, 0x0A, 0, [0x0D])
        }
    }

    /// Appends the text of `bytes`, the inside of a line.
    package func decode(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        switch method {
        case .verbatim: output.append(contentsOf: bytes)
        case .repairedUTF8:
            if validateUTF8(bytes) {
                output.append(contentsOf: bytes)
            } else {
                output.append(contentsOf: String(decoding: bytes, as: UTF8.self).utf8)
            }
        case .utf16(let isBigEndian): decodeUTF16(bytes, isBigEndian: isBigEndian, into: &output)
        case .table(let table):
            for byte in bytes {
                var entry = table[Int(byte)]
                for _ in 0..<(entry >> 24) {
                    output.append(UInt8(truncatingIfNeeded: entry))
                    entry >>= 8
                }
            }
        case .iconv(let converter): converter.convert(bytes, into: &output)
        case .hz(let converter): decodeHZ(bytes, converter, into: &output)
        }
    }

    private func validateUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue: continue
            case .emptyInput: return true
            case .error: return false
            }
        }
    }

    private func decodeUTF16(_ bytes: UnsafeRawBufferPointer, isBigEndian: Bool, into output: inout [UInt8]) {
        func unit(_ index: Int) -> UInt16 {
            let raw = bytes.loadUnaligned(fromByteOffset: index, as: UInt16.self)
            return isBigEndian ? UInt16(bigEndian: raw) : UInt16(littleEndian: raw)
        }
        var index = 0
        while index + 2 <= bytes.count {
            let first = unit(index)
            index += 2
            if first < 0x80 {
                output.append(UInt8(truncatingIfNeeded: first))
                continue
            }
            var value = UInt32(first)
            if first & 0xFC00 == 0xD800, index + 2 <= bytes.count, unit(index) & 0xFC00 == 0xDC00 {
                value = 0x10000 + ((UInt32(first) & 0x3FF) << 10 | UInt32(unit(index)) & 0x3FF)
                index += 2
            }
            output.append(
                contentsOf: UTF8.encode(Unicode.Scalar(value) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter)
        }
        if index < bytes.count { output.append(contentsOf: UTF8.encodedReplacementCharacter) }
    }

    /// RFC 1843: pairs of seven-bit bytes between `~{` and `~}`, `~~` for a tilde.
    private func decodeHZ(_ bytes: UnsafeRawBufferPointer, _ converter: Converter, into output: inout [UInt8]) {
        var plain: [UInt8] = []
        var isChinese = false
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 0x7E, index + 1 < bytes.count, [0x7B, 0x7D, 0x7E].contains(bytes[index + 1]) {
                if bytes[index + 1] == 0x7E { plain.append(0x7E) } else { isChinese = bytes[index + 1] == 0x7B }
                index += 2
            } else {
                plain.append(isChinese ? byte | 0x80 : byte)
                index += 1
            }
        }
        plain.withUnsafeBytes { converter.convert($0, into: &output) }
    }

    private static func values(_ set: CharacterSet) -> [UInt32]? {
        guard let digits = SingleByteTables.digits(set) else { return nil }
        var values: [UInt32] = []
        for index in 0..<digits.utf8CodeUnitCount / 4 {
            var value: UInt32 = 0
            for place in 0..<4 {
                let digit = UInt32(digits.utf8Start[index * 4 + place])
                value = value << 4 | (digit >= 0x41 ? digit - 0x37 : digit - 0x30)
            }
            values.append(value)
        }
        return values
    }

    /// A table from code points of all 256 bytes, or of the upper 128 over ASCII.
    private static func table(upper values: [UInt32]) -> [UInt32] {
        let all = values.count == 128 ? Array(0..<128) + values : values
        return all.map { value in
            let encoded = UTF8.encode(Unicode.Scalar(value) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter
            var entry: UInt32 = 0
            for (place, byte) in encoded.enumerated() { entry |= UInt32(byte) << UInt32(8 * place) }
            return entry | UInt32(encoded.count) << 24
        }
    }
}

extension CharacterSet {
    /// What iconv(3) calls a set of more than one byte per character.
    fileprivate var iconvName: String? {
        switch self {
        case .big5: "BIG5-HKSCS"
        case .eucJP: "EUC-JP"
        case .eucKR: "UHC"
        case .gb18030, .gbk: "GB18030"
        case .iso2022JP: "ISO-2022-JP"
        case .shiftJIS: "CP932"
        default: nil
        }
    }
}

/// One conversion of iconv(3), used by one thread at a time.
final class Converter: Sendable {
    private struct Handle: ~Copyable {
        /// The `iconv_t`, as a number that may cross into the lock.
        let bits: Int
        deinit { iconv_close(iconv_t(bitPattern: bits)) }
    }

    private let handle: Mutex<Handle>

    init?(from name: String) {
        guard let descriptor = iconv_open("UTF-8", name), Int(bitPattern: descriptor) != -1 else { return nil }
        handle = Mutex(Handle(bits: Int(bitPattern: descriptor)))
    }

    /// Appends the text of `bytes`, beginning in the initial shift state.
    func convert(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) {
        // Four bytes of UTF-8 at most for each byte, three for one that stands for nothing.
        var converted = [UInt8](repeating: 0, count: bytes.count * 4 + 16)
        let count = handle.withLock { handle in Self.convert(bytes, &converted, handle.bits) }
        output.append(contentsOf: converted[..<count])
    }

    private static func convert(
        _ bytes: UnsafeRawBufferPointer, _ output: inout [UInt8], _ bits: Int
    ) -> Int {
        let descriptor = iconv_t(bitPattern: bits)
        iconv(descriptor, nil, nil, nil, nil)
        return output.withUnsafeMutableBytes { room in
            var source = UnsafeMutablePointer<CChar>(
                mutating: bytes.baseAddress?.assumingMemoryBound(to: CChar.self))
            var target = room.baseAddress?.assumingMemoryBound(to: CChar.self)
            var sourceLeft = bytes.count
            var targetLeft = room.count
            while sourceLeft > 0 {
                if iconv(descriptor, &source, &sourceLeft, &target, &targetLeft) != -1 { break }
                let error = errno
                guard error == EILSEQ || error == EINVAL, targetLeft >= 3, let place = target else { break }
                for (offset, byte) in UTF8.encodedReplacementCharacter.enumerated() {
                    place[offset] = CChar(bitPattern: byte)
                }
                target = place + 3
                targetLeft -= 3
                // What is left of an incomplete character at the end is one error.
                let skipped = error == EINVAL ? sourceLeft : 1
                source = source.map { $0 + skipped }
                sourceLeft -= skipped
            }
            return room.count - targetLeft
        }
    }
}
