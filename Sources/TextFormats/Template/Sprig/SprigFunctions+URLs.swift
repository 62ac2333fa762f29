extension SprigFunctions {
    static let urls: [String: Function] = [
        "urlParse": Function([.string]) { values in
            guard let url = SplitURL(values[0].text) else {
                throw TextFormatError("unable to parse url: parse \(GoQuote.quote(values[0].text)): invalid URL")
            }
            return .dictionary([
                "scheme": .string(url.scheme), "host": .string(url.host), "hostname": .string(url.hostname),
                "path": .string(url.path), "query": .string(url.query), "opaque": .string(url.opaque),
                "fragment": .string(url.fragment), "userinfo": .string(url.userinfo),
            ])
        },
        "urlJoin": Function([.map]) { values in
            let map = Casting.map(values[0])
            func part(_ key: String) throws -> String {
                switch map[key] {
                case nil: return ""
                case .string(let text)?: return text
                case let other?:
                    throw TextFormatError(
                        "unable to parse \(key) key, must be of type string, but \(other.kindName) found")
                }
            }
            let url = SplitURL(
                scheme: try part("scheme"), userinfo: try part("userinfo"), host: try part("host"),
                path: try part("path"),
                query: try part("query"), fragment: try part("fragment"), opaque: try part("opaque"))
            return .string(url.text)
        },
    ]
}

/// The parts of a URL (RFC 3986) as Go's `net/url` names them; path and fragment are decoded, the query is not.
struct SplitURL {
    var scheme = ""
    var userinfo = ""
    var host = ""
    var path = ""
    var query = ""
    var fragment = ""
    /// What follows the scheme when it does not begin with a slash.
    var opaque = ""

    init(
        scheme: String, userinfo: String, host: String, path: String, query: String, fragment: String, opaque: String
    ) {
        (self.scheme, self.userinfo, self.host, self.path) = (scheme, userinfo, host, path)
        (self.query, self.fragment, self.opaque) = (query, fragment, opaque)
    }

    init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F || $0 == 0x20 }) else { return nil }
        var rest = text[...]
        if let hash = rest.firstIndex(of: "#") {
            guard let decoded = Self.decode(rest[rest.index(after: hash)...]) else { return nil }
            fragment = decoded
            rest = rest[..<hash]
        }
        if let colon = rest.firstIndex(of: ":") {
            let name = rest[..<colon]
            let isName = name.utf8.allSatisfy {
                ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || "+-.".utf8.contains($0)
            }
            if name.isEmpty { return nil }
            if isName, let first = name.utf8.first, first | 0x20 >= 0x61, first | 0x20 <= 0x7A {
                scheme = name.lowercased()
                rest = rest[rest.index(after: colon)...]
            } else if !name.contains("/") {
                return nil
            }
        }
        if let mark = rest.firstIndex(of: "?") {
            query = String(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        if !scheme.isEmpty, !rest.hasPrefix("/") {
            opaque = String(rest)
            return
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let authority = rest.prefix { $0 != "/" }
            rest = rest.dropFirst(authority.count)
            if let at = authority.lastIndex(of: "@") {
                userinfo = String(authority[..<at])
                host = String(authority[authority.index(after: at)...])
            } else {
                host = String(authority)
            }
            let port =
                host.hasPrefix("[")
                ? host.split(separator: "]", maxSplits: 1).last.map { $0.dropFirst() }
                : host.split(separator: ":", maxSplits: 1).dropFirst().first
            if let port, host.contains(":"), !host.hasSuffix("]"), !port.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
                return nil
            }
        }
        guard let decoded = Self.decode(rest) else { return nil }
        path = decoded
    }

    /// The host without its port and brackets.
    var hostname: String {
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") { return String(host[..<end].dropFirst()) }
        return String(host.prefix { $0 != ":" })
    }

    var text: String {
        var output = scheme.isEmpty ? "" : scheme + ":"
        if !opaque.isEmpty {
            output += opaque
        } else {
            if !host.isEmpty || !userinfo.isEmpty {
                output += "//" + (userinfo.isEmpty ? "" : userinfo + "@") + host
                if !path.isEmpty, !path.hasPrefix("/") { output += "/" }
            }
            output += TemplateEscaping.percent(path, keeping: "-_.~/$&+,:;=@!'()*", spaceAsPlus: false)
        }
        if !query.isEmpty { output += "?" + query }
        if !fragment.isEmpty {
            output += "#" + TemplateEscaping.percent(fragment, keeping: "-_.~/$&+,:;=@!?'()*", spaceAsPlus: false)
        }
        return output
    }

    private static func decode(_ text: Substring) -> String? {
        let bytes = Array(text.utf8)
        var output: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%") {
                guard index + 2 < bytes.count, let high = JSONText.hex(bytes[index + 1]),
                    let low = JSONText.hex(bytes[index + 2])
                else { return nil }
                output.append(UInt8(high << 4 | low))
                index += 3
            } else {
                output.append(bytes[index])
                index += 1
            }
        }
        return TextTools.text(output)
    }
}
