/// Percent-encoding of RFC 3986, section 2, on UTF-8.
package enum Percent {
    /// Decodes `%XX`; with `plusIsSpace` also `+`. A broken escape stays as it is, invalid UTF-8 is repaired.
    package static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String {
        let utf8 = text.utf8
        guard utf8.contains(where: { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }) else {
            return String(text)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(utf8.count)
        var index = utf8.startIndex
        while index != utf8.endIndex {
            let byte = utf8[index]
            utf8.formIndex(after: &index)
            if byte == UInt8(ascii: "+"), plusIsSpace {
                bytes.append(UInt8(ascii: " "))
                continue
            }
            guard byte == UInt8(ascii: "%"), index != utf8.endIndex, let high = hex(utf8[index]) else {
                bytes.append(byte)
                continue
            }
            let second = utf8.index(after: index)
            guard second != utf8.endIndex, let low = hex(utf8[second]) else {
                bytes.append(byte)
                continue
            }
            bytes.append(high << 4 | low)
            index = utf8.index(after: second)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Encodes everything but unreserved characters and those in `keeping`.
    package static func encode(_ text: some StringProtocol, keeping: StaticString = "") -> String {
        keeping.withUTF8Buffer { kept in
            var bytes: [UInt8] = []
            bytes.reserveCapacity(text.utf8.count)
            for byte in text.utf8 {
                if isUnreserved(byte) || kept.contains(byte) {
                    bytes.append(byte)
                } else {
                    bytes.append(UInt8(ascii: "%"))
                    bytes.append(digit(byte >> 4))
                    bytes.append(digit(byte & 15))
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// A form body or query of the given items (`application/x-www-form-urlencoded`).
    package static func form(_ items: [(name: String, value: String)]) -> String {
        items.map { formEncode($0.name) + "=" + formEncode($0.value) }.joined(separator: "&")
    }

    private static func formEncode(_ text: String) -> String {
        encode(text, keeping: " ").split(separator: " ", omittingEmptySubsequences: false).joined(separator: "+")
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95, 126: true
        default: false
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 55 + value }

    static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}

/// The items of a query string in order, percent-decoded.
package struct QueryItems: Sendable, Equatable, Sequence {
    /// Name and value; a name without `=` has an empty value.
    package let items: [Item]

    /// One `name=value`.
    package struct Item: Sendable, Equatable {
        /// The decoded name.
        package let name: String
        /// The decoded value.
        package let value: String
    }

    /// Reads `a=1&b=2`; at most 1,000 items, what follows is ignored.
    package init(_ query: some StringProtocol) {
        items = query.split(separator: "&", maxSplits: 1_000).prefix(1_000).map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return Item(
                name: Percent.decode(parts[0], plusIsSpace: true),
                value: parts.count > 1 ? Percent.decode(parts[1], plusIsSpace: true) : "")
        }
    }

    /// The first value of `name`.
    package subscript(_ name: String) -> String? { items.first { $0.name == name }?.value }

    /// Every value of `name`, in order.
    package func values(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

    package func makeIterator() -> IndexingIterator<[Item]> { items.makeIterator() }
}
