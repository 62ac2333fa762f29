import Compression
import Telemetry
import Testing

@testable import Wire

@Suite("Loki push builder")
struct LokiPushBuilderTests {
    @Test("A request has the bytes that the protobuf definition asks for")
    func exactBytes() throws {
        var batch = LogBatch()
        batch.append("hi", labels: ["b": "2", "a": "1", "__internal": "x"], timestamp: 1_000_000_002)
        batch.append("", labels: ["b": "2", "a": "1", "__internal": "x"], timestamp: 0, metadata: ["k": "v"])
        var builder = LokiPushBuilder()
        builder.append(batch)
        var bytes: [UInt8] = []
        builder.encode(into: &bytes)
        let labels = Array("{a=\"1\", b=\"2\"}".utf8)
        var expected: [UInt8] = [0x0A, 0, 0x0A, UInt8(labels.count)] + labels
        expected += [0x12, 10, 0x0A, 4, 0x08, 1, 0x10, 2, 0x12, 2] + Array("hi".utf8)
        expected += [0x12, 10, 0x0A, 0, 0x1A, 6, 0x0A, 1, UInt8(ascii: "k"), 0x12, 1, UInt8(ascii: "v")]
        expected[1] = UInt8(expected.count - 2)
        #expect(bytes == expected)
        #expect(builder.encodedByteCount == bytes.count)
        #expect(builder.entryCount == 2)
        #expect(builder.contentByteCount == 4)
    }

    @Test("Interleaved streams come out together, each in its own order, and times survive")
    func interleaving() throws {
        var batch = LogBatch()
        let times: [Int64] = [1, -1, 1_700_000_000_123_456_789, .max, .min, 999_999_999, -1_500_000_000]
        for (index, time) in times.enumerated() {
            let metadata: LabelSet = index % 3 == 0 ? ["trace": "t\(index)", "span": "s"] : .empty
            batch.append("line \(index)", labels: ["app": "\(index % 2)"], timestamp: time, metadata: metadata)
        }
        var builder = LokiPushBuilder()
        for _ in 0..<2 {
            builder.reset()
            builder.append(batch)
            var bytes: [UInt8] = []
            builder.encode(into: &bytes)
            var decoder = LokiPushDecoder()
            let push = try bytes.withUnsafeBytes { try decoder.decodeProtobuf($0) }
            #expect(push.batch.streams == [["app": "0"], ["app": "1"]])
            let lines = push.batch.entries.map { "\($0.stream) \(push.batch.line($0)) \($0.timestamp) \($0.metadata)" }
            let wanted = [0, 2, 4, 6, 1, 3, 5].map { index in
                "\(index % 2) line \(index) \(times[index]) \(batch.entries[index].metadata)"
            }
            #expect(lines == wanted)
        }
    }

    @Test("A compressed request decodes as snappy, and as snappy or bare inside gzip and deflate")
    func compression() throws {
        var builder = LokiPushBuilder()
        let stream = builder.stream(for: ["app": "x"])
        let line = [UInt8](repeating: 0x61, count: 5000)
        line.withUnsafeBytes { builder.append($0, timestamp: 5, metadata: .empty, stream: stream) }
        var plain: [UInt8] = []
        builder.encode(into: &plain)
        var snappy: [UInt8] = []
        var scratch: [UInt8] = []
        try builder.compress(into: &snappy, scratch: &scratch)
        #expect(snappy.count < 1000)
        func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
            var output: [UInt8] = []
            try Gzip().compress(bytes, into: &output)
            return output
        }
        func deflate(_ bytes: [UInt8]) throws -> [UInt8] {
            var output: [UInt8] = []
            try Deflate(.raw).compress(bytes, into: &output)
            return output
        }
        let cases: [([UInt8], LokiPushDecoder.Encoding)] = [
            (snappy, .none), (snappy, .snappy), (try gzip(snappy), .gzip), (try gzip(plain), .gzip),
            (try deflate(snappy), .deflate),
        ]
        for (body, encoding) in cases {
            var decoder = LokiPushDecoder()
            let push = try body.withUnsafeBytes {
                try decoder.decode($0, contentType: "application/x-protobuf", encoding: encoding)
            }
            #expect(push.batch.arena == line)
        }
    }
}
