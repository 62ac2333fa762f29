import Essentials

/// Traffic and sockets of a network namespace, read through one of its processes.
struct ContainerNetwork {
    private static let counters: [(column: Int, name: String, help: String)] = [
        (0, "container_network_receive_bytes_total", "Cumulative count of bytes received"),
        (1, "container_network_receive_packets_total", "Cumulative count of packets received"),
        (3, "container_network_receive_packets_dropped_total", "Cumulative count of packets dropped while receiving"),
        (2, "container_network_receive_errors_total", "Cumulative count of errors encountered while receiving"),
        (8, "container_network_transmit_bytes_total", "Cumulative count of bytes transmitted"),
        (9, "container_network_transmit_packets_total", "Cumulative count of packets transmitted"),
        (
            11, "container_network_transmit_packets_dropped_total",
            "Cumulative count of packets dropped while transmitting"
        ),
        (10, "container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting"),
    ]

    /// States by their number in `/proc/net/tcp`, from 1 on.
    private static let states: [String] = [
        "established", "synsent", "synrecv", "finwait1", "finwait2", "timewait", "close", "closewait", "lastack",
        "listen", "closing",
    ]

    let files: ProcFiles
    let page: MetricPage
    let kinds: Set<CadvisorKind>

    /// `path` is the process's directory, such as `/proc/1`.
    func add(_ path: String, _ base: [UInt8]) {
        if kinds.contains(.network) { addTraffic(path + "/net/dev", base) }
        if kinds.contains(.tcp) {
            addTCP(path + "/net/tcp", "tcp", base)
            addTCP(path + "/net/tcp6", "tcp6", base)
        }
        if kinds.contains(.advancedTCP) { AdvancedTCP.add(path, base, files, to: page) }
        if kinds.contains(.udp) {
            addUDP(path + "/net/udp", "udp", base)
            addUDP(path + "/net/udp6", "udp6", base)
        }
    }

    private func addTraffic(_ path: String, _ base: [UInt8]) {
        let families = Self.counters.map { page.counter($0.name, $0.help) }
        _ = try? files.withFile(path) { bytes in
            for line in bytes.lines.dropFirst(2) {
                guard let colon = line.lastIndex(of: UInt8(ascii: ":")) else { continue }
                let device = line.part(0..<colon).trimmed
                if device.starts(with: "lo") || device.starts(with: "veth") || device.starts(with: "docker")
                    || device.starts(with: "nerdctl")
                {
                    continue
                }
                let words = line.part((colon + 1)..<line.count).words(limit: 16)
                guard words.count == 16 else { continue }
                for (family, counter) in zip(families, Self.counters) {
                    page.add(family, base: base, "interface", device, Double(words[counter.column].unsigned ?? 0))
                }
            }
        }
    }

    private func addTCP(_ path: String, _ name: String, _ base: [UInt8]) {
        var counts = [Int](repeating: 0, count: Self.states.count)
        let read: Void? = try? files.withFile(path) { bytes in
            for line in bytes.lines.dropFirst() {
                let words = line.words(limit: 4)
                guard words.count == 4, let state = words[3].hexadecimal, state >= 1, state <= counts.count else {
                    continue
                }
                counts[Int(state) - 1] += 1
            }
        }
        guard read != nil else { return }
        let family = page.gauge(
            "container_network_\(name)_usage_total", "\(name) connection usage statistic for container")
        for (state, count) in zip(Self.states, counts) {
            page.add(family, base: base, "tcp_state", state, Double(count))
        }
    }

    private func addUDP(_ path: String, _ name: String, _ base: [UInt8]) {
        var totals: [UInt64] = [0, 0, 0, 0]
        let read: Void? = try? files.withFile(path) { bytes in
            for line in bytes.lines.dropFirst() {
                totals[0] += 1
                let words = line.words(limit: 14)
                guard words.count == 13, let (sent, received) = words[4].cut(at: ":") else { continue }
                totals[1] &+= words[12].unsigned ?? 0
                totals[2] &+= received.hexadecimal ?? 0
                totals[3] &+= sent.hexadecimal ?? 0
            }
        }
        guard read != nil else { return }
        let family = page.gauge(
            "container_network_\(name)_usage_total", "\(name) connection usage statistic for container")
        for (state, total) in zip(["listen", "dropped", "rxqueued", "txqueued"], totals) {
            page.add(family, base: base, "udp_state", state, Double(total))
        }
    }
}
