import Essentials
import Glibc
import SelfMetrics

/// `tcpstat`: TCP connections by state, from the kernel's socket diagnosis (sock_diag(7)).
final class TCPStatCollector: NodeCollector {
    private static let states: [String] = [
        "", "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait", "close", "close_wait",
        "last_ack", "listen", "closing",
    ]

    func collect(_ scrape: NodeScrape) throws {
        var counts = [UInt64](repeating: 0, count: Self.states.count)
        var received: UInt64 = 0
        var unsent: UInt64 = 0
        var isAny = false
        func count(_ family: Int32) throws {
            var request: [UInt8] = [UInt8(family), UInt8(IPPROTO_TCP), 2, 0]
            withUnsafeBytes(of: UInt32(0xFFF)) { request += $0 }
            request += [UInt8](repeating: 0, count: 48)
            try Netlink.dump(Netlink.socketDiagnosis, type: 20, request) { message in
                guard message.count >= 64 else { return }
                isAny = true
                let state = Int(message[1])
                if state < counts.count { counts[state] += 1 }
                received += UInt64(message.loadUnaligned(fromByteOffset: 56, as: UInt32.self))
                unsent += UInt64(message.loadUnaligned(fromByteOffset: 60, as: UInt32.self))
            }
        }
        try count(AF_INET)
        if Files.exists(scrape.paths.proc("net/tcp6")) { try count(AF_INET6) }
        let family = scrape.page.gauge("node_tcp_connection_states", "Number of connection states.")
        for (state, count) in zip(Self.states, counts) where count > 0 {
            scrape.page.add(family, "state", state, Double(count))
        }
        guard isAny else { return }
        scrape.page.add(family, "state", "rx_queued_bytes", Double(received))
        scrape.page.add(family, "state", "tx_queued_bytes", Double(unsent))
    }
}

/// `qdisc`: queueing disciplines of network devices, from rtnetlink(7).
final class QueueDisciplineCollector: NodeCollector {
    struct Numbers {
        var bytes: UInt64 = 0
        var packets: UInt32 = 0
        var drops: UInt32 = 0
        var requeues: UInt32 = 0
        var overlimits: UInt32 = 0
        var length: UInt32 = 0
        var backlog: UInt32 = 0
    }

    func collect(_ scrape: NodeScrape) throws {
        try Netlink.dump(Netlink.route, type: 38, [UInt8](repeating: 0, count: 20)) { message in
            guard let (device, kind, numbers) = Self.read(message) else { return }
            Self.add(scrape, Netlink.deviceName(device), kind, numbers)
        }
    }

    /// A discipline at the root of a device; nil for others.
    static func read(_ message: Bytes) -> (device: UInt32, kind: String, Numbers)? {
        guard message.count >= 20 else { return nil }
        let parent = message.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
        guard parent == 0 || parent == .max else { return nil }
        var kind = ""
        var numbers = Numbers()
        Netlink.attributes(message.part(20..<message.count)) { type, content in
            switch type {
            case 1: kind = String(decoding: content.prefix { $0 != 0 }, as: UTF8.self)
            case 3: readOld(content, into: &numbers)
            case 7: Netlink.attributes(content) { read($0, $1, into: &numbers) }
            default: break
            }
        }
        return (message.loadUnaligned(fromByteOffset: 4, as: UInt32.self), kind, numbers)
    }

    private static func readOld(_ bytes: Bytes, into numbers: inout Numbers) {
        guard bytes.count >= 36 else { return }
        func word(_ offset: Int) -> UInt32 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
        numbers.bytes = bytes.loadUnaligned(as: UInt64.self)
        numbers.packets = word(8)
        numbers.drops = word(12)
        numbers.overlimits = word(16)
        numbers.length = word(28)
        numbers.backlog = word(32)
    }

    private static func read(_ type: UInt16, _ bytes: Bytes, into numbers: inout Numbers) {
        func word(_ offset: Int) -> UInt32 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
        if type == 1, bytes.count >= 12 {
            numbers.bytes = bytes.loadUnaligned(as: UInt64.self)
            numbers.packets = word(8)
        } else if type == 3, bytes.count >= 20 {
            numbers.length = word(0)
            numbers.backlog = word(4)
            numbers.drops = word(8)
            numbers.requeues = word(12)
            numbers.overlimits = word(16)
        }
    }

