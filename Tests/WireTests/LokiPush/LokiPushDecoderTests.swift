import Compression
import Telemetry
import Testing

@testable import Wire

@Suite("Loki push decoder")
struct LokiPushDecoderTests {
    private func json(_ text: String, limits: LokiPushLimits = LokiPushLimits()) throws(LokiPushError) -> LokiPush {
        var decoder = LokiPushDecoder(limits: limits)
        return try Array(text.utf8).withRawBytes { (bytes) throws(LokiPushError) in
            try decoder.decode(bytes, contentType: "application/json; charset=utf-8", encoding: .none)
        }
    }

    private func describe(_ push: LokiPush) -> [String] {
        push.batch.entries.map { entry in
            let labels = push.batch.streams[Int(entry.stream)]
            return "\(labels) \(entry.timestamp) \(push.batch.line(entry)) \(entry.metadata)"
        }
    }

    @Test(
        "JSON requests that upstream accepts",
        arguments: [
            (
                #"{"streams":[{"stream":{"app":"a"},"values":[["1","one"],["-2","two",{"k":"v\n"}]]}]}"#,
                [#"{app="a"} 1 one {}"#, #"{app="a"} -2 two {k="v\n"}"#]
            ),
            (
                #" { "x": [1, {"y": null}], "Streams" : [ { "values" : [["3","q\"\\\/\u00e9\ud83d\ude00"]], "stream":{"n":5,"b":true}} ] } "#,
                [#"{b="true", n="5"} 3 q"\/é😀 {}"#]
            ),
            (#"{"streams":[{"stream":{},"values":null},{"stream":{"a":"b"},"values":[]}]}"#, []),
            (
                #"{"streams":[{"stream":{"a":"b"},"values":[null,["7"],["8","x",{},"more",[1]]]}]}"#,
                [#"{a="b"} 7  {}"#, #"{a="b"} 8 x {}"#]
            ),
            (#"{"streams":null}"#, []),
            (#"{}"#, []),
            (#"{"streams":[{"stream":{"a":"\ud800x"},"values":[["1","z"]]}]}"#, ["{a=\"\u{FFFD}x\"} 1 z {}"]),
        ] as [(String, [String])])
    func jsonAccepted(_ text: String, _ expected: [String]) throws {
        #expect(describe(try json(text)) == expected)
    }

    @Test(
        "JSON requests that upstream refuses",
        arguments: [
            "", "[]", "{", #"{"streams""#, #"{"streams":[{"#, #"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#,
            #"{"streams":[{"stream":{"a":"b"},"values":[["x","x"]]}]}"#,
            #"{"streams":[{"stream":{"a":"b"},"values":[["1",2]]}]}"#,
            #"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"k":1}]]}]}"#,
            #"{"streams":[{"stream":{"a":"b"},"values":[["99999999999999999999","x"]]}]}"#,
            #"{"streams":[{"stream":{"a":"b"},"values":[["1","\q"]]}]}"#,
            #"{"streams":[{"stream":{"a":"b"},"values":[["1","\u12"]]}]}"#,
            #"{"x":}"#, #"{"x":tru}"#, #"{"streams":[}"#,
        ])
    func jsonRefused(_ text: String) {
        #expect(throws: LokiPushError.self) { try json(text) }
    }

    @Test("Deep nesting is refused, not followed")
    func jsonDepth() {
        let deep = #"{"x":"# + String(repeating: "[", count: 100_000)
        #expect(throws: LokiPushError.self) { try json(deep) }
    }

    @Test("A stream without labels is skipped with its entries, the others are kept")
    func jsonPartial() throws {
        let push = try json(
            #"{"streams":[{"values":[["1","lost"]]},{"stream":{"a":"b"},"values":[["2","kept"]]}]}"#)
        #expect(describe(push) == [#"{a="b"} 2 kept {}"#])
        #expect(push.streamError?.kind == .malformed)
        #expect(push.skippedEntries == 1)
    }

    @Test("Limits end a request with too large, not with memory")
    func limits() {
        var limits = LokiPushLimits(maximumBytes: 1000)
        limits.maximumEntries = 2
        limits.maximumStreams = 2
        limits.maximumLabels = 2
        let values = #""values":[["1","a"],["1","a"],["1","a"]]"#
        let cases = [
            #"{"streams":[{"stream":{"a":"b"},\#(values)}]}"#,
            #"{"streams":[{"stream":{"a":"b"}},{"stream":{"a":"c"}},{"stream":{"a":"d"}}]}"#,
            #"{"streams":[{"stream":{"a":"b","c":"d","e":"f"}}]}"#,
            #"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"a":"b","c":"d","e":"f"}]]}]}"#,
            String(repeating: " ", count: 2000),
        ]
        for text in cases {
            do throws(LokiPushError) {
                _ = try json(text, limits: limits)
                Issue.record("accepted \(text)")
            } catch {
                #expect(error.kind == .tooLarge, "\(text): \(error)")
            }
        }
    }

    @Test("A small compressed body that claims to be huge is refused before memory is taken")
    func decompressionBombs() throws {
        var gzip: [UInt8] = []
        try Gzip().compress([UInt8](repeating: 0x20, count: 20 << 20), into: &gzip)
        var decoder = LokiPushDecoder(limits: LokiPushLimits(maximumBytes: 1 << 20))
        let bodies: [([UInt8], LokiPushDecoder.Encoding)] = [
            (gzip, .gzip), ([0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0], .snappy),
        ]
        for (body, encoding) in bodies {
            do throws(LokiPushError) {
                _ = try body.withRawBytes { (bytes) throws(LokiPushError) in
                    try decoder.decode(bytes, contentType: nil, encoding: encoding)
                }
                Issue.record("accepted")
            } catch {
                #expect(error.kind == .tooLarge)
            }
        }
    }

    @Test("A protobuf stream whose labels do not parse is skipped, the others are kept")
    func protobufPartial() throws {
        func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(bytes.count)] + bytes }
        let entry = field(2, field(2, Array("x".utf8)))
        // The labels of the second stream come after its entries.
        let bytes = field(1, field(1, Array("{a=".utf8)) + entry) + field(1, entry + field(1, Array("{a='b'}".utf8)))
        var decoder = LokiPushDecoder()
        let push = try bytes.withUnsafeBytes { try decoder.decodeProtobuf($0) }
        #expect(describe(push) == [#"{a="b"} 0 x {}"#])
        #expect(push.streamError != nil)
        #expect(push.skippedEntries == 1)
    }

    @Test("Lines of plain text become entries; empty ones do not")
    func rawLines() throws {
        let decoder = LokiPushDecoder()
        let text = Array("one\r\n\n  \r\r\nthree \n\r\nlast".utf8)
        let batch = try text.withUnsafeBytes { try decoder.decodeLines($0, labels: ["a": "b"], timestamp: 9) }
        #expect(batch.entries.map { batch.line($0) } == ["one", "  ", "three ", "last"])
        #expect(batch.entries.allSatisfy { $0.timestamp == 9 })
        #expect(batch.streams == [["a": "b"]])
    }

    @Test("Content encodings are read by name")
    func encodings() throws {
        #expect(try LokiPushDecoder.Encoding(header: nil) == .none)
        #expect(try LokiPushDecoder.Encoding(header: "deflate") == .deflate)
        #expect(throws: LokiPushError(.unsupported, "Content-Encoding \"br\" not supported")) {
            try LokiPushDecoder.Encoding(header: "br")
        }
    }

    @Test("Damaged requests of every kind never trap")
    func mutations() throws {
        var generator = SystemRandomNumberGenerator()
        var builder = LokiPushBuilder()
        var batch = LogBatch()
        for index in 0..<8 {
            batch.append(
                "line \(index)", labels: ["app": "\(index % 3)"], timestamp: Int64(index), metadata: ["k": "v"])
        }
        builder.append(batch)
        var protobuf: [UInt8] = []
        builder.encode(into: &protobuf)
        let json = Array(
            #"{"streams":[{"stream":{"a":"b\u00e9"},"values":[["1","one\n",{"k":"v"}],["2","\ud83d\ude00"]]}]}"#.utf8)
        let labels = Array(#"metric{a="b\x41", 'c'=`d`, "e"="\U0001F600"}"#.utf8)
        var decoder = LokiPushDecoder()
        for round in 0..<6000 {
            var bytes = [protobuf, json, labels][round % 3]
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                switch Int.random(in: 0..<3, using: &generator) {
                case 0 where !bytes.isEmpty:
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
                case 1 where !bytes.isEmpty: bytes.removeLast(Int.random(in: 1...bytes.count, using: &generator))
                default: bytes.append(.random(in: 0...255, using: &generator))
                }
            }
            let input = bytes
            input.withUnsafeBytes { input in
                switch round % 3 {
                case 0: _ = try? decoder.decodeProtobuf(input)
                case 1: _ = try? decoder.decodeJSON(input)
                default:
                    var labels = LabelSetBuilder()
                    try? LokiLabelText.parse(input, into: &labels)
                }
            }
        }
        // The decoder is still good after all of that.
        #expect(try protobuf.withUnsafeBytes { try decoder.decodeProtobuf($0) }.batch.entries.count == 8)
    }
}
