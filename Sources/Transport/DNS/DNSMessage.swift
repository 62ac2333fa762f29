/// The type of a resource record.
package struct DNSRecordType: RawRepresentable, Sendable, Hashable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let a = DNSRecordType(rawValue: 1)
    package static let ns = DNSRecordType(rawValue: 2)
    package static let cname = DNSRecordType(rawValue: 5)
    package static let mx = DNSRecordType(rawValue: 15)
    package static let aaaa = DNSRecordType(rawValue: 28)
    package static let srv = DNSRecordType(rawValue: 33)
    package static let opt = DNSRecordType(rawValue: 41)
}

/// One resource record of an answer.
package struct DNSRecord: Sendable, Equatable {
    /// The content, by type.
    package enum Content: Sendable, Equatable {
        /// An IPv4 or IPv6 address as text.
        case address(String)
        /// The host of an NS or CNAME record, with the final dot.
        case host(String)
        /// A mail exchanger with its preference.
        case mailExchanger(preference: UInt16, host: String)
        /// A service (RFC 2782).
        case service(priority: UInt16, weight: UInt16, port: UInt16, host: String)
        /// Any other type, undecoded.
        case other([UInt8])
    }

    /// The owner, with the final dot.
    package let name: String
    /// The type.
    package let type: DNSRecordType
    /// Seconds the record may be kept.
    package let timeToLive: UInt32
    /// The content.
    package let content: Content
}

/// A DNS message that breaks its format.
package struct DNSFormatError: Error, Equatable { let reason: String }

/// Messages of RFC 1035 (section 4) with the OPT record of RFC 6891 in queries.
package struct DNSMessage: Equatable {
    var id: UInt16
    var isResponse = false
    var isTruncated = false
    var isAuthoritative = false
    var responseCode: UInt8 = 0
    package private(set) var questionName = ""
    var questionType = DNSRecordType.a
    package var answers: [DNSRecord] = []

    /// A query for `name`, which may lack the final dot; asks for UDP answers up to 4096 bytes.
    package static func query(_ name: String, _ type: DNSRecordType, id: UInt16) throws(DNSFormatError) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(id >> 8), UInt8(truncatingIfNeeded: id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
        try append(name, to: &bytes)
        bytes += [UInt8(type.rawValue >> 8), UInt8(truncatingIfNeeded: type.rawValue), 0, 1]
        bytes += [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]
        return bytes
    }

    static func append(_ name: String, to bytes: inout [UInt8]) throws(DNSFormatError) {
        let trimmed = name.hasSuffix(".") ? name.dropLast() : name[...]
        let begin = bytes.count
        if !trimmed.isEmpty {
            for label in trimmed.split(separator: ".", omittingEmptySubsequences: false) {
                let count = label.utf8.count
                guard count > 0, count <= 63 else { throw DNSFormatError(reason: "label of \(count) bytes in name") }
                bytes.append(UInt8(count))
                bytes += Array(label.utf8)
            }
        }
        bytes.append(0)
        guard bytes.count - begin <= 255 else { throw DNSFormatError(reason: "name longer than 255 bytes") }
    }

    init(id: UInt16) { self.id = id }

    /// Decodes a message; every length and pointer is checked.
    package init(decoding bytes: [UInt8]) throws(DNSFormatError) {
        var reader = DNSReader(bytes)
        id = try reader.short()
        let flags = try reader.short()
        isResponse = flags & 0x8000 != 0
        isAuthoritative = flags & 0x0400 != 0
        isTruncated = flags & 0x0200 != 0
        responseCode = UInt8(flags & 15)
        let questions = try reader.short()
        let count = try reader.short()
        _ = try reader.short()
        _ = try reader.short()
        guard questions <= 1 else { throw DNSFormatError(reason: "more than one question") }
        if questions == 1 {
            questionName = try reader.name()
            questionType = DNSRecordType(rawValue: try reader.short())
            _ = try reader.short()
        }
        // A truncated message may end inside its answers: what is whole counts.
        do throws(DNSFormatError) {
            for _ in 0..<count { answers.append(try reader.record()) }
        } catch {
            if !isTruncated { throw error }
        }
    }
}

