import CNode
import Essentials
import Glibc
import SelfMetrics
import TextFormats

/// `ethtool`: what network drivers count and what links can do, through the `SIOCETHTOOL` request.
final class EthtoolCollector: NodeCollector {
    /// Statistics with a name of their own.
    private static let known: [String: (metric: String, help: String)] = [
        "rx_bytes": ("received_bytes_total", "Network interface bytes received"),
        "rx_dropped": ("received_dropped_total", "Number of received frames dropped"),
        "rx_errors": ("received_errors_total", "Number of received frames with errors"),
        "rx_packets": ("received_packets_total", "Network interface packets received"),
        "tx_bytes": ("transmitted_bytes_total", "Network interface bytes sent"),
        "tx_errors": ("transmitted_errors_total", "Number of sent frames with errors"),
        "tx_packets": ("transmitted_packets_total", "Network interface packets sent"),
    ]

    /// More statistics than any driver has; past it a device is left out.
    private static let maximumStatistics: UInt32 = 16_384

    private let arguments: EthtoolArguments
    private let socket: Int32

    convenience init(_ settings: UnixSettings) { self.init(settings.ethtool) }

    init(_ arguments: EthtoolArguments) {
        self.arguments = arguments
        socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }

    deinit { if socket >= 0 { close(socket) } }

    func collect(_ scrape: NodeScrape) throws {
        guard socket >= 0 else { throw SystemError("socket", "", code: EMFILE) }
        let root = scrape.paths.sys("class/net")
        let devices = try noDataIfClosed { try Files.list(root) }.filter { Directory.isDirectory(root + "/" + $0) }
        guard !devices.isEmpty else { throw MalformedFile(path: root, reason: "no network devices found") }
        for device in devices where !arguments.filter.ignores(device) {
            addLink(device, scrape)
            addDriver(device, scrape)
        }
    }

    private func failed(_ what: String, _ device: String, _ scrape: NodeScrape) {
        let error = SystemError("ioctl", device)
        if error.code == EOPNOTSUPP {
            scrape.log.debug("Device does not answer an ethtool request", error, ["name": device, "request": what])
        } else {
            scrape.log.error("An ethtool request failed", error, ["name": device, "request": what])
        }
    }

    // MARK: Links

    private func addLink(_ device: String, _ scrape: NodeScrape) {
        var supported: UInt32 = 0
        var advertised: UInt32 = 0
        var autonegotiates: UInt8 = 0
        guard invar_ethtool_link(socket, device, &supported, &advertised, &autonegotiates) == 0 else {
            failed("link", device, scrape)
            return
        }
        LinkModes.add(supported: supported, advertised: advertised, device: device, to: scrape.page)
        let page = scrape.page
        page.add(
            page.gauge("node_network_autonegotiate", "If this port is using autonegotiate"), "device", device,
            Double(autonegotiates))
    }

    // MARK: Drivers

    private func addDriver(_ device: String, _ scrape: NodeScrape) {
        var driver = ethtool_drvinfo()
        let page = scrape.page
        guard invar_ethtool_driver(socket, device, &driver) == 0 else {
            failed("driver", device, scrape)
            return
        }
        let info = page.gauge(
            "node_ethtool_info",
            "A metric with a constant '1' value labeled by bus_info, device, driver, expansion_rom_version, "
                + "firmware_version, version.")
        page.add(
            info,
            labels: [
                ("bus_info", Self.text(driver.bus_info)), ("device", device), ("driver", Self.text(driver.driver)),
                ("expansion_rom_version", Self.text(driver.erom_version)),
                ("firmware_version", Self.text(driver.fw_version)), ("version", Self.text(driver.version)),
            ], 1)
        addStatistics(device, driver.n_stats, scrape)
    }

    private static func text<Field>(_ field: Field) -> String {
        withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private func addStatistics(_ device: String, _ expected: UInt32, _ scrape: NodeScrape) {
        guard expected > 0 else { return }
        guard expected <= Self.maximumStatistics else {
            scrape.log.error(
                "Device has too many statistics", nil, ["name": device, "count": "\(expected)"])
            return
        }
        let width = Int(ETH_GSTRING_LEN)
        var names = [UInt8](repeating: 0, count: Int(expected) * width)
        var values = [UInt64](repeating: 0, count: Int(expected))
        let count = Int(invar_ethtool_statistics(socket, device, &names, &values, expected))
        guard count >= 0 else {
            failed("statistics", device, scrape)
            return
        }
        var statistics: [(name: String, value: UInt64)] = []
        for index in 0..<count {
            let name = names[(index * width)..<((index + 1) * width)].prefix { $0 != 0 }
            if !name.isEmpty { statistics.append((String(decoding: name, as: UTF8.self), values[index])) }
        }
        add(statistics, device: device, to: scrape.page)
    }

    /// Adds what `metrics_include` lets pass. Of statistics whose metric names are the same none is exported, as
    /// upstream.
    func add(_ statistics: [(name: String, value: UInt64)], device: String, to page: MetricPage) {
        var last: [String: UInt64] = [:]
        for entry in statistics { last[entry.name] = entry.value }
        var owners: [String: (name: String, value: UInt64)?] = [:]
        for (name, value) in last {
            if let metrics = arguments.metrics, !metrics.matches(name) { continue }
            let metric = Self.metricName(name)
            if owners[metric] != nil { owners[metric] = .some(nil) } else { owners[metric] = (name, value) }
        }
        for (metric, owner) in owners {
            guard let owner else { continue }
            let key = Self.sanitized(owner.name)
            let family: MetricPage.Family
            if let known = Self.known[key] {
                family = page.family("node_ethtool_" + known.metric, known.help, .unknown)
            } else {
                family = page.family("node_ethtool_" + metric, "Network interface \(owner.name)", .unknown)
            }
            page.add(family, "device", device, Double(owner.value))
        }
    }

    /// What is not a letter, digit, colon or underscore as an underscore.
    static func sanitized(_ name: String) -> String {
        String(
            decoding: name.unicodeScalars.map { scalar -> UInt8 in
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", ":", "_": UInt8(scalar.value)
                default: UInt8(ascii: "_")
                }
            }, as: UTF8.self)
    }

