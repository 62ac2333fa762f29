import Compression
import Telemetry
import Testing
import TextFormats

@testable import Wire

@Suite("MessagePack and the Forward protocol")
struct FluentTests {
    private func value(_ bytes: [UInt8]) throws -> MessagePackValue {
        try bytes.withUnsafeBytes { bytes in
            var reader = MessagePackReader(bytes)
            let value = try reader.value()
            #expect(reader.isAtEnd)
            return value
        }
    }

    @Test("Every form of MessagePack is read")
    func forms() throws {
        let cases: [([UInt8], MessagePackValue)] = [
            ([0x07], .int(7)), ([0xFF], .int(-1)), ([0xC0], .null), ([0xC3], .bool(true)), ([0xCC, 200], .int(200)),
            ([0xCD, 1, 0], .int(256)), ([0xCE, 1, 0, 0, 0], .int(1 << 24)),
            ([0xCF, 255] + [UInt8](repeating: 255, count: 7), .uint(.max)),
            ([0xD0, 0x80], .int(-128)), ([0xD1, 0x80, 0], .int(-32768)), ([0xD2, 255, 255, 255, 254], .int(-2)),
            ([0xD3] + [UInt8](repeating: 255, count: 8), .int(-1)), ([0xCA, 0x3F, 0xC0, 0, 0], .double(1.5)),
            ([0xCB, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0], .double(1.5)), ([0xA1, 0x61], .string([0x61])),
            ([0xD9, 1, 0x61], .string([0x61])), ([0xDA, 0, 1, 0x61], .string([0x61])),
            ([0xDB, 0, 0, 0, 1, 0x61], .string([0x61])),
            ([0xC4, 1, 9], .binary([9])), ([0xC5, 0, 1, 9], .binary([9])), ([0xC6, 0, 0, 0, 1, 9], .binary([9])),
            ([0x91, 1], .array([.int(1)])), ([0xDC, 0, 1, 1], .array([.int(1)])),
            ([0xDD, 0, 0, 0, 1, 1], .array([.int(1)])),
            ([0x81, 1, 2], .map([.init(key: .int(1), value: .int(2))])), ([0xDE, 0, 0], .map([])),
            ([0xDF, 0, 0, 0, 0], .map([])),
            ([0xD4, 5, 1], .extended(type: 5, [1])),
            ([0xD7, 0] + [UInt8](repeating: 1, count: 8), .extended(type: 0, [UInt8](repeating: 1, count: 8))),
            ([0xC7, 2, 5, 1, 2], .extended(type: 5, [1, 2])), ([0xC8, 0, 1, 5, 1], .extended(type: 5, [1])),
        ]
        for (bytes, expected) in cases {
            #expect(try value(bytes) == expected)
            var framer = MessagePackFramer()
            // Byte by byte a value is whole with its last byte and not before.
            for (place, byte) in bytes.enumerated() {
                framer.append([byte])
                #expect(try framer.next() == (place == bytes.count - 1 ? expected : nil), "\(bytes) at \(place)")
            }
            #expect(framer.isBetweenValues)
        }
        #expect(throws: MessagePackError.self) { try value([0xC1]) }
        #expect(throws: MessagePackError.truncated) { try value([0xDD, 255, 255, 255, 255]) }
        #expect(throws: MessagePackError.tooDeep) { try value([UInt8](repeating: 0x91, count: 1000)) }
        var framer = MessagePackFramer()
        framer.append([UInt8](repeating: 0x91, count: 1000))
        #expect(throws: MessagePackError.tooDeep) { try framer.next() }
    }

    private func logs(_ bytes: [UInt8], limit: Int = 1000) throws -> (lines: [String], chunk: String?) {
        let forward = try FluentForward(try value(bytes), limit: limit)
        var lines: [String] = []
        let walker = OTLPWalker()
        try walker.walk(forward.logs, to: .item) { level in
            guard level == .item else { return .keep }
            let record = walker.logRecord
            lines.append(
                "\(record.timeUnixNano) \(record.body.string ?? "-") \(record.attributes.map.entries.map { String(decoding: $0.key, as: UTF8.self) })"
            )
            return .keep
        }
        return (lines, forward.chunk)
    }

    private let record: [UInt8] = [0x82, 0xA3] + Array("log".utf8) + [0xA1, 0x78, 0xA1, 0x6B, 2]
    private let tag: [UInt8] = [0xA1, 0x74]

