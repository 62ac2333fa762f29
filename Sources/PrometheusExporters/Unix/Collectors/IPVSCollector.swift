import Essentials
import Glibc

/// `ipvs`: the kernel's load balancer, from `/proc/net/ip_vs_stats` and `/proc/net/ip_vs`.
final class IPVSCollector: NodeCollector {
    private struct Totals {
        var active: UInt64 = 0
        var inactive: UInt64 = 0
        var weight: UInt64 = 0
    }

    /// The service that the lines of backends below it belong to.
    private struct Service {
        var protocolName = ""
        var address = ""
        var port = ""
        var mark = ""
    }

    private let labels: [IPVSArguments.Label]

    init(_ settings: UnixSettings) { labels = settings.ipvs.labels }

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("net/ip_vs_stats")
        try noDataIfMissing { try scrape.files.withFile(path) { try addTotals($0, path, scrape.page) } }
        let backends = scrape.paths.proc("net/ip_vs")
        try scrape.files.withFile(backends) { try addBackends($0, backends, scrape.page) }
    }

    /// Hexadecimal columns under a heading of two lines.
    private func addTotals(_ bytes: Bytes, _ path: String, _ page: MetricPage) throws {
        let columns: [(name: String, help: String)] = [
            ("connections_total", "The total number of connections made."),
            ("incoming_packets_total", "The total number of incoming packets."),
            ("outgoing_packets_total", "The total number of outgoing packets."),
            ("incoming_bytes_total", "The total amount of incoming data."),
            ("outgoing_bytes_total", "The total amount of outgoing data."),
        ]
        var lines = bytes.lines.makeIterator()
        _ = lines.next()
        _ = lines.next()
        guard let words = lines.next()?.words(limit: 6), words.count == columns.count else {
            throw MalformedFile(path: path)
        }
        for (column, word) in zip(columns, words) {
            guard let value = word.hexadecimal else { throw MalformedFile(path: path) }
            page.add(page.counter("node_ipvs_" + column.name, column.help), Double(value))
        }
    }

    private func addBackends(_ bytes: Bytes, _ path: String, _ page: MetricPage) throws {
        var service = Service()
        var order: [[String]] = []
        var sums: [[String]: Totals] = [:]
        for line in bytes.lines {
            let words = line.words(limit: 8)
            guard let first = words.first else { continue }
            if first.equals("TCP") || first.equals("UDP") || first.equals("SCTP") {
                guard words.count >= 2, let (address, port) = Self.endpoint(words[1]) else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                service = Service(protocolName: first.string, address: address, port: port)
            } else if first.equals("FWM") {
                guard words.count >= 2 else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                service = Service(protocolName: "FWM", port: "0", mark: words[1].string)
            } else if first.equals("->"), words.count >= 2, !words[1].equals("RemoteAddress:Port") {
                guard words.count >= 6, let (address, port) = Self.endpoint(words[1]), let weight = words[3].unsigned,
                    let active = words[4].unsigned, let inactive = words[5].unsigned
                else { throw MalformedFile(path: path, reason: "invalid line \(line.string)") }
                let key = labels.map { Self.value(of: $0, service, address, port) }
                if sums[key] == nil { order.append(key) }
                sums[key, default: Totals()].active &+= active
                sums[key, default: Totals()].inactive &+= inactive
                sums[key, default: Totals()].weight &+= weight
            }
        }
        add(order, sums, page)
    }

    private func add(_ order: [[String]], _ sums: [[String]: Totals], _ page: MetricPage) {
        let active = page.gauge(
            "node_ipvs_backend_connections_active", "The current active connections by local and remote address.")
        let inactive = page.gauge(
            "node_ipvs_backend_connections_inactive", "The current inactive connections by local and remote address.")
        let weight = page.gauge(
            "node_ipvs_backend_weight", "The current backend weight by local and remote address.")
        for key in order {
            guard let totals = sums[key] else { continue }
            let pairs = zip(labels, key).map { ($0.rawValue, $1) }
            page.add(active, labels: pairs, Double(totals.active))
            page.add(inactive, labels: pairs, Double(totals.inactive))
            page.add(weight, labels: pairs, Double(totals.weight))
        }
    }

    private static func value(
        of label: IPVSArguments.Label, _ service: Service, _ address: String, _ port: String
    ) -> String {
        switch label {
        case .localAddress: service.address
        case .localPort: service.port
        case .remoteAddress: address
        case .remotePort: port
        case .protocolName: service.protocolName
        case .localMark: service.mark
        }
    }

    /// Reads `C0A80016:0CEA` or `[2620:...:0001]:0050`; the port in decimal digits.
    static func endpoint(_ text: Bytes) -> (address: String, port: String)? {
        guard text.count > 5, text[text.count - 5] == UInt8(ascii: ":"),
            let port = text.part((text.count - 4)..<text.count).hexadecimal
        else { return nil }
        let host = text.part(0..<(text.count - 5))
        if host.count == 8, let address = host.hexadecimal {
            let parts = [24, 16, 8, 0].map { String(address >> UInt64($0) & 0xFF) }
            return (parts.joined(separator: "."), String(port))
        }
        guard host.count > 2, host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]") else { return nil }
        var address = in6_addr()
        guard inet_pton(AF_INET6, host.part(1..<(host.count - 1)).string, &address) == 1 else { return nil }
        var short = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, &address, &short, socklen_t(short.count)) != nil else { return nil }
        return (String(decoding: short.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), String(port))
    }
}
