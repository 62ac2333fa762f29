import Essentials
import Glibc
import SelfMetrics
import TextFormats

/// `netdev`: traffic and errors of network devices, from `/proc/net/dev`.
final class NetDevCollector: NodeCollector {
    /// The columns of `/proc/net/dev`.
    private static let columns: [String] = [
        "receive_bytes", "receive_packets", "receive_errs", "receive_drop", "receive_fifo", "receive_frame",
        "receive_compressed", "receive_multicast", "transmit_bytes", "transmit_packets", "transmit_errs",
        "transmit_drop", "transmit_fifo", "transmit_colls", "transmit_carrier", "transmit_compressed",
    ]

    private let arguments: NetDevArguments

    init(_ settings: UnixSettings) { arguments = settings.netdev }

    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("net/dev")
        let page = scrape.page
        let families = Self.columns.map { column in
            page.counter("node_network_\(column)_total", "Network device statistic \(column).")
        }
        try scrape.files.withFile(path) { bytes in
            for line in bytes.lines.dropFirst(2) {
                // A name may hold colons itself (`eth0:1`): the last one ends it.
                guard let colon = line.lastIndex(of: UInt8(ascii: ":")) else { continue }
                let device = line.part(0..<colon).trimmed
                if arguments.filter.ignores(device) { continue }
                let words = line.part((colon + 1)..<line.count).words(limit: 16)
                guard words.count == 16 else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                for (index, word) in words.enumerated() {
                    guard let value = word.unsigned else {
                        throw MalformedFile(path: path, reason: "invalid value \(word.string)")
                    }
                    page.add(families[index], "device", device, Double(value))
                }
            }
        }
        if arguments.exportsAddresses { addAddresses(page) }
    }

    private func addAddresses(_ page: MetricPage) {
        let family = page.gauge("node_network_address_info", "node network address by device")
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return }
        defer { freeifaddrs(list) }
        var next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let address = entry.pointee.ifa_addr, let name = entry.pointee.ifa_name,
                let bytes = Self.bytes(of: address), let mask = entry.pointee.ifa_netmask.flatMap(Self.bytes)
            else { continue }
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            let kind = Int32(address.pointee.sa_family)
            guard bytes.withUnsafeBytes({ inet_ntop(kind, $0.baseAddress, &text, socklen_t(text.count)) }) != nil else {
                continue
            }
            page.add(
                family,
                labels: [
                    ("device", String(cString: name)),
                    ("address", String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)),
                    ("netmask", String(mask.reduce(0) { $0 + $1.nonzeroBitCount })), ("scope", Self.scope(bytes)),
                ], 1)
        }
    }

    private static func bytes(of address: UnsafeMutablePointer<sockaddr>) -> [UInt8]? {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET: return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in.self).sin_addr) { Array($0) }
        case AF_INET6: return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { Array($0) }
        default: return nil
        }
    }

    static func scope(_ address: [UInt8]) -> String {
        if address.count == 4 {
            if address[0] == 127 || (address[0] == 169 && address[1] == 254) { return "link-local" }
            if address[0] == 224, address[1] == 0, address[2] == 0 { return "link-local" }
            return address[0] >= 224 || address.allSatisfy({ $0 == 0 }) ? "" : "global"
        }
        if address.dropLast().allSatisfy({ $0 == 0 }), address.last == 1 { return "link-local" }
        if address[0] == 0xFE, address[1] & 0xC0 == 0x80 { return "link-local" }
        if address[0] == 0xFF {
            return address[1] & 0x0F == 1 ? "interface-local" : address[1] & 0x0F == 2 ? "link-local" : ""
        }
        return address.allSatisfy { $0 == 0 } ? "" : "global"
    }
}

/// `netclass`: properties of network devices, from `/sys/class/net`.
final class NetClassCollector: NodeCollector {
    private static let numbers: [(file: String, metric: String, kind: MetricKind)] = [
        ("addr_assign_type", "address_assign_type", .gauge), ("carrier", "carrier", .gauge),
        ("carrier_changes", "carrier_changes_total", .counter),
        ("carrier_up_count", "carrier_up_changes_total", .counter),
        ("carrier_down_count", "carrier_down_changes_total", .counter), ("dev_id", "device_id", .gauge),
        ("dormant", "dormant", .gauge), ("flags", "flags", .gauge), ("ifindex", "iface_id", .gauge),
        ("iflink", "iface_link", .gauge), ("link_mode", "iface_link_mode", .gauge), ("mtu", "mtu_bytes", .gauge),
        ("name_assign_type", "name_assign_type", .gauge), ("netdev_group", "net_dev_group", .gauge),
        ("tx_queue_len", "transmit_queue_length", .gauge), ("type", "protocol_type", .gauge),
    ]