    @Test("The four modes are told apart, and a chunk is for the answer")
    func modes() throws {
        let options: [UInt8] = [0x81, 0xA5] + Array("chunk".utf8) + [0xA1, 0x63]
        let entry: [UInt8] = [0x92, 3] + record
        let expected = "3000000000 x [\"k\", \"fluent.tag\"]"
        #expect(try logs([0x93] + tag + [3] + record) == ([expected], nil))
        #expect(try logs([0x94] + tag + [3] + record + options) == ([expected], "c"))
        #expect(try logs([0x93] + tag + [0x91] + entry + options) == ([expected], "c"))
        #expect(
            try logs([0x92] + tag + [0xC4, UInt8(2 * entry.count)] + entry + entry) == ([expected, expected], nil))
        let packed = gzipped(entry + entry)
        let compressed: [UInt8] = [0x81, 0xAA] + Array("compressed".utf8) + [0xA4] + Array("gzip".utf8)
        #expect(
            try logs([0x93] + tag + [0xC4, UInt8(packed.count)] + packed + compressed) == ([expected, expected], nil))
        #expect(throws: FluentForward.Failure.tooLarge) {
            try logs([0x93] + tag + [0xC4, UInt8(packed.count)] + packed + compressed, limit: 10)
        }
        let time: [UInt8] = [0xD7, 0, 0, 0, 0, 5, 0, 0, 0, 7]
        #expect(try logs([0x93] + tag + time + record).lines == ["5000000007 x [\"k\", \"fluent.tag\"]"])
        #expect(FluentForward.acknowledgement(of: "c") == [0x81, 0xA3] + Array("ack".utf8) + [0xA1, 0x63])
    }

    @Test("What is no message is refused")
    func refused() throws {
        var cases: [[UInt8]] = [[1], [0x91, 1], [0x92, 1, 2]]
        cases.append([0x92] + tag + [3])
        cases.append([0x93] + tag + [3, 4])
        cases.append([0x93] + tag + [0xC0] + record)
        cases.append([0x92] + tag + [0x91, 0x91, 1])
        cases.append([0x92] + tag + [0xC4, 1, 0xC1])
        cases.append([0x93] + tag + [3, 0x81, 1, 1])
        for bytes in cases {
            #expect(throws: FluentForward.Failure.self) { try logs(bytes) }
        }
    }

    /// The stored form of gzip: a header, a block that is not compressed, a checksum and the length.
    private func gzipped(_ bytes: [UInt8]) -> [UInt8] {
        let count = bytes.count
        let block: [UInt8] = [1, UInt8(count), 0, ~UInt8(count), 0xFF]
        let checksum = CRC32.checksum(bytes)
        let trailer = (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * $0)) } + [UInt8(count), 0, 0, 0]
        return [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255] + block + bytes + trailer
    }
}

@Suite("InfluxDB line protocol")
struct InfluxTests {
    private func lines(_ text: String) throws -> [InfluxLine] {
        try Array(text.utf8).withUnsafeBytes { try InfluxLine.lines($0) }
    }

    @Test("Measurements, tags and fields with escapes, all kinds of values, comments and no time")
    func reading() throws {
        let read = try lines(
            #"""
            # comment

            my\ m\,x,t\ 1=a\,b,u=\=v f=1,i=-2i,u=3u,b=T,s="q \"x\" \\ ,= end" 7
            m f=.5e1
            """# + "\r\n")
        #expect(read.count == 2)
        #expect(read[0].measurement == "my m,x")
        #expect(read[0].tags == [.init(key: "t 1", value: "a,b"), .init(key: "u", value: "=v")])
        #expect(
            read[0].fields == [
                .init(key: "f", value: .double(1)), .init(key: "i", value: .int(-2)), .init(key: "u", value: .uint(3)),
                .init(key: "b", value: .bool(true)), .init(key: "s", value: .string("q \"x\" \\ ,= end")),
            ])
        #expect(read[0].time == 7 && read[1].time == nil)
        #expect(read[1].fields == [.init(key: "f", value: .double(5))])
    }

    @Test(
        "What is no line is refused with its number",
        arguments: [
            "x", "x ", "x f", "x f=", "x f=1 2 3", "x f=1 t", "x,t f=1", "x,t= f=1", ",t=1 f=1", "x f=nan", "x f=\"a",
            "x f=1i2",
        ])
    func refused(text: String) {
        #expect(throws: InfluxLineError.self) { try lines("ok f=1\n" + text) }
        #expect((try? lines("ok f=1\n" + text)) == nil)
        do { _ = try lines("ok f=1\n" + text) } catch { #expect((error as? InfluxLineError)?.line == 2) }
    }

    private func points(_ text: String) throws -> [String] {
        var metrics = InfluxMetrics()
        for line in try lines(text) { _ = metrics.append(line, at: UInt64(line.time ?? 0)) }
        var found: [String] = []
        let walker = OTLPWalker()
        try walker.walk(metrics.finish(), to: .point) { level in
            guard level == .point else { return .keep }
            let name = String(decoding: walker.metric.name, as: UTF8.self)
            switch walker.metricKind {
            case .histogram:
                let point = OTLPHistogramPoint(walker.point)
                var (counts, bounds): ([UInt64], [Double]) = ([], [])
                point.forEachBucketCount { counts.append($0) }
                point.forEachBound { bounds.append($0) }
                found.append("\(name) \(point.count) \(point.sum ?? -1) \(counts) \(bounds) \(point.attributes.count)")
            case .summary:
                let point = OTLPSummaryPoint(walker.point)
                var quantiles: [Double] = []
                point.forEachQuantile { quantiles += [$0, $1] }
                found.append("\(name) \(point.count) \(point.sum) \(quantiles)")
            default:
                found.append(
                    "\(name) \(walker.metricKind == .sum ? "sum" : "gauge") \(OTLPNumberPoint(walker.point).value?.double ?? -1)"
                )
            }
            return .keep
        }
        return found
    }

    @Test("Telegraf's two schemas for metrics of Prometheus, and a gauge of each field for all else")
    func schemas() throws {
        let plain = try points("a gauge=1 1\nb counter=2 1\nc x=3,y=4i,z=\"s\" 1")
        #expect(plain == ["a gauge 1.0", "b sum 2.0", "c_x gauge 3.0", "c_y gauge 4.0"])
        #expect(try points("h,k=v count=5,sum=9,0.5=2,1=4,+Inf=5 1") == ["h 5 9.0 [2, 2, 1] [0.5, 1.0] 1"])
        let second = try points(
            """
            prometheus,le=0.5,k=v h_bucket=2 1
            prometheus,le=+Inf,k=v h_bucket=5 1
            prometheus,k=v h_sum=9,h_count=5 1
            prometheus,quantile=0.5 s=7 1
            prometheus s_sum=3,s_count=2 1
            prometheus up=1 1
            """)
        #expect(second == ["h 5 9.0 [2, 3] [0.5] 1", "s 2 3.0 [0.5, 7.0]", "prometheus_up gauge 1.0"])
    }
}