    /// As ``sanitized(_:)`` for labels, which have no colons.
    static func labelName(_ name: String) -> String { sanitized(name).replacing(":", with: "_") }

    /// The metric's name behind `node_ethtool_`: in lower case, with the words `rx` and `tx` written out.
    static func metricName(_ name: String) -> String {
        let bytes = Array(sanitized(name).lowercased().utf8.drop { $0 == UInt8(ascii: "_") })
        let received = replacing("rx", with: "received", in: bytes)
        return String(decoding: replacing("tx", with: "transmitted", in: received), as: UTF8.self)
    }

    /// Replaces a word between underscores; an underscore ends one word and does not begin the next as well.
    private static func replacing(_ word: String, with replacement: String, in bytes: [UInt8]) -> [UInt8] {
        let word = Array(word.utf8)
        let underscore = UInt8(ascii: "_")
        func isWord(at start: Int) -> Bool {
            let end = start + word.count
            guard end <= bytes.count, bytes[start..<end].elementsEqual(word) else { return false }
            return end == bytes.count || bytes[end] == underscore
        }
        var output: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let start: Int
            if index == 0, isWord(at: 0) {
                start = 0
            } else if bytes[index] == underscore, isWord(at: index + 1) {
                start = index + 1
                output.append(underscore)
            } else {
                output.append(bytes[index])
                index += 1
                continue
            }
            output += replacement.utf8
            index = start + word.count
            if index < bytes.count {
                output.append(underscore)
                index += 1
            }
        }
        return output
    }
}

/// The link modes a driver reports as bits (`enum ethtool_link_mode_bit_indices` of `linux/ethtool.h`).
enum LinkModes {
    private static let ports: [(bit: UInt32, name: String)] = [
        (8, "AUI"), (11, "BNC"), (16, "Backplane"), (10, "FIBRE"), (9, "MII"), (7, "TP"),
    ]

    /// Megabits per second, duplex and the medium behind `base`.
    private static let speeds: [(bit: UInt32, megabits: Int, duplex: String, medium: String)] = [
        (0, 10, "half", "T"), (1, 10, "full", "T"), (2, 100, "half", "T"), (3, 100, "full", "T"),
        (4, 1_000, "half", "T"), (5, 1_000, "full", "T"), (12, 10_000, "full", "T"), (17, 1_000, "full", "KX"),
        (18, 10_000, "full", "KX4"), (19, 10_000, "full", "KR"), (20, 10_000, "full", "R_FEC"),
        (21, 20_000, "full", "MLD2"), (22, 20_000, "full", "KR2"), (23, 40_000, "full", "KR4"),
        (24, 40_000, "full", "CR4"), (25, 40_000, "full", "SR4"), (26, 40_000, "full", "LR4"),
        (27, 56_000, "full", "KR4"), (28, 56_000, "full", "CR4"), (29, 56_000, "full", "SR4"),
        (30, 56_000, "full", "LR4"), (31, 25_000, "full", "CR"),
    ]

    static func add(supported: UInt32, advertised: UInt32, device: String, to page: MetricPage) {
        func flag(_ name: String, _ help: String, _ modes: UInt32, _ bit: UInt32) {
            page.add(page.gauge("node_network_" + name, help), "device", device, modes >> bit & 1 == 1 ? 1 : 0)
        }
        flag("autonegotiate_supported", "If this port device supports autonegotiate", supported, 6)
        flag("pause_supported", "If this port device supports pause frames", supported, 13)
        flag("asymmetricpause_supported", "If this port device supports asymmetric pause frames", supported, 14)
        flag("autonegotiate_advertised", "If this port device offers autonegotiate", advertised, 6)
        flag("pause_advertised", "If this port device offers pause capability", advertised, 13)
        flag("asymmetricpause_advertised", "If this port device offers asymmetric pause capability", advertised, 14)
        let port = page.gauge(
            "node_network_supported_port_info", "Type of ports or PHYs supported by network device")
        for entry in ports where supported >> entry.bit & 1 == 1 {
            page.add(port, "device", device, "type", entry.name, 1)
        }
        addSpeeds(
            page.gauge(
                "node_network_supported_speed_bytes",
                "Combination of speeds and features supported by network device"), supported, device, page)
        addSpeeds(
            page.gauge(
                "node_network_advertised_speed_bytes",
                "Combination of speeds and features offered by network device"), advertised, device, page)
    }

    private static func addSpeeds(
        _ family: MetricPage.Family, _ modes: UInt32, _ device: String, _ page: MetricPage
    ) {
        for entry in speeds where modes >> entry.bit & 1 == 1 {
            page.add(
                family,
                labels: [
                    ("device", device), ("duplex", entry.duplex), ("mode", "\(entry.megabits)base\(entry.medium)"),
                ], Double(entry.megabits) * 1e6 / 8)
        }
    }
}
