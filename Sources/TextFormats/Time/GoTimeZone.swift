import Glibc

/// A time zone: fixed, or read from the system's database (TZif, RFC 8536, with the footer rule beyond the last
/// transition).
package final class GoTimeZone: Sendable {
    /// A stretch of time during which the clocks keep one offset.
    package struct Span: Sendable, Equatable {
        /// Seconds east of UTC.
        package let offset: Int32
        package let abbreviation: String
        package let isDaylight: Bool
        /// First second of the span, in UTC.
        package let start: Int64
        /// First second after the span, in UTC.
        package let end: Int64
    }

    struct Kind: Sendable {
        let offset: Int32
        let isDaylight: Bool
        let abbreviation: String
    }

    package static let utc = GoTimeZone(name: "UTC", offset: 0, abbreviation: "UTC")

    /// The IANA name, or what a fixed zone was called.
    package let name: String
    private let kinds: [Kind]
    private let transitions: [Int64]
    private let indexes: [UInt8]
    private let rule: PosixZoneRule?

    private init(name: String, offset: Int32, abbreviation: String) {
        self.name = name
        kinds = [Kind(offset: offset, isDaylight: false, abbreviation: abbreviation)]
        transitions = []
        indexes = []
        rule = nil
    }

    /// A zone `offset` seconds east of UTC.
    package static func fixed(_ offset: Int32, named name: String = "") -> GoTimeZone {
        GoTimeZone(name: name, offset: offset, abbreviation: name)
    }

    /// Reads a zone by name: an IANA name, `UTC`, an empty name (UTC), or `Local` (`/etc/localtime`).
    package static func load(
        _ name: String, directory: String = "/usr/share/zoneinfo"
    ) throws(TextFormatError) -> GoTimeZone {
        if name.isEmpty || name == "UTC" { return .utc }
        if name == "Local" {
            guard let bytes = read("/etc/localtime") else { return .utc }
            return try GoTimeZone(name: "Local", tzif: bytes)
        }
        let unknown = TextFormatError("unknown time zone \(name)")
        let isSafe = name.utf8.allSatisfy { byte in
            (byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
                || "/_+-.".utf8.contains(byte)
        }
        guard isSafe, !name.hasPrefix("/"), !name.contains(".."), name.utf8.count < 256,
            let bytes = read(directory + "/" + name)
        else { throw unknown }
        return try GoTimeZone(name: name, tzif: bytes)
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 17)
        var length = 0
        while length < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.map { $0 + length }, buffer.count - length)
            }
            if count < 0 { return nil }
            if count == 0 { return Array(bytes[..<length]) }
            length += count
        }
        return nil
    }

    /// Reads the content of a TZif file.
    init(name: String, tzif bytes: [UInt8]) throws(TextFormatError) {
        self.name = name
        let malformed = TextFormatError("malformed time zone information")
        func number(_ offset: Int, _ size: Int) -> Int64? {
            guard offset >= 0, offset + size <= bytes.count else { return nil }
            var value: UInt64 = bytes[offset] & 0x80 != 0 && size < 8 ? .max : 0
            for index in 0..<size { value = value << 8 | UInt64(bytes[offset + index]) }
            return Int64(bitPattern: value)
        }
        func counts(_ offset: Int) -> [Int]? {
            guard offset + 44 <= bytes.count, Array(bytes[offset..<offset + 4]) == Array("TZif".utf8) else {
                return nil
            }
            let values = (0..<6).compactMap { number(offset + 20 + 4 * $0, 4).map { Int($0) } }
            return values.allSatisfy { $0 >= 0 && $0 <= 1 << 16 } ? values : nil
        }
        // Order in the header: isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt.
        guard var header = counts(0) else { throw malformed }
        var offset = 44
        var width = 4
        if bytes[4] >= UInt8(ascii: "2") {
            offset += header[3] * 5 + header[4] * 6 + header[5] + header[2] * 8 + header[1] + header[0]
            guard let second = counts(offset) else { throw malformed }
            header = second
            offset += 44
            width = 8
        }
        let (utCount, standardCount, leapCount) = (header[0], header[1], header[2])
        let (timeCount, kindCount, textCount) = (header[3], header[4], header[5])
        let indexStart = offset + timeCount * width
        let kindStart = indexStart + timeCount
        let textStart = kindStart + kindCount * 6
        let footerStart = textStart + textCount + leapCount * (width + 4) + standardCount + utCount
        guard kindCount > 0, footerStart <= bytes.count else { throw malformed }
        transitions = (0..<timeCount).compactMap { number(offset + $0 * width, width) }
        indexes = Array(bytes[indexStart..<kindStart])
        var kinds: [Kind] = []
        for index in 0..<kindCount {
            let start = kindStart + index * 6
            let textOffset = Int(bytes[start + 5])
            guard let seconds = number(start, 4), seconds.magnitude <= 604_800, textOffset < textCount else {
                throw malformed
            }
            let text = bytes[(textStart + textOffset)..<(textStart + textCount)].prefix { $0 != 0 }
            kinds.append(
                Kind(
                    offset: Int32(seconds), isDaylight: bytes[start + 4] != 0,
                    abbreviation: String(decoding: text, as: UTF8.self)))
        }
        guard indexes.allSatisfy({ Int($0) < kindCount }),
            zip(transitions, transitions.dropFirst()).allSatisfy({ $0 < $1 })
        else { throw malformed }
        self.kinds = kinds
        var footer: PosixZoneRule?
        if width == 8, footerStart < bytes.count, bytes[footerStart] == 0x0A,
            let end = bytes[(footerStart + 1)...].firstIndex(of: 0x0A)
        {
            footer = PosixZoneRule(Array(bytes[(footerStart + 1)..<end]))
        }
        rule = footer
    }

    /// The span `seconds` (since 1970, UTC) lies in.
    package func span(at seconds: Int64) -> Span {
        guard let first = transitions.first, seconds >= first else {
            let kind = firstKind
            return span(kind, .min, transitions.first ?? .max)
        }
        var low = 0
        var high = transitions.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if transitions[middle] <= seconds { low = middle } else { high = middle }
        }
        if low == transitions.count - 1, let rule { return rule.span(at: seconds, notBefore: transitions[low]) }
        let end = low + 1 < transitions.count ? transitions[low + 1] : .max
        return span(kinds[Int(indexes[low])], transitions[low], end)
    }

    /// The offset an abbreviation stands for at a local time given as if it were UTC; nil when the zone has no such name.
    package func offset(ofAbbreviation abbreviation: String, localSeconds: Int64) -> Int32? {
        let named = kinds.filter { $0.abbreviation == abbreviation }
        for kind in named {
            let found = span(at: localSeconds &- Int64(kind.offset))
            if found.abbreviation == abbreviation { return found.offset }
        }
        return named.first?.offset
    }

    /// The instant a clock face in this zone stands for; one that is skipped or doubled resolves as Go's `time.Date`.
    package func unixSeconds(ofLocal local: Int64) -> (seconds: Int64, span: Span) {
        let guess = span(at: local)
        if guess.offset == 0 { return (local, guess) }
        let shifted = local &- Int64(guess.offset)
        if shifted >= guess.start, shifted < guess.end { return (shifted, guess) }
        let second = span(at: shifted)
        let result = local &- Int64(second.offset)
        return (result, span(at: result))
    }

    private var firstKind: Kind {
        if transitions.isEmpty { return kinds[0] }
        if !indexes.contains(0) { return kinds[0] }
        return kinds.first { !$0.isDaylight } ?? kinds[0]
    }

    private func span(_ kind: Kind, _ start: Int64, _ end: Int64) -> Span {
        Span(offset: kind.offset, abbreviation: kind.abbreviation, isDaylight: kind.isDaylight, start: start, end: end)
    }
}
