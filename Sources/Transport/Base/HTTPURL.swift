/// An absolute `http`, `https` or proxy URL (RFC 3986) in the parts a client needs.
package struct HTTPURL: Sendable, Hashable, CustomStringConvertible {
    /// In lower case.
    package let scheme: String
    /// Decoded name, nil when the URL has none; never printed.
    package let user: String?
    /// Decoded password; never printed.
    package let password: String?
    /// In lower case, without brackets.
    package let host: String
    /// As written, or the scheme's.
    package let port: Int
    /// The path as written, at least `/`.
    package let path: String
    /// The query as written without `?`.
    package let query: String?
    /// `host` or `host:port` as the `Host` field has it: the port only when it is not the scheme's.
    package let authority: String

    /// Reads an absolute URL; nil when it has no scheme or host, a bad port or characters no URL may have.
    package init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 > 32 && $0 != 127 }), text.utf8.count <= 64 * 1024,
            let separator = text.firstIndex(of: ":"),
            text[text.index(after: separator)...].hasPrefix("//")
        else { return nil }
        let scheme = text[..<separator].lowercased()
        guard let first = scheme.utf8.first, first >= 97, first <= 122,
            scheme.utf8.allSatisfy({
                ($0 >= 97 && $0 <= 122) || ($0 >= 48 && $0 <= 57) || $0 == 43 || $0 == 45 || $0 == 46
            })
        else { return nil }
        var rest = text[separator...].dropFirst(3)
        if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        var authority = rest[..<end]
        var user: String?
        var password: String?
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = Percent.decode(parts.first ?? "")
            password = parts.count > 1 ? Percent.decode(parts[1]) : nil
            authority = authority[authority.index(after: at)...]
        }
        var portText: Substring?
        var host: String
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { return nil }
            host = String(authority[authority.index(after: authority.startIndex)..<close])
            guard case .v6 = IPLiteral(host) else { return nil }
            let after = authority[authority.index(after: close)...]
            guard after.isEmpty || after.hasPrefix(":") else { return nil }
            portText = after.isEmpty ? nil : after.dropFirst()
        } else {
            let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            host = Percent.decode(parts.first ?? "")
            portText = parts.count > 1 ? parts[1] : nil
            guard !host.utf8.contains(where: { $0 <= 32 || $0 == 127 || $0 == 47 || $0 == 58 || $0 == 64 }) else {
                return nil
            }
        }
        guard !host.isEmpty else { return nil }
        let defaultPort = Self.defaultPort(scheme)
        if let portText, !portText.isEmpty {
            guard portText.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let port = Int(portText), port <= 65_535 else {
                return nil
            }
            self.port = port
        } else {
            guard let defaultPort else { return nil }
            port = defaultPort
        }
        host = host.lowercased()
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host
        let bracketed = host.contains(":") ? "[\(host)]" : host
        self.authority = port == defaultPort ? bracketed : "\(bracketed):\(port)"
        let target = rest[end...]
        if let mark = target.firstIndex(of: "?") {
            path = mark == target.startIndex ? "/" : String(target[..<mark])
            query = String(target[target.index(after: mark)...])
        } else {
            path = target.isEmpty ? "/" : String(target)
            query = nil
        }
    }

    private init(_ base: HTTPURL, path: String, query: String?) {
        scheme = base.scheme
        user = base.user
        password = base.password
        host = base.host
        port = base.port
        authority = base.authority
        self.path = path.isEmpty ? "/" : path
        self.query = query
    }

    /// The same URL with another path and query, both already encoded.
    package func replacing(path: String, query: String?) -> HTTPURL { HTTPURL(self, path: path, query: query) }

    /// Path and query as the request line has them.
    package var target: String { query.map { "\(path)?\($0)" } ?? path }

    /// Whether the connection is encrypted.
    package var isSecure: Bool { scheme == "https" }

    /// The whole URL without user and password.
    package var text: String { "\(scheme)://\(authority)\(target)" }

    /// As `text`: user and password are never printed.
    package var description: String { text }

    static func defaultPort(_ scheme: String) -> Int? {
        switch scheme {
        case "http": 80
        case "https": 443
        case "socks5", "socks5h": 1080
        default: nil
        }
    }

    /// Follows a `Location` (RFC 3986, section 5.2); nil when the result is no HTTP URL.
    package func resolving(_ reference: String) -> HTTPURL? {
        let reference = reference.prefix { $0 != "#" }
        if reference.isEmpty { return self }
        if let colon = reference.firstIndex(of: ":"),
            !reference[..<colon].contains(where: { $0 == "/" || $0 == "?" })
        {
            return HTTPURL(String(reference))
        }
        if reference.hasPrefix("//") { return HTTPURL("\(scheme):\(reference)") }
        let parts = reference.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? String(parts[1]) : nil
        let relative = parts[0]
        guard reference.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else { return nil }
        if relative.isEmpty { return replacing(path: path, query: query) }
        if relative.hasPrefix("/") { return replacing(path: Self.withoutDots(relative), query: query) }
        let folder = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
        return replacing(path: Self.withoutDots(folder + relative), query: query)
    }

    static func withoutDots(_ path: Substring) -> String {
        var kept: [Substring] = []
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            switch segment {
            case ".": if isLast { kept.append("") }
            case "..":
                kept = kept.dropLast()
                if isLast { kept.append("") }
            default: kept.append(segment)
            }
        }
        return "/" + kept.joined(separator: "/")
    }
}