    private let arguments: NetClassArguments

    init(_ settings: UnixSettings) { arguments = settings.netclass }

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/net")
        let page = scrape.page
        let up = page.gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.")
        let info = page.gauge(
            "node_network_info", "Non-numeric data from /sys/class/net/<iface>, value is always 1.")
        for device in try noDataIfClosed({ try Files.list(root) }) {
            let path = root + "/" + device
            if let ignored = arguments.ignored, ignored.matches(device) { continue }
            guard Directory.isDirectory(path) else { continue }
            func text(_ file: String) -> String { (try? scrape.files.text(path + "/" + file)) ?? "" }
            let state = text("operstate")
            let flags = Self.number(text("flags"))
            let adminState = flags.map { $0 & 1 == 1 ? "up" : "down" } ?? "unknown"
            page.add(up, "device", device, state == "up" ? 1 : 0)
            page.add(
                info,
                labels: [
                    ("device", device), ("address", text("address")), ("broadcast", text("broadcast")),
                    ("duplex", text("duplex")), ("operstate", state), ("adminstate", adminState),
                    ("ifalias", text("ifalias")),
                ], 1)
            for entry in Self.numbers {
                guard let value = Self.number(text(entry.file)) else { continue }
                let family = page.family(
                    "node_network_" + entry.metric, "Network device property: \(entry.metric)", entry.kind)
                page.add(family, "device", device, Double(value))
            }
            if let speed = Self.number(text("speed")), speed >= 0 || !arguments.skipsInvalidSpeed {
                let family = page.gauge("node_network_speed_bytes", "Network device property: speed_bytes")
                page.add(family, "device", device, (Double(speed) * 1e6 / 8).rounded(.towardZero))
            }
        }
    }

    /// Decimal, or hexadecimal behind `0x`.
    static func number(_ text: String) -> Int64? {
        text.hasPrefix("0x") ? Int64(text.dropFirst(2), radix: 16) : Int64(text)
    }
}

/// `netstat`: counters of the protocols.
final class NetStatCollector: NodeCollector {
    private let fields: RegularExpression?

    init(_ settings: UnixSettings) { fields = settings.netstatFields }

    func collect(_ scrape: NodeScrape) throws {
        for file in ["net/netstat", "net/snmp"] {
            let path = scrape.paths.proc(file)
            try scrape.files.withFile(path) { try readPairs($0, path, scrape.page) }
        }
        do {
            let path = scrape.paths.proc("net/snmp6")
            try scrape.files.withFile(path) { try readSixth($0, path, scrape.page) }
        } catch let error as SystemError where error.isNotFound {
            // IPv6 is off.
        }
    }

    /// Lines in pairs: `Tcp: name name` and `Tcp: value value`.
    private func readPairs(_ bytes: Bytes, _ path: String, _ page: MetricPage) throws {
        var lines = bytes.lines
        while let names = lines.next() {
            guard let values = lines.next() else {
                throw MalformedFile(path: path, reason: "a line of values is missing")
            }
            var nameFields = names.fields
            var valueFields = values.fields
            guard let protocolName = nameFields.next(), valueFields.next() != nil, protocolName.count > 1 else {
                throw MalformedFile(path: path)
            }
            let prefix = protocolName.part(0..<(protocolName.count - 1))
            while let name = nameFields.next() {
                guard let word = valueFields.next(), let value = word.number else {
                    throw MalformedFile(path: path, reason: "field count mismatch in \(prefix.string)")
                }
                add(prefix, name, value, page)
            }
        }
    }

    /// Lines such as `Ip6InOctets 5`.
    private func readSixth(_ bytes: Bytes, _ path: String, _ page: MetricPage) throws {
        for line in bytes.lines {
            var words = line.fields
            guard let key = words.next(), let word = words.next(), let six = key.index(of: "6") else { continue }
            guard let value = word.number else {
                throw MalformedFile(path: path, reason: "invalid value \(word.string)")
            }
            add(key.part(0..<(six + 1)), key.part((six + 1)..<key.count), value, page)
        }
    }

    private func add(_ prefix: Bytes, _ name: Bytes, _ value: Double, _ page: MetricPage) {
        key.removeAll(keepingCapacity: true)
        key += prefix
        key.append(UInt8(ascii: "_"))
        key += name
        guard let fields, key.withUnsafeBytes({ fields.matches($0) && MetricName.isValid($0) }) else { return }
        let text = String(decoding: key, as: UTF8.self)
        let family = page.family("node_netstat_" + text, "Statistic \(prefix.string)\(name.string).", .unknown)
        page.add(family, value)
    }

    private var key: [UInt8] = []
}

