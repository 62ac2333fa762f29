import Foundation
import Telemetry
import TestKit
import Testing
import TextFormats

@testable import LokiComponents

/// Writes small MaxMind databases.
private struct DatabaseBuilder {
    var recordSize = 24
    var ipVersion = 6
    private var nodes: [[Int]] = [[-1, -1]]
    private var data: [UInt8] = []
    private var leaves: [Int: Int] = [:]

    static func string(_ text: String) -> [UInt8] { header(2, text.utf8.count) + Array(text.utf8) }
    static func map(_ pairs: [(String, [UInt8])]) -> [UInt8] {
        header(7, pairs.count) + pairs.flatMap { string($0.0) + $0.1 }
    }
    static func array(_ items: [[UInt8]]) -> [UInt8] { header(11, items.count) + items.flatMap { $0 } }
    static func unsigned(_ value: Int, type: Int = 6) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest > 0 {
            bytes.insert(UInt8(rest & 0xFF), at: 0)
            rest >>= 8
        }
        return header(type, bytes.count) + bytes
    }
    static func double(_ value: Double) -> [UInt8] {
        header(3, 8) + withUnsafeBytes(of: value.bitPattern.bigEndian) { Array($0) }
    }
    static func header(_ type: Int, _ size: Int) -> [UInt8] {
        let small = min(size, 29)
        var bytes = [UInt8((type > 7 ? 0 : type) << 5 | small)]
        if type > 7 { bytes.append(UInt8(type - 7)) }
        if size >= 29 { bytes.append(UInt8(size - 29)) }
        return bytes
    }

    mutating func insert(_ bits: [UInt8], _ record: [UInt8]) {
        let offset = data.count
        data += record
        var node = 0
        for (index, bit) in bits.enumerated() {
            if index == bits.count - 1 {
                let leaf = -2 - leaves.count
                leaves[leaf] = offset
                nodes[node][Int(bit)] = leaf
            } else {
                if nodes[node][Int(bit)] < 0 {
                    nodes.append([-1, -1])
                    nodes[node][Int(bit)] = nodes.count - 1
                }
                node = nodes[node][Int(bit)]
            }
        }
    }

    func build() -> [UInt8] {
        var bytes: [UInt8] = []
        for node in nodes {
            let values = node.map { $0 == -1 ? nodes.count : $0 < -1 ? (leaves[$0] ?? 0) + nodes.count + 16 : $0 }
            switch recordSize {
            case 24:
                for value in values {
                    bytes += [UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
                }
            case 28:
                let (left, right) = (values[0], values[1])
                bytes += [UInt8(left >> 16 & 0xFF), UInt8(left >> 8 & 0xFF), UInt8(left & 0xFF)]
                bytes.append(UInt8(left >> 24 & 0xF) << 4 | UInt8(right >> 24 & 0xF))
                bytes += [UInt8(right >> 16 & 0xFF), UInt8(right >> 8 & 0xFF), UInt8(right & 0xFF)]
            default:
                for value in values { bytes += withUnsafeBytes(of: UInt32(value).bigEndian) { Array($0) } }
            }
        }
        bytes += [UInt8](repeating: 0, count: 16) + data + [0xAB, 0xCD, 0xEF] + Array("MaxMind.com".utf8)
        bytes += Self.map([
            ("node_count", Self.unsigned(nodes.count)), ("record_size", Self.unsigned(recordSize, type: 5)),
            ("ip_version", Self.unsigned(ipVersion, type: 5)), ("database_type", Self.string("Test")),
        ])
        return bytes
    }

    static func bits(_ address: [UInt8], _ length: Int) -> [UInt8] {
        (0..<length).map { address[$0 / 8] >> UInt8(7 - $0 % 8) & 1 }
    }
}

