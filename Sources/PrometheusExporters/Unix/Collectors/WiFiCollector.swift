import Essentials
import Glibc
import SelfMetrics

/// `wifi`: wireless devices and the stations they talk to, from the kernel's nl80211 over generic netlink.
final class WiFiCollector: NodeCollector {
    private static let generic: Int32 = 16
    /// Numbers of the controller of generic netlink.
    private static let controller: UInt16 = 16
    private static let listFamilies: UInt8 = 3
    // Commands of nl80211.
    private static let listInterfaces: UInt8 = 5
    private static let listStations: UInt8 = 17
    private static let listScan: UInt8 = 32

    func collect(_ scrape: NodeScrape) throws {
        let family = try findFamily()
        var interfaces: [WiFiInterface] = []
        try Netlink.dump(Self.generic, type: family, [Self.listInterfaces, 1, 0, 0]) { message in
            if let interface = WiFiInterface(message) { interfaces.append(interface) }
        }
        for interface in interfaces {
            scrape.page.add(
                scrape.page.gauge(
                    "node_wifi_interface_frequency_hertz",
                    "The current frequency a WiFi interface is operating at, in hertz."),
                "device", interface.name, Double(interface.megahertz) * 1e6)
            var cell: WiFiCell?
            try Netlink.dump(Self.generic, type: family, Self.request(Self.listScan, interface)) { message in
                cell = cell ?? WiFiCell(message)
            }
            if let cell { Self.add(cell, interface, scrape) }
            var stations: [WiFiStation] = []
            try Netlink.dump(Self.generic, type: family, Self.request(Self.listStations, interface)) { message in
                if let station = WiFiStation(message) { stations.append(station) }
            }
            for station in stations { Self.add(station, interface, scrape) }
        }
    }

    /// The number nl80211 has since the machine began; a machine without wireless devices has none.
    private func findFamily() throws -> UInt16 {
        var found: UInt16?
        do {
            try Netlink.dump(Self.generic, type: Self.controller, [Self.listFamilies, 1, 0, 0]) { message in
                guard message.count >= 4 else { return }
                var id: UInt16?
                var name = ""
                Netlink.attributes(message.part(4..<message.count)) { type, content in
                    if type == 1, content.count >= 2 { id = content.loadUnaligned(as: UInt16.self) }
                    if type == 2 { name = String(decoding: content.prefix { $0 != 0 }, as: UTF8.self) }
                }
                if name == "nl80211" { found = id }
            }
        } catch let error as SystemError where [EPERM, EACCES, ENOENT].contains(error.code) {
            throw NoData(reason: "\(error)")
        }
        guard let found else { throw NoData(reason: "no wireless devices") }
        return found
    }

    private static func request(_ command: UInt8, _ interface: WiFiInterface) -> [UInt8] {
        // An attribute of eight bytes, the third, with the device's number.
        var bytes: [UInt8] = [command, 1, 0, 0, 8, 0, 3, 0]
        withUnsafeBytes(of: interface.index) { bytes += $0 }
        return bytes
    }

    // MARK: Writing

    private static func add(_ cell: WiFiCell, _ interface: WiFiInterface, _ scrape: NodeScrape) {
        scrape.page.add(
            scrape.page.gauge(
                "node_wifi_station_info",
                "Labeled WiFi interface station information as provided by the operating system."),
            labels: [
                ("bssid", cell.address), ("device", interface.name), ("mode", cell.mode), ("ssid", cell.name),
            ], 1)
    }

    private static func add(_ station: WiFiStation, _ interface: WiFiInterface, _ scrape: NodeScrape) {
        let page = scrape.page
        func add(_ family: MetricPage.Family, _ value: Double) {
            page.add(family, "device", interface.name, "mac_address", station.address, value)
        }
        func gauge(_ name: String, _ help: String, _ value: Double) {
            add(page.gauge("node_wifi_station_" + name, help), value)
        }
        func counter(_ name: String, _ help: String, _ value: UInt64) {
            add(page.counter("node_wifi_station_" + name, help), Double(value))
        }
        counter(
            "connected_seconds_total",
            "The total number of seconds a station has been connected to an access point.", station.connectedSeconds)
        gauge(
            "inactive_seconds", "The number of seconds since any wireless activity has occurred on a station.",
            Double(station.inactiveMilliseconds) / 1000)
        gauge(
            "receive_bits_per_second", "The current WiFi receive bitrate of a station, in bits per second.",
            Double(station.receiveRate))
        gauge(
            "transmit_bits_per_second", "The current WiFi transmit bitrate of a station, in bits per second.",
            Double(station.transmitRate))
        counter("receive_bytes_total", "The total number of bytes received by a WiFi station.", station.receivedBytes)
        counter(
            "transmit_bytes_total", "The total number of bytes transmitted by a WiFi station.", station.transmittedBytes
        )
        gauge(
            "signal_dbm", "The current WiFi signal strength, in decibel-milliwatts (dBm).", Double(station.signal))
        counter(
            "transmit_retries_total",
            "The total number of times a station has had to retry while sending a packet.", station.retries)
        counter(
            "transmit_failed_total", "The total number of times a station has failed to send a packet.",
            station.failures)
        counter(
            "beacon_loss_total", "The total number of times a station has detected a beacon loss.", station.beaconLosses
        )
    }
}