/// `sockstat`: sockets by protocol.
final class SockStatCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        for file in ["net/sockstat", "net/sockstat6"] {
            let path = scrape.paths.proc(file)
            do {
                try scrape.files.withFile(path) { try read($0, path, scrape.page) }
            } catch let error as SystemError where error.isNotFound {
                scrape.log.debug("Socket statistics not found", error)
            }
        }
    }

    private func read(_ bytes: Bytes, _ path: String, _ page: MetricPage) throws {
        let pageSize = Double(sysconf(Int32(_SC_PAGESIZE)))
        for line in bytes.lines {
            guard let (name, rest) = line.cut(at: ":") else { continue }
            var words = rest.fields
            while let key = words.next() {
                guard let value = words.next()?.integer else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                if name.equals("sockets") {
                    guard key.equals("used") else { continue }
                    page.add(page.gauge("node_sockstat_sockets_used", "Number of IPv4 sockets in use."), Double(value))
                    continue
                }
                guard ["inuse", "orphan", "tw", "alloc", "mem", "memory"].contains(key.string), MetricName.isValid(name)
                else { continue }
                add(name.string, key.string, Double(value), page)
                if key.equals("mem") { add(name.string, "mem_bytes", Double(value) * pageSize, page) }
            }
        }
    }

    private func add(_ name: String, _ state: String, _ value: Double, _ page: MetricPage) {
        let family = page.gauge(
            "node_sockstat_\(name)_\(state)", "Number of \(name) sockets in state \(state).")
        page.add(family, value)
    }
}

/// `softnet`: packet processing per CPU.
final class SoftNetCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let path = scrape.paths.proc("net/softnet_stat")
        let page = scrape.page
        let processed = page.counter("node_softnet_processed_total", "Number of processed packets")
        let dropped = page.counter("node_softnet_dropped_total", "Number of dropped packets")
        let squeezed = page.counter(
            "node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota")
        let collisions = page.counter(
            "node_softnet_cpu_collision_total",
            "Number of collision occur while obtaining device lock while transmitting")
        let steered = page.counter(
            "node_softnet_received_rps_total", "Number of times cpu woken up received_rps")
        let limited = page.counter(
            "node_softnet_flow_limit_count_total", "Number of times flow limit has been reached")
        let backlog = page.gauge("node_softnet_backlog_len", "Softnet backlog status")
        try scrape.files.withFile(path) { bytes in
            for (row, line) in bytes.lines.enumerated() {
                let values = line.words().map(\.hexadecimal)
                guard values.count >= 9, !values.contains(nil) else {
                    throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                }
                func value(_ index: Int) -> Double { index < values.count ? Double(values[index] ?? 0) : 0 }
                let cpu = values.count >= 13 ? Int(truncatingIfNeeded: values[12] ?? 0) : row
                page.add(processed, "cpu", cpu, value(0))
                page.add(dropped, "cpu", cpu, value(1))
                page.add(squeezed, "cpu", cpu, value(2))
                page.add(collisions, "cpu", cpu, value(8))
                page.add(steered, "cpu", cpu, value(9))
                page.add(limited, "cpu", cpu, value(10))
                page.add(backlog, "cpu", cpu, values.count >= 13 ? value(11) : 0)
            }
        }
    }
}

/// `conntrack`: connection tracking.
final class ConntrackCollector: NodeCollector {
    /// Columns of `/proc/net/stat/nf_conntrack`, summed over the CPUs.
    private static let columns: [(index: Int, name: String, help: String)] = [
        (2, "found", "Number of searched entries which were successful."),
        (4, "invalid", "Number of packets seen which can not be tracked."),
        (5, "ignore", "Number of packets seen which are already connected to a conntrack entry."),
        (8, "insert", "Number of entries inserted into the list."),
        (9, "insert_failed", "Number of entries for which list insertion was attempted but failed."),
        (10, "drop", "Number of packets dropped due to conntrack failure."),
        (
            11, "early_drop",
            "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached."
        ),
        (16, "search_restart", "Number of conntrack table lookups which had to be restarted due to hashtable resizes."),
    ]

    func collect(_ scrape: NodeScrape) throws {
        let page = scrape.page
        try noDataIfMissing {
            let entries = try scrape.files.unsigned(scrape.paths.proc("sys/net/netfilter/nf_conntrack_count"))
            page.add(
                page.gauge(
                    "node_nf_conntrack_entries",
                    "Number of currently allocated flow entries for connection tracking."), Double(entries))
            let limit = try scrape.files.unsigned(scrape.paths.proc("sys/net/netfilter/nf_conntrack_max"))
            page.add(
                page.gauge("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table."),
                Double(limit))
            let path = scrape.paths.proc("net/stat/nf_conntrack")
            try scrape.files.withFile(path) { bytes in
                var sums = [Double](repeating: 0, count: 17)
                for line in bytes.lines.dropFirst() {
                    let values = line.words().map(\.hexadecimal)
                    guard values.count == 16 || values.count == 17, !values.contains(nil) else {
                        throw MalformedFile(path: path, reason: "invalid line \(line.string)")
                    }
                    for (index, value) in values.enumerated() { sums[index] += Double(value ?? 0) }
                }
                for column in Self.columns {
                    page.add(page.gauge("node_nf_conntrack_stat_" + column.name, column.help), sums[column.index])
                }
            }
        }
    }
}

