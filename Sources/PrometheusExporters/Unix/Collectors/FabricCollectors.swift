import Essentials
import Glibc
import SelfMetrics

/// Files that hold a number each; those that cannot be read just now are left out.
private func readCounters(
    _ scrape: NodeScrape, _ directory: String, isOptional: Bool = false, _ names: Set<String>
) throws -> [String: UInt64] {
    var values: [String: UInt64] = [:]
    let listed: [String]
    do {
        listed = try Files.list(directory)
    } catch let error as SystemError where isOptional && error.isNotFound {
        return [:]
    }
    for name in listed where names.contains(name) {
        let path = directory + "/" + name
        let text: String
        do {
            text = try scrape.files.text(path)
        } catch let error as SystemError {
            if error.isNotFound || [EACCES, EPERM, EOPNOTSUPP, EINVAL].contains(error.code) { continue }
            throw error
        }
        // Cards without an agent for performance data say so instead.
        if text.contains("N/A (no PMA)") { continue }
        let isHexadecimal = text.hasPrefix("0x") || text.hasPrefix("0X")
        guard let value = isHexadecimal ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text) else {
            throw MalformedFile(path: path)
        }
        values[name] = value
    }
    return values
}

/// `fibrechannel`: host bus adapters, from `/sys/class/fc_host`.
final class FibreChannelCollector: NodeCollector {
    private static let counters: [(file: String, metric: String, help: String)] = [
        ("dumped_frames", "dumped_frames_total", "Number of dumped frames"),
        ("error_frames", "error_frames_total", "Number of errors in frames"),
        ("fcp_packet_aborts", "fcp_packet_aborts_total", "Number of aborted packets"),
        ("invalid_crc_count", "invalid_crc_total", "Invalid Cyclic Redundancy Check count"),
        ("invalid_tx_word_count", "invalid_tx_words_total", "Number of invalid words transmitted by host port"),
        ("link_failure_count", "link_failure_total", "Number of times the host port link has failed"),
        ("loss_of_signal_count", "loss_of_signal_total", "Number of times signal has been lost"),
        (
            "loss_of_sync_count", "loss_of_sync_total",
            "Number of failures on either bit or transmission word boundaries"
        ),
        ("nos_count", "nos_total", "Number Not_Operational Primitive Sequence received by host port"),
        ("rx_frames", "rx_frames_total", "Number of frames received"),
        ("rx_words", "rx_words_total", "Number of words received by host port"),
        (
            "seconds_since_last_reset", "seconds_since_last_reset_total",
            "Number of seconds since last host port reset"
        ),
        ("tx_frames", "tx_frames_total", "Number of frames transmitted by host port"),
        ("tx_words", "tx_words_total", "Number of words transmitted by host port"),
    ]
    private static let texts: [String] = [
        "dev_loss_tmo", "fabric_name", "port_id", "port_name", "port_state", "port_type", "speed", "supported_classes",
        "supported_speeds", "symbolic_name",
    ]
    /// Numbers in hexadecimal whose prefix is left out.
    private static let identifiers: Set<String> = ["fabric_name", "port_id", "port_name"]

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/fc_host")
        let page = scrape.page
        for host in try noDataIfMissing({ try Files.list(root) }) {
            let path = root + "/" + host
            var labels = [("fc_host", host)]
            for name in Self.texts {
                let text = try scrape.files.text(path + "/" + name)
                let isIdentifier = Self.identifiers.contains(name) && text.utf8.count > 2
                labels.append((name, isIdentifier ? String(text.dropFirst(2)) : text))
            }
            let values = try readCounters(scrape, path + "/statistics", Set(Self.counters.map(\.file)))
            page.add(
                page.gauge(
                    "node_fibrechannel_info", "Non-numeric data from /sys/class/fc_host/<host>, value is always 1."),
                labels: labels, 1)
            for counter in Self.counters {
                let value = values[counter.file] ?? 0
                // What the adapter does not count is all ones.
                if value == .max { continue }
                page.add(
                    page.counter("node_fibrechannel_" + counter.metric, counter.help), "fc_host", host, Double(value))
            }
        }
    }
}

