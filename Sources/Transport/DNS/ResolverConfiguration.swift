import Essentials

/// What `/etc/resolv.conf` says (resolv.conf(5)): servers, search list and options.
package struct ResolverConfiguration: Sendable, Equatable {
    /// Asked in order.
    package var servers: [SocketAddress]
    /// Domains appended to names with few dots, without final dots.
    package var search: [String]
    /// A name with at least as many dots is tried as it is first.
    package var dots: Int
    /// How long one server may take.
    package var timeout: Duration
    /// How often the list of servers is gone through.
    package var attempts: Int

    /// A configuration with explicit servers.
    package init(
        servers: [SocketAddress], search: [String] = [], dots: Int = 1, timeout: Duration = .seconds(5),
        attempts: Int = 2
    ) {
        self.servers = servers
        self.search = search
        self.dots = dots
        self.timeout = timeout
        self.attempts = attempts
    }

    /// Reads the text of a `resolv.conf`; unknown lines and options are ignored. Without servers it is localhost.
    package init(parsing text: String) {
        self.init(servers: [])
        for line in text.split(whereSeparator: \.isNewline) {
            if line.hasPrefix("#") || line.hasPrefix(";") { continue }
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count > 1 else { continue }
            switch words[0] {
            case "nameserver":
                if servers.count < 16, IPLiteral(words[1]) != nil { servers.append(.host(String(words[1]), port: 53)) }
            case "domain": search = [Self.withoutDot(words[1])]
            case "search": search = words.dropFirst().prefix(32).map(Self.withoutDot).filter { !$0.isEmpty }
            case "options":
                for option in words.dropFirst() {
                    let parts = option.split(separator: ":", maxSplits: 1)
                    guard parts.count == 2, let value = Int(parts[1]), value >= 0 else { continue }
                    switch parts[0] {
                    case "ndots": dots = min(value, 15)
                    case "timeout": timeout = .seconds(max(1, min(value, 30)))
                    case "attempts": attempts = max(1, min(value, 5))
                    default: break
                    }
                }
            default: break
            }
        }
        if servers.isEmpty { servers = [.host("127.0.0.1", port: 53)] }
    }

    /// The system's configuration; blocks.
    package static func system(_ path: String = "/etc/resolv.conf") throws -> ResolverConfiguration {
        ResolverConfiguration(parsing: try Files.readText(path, limit: .mebibytes(1)))
    }

    /// The names to ask for, in order, each with its final dot.
    package func candidates(for name: String) -> [String] {
        if name.hasSuffix(".") { return [name] }
        let absolute = name + "."
        let searched = search.map { "\(name).\($0)." }
        let isAbsoluteFirst = name.utf8.count(where: { $0 == UInt8(ascii: ".") }) >= dots
        return isAbsoluteFirst ? [absolute] + searched : searched + [absolute]
    }

    private static func withoutDot(_ name: Substring) -> String {
        String(name.hasSuffix(".") ? name.dropLast() : name)
    }
}
