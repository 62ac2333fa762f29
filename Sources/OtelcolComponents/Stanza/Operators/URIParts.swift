import Wire

/// The parts of a URI (RFC 3986) under the names of the `uri_parser` operator; empty parts are left out.
enum URIParts {
    static func map(_ text: String) throws(StanzaError) -> OTLPAnyValue.Map {
        var map = OTLPAnyValue.Map()
        if text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            throw StanzaError("URI has control characters")
        }
        var rest = text[...]
        if let hash = rest.firstIndex(of: "#") { rest = rest[..<hash] }
        var query: Substring?
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let colon = rest.firstIndex(of: ":"), isScheme(rest[..<colon]) {
            map["scheme"] = .string(rest[..<colon].lowercased())
            rest = rest[rest.index(after: colon)...]
        } else if rest.hasPrefix(":") {
            throw StanzaError("URI is missing its scheme")
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            try authority(rest[..<end], &map)
            rest = rest[end...]
        }
        if !rest.isEmpty { map["path"] = .string(try decoded(rest, plusIsSpace: false)) }
        if let query { try add(query, to: &map) }
        return map
    }

    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, (first | 0x20 >= 0x61 && first | 0x20 <= 0x7A) else { return false }
        return text.utf8.allSatisfy {
            ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0)
        }
    }

    private static func authority(_ text: Substring, _ map: inout OTLPAnyValue.Map) throws(StanzaError) {
        var host = text
        if let at = text.lastIndex(of: "@") {
            let user = text[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
            if !user.isEmpty { map["user"] = .string(try decoded(user, plusIsSpace: false)) }
            host = text[text.index(after: at)...]
        }
        var port = Substring()
        let searched = host.lastIndex(of: "]").map { host[$0...] } ?? host
        if let colon = searched.lastIndex(of: ":") {
            port = host[host.index(after: colon)...]
            host = host[..<colon]
            guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                throw StanzaError("URI has an invalid port")
            }
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        if !host.isEmpty { map["host"] = .string(try decoded(host, plusIsSpace: false)) }
        if !port.isEmpty { map["port"] = .string(String(port)) }
    }

    private static func add(_ query: Substring, to map: inout OTLPAnyValue.Map) throws(StanzaError) {
        var values = OTLPAnyValue.Map()
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = try decoded(parts[0], plusIsSpace: true)
            let value: OTLPAnyValue = .string(parts.count > 1 ? try decoded(parts[1], plusIsSpace: true) : "")
            var list: [OTLPAnyValue] = []
            if case .array(let present)? = values[key] { list = present }
            values[key] = .array(list + [value])
        }
        if !values.isEmpty { map["query"] = .map(values) }
    }

    private static func decoded(_ text: Substring, plusIsSpace: Bool) throws(StanzaError) -> String {
        let bytes = Array(text.utf8)
        var output: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%") {
                guard index + 2 < bytes.count,
                    let value = UInt8(String(decoding: bytes[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
                else { throw StanzaError("URI has an invalid escape") }
                output.append(value)
                index += 3
            } else {
                output.append(plusIsSpace && bytes[index] == UInt8(ascii: "+") ? 0x20 : bytes[index])
                index += 1
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