/// Reads attributes of nl80211 messages, which follow four bytes of generic netlink.
private func attributes(_ message: Bytes, _ body: (UInt16, Bytes) -> Void) {
    guard message.count >= 4 else { return }
    Netlink.attributes(message.part(4..<message.count), body)
}

/// A number of one to eight bytes in the processor's order; 0 for other lengths.
private func number(_ bytes: Bytes) -> UInt64 {
    switch bytes.count {
    case 1: UInt64(bytes[0])
    case 2: UInt64(bytes.loadUnaligned(as: UInt16.self))
    case 4: UInt64(bytes.loadUnaligned(as: UInt32.self))
    case 8: bytes.loadUnaligned(as: UInt64.self)
    default: 0
    }
}

/// `aa:bb:cc:dd:ee:ff`.
private func hardwareAddress(_ bytes: Bytes) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
}

/// A wireless device.
///
/// Source of the numbers: the kernel's `include/uapi/linux/nl80211.h`.
struct WiFiInterface: Equatable {
    var index: UInt32 = 0
    var name = ""
    var megahertz: UInt64 = 0

    /// Nil for virtual devices, which have no name.
    init?(_ message: Bytes) {
        var made = (index: UInt32(0), name: "", frequency: UInt64(0))
        attributes(message) { type, content in
            switch type {
            case 3: made.index = UInt32(truncatingIfNeeded: number(content))
            case 4: made.name = String(decoding: content.prefix { $0 != 0 }, as: UTF8.self)
            case 38: made.frequency = number(content)
            default: break
            }
        }
        if made.name.isEmpty { return nil }
        (index, name, megahertz) = made
    }
}

/// The network a device belongs to.
struct WiFiCell: Equatable {
    var address = ""
    var name = ""
    var mode = ""

    /// Nil for networks that were only seen.
    init?(_ message: Bytes) {
        var status: UInt64?
        var made = (address: "", name: "")
        attributes(message) { type, content in
            guard type == 47 else { return }
            Netlink.attributes(content) { type, content in
                switch type {
                case 1: made.address = hardwareAddress(content)
                case 6: made.name = Self.name(content) ?? made.name
                case 9: status = number(content)
                default: break
                }
            }
        }
        guard let status else { return nil }
        (address, name) = made
        mode = status < 2 ? "client" : status == 2 ? "ad-hoc" : "unknown"
    }

    /// The first of the information elements that is a name.
    private static func name(_ elements: Bytes) -> String? {
        var rest = elements
        while rest.count >= 2 {
            let length = Int(rest[1])
            guard rest.count >= 2 + length else { return nil }
            if rest[0] == 0 { return rest.part(2..<(2 + length)).string }
            rest = rest.part((2 + length)..<rest.count)
        }
        return nil
    }
}

/// A device that a wireless device talks to.
struct WiFiStation: Equatable {
    var address = ""
    var connectedSeconds: UInt64 = 0
    var inactiveMilliseconds: UInt64 = 0
    /// Bits per second.
    var receiveRate: UInt64 = 0
    var transmitRate: UInt64 = 0
    var receivedBytes: UInt64 = 0
    var transmittedBytes: UInt64 = 0
    /// Decibel-milliwatts.
    var signal: Int8 = 0
    var retries: UInt64 = 0
    var failures: UInt64 = 0
    var beaconLosses: UInt64 = 0

    /// Nil when the message tells of no station.
    init?(_ message: Bytes) {
        var isStation = false
        var made = Self()
        attributes(message) { type, content in
            if type == 6 { made.address = hardwareAddress(content) }
            guard type == 21 else { return }
            isStation = true
            Netlink.attributes(content) { made.take($0, $1) }
        }
        guard isStation else { return nil }
        self = made
    }

    private init() {}

    private mutating func take(_ type: UInt16, _ content: Bytes) {
        let value = number(content)
        switch type {
        case 1: inactiveMilliseconds = value
        // The wider counters win over these, wherever they stand.
        case 2: if receivedBytes == 0 { receivedBytes = value }
        case 3: if transmittedBytes == 0 { transmittedBytes = value }
        case 7: signal = Int8(truncatingIfNeeded: value)
        case 8: transmitRate = Self.rate(content)
        case 11: retries = value
        case 12: failures = value
        case 14: receiveRate = Self.rate(content)
        case 16: connectedSeconds = value
        case 18: beaconLosses = value
        case 23: receivedBytes = value
        case 24: transmittedBytes = value
        default: break
        }
    }

    /// Rates are counted in 100 kilobits; the wider number wins.
    private static func rate(_ bytes: Bytes) -> UInt64 {
        var narrow: UInt64 = 0
        var wide: UInt64 = 0
        Netlink.attributes(bytes) { type, content in
            if type == 1 { narrow = number(content) }
            if type == 5 { wide = number(content) }
        }
        return (wide > 0 ? wide : narrow) &* 100_000
    }
}