@Suite("MaxMind databases")
struct MaxMindDatabaseTests {
    private func build(_ recordSize: Int = 24) -> [UInt8] {
        typealias B = DatabaseBuilder
        var builder = DatabaseBuilder()
        builder.recordSize = recordSize
        let record = B.map([
            ("city", B.map([("names", B.map([("en", B.string("Prague"))]))])),
            ("country", B.map([("iso_code", B.string("CZ")), ("names", B.map([("en", B.string("Czechia"))]))])),
            ("continent", B.map([("code", B.string("EU"))])), ("postal", B.map([("code", B.string(""))])),
            (
                "location",
                B.map([
                    ("latitude", B.double(50.1)), ("longitude", B.double(14.4)),
                    ("time_zone", B.string("Europe/Prague")),
                ])
            ),
            ("subdivisions", B.array([B.map([("iso_code", B.string("X"))]), B.map([("iso_code", B.string("10"))])])),
            ("autonomous_system_number", B.unsigned(64500)), ("autonomous_system_organization", B.string("Org")),
        ])
        builder.insert(B.bits([UInt8](repeating: 0, count: 12) + [1, 2, 3, 0], 120), record)
        builder.insert(
            B.bits([0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 12), 32), B.map([("x", B.unsigned(1))]))
        return builder.build()
    }

    private func withFile<R>(_ bytes: [UInt8], _ body: (String) throws -> R) throws -> R {
        let path = ComponentHarness.makeTemporaryDirectory() + "/db.mmdb"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        return try body(path)
    }

    private func find(_ database: MaxMindDatabase, _ address: String) throws -> String? {
        let offset = try Array(address.utf8).withUnsafeBytes { try database.find($0) }
        return try offset.map { JSONWriter().text(try database.record(at: $0)) }
    }

    @Test("Addresses are found whatever the size of records", arguments: [24, 28, 32])
    func lookup(recordSize: Int) throws {
        let database = try MaxMindDatabase(build(recordSize))
        #expect(try find(database, "1.2.3.77")?.contains("Prague") == true)
        #expect(try find(database, "::ffff:1.2.3.77")?.contains("Prague") == true)
        #expect(try find(database, "2001:db8::1") == #"{"x":1}"#)
        #expect(try find(database, "1.2.4.1") == nil)
        #expect(throws: MaxMindDatabase.Invalid.self) { try find(database, "nonsense") }
    }

    @Test("stage.geoip sets the values of its database type")
    func stage() throws {
        try withFile(build()) { path in
            func run(_ type: String, _ label: String) throws -> [String] {
                try ProcessFixture.run(
                    """
                    stage.regex { expression = "(?P<ip>\\\\S+)" }
                    stage.geoip {
                        db = "\(path)"
                        source = "ip"
                        \(type)
                    }
                    stage.labels { values = { v = "\(label)" } }
                    """, [InputEntry("1.2.3.4"), InputEntry("9.9.9.9"), InputEntry("x")])
            }
            let others = [#"{job="a"} 9.9.9.9"#, #"{job="a"} x"#]
            let cases = [
                (#"db_type = "city""#, "geoip_city_name", "Prague"), (#"db_type = "city""#, "geoip_country_code", "CZ"),
                (#"db_type = "city""#, "geoip_location_latitude", "50.1"),
                (#"db_type = "city""#, "geoip_subdivision_code", "10"),
                (#"db_type = "city""#, "geoip_timezone", "Europe/Prague"),
                (#"db_type = "country""#, "geoip_country_name", "Czechia"),
                (#"db_type = "asn""#, "geoip_autonomous_system_number", "64500"),
                (#"custom_lookups = { x = "subdivisions[0].iso_code" }"#, "x", "X"),
            ]
            for (type, label, value) in cases {
                #expect(try run(type, label) == ["{job=\"a\", v=\"\(value)\"} 1.2.3.4"] + others, "\(label)")
            }
            let empty = try run(#"db_type = "city""#, "geoip_postal_code")
            #expect(empty == [#"{job="a"} 1.2.3.4"#] + others)
        }
    }

    @Test("Damaged files give errors")
    func damaged() throws {
        let bytes = build()
        #expect(throws: MaxMindDatabase.Invalid.self) { try MaxMindDatabase([]) }
        #expect(throws: MaxMindDatabase.Invalid.self) { try MaxMindDatabase(Array("text".utf8)) }
        var state: UInt64 = 3
        for _ in 0..<3000 {
            var copy = bytes
            for _ in 0..<4 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                copy[Int(state >> 33) % copy.count] = UInt8(truncatingIfNeeded: state >> 20)
            }
            guard let database = try? MaxMindDatabase(copy) else { continue }
            _ = try? find(database, "1.2.3.4")
            _ = try? find(database, "2001:db8::1")
        }
    }
}