/// `infiniband`: ports of host channel adapters, from `/sys/class/infiniband`.
final class InfiniBandCollector: NodeCollector {
    private struct Counter {
        let file: String
        let metric: String
        let help: String
        /// Data is counted in words of four bytes.
        var factor: UInt64 = 1

        init(_ file: String, _ metric: String, _ help: String, factor: UInt64 = 1) {
            self.file = file
            self.metric = metric
            self.help = help
            self.factor = factor
        }
    }

    private static let legacy: [Counter] = [
        Counter(
            "port_multicast_rcv_packets", "legacy_multicast_packets_received_total",
            "Number of multicast packets received"),
        Counter(
            "port_multicast_xmit_packets", "legacy_multicast_packets_transmitted_total",
            "Number of multicast packets transmitted"),
        Counter(
            "port_rcv_data_64", "legacy_data_received_bytes_total", "Number of data octets received on all links",
            factor: 4),
        Counter(
            "port_rcv_packets_64", "legacy_packets_received_total", "Number of data packets received on all links"),
        Counter(
            "port_unicast_rcv_packets", "legacy_unicast_packets_received_total", "Number of unicast packets received"),
        Counter(
            "port_unicast_xmit_packets", "legacy_unicast_packets_transmitted_total",
            "Number of unicast packets transmitted"),
        Counter(
            "port_xmit_data_64", "legacy_data_transmitted_bytes_total",
            "Number of data octets transmitted on all links", factor: 4),
        Counter(
            "port_xmit_packets_64", "legacy_packets_transmitted_total", "Number of data packets received on all links"),
    ]

