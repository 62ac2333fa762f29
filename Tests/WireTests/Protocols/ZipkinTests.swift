import Telemetry
import Testing

@testable import Wire

/// Spans as text, to compare.
enum SpanText {
    static func lines(_ batch: OTLPBatch) -> [String] {
        var lines: [String] = []
        let walker = OTLPWalker()
        try? walker.walk(batch, to: .item) { level in
            guard level == .item else { return .keep }
            let span = walker.span
            let ids = [span.traceID, span.spanID, span.parentSpanID].map { OTLPBytes.hex($0) }.joined(separator: "/")
            var line = "\(text(walker.resource.attributes)) \(string(OTLPScope(walker.scope).name)) \(ids)"
            line += " \(string(span.name)) kind=\(span.kind) \(span.startTimeUnixNano)-\(span.endTimeUnixNano)"
            line += " \(text(span.attributes)) status=\(span.statusCode)\(string(span.statusMessage))"
            walker.item.forEachMessage(OTLPField.Span.events) { content in
                let event = OTLPMessage()
                guard (try? event.load(content, as: .event)) != nil else { return }
                line +=
                    " event \(string(OTLPEvent(event).name))@\(OTLPEvent(event).timeUnixNano)\(text(event.attributes))"
            }
            walker.item.forEachMessage(OTLPField.Span.links) { content in
                let link = OTLPMessage()
                guard (try? link.load(content, as: .link)) != nil else { return }
                line += " link \(OTLPBytes.hex(OTLPLink(link).spanID))\(text(link.attributes))"
            }
            lines.append(line)
            return .keep
        }
        return lines
    }

    private static func string(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func text(_ attributes: OTLPAttributes) -> String {
        let pairs = attributes.map.entries.map { entry -> String in
            let value: String =
                switch entry.value {
                case .string(let bytes): String(decoding: bytes, as: UTF8.self)
                case .int(let value): "\(value)"
                case .double(let value): "\(value)"
                case .bool(let value): "\(value)"
                case .bytes(let bytes): "\(bytes)"
                default: "?"
                }
            return "\(String(decoding: entry.key, as: UTF8.self))=\(value)"
        }
        return "{\(pairs.joined(separator: ","))}"
    }
}

@Suite("Zipkin spans")
struct ZipkinTests {
    private func read(
        _ text: String, _ encoding: ZipkinSpans.Encoding = .jsonV2, parsesTags: Bool = false
    ) throws -> [String] {
        try Array(text.utf8).withUnsafeBytes {
            SpanText.lines(try ZipkinSpans.traces($0, encoding, parsesTags: parsesTags))
        }
    }