/// Walks the bytes of one message.
struct DNSReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func byte() throws(DNSFormatError) -> UInt8 {
        guard position < bytes.count else { throw DNSFormatError(reason: "message ends early") }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func short() throws(DNSFormatError) -> UInt16 {
        let high = try byte()
        return UInt16(high) << 8 | UInt16(try byte())
    }

    mutating func long() throws(DNSFormatError) -> UInt32 {
        let high = try short()
        return UInt32(high) << 16 | UInt32(try short())
    }

    mutating func take(_ count: Int) throws(DNSFormatError) -> [UInt8] {
        guard count <= bytes.count - position else { throw DNSFormatError(reason: "message ends early") }
        defer { position += count }
        return Array(bytes[position..<(position + count)])
    }

    /// A name with its final dot; a pointer must lead backwards, so that no loop is possible.
    mutating func name() throws(DNSFormatError) -> String {
        var text: [UInt8] = []
        var length = 1
        var returnTo: Int?
        var lowest = position
        while true {
            let count = try byte()
            switch count & 0xC0 {
            case 0:
                if count == 0 {
                    if let returnTo { position = returnTo }
                    return text.isEmpty ? "." : String(decoding: text, as: UTF8.self)
                }
                length += Int(count) + 1
                guard length <= 255 else { throw DNSFormatError(reason: "name longer than 255 bytes") }
                for byte in try take(Int(count)) {
                    // A dot inside a label, and what is not printable, is written as RFC 1035 (5.1) says.
                    if byte == UInt8(ascii: ".") || byte == UInt8(ascii: "\\") {
                        text += [UInt8(ascii: "\\"), byte]
                    } else if byte < 33 || byte > 126 {
                        text += [UInt8(ascii: "\\"), 48 + byte / 100, 48 + byte / 10 % 10, 48 + byte % 10]
                    } else {
                        text.append(byte)
                    }
                }
                text.append(UInt8(ascii: "."))
            case 0xC0:
                let target = Int(count & 0x3F) << 8 | Int(try byte())
                guard target < lowest else {
                    throw DNSFormatError(reason: "compression pointer does not lead backwards")
                }
                if returnTo == nil { returnTo = position }
                lowest = target
                position = target
            default: throw DNSFormatError(reason: "unknown label type")
            }
        }
    }

    mutating func record() throws(DNSFormatError) -> DNSRecord {
        let owner = try name()
        let type = DNSRecordType(rawValue: try short())
        _ = try short()
        let timeToLive = try long()
        let length = Int(try short())
        let end = position + length
        guard end <= bytes.count else { throw DNSFormatError(reason: "record ends after its message") }
        let content: DNSRecord.Content
        switch type {
        case .a, .aaaa:
            let data = try take(length)
            guard let text = Self.text(of: data, type) else {
                throw DNSFormatError(reason: "address of \(length) bytes")
            }
            content = .address(text)
        case .ns, .cname: content = .host(try name())
        case .mx:
            let preference = try short()
            content = .mailExchanger(preference: preference, host: try name())
        case .srv:
            let priority = try short()
            let weight = try short()
            let port = try short()
            content = .service(priority: priority, weight: weight, port: port, host: try name())
        default: content = .other(try take(length))
        }
        guard position == end else { throw DNSFormatError(reason: "record content does not fill its length") }
        return DNSRecord(name: owner, type: type, timeToLive: timeToLive, content: content)
    }

    private static func text(of bytes: [UInt8], _ type: DNSRecordType) -> String? {
        switch (type, bytes.count) {
        case (.a, 4): IPLiteral.v4(bytes).text
        case (.aaaa, 16): IPLiteral.v6(bytes).text
        default: nil
        }
    }
}