    private static func add(_ scrape: NodeScrape, _ device: String, _ kind: String, _ numbers: Numbers) {
        let page = scrape.page
        func add(_ family: MetricPage.Family, _ value: Double) {
            page.add(family, "device", device, "kind", kind, value)
        }
        add(page.counter("node_qdisc_bytes_total", "Number of bytes sent."), Double(numbers.bytes))
        add(page.counter("node_qdisc_packets_total", "Number of packets sent."), Double(numbers.packets))
        add(page.counter("node_qdisc_drops_total", "Number of packets dropped."), Double(numbers.drops))
        add(
            page.counter("node_qdisc_requeues_total", "Number of packets dequeued, not transmitted, and requeued."),
            Double(numbers.requeues))
        add(page.counter("node_qdisc_overlimits_total", "Number of overlimit packets."), Double(numbers.overlimits))
        add(
            page.gauge("node_qdisc_current_queue_length", "Number of packets currently in queue to be sent."),
            Double(numbers.length))
        add(
            page.gauge("node_qdisc_backlog", "Number of bytes currently in queue to be sent."), Double(numbers.backlog))
    }
}

/// `network_route`: unicast routes, from rtnetlink(7).
final class NetworkRouteCollector: NodeCollector {
    struct Hop {
        var device: UInt32 = 0
        var gateway = ""
        var weight = ""
    }

    /// A unicast route.
    struct Route {
        var source = ""
        var target = ""
        var priority: UInt32 = 0
        var origin: UInt8 = 0
        var hops: [Hop] = []

        /// Nil for routes of other types.
        init?(_ message: Bytes) {
            guard message.count >= 12, message[7] == 1 else { return nil }
            var made = (source: "", destination: "", priority: UInt32(0), direct: Hop(), hops: [Hop]())
            Netlink.attributes(message.part(12..<message.count)) { type, content in
                switch type {
                case 1: made.destination = NetworkRouteCollector.address(content)
                case 4: made.direct.device = NetworkRouteCollector.word(content)
                case 5: made.direct.gateway = NetworkRouteCollector.address(content)
                case 6: made.priority = NetworkRouteCollector.word(content)
                case 7: made.source = NetworkRouteCollector.address(content)
                case 9: made.hops = NetworkRouteCollector.hops(content)
                default: break
                }
            }
            let length = message[1]
            source = made.source
            target = length == 0 ? "default" : "\(made.destination)/\(length)"
            priority = made.priority
            origin = message[5]
            hops = made.hops.isEmpty ? [made.direct] : made.hops
        }
    }

    private static let protocols: [UInt8: String] = [
        0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra",
        12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 17: "mrouted", 42: "babel", 186: "bgp",
        187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
    ]

    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        let info = page.gauge("node_network_route_info", "network routing table information")
        var counts: [String: Int] = [:]
        var seen: Set<[String]> = []
        try Netlink.dump(Netlink.route, type: 26, [UInt8](repeating: 0, count: 12)) { message in
            guard let route = Route(message) else { return }
            for hop in route.hops {
                let device = Netlink.deviceName(hop.device)
                let labels = [
                    ("dest", route.target), ("device", device), ("gw", hop.gateway), ("priority", "\(route.priority)"),
                    ("proto", Self.protocols[route.origin] ?? "unknown"), ("src", route.source), ("weight", hop.weight),
                ]
                counts[device, default: 0] += 1
                // Routes of several tables may look alike.
                if seen.insert(labels.map(\.1)).inserted { page.add(info, labels: labels, 1) }
            }
        }
        let routes = page.gauge("node_network_routes", "network routes by interface")
        for (device, count) in counts.sorted(by: { $0.key < $1.key }) {
            page.add(routes, "device", device, Double(count))
        }
    }

    private static func word(_ bytes: Bytes) -> UInt32 { bytes.count >= 4 ? bytes.loadUnaligned(as: UInt32.self) : 0 }

    private static func address(_ bytes: Bytes) -> String {
        guard bytes.count == 4 || bytes.count == 16 else { return "" }
        var text = [CChar](repeating: 0, count: 64)
        guard inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes.baseAddress, &text, 64) != nil else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func hops(_ bytes: Bytes) -> [Hop] {
        var hops: [Hop] = []
        var rest = bytes
        while rest.count >= 8 {
            let length = Int(rest.loadUnaligned(as: UInt16.self))
            guard length >= 8, length <= rest.count else { break }
            var hop = Hop()
            hop.weight = "\(Int(rest[3]) + 1)"
            hop.device = rest.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            Netlink.attributes(rest.part(8..<length)) { type, content in
                if type == 5 { hop.gateway = address(content) }
            }
            hops.append(hop)
            rest = rest.part(min((length + 3) & ~3, rest.count)..<rest.count)
        }
        return hops
    }
}
