import ComponentKit
import Foundation
import TestKit
import Testing

@testable import PrometheusExporters

@Suite("prometheus.exporter.unix: wifi")
struct WiFiTests {
    private func attribute(_ type: UInt16, _ content: [UInt8]) -> [UInt8] {
        let length = UInt16(4 + content.count)
        let head = [UInt8(length & 255), UInt8(length >> 8), UInt8(type & 255), UInt8(type >> 8)]
        return head + content + [UInt8](repeating: 0, count: (4 - content.count % 4) % 4)
    }

    private func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    private func message(_ attributes: [UInt8]...) -> [UInt8] { [1, 1, 0, 0] + attributes.joined() }

    private let address: [UInt8] = [2, 0x1A, 0xFF, 0, 1, 9]

    @Test("Devices have names and frequencies; those without a name are left out")
    func interfaces() {
        let named = message(
            attribute(3, bytes(UInt32(5))), attribute(4, Array("wlan0\0".utf8)), attribute(38, bytes(UInt32(2412))))
        named.withUnsafeBytes { bytes in
            let interface = WiFiInterface(bytes)
            #expect(interface?.index == 5 && interface?.name == "wlan0" && interface?.megahertz == 2412)
        }
        message(attribute(3, bytes(UInt32(6)))).withUnsafeBytes { #expect(WiFiInterface($0) == nil) }
    }

    @Test("Only the network a device belongs to is told")
    func cells() {
        let elements: [UInt8] = [1, 2, 7, 7, 0, 4] + Array("home".utf8) + [3, 1, 6]
        let seen = attribute(1, address) + attribute(6, elements)
        message(attribute(47, seen)).withUnsafeBytes { #expect(WiFiCell($0) == nil) }
        for (status, mode) in [(UInt32(1), "client"), (0, "client"), (2, "ad-hoc"), (3, "unknown")] {
            message(attribute(47, seen + attribute(9, bytes(status)))).withUnsafeBytes { bytes in
                let cell = WiFiCell(bytes)
                #expect(cell?.address == "02:1a:ff:00:01:09" && cell?.name == "home" && cell?.mode == mode)
            }
        }
        // Elements that are cut have no name.
        message(attribute(47, attribute(6, [0, 9, 65]) + attribute(9, bytes(UInt32(1))))).withUnsafeBytes {
            #expect(WiFiCell($0)?.name == "")
        }
    }

    @Test("Stations have counters, rates and signals; the wider numbers win")
    func stations() {
        let parts: [[UInt8]] = [
            attribute(1, bytes(UInt32(400))), attribute(23, bytes(UInt64(6_000_000_000))),
            attribute(2, bytes(UInt32(1_705_032_704))), attribute(3, bytes(UInt32(300))),
            attribute(7, bytes(Int8(-52))), attribute(8, attribute(1, bytes(UInt16(650)))),
            attribute(11, bytes(UInt32(20))), attribute(12, bytes(UInt32(4))),
            attribute(14, attribute(1, bytes(UInt16(10))) + attribute(5, bytes(UInt32(13_000)))),
            attribute(16, bytes(UInt32(30))), attribute(18, bytes(UInt32(2))),
        ]
        message(attribute(6, address), attribute(21, parts.flatMap { $0 })).withUnsafeBytes { bytes in
            let station = WiFiStation(bytes)
            #expect(station?.address == "02:1a:ff:00:01:09")
            #expect(station?.inactiveMilliseconds == 400 && station?.connectedSeconds == 30)
            #expect(station?.receivedBytes == 6_000_000_000 && station?.transmittedBytes == 300)
            #expect(station?.signal == -52 && station?.transmitRate == 65_000_000)
            #expect(station?.receiveRate == 1_300_000_000)
            #expect(station?.retries == 20 && station?.failures == 4 && station?.beaconLosses == 2)
        }
        message(attribute(6, address)).withUnsafeBytes { #expect(WiFiStation($0) == nil) }
    }

    @Test("Messages of any bytes are read or left, never trapped on")
    func hostile() {
        for seed in 0..<5000 {
            let bytes = (0..<(seed % 97)).map { UInt8(truncatingIfNeeded: (seed &* 31 &+ $0 &* 131) >> 2) }
            bytes.withUnsafeBytes { bytes in
                _ = WiFiInterface(bytes)
                _ = WiFiCell(bytes)
                _ = WiFiStation(bytes)
            }
        }
    }

    @Test(
        "This machine's devices, or that there are none, as node_exporter says", .enabled(if: NodeExporter.isInstalled))
    func machine() throws {
        guard let theirs = try NodeExporter(["--collector.wifi"]).scrape("wifi") else { return }
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(harness.start(#"set_collectors = ["wifi"]"#) == [])
        let ours = try harness.scrape()
        let success = #"{collector="wifi"}"#
        #expect(ours["node_scrape_collector_success", success] == theirs["node_scrape_collector_success", success])
        #expect(ours.names(withPrefix: "node_wifi_") == theirs.names(withPrefix: "node_wifi_"))
        #expect(harness.finish() == [])
    }
}