/// `udp_queues`: memory in the queues of UDP sockets.
final class UDPQueuesCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let family = scrape.page.gauge(
            "node_udp_queues", "Number of allocated memory in the kernel for UDP datagrams in bytes.")
        var isFound = false
        for (file, version) in [("net/udp", "v4"), ("net/udp6", "v6")] {
            let path = scrape.paths.proc(file)
            do {
                let (transmit, receive) = try scrape.files.withFile(path) { bytes in
                    var transmit = 0.0
                    var receive = 0.0
                    for line in bytes.lines.dropFirst() {
                        let words = line.words(limit: 5)
                        if words.isEmpty { continue }
                        guard words.count == 5, let (tx, rx) = words[4].cut(at: ":"), let sent = tx.hexadecimal,
                            let received = rx.hexadecimal
                        else { throw MalformedFile(path: path, reason: "invalid line \(line.string)") }
                        transmit += Double(sent)
                        receive += Double(received)
                    }
                    return (transmit, receive)
                }
                isFound = true
                scrape.page.add(family, "ip", version, "queue", "tx", transmit)
                scrape.page.add(family, "ip", version, "queue", "rx", receive)
            } catch let error as SystemError where error.isNotFound {
                continue
            }
        }
        if !isFound { throw NoData(reason: "neither udp nor udp6") }
    }
}

/// `arp`: neighbours per device.
final class ARPCollector: NodeCollector {
    private let filter: DeviceFilter
    private let usesNetlink: Bool

    init(_ settings: UnixSettings) {
        filter = settings.arp
        usesNetlink = settings.asksForNeighbours
    }

    func collect(_ scrape: NodeScrape) throws {
        let counts = try usesNetlink ? neighbours() : entries(scrape)
        let family = scrape.page.gauge("node_arp_entries", "ARP entries by device")
        for (device, count) in counts.sorted(by: { $0.key < $1.key }) where !filter.ignores(device) {
            scrape.page.add(family, "device", device, Double(count))
        }
    }

    /// Neighbours of IPv4 by device, from rtnetlink(7), without those that need no address resolution.
    private func neighbours() throws -> [String: Int] {
        var counts: [UInt32: Int] = [:]
        try Netlink.dump(Netlink.route, type: 30, [UInt8](repeating: 0, count: 12)) { message in
            guard message.count >= 12, message[0] == UInt8(AF_INET) else { return }
            let state = message.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
            if state & 0x40 == 0 { counts[message.loadUnaligned(fromByteOffset: 4, as: UInt32.self), default: 0] += 1 }
        }
        var named: [String: Int] = [:]
        for (index, count) in counts { named[Netlink.deviceName(index), default: 0] += count }
        return named
    }

    private func entries(_ scrape: NodeScrape) throws -> [String: Int] {
        let path = scrape.paths.proc("net/arp")
        return try scrape.files.withFile(path) { bytes in
            var counts: [String: Int] = [:]
            for line in bytes.lines {
                let words = line.words(limit: 10)
                switch words.count {
                case 0, 9: continue
                case 6: counts[words[5].string, default: 0] += 1
                default:
                    throw MalformedFile(path: path, reason: "\(words.count) columns found, but expected 6")
                }
            }
            return counts
        }
    }
}

/// `bonding`: members of bonded devices.
final class BondingCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/net")
        let members = scrape.page.gauge(
            "node_bonding_slaves", "Number of configured slaves per bonding interface.")
        let active = scrape.page.gauge("node_bonding_active", "Number of active slaves per bonding interface.")
        try noDataIfMissing {
            for master in try scrape.files.text(root + "/bonding_masters").split(separator: " ").map(String.init) {
                let path = root + "/" + master
                var total = 0
                var up = 0
                for member in try scrape.files.text(path + "/bonding/slaves").split(separator: " ") {
                    let state =
                        try (try? scrape.files.text(path + "/lower_\(member)/bonding_slave/mii_status"))
                        ?? scrape.files.text(path + "/slave_\(member)/bonding_slave/mii_status")
                    total += 1
                    if state == "up" { up += 1 }
                }
                scrape.page.add(members, "master", master, Double(total))
                scrape.page.add(active, "master", master, Double(up))
            }
        }
    }
}