    @Test("Version 2: endpoints, tags with a meaning, annotations and links")
    func version2() throws {
        let lines = try read(
            #"""
            [{"traceId":"5af7183fb1d4cf5f","id":"352bff9a74ca9ad2","parentId":"6b221d5bc9e6496c","name":"get","kind":"CLIENT",
              "timestamp":1000001,"duration":431,"localEndpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":80},
              "remoteEndpoint":{"serviceName":"db","ipv6":"::1"},
              "annotations":[{"timestamp":1000002,"value":"plain"},{"timestamp":3,"value":"e|{\"n\":1,\"f\":1.5}|2"}],
              "tags":{"a":"1","error":"true","otel.library.name":"lib","host.name":"h","w3c.tracestate":"k=v",
                      "otlp.link.0":"0000000000000000000000000000000a|000000000000000b||{\"x\":true}|0"}},
             {"traceId":"a","id":"b"}]
            """#)
        #expect(
            lines == [
                "{service.name=shop,host.name=h} lib 00000000000000005af7183fb1d4cf5f/352bff9a74ca9ad2/6b221d5bc9e6496c get "
                    + "kind=3 1000001000-1000432000 {a=1,net.host.ip=10.0.0.1,net.host.port=80,peer.service=db,"
                    + "net.peer.ip=::1} status=2 event plain@1000002000{} event e@3000{n=1,f=1.5} "
                    + "link 000000000000000b{x=true}",
                "{}  0000000000000000000000000000000a/000000000000000b/  kind=0 0-0 "
                    + "{otel.zipkin.absentField.startTime=true} status=0",
            ])
    }

    @Test("Tags become numbers and truth values where asked for")
    func parsing() throws {
        let body =
            #"[{"traceId":"1","id":"2","timestamp":1,"tags":{"i":"-7","d":"1.5","b":"true","s":"x1","n":"NaN"}}]"#
        #expect(try read(body, parsesTags: true)[0].contains("{i=-7,d=1.5,b=true,s=x1,n=NaN}"))
        #expect(try read(body)[0].contains("{i=-7,d=1.5,b=true,s=x1,n=NaN}"))
    }

    @Test("Version 1: core annotations say kind and times, binary ones are tags and addresses")
    func version1() throws {
        let lines = try read(
            #"""
            [{"traceId":"1","id":"2","name":"q","annotations":[
                {"timestamp":10,"value":"cs","endpoint":{"serviceName":"front","ipv4":"1.2.3.4"}},
                {"timestamp":25,"value":"cr","endpoint":{"serviceName":"front","ipv4":"1.2.3.4"}},
                {"timestamp":11,"value":"note"}],
              "binaryAnnotations":[{"key":"sa","value":true,"endpoint":{"serviceName":"back"}},{"key":"http.path","value":"/x"}]}]
            """#, .jsonV1)
        #expect(
            lines == [
                "{service.name=front}  00000000000000000000000000000001/0000000000000002/ q kind=3 10000-25000 "
                    + "{http.path=/x,net.host.ip=1.2.3.4,peer.service=back} status=0 event note@11000{}"
            ])
    }

    @Test("Thrift: a list of spans of version 1")
    func thrift() throws {
        var bytes: [UInt8] = [12, 0, 0, 0, 1]
        bytes += [10, 0, 1] + number(7) + [11, 0, 3] + text("get") + [10, 0, 4] + number(9)
        let endpoint: [UInt8] = [8, 0, 1, 10, 0, 0, 1, 6, 0, 2, 0, 80, 11, 0, 3] + text("shop") + [0]
        bytes +=
            [15, 0, 6, 12, 0, 0, 0, 1, 10, 0, 1] + number(5) + [11, 0, 2] + text("sr") + [12, 0, 3] + endpoint + [0]
        bytes +=
            [15, 0, 8, 12, 0, 0, 0, 1, 11, 0, 1] + text("n") + [11, 0, 2, 0, 0, 0, 2, 1, 2, 8, 0, 3, 0, 0, 0, 2, 0]
        bytes += [10, 0, 10] + number(5) + [10, 0, 11] + number(3) + [0]
        let lines = try bytes.withUnsafeBytes {
            SpanText.lines(try ZipkinSpans.traces($0, .thriftV1, parsesTags: false))
        }
        #expect(
            lines == [
                "{service.name=shop}  00000000000000000000000000000007/0000000000000009/ get kind=2 5000-8000 "
                    + "{n=258,net.host.ip=10.0.0.1,net.host.port=80} status=0"
            ])
    }

    private func number(_ value: UInt8) -> [UInt8] { [0, 0, 0, 0, 0, 0, 0, value] }
    private func text(_ text: String) -> [UInt8] { [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8) }

    @Test("Protobuf: a list of spans of version 2")
    func protobuf() throws {
        var writer = ProtobufWriter()
        let span = writer.beginMessage(1)
        [UInt8](repeating: 1, count: 16).withUnsafeBytes { writer.field(1, bytes: $0) }
        [UInt8](repeating: 2, count: 8).withUnsafeBytes { writer.field(3, bytes: $0) }
        writer.field(4, varint: 2)
        writer.field(5, string: "get")
        writer.field(6, fixed64: 4)
        writer.field(7, varint: 2)
        let local = writer.beginMessage(8)
        writer.field(1, string: "shop")
        writer.endMessage(local)
        let tag = writer.beginMessage(11)
        writer.field(1, string: "k")
        writer.field(2, string: "v")
        writer.endMessage(tag)
        writer.endMessage(span)
        let lines = try writer.withBytes {
            SpanText.lines(try ZipkinSpans.traces($0, .protobufV2, parsesTags: false))
        }
        #expect(
            lines == [
                "{service.name=shop}  01010101010101010101010101010101/0202020202020202/ get kind=2 4000-6000 {k=v} status=0"
            ])
    }

    @Test(
        "What is no list of spans is refused",
        arguments: [
            "", "{}", "[1]", #"[{"id":"1"}]"#, #"[{"traceId":"1"}]"#, #"[{"traceId":"+1","id":"1"}]"#,
            #"[{"traceId":"0123456789012345678901234567890123","id":"1"}]"#, #"[{"traceId":"1","id":"g"}]"#,
            #"[{"traceId":"1","id":"1","timestamp":"x"}]"#, #"[{"traceId":"1","id":"1","timestamp":-1}]"#,
            #"[{"traceId":"1","id":"1","tags":{"a":1}}]"#,
        ])
    func refused(body: String) {
        #expect(throws: ZipkinError.self) { try read(body) }
    }
}

@Suite("Jaeger spans")
struct JaegerTests {
    /// Fields of Thrift's binary encoding.
    private func field(_ type: UInt8, _ id: UInt8, _ content: [UInt8]) -> [UInt8] { [type, 0, id] + content }
    private func number(_ value: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
    }
    private func text(_ text: String) -> [UInt8] { [0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8) }
    private func list(_ structures: [[UInt8]]) -> [UInt8] {
        [12, 0, 0, 0, UInt8(structures.count)] + structures.flatMap { $0 + [0] }
    }
    private func tag(_ key: String, _ type: UInt8, _ value: [UInt8]) -> [UInt8] {
        field(11, 1, text(key)) + field(8, 2, [0, 0, 0, type]) + value
    }

    private var batch: [UInt8] {
        let tags = [
            tag("span.kind", 0, field(11, 3, text("client"))), tag("http.status_code", 3, field(10, 6, number(404))),
            tag("f", 1, field(4, 4, number((1.5).bitPattern))), tag("b", 2, field(2, 5, [1])),
            tag("raw", 4, field(11, 7, [0, 0, 0, 1, 255])), tag("otel.library.name", 0, field(11, 3, text("lib"))),
        ]
        let log = field(10, 1, number(3)) + field(15, 2, list([tag("event", 0, field(11, 3, text("hit")))]))
        let reference =
            field(8, 1, [0, 0, 0, 1]) + field(10, 2, number(1)) + field(10, 3, number(0)) + field(10, 4, number(8))
        let span =
            field(10, 1, number(1)) + field(10, 2, number(0)) + field(10, 3, number(2)) + field(10, 4, number(3))
            + field(11, 5, text("op")) + field(15, 6, list([reference])) + field(10, 8, number(5))
            + field(10, 9, number(2))
            + field(15, 10, list(tags)) + field(15, 11, list([log]))
        let process = field(11, 1, text("shop")) + field(15, 2, list([tag("hostname", 0, field(11, 3, text("h")))]))
        return field(12, 1, process + [0]) + field(15, 2, list([span])) + [0]
    }

    private let expected =
        "{service.name=shop,host.name=h} lib 00000000000000000000000000000001/0000000000000002/0000000000000003 op "
        + "kind=3 5000-7000 {http.status_code=404,f=1.5,b=true,raw=[255]} status=2 event hit@3000{} "
        + "link 0000000000000008{opentracing.ref_type=follows_from}"

    @Test("A batch of Thrift, and the same in a datagram")
    func thrift() throws {
        let lines = try batch.withUnsafeBytes { SpanText.lines(try JaegerBatch(thrift: $0, .binary).traces()) }
        #expect(lines == [expected])
        let datagram = [0x80, 1, 0, 4] + text("emitBatch") + [0, 0, 0, 0] + field(12, 1, batch) + [0]
        let again = try datagram.withUnsafeBytes { try JaegerBatch(datagram: $0, .binary)?.traces() }
        #expect(again.map(SpanText.lines) == [expected])
        let other = [0x80, 1, 0, 4] + text("emitZipkin") + [0, 0, 0, 0, 0]
        #expect(try other.withUnsafeBytes { try JaegerBatch(datagram: $0, .binary) == nil })
    }

    @Test("Every cut of a message is refused or read, and none traps")
    func cuts() {
        for count in batch.indices {
            #expect(throws: ThriftError.self) {
                try Array(batch[..<count]).withUnsafeBytes { _ = try JaegerBatch(thrift: $0, .binary) }
            }
        }
    }

    @Test("Lengths beyond the message and endless nesting are refused")
    func hostile() {
        for bytes: [UInt8] in [
            [15, 0, 2, 12, 255, 255, 255, 255], [11, 0, 1, 127, 255, 255, 255], [13, 0, 1, 11, 11, 127, 255, 255, 255],
            [UInt8](repeating: 12, count: 4000), Array(repeatElement([12, 0, 1] as [UInt8], count: 1000).joined()),
        ] {
            #expect(throws: ThriftError.self) {
                try bytes.withUnsafeBytes { _ = try JaegerBatch(thrift: $0, .binary) }
            }
            _ = bytes.withUnsafeBytes { try? JaegerBatch(datagram: $0, .compact) }
        }
    }
}