    private static let counters: [Counter] = [
        Counter(
            "excessive_buffer_overrun_errors", "excessive_buffer_overrun_errors_total",
            "Number of times that OverrunErrors consecutive flow control update periods occurred, each having at least "
                + "one overrun error."),
        Counter(
            "link_downed", "link_downed_total",
            "Number of times the link failed to recover from an error state and went down"),
        Counter(
            "link_error_recovery", "link_error_recovery_total",
            "Number of times the link successfully recovered from an error state"),
        Counter(
            "local_link_integrity_errors", "local_link_integrity_errors_total",
            "Number of times that the count of local physical errors exceeded the threshold specified by "
                + "LocalPhyErrors."),
        Counter(
            "multicast_rcv_packets", "multicast_packets_received_total",
            "Number of multicast packets received (including errors)"),
        Counter(
            "multicast_xmit_packets", "multicast_packets_transmitted_total",
            "Number of multicast packets transmitted (including errors)"),
        Counter(
            "port_rcv_constraint_errors", "port_constraint_errors_received_total",
            "Number of packets received on the switch physical port that are discarded"),
        Counter(
            "port_xmit_constraint_errors", "port_constraint_errors_transmitted_total",
            "Number of packets not transmitted from the switch physical port"),
        Counter(
            "port_rcv_data", "port_data_received_bytes_total", "Number of data octets received on all links",
            factor: 4),
        Counter(
            "port_xmit_data", "port_data_transmitted_bytes_total", "Number of data octets transmitted on all links",
            factor: 4),
        Counter(
            "port_rcv_discards", "port_discards_received_total",
            "Number of inbound packets discarded by the port because the port is down or congested"),
        Counter(
            "port_xmit_discards", "port_discards_transmitted_total",
            "Number of outbound packets discarded by the port because the port is down or congested"),
        Counter(
            "port_rcv_errors", "port_errors_received_total",
            "Number of packets containing an error that were received on this port"),
        Counter(
            "port_rcv_packets", "port_packets_received_total",
            "Number of packets received on all VLs by this port (including errors)"),
        Counter(
            "port_xmit_packets", "port_packets_transmitted_total",
            "Number of packets transmitted on all VLs from this port (including errors)"),
        Counter(
            "port_xmit_wait", "port_transmit_wait_total",
            "Number of ticks during which the port had data to transmit but no data was sent during the entire tick"),
        Counter(
            "unicast_rcv_packets", "unicast_packets_received_total",
            "Number of unicast packets received (including errors)"),
        Counter(
            "unicast_xmit_packets", "unicast_packets_transmitted_total",
            "Number of unicast packets transmitted (including errors)"),
        Counter(
            "port_rcv_remote_physical_errors", "port_receive_remote_physical_errors_total",
            "Number of packets marked with the EBP (End of Bad Packet) delimiter received on the port."),
        Counter(
            "port_rcv_switch_relay_errors", "port_receive_switch_relay_errors_total",
            "Number of packets that could not be forwarded by the switch."),
        Counter(
            "symbol_error", "symbol_error_total",
            "Number of minor link errors detected on one or more physical lanes."),
        Counter(
            "VL15_dropped", "vl15_dropped_total",
            "Number of incoming VL15 packets dropped due to resource limitations."),
    ]

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/infiniband")
        let page = scrape.page
        for device in try noDataIfMissing({ try Files.list(root) }) {
            let path = root + "/" + device
            var labels = [
                ("device", device), ("board_id", try scrape.files.text(path + "/board_id")),
                ("firmware_version", try scrape.files.text(path + "/fw_ver")),
            ]
            // Not every driver tells the type.
            labels.append(("hca_type", scrape.files.optional { try scrape.files.text(path + "/hca_type") } ?? ""))
            page.add(
                page.gauge(
                    "node_infiniband_info",
                    "Non-numeric data from /sys/class/infiniband/<device>, value is always 1."),
                labels: labels, 1)
            for port in try Files.list(path + "/ports") {
                guard UInt32(port) != nil else { throw MalformedFile(path: path + "/ports/" + port) }
                try addPort(scrape, device, port, path + "/ports/" + port)
            }
        }
    }

    private func addPort(_ scrape: NodeScrape, _ device: String, _ port: String, _ path: String) throws {
        let page = scrape.page
        func gauge(_ name: String, _ help: String, _ value: UInt64) {
            page.add(
                page.gauge("node_infiniband_" + name, help), "device", device, "port", port, Double(value))
        }
        func state(_ file: String) throws -> UInt64 {
            try scrape.files.withFile(path + "/" + file) { bytes in
                guard let value = bytes.cut(at: ":")?.0.trimmed.unsigned else {
                    throw MalformedFile(path: path + "/" + file)
                }
                return value
            }
        }
        gauge(
            "state_id",
            "State of the InfiniBand port (0: no change, 1: down, 2: init, 3: armed, 4: active, 5: act defer)",
            try state("state"))
        gauge(
            "physical_state_id",
            "Physical state of the InfiniBand port (0: no change, 1: sleep, 2: polling, 3: disable, 4: shift, "
                + "5: link up, 6: link error recover, 7: phytest)",
            try state("phys_state"))
        let rate = try scrape.files.withFile(path + "/rate") { bytes -> UInt64 in
            // Such as `2.5 Gb/sec (1X SDR)`.
            guard let gigabits = bytes.cut(at: " ")?.0.number, gigabits >= 0, gigabits < 1e9 else {
                throw MalformedFile(path: path + "/rate")
            }
            return UInt64(Double(Float(gigabits)) * 125_000_000)
        }
        gauge("rate_bytes_per_second", "Maximum signal transfer rate", rate)
        let present = try readCounters(scrape, path + "/counters", Set(Self.counters.map(\.file)))
        let older = try readCounters(
            scrape, path + "/counters_ext", isOptional: true, Set(Self.legacy.map(\.file)))
        for (list, values) in [(Self.legacy, older), (Self.counters, present)] {
            for counter in list {
                guard let value = values[counter.file] else { continue }
                page.add(
                    page.counter("node_infiniband_" + counter.metric, counter.help), "device", device, "port", port,
                    Double(value &* counter.factor))
            }
        }
    }
}
