import Telemetry
import TextFormats
import Testing

@testable import Wire

@Suite("Spans written as Jaeger and Zipkin have them")
struct SpanEncodingTests {
    private func batch() throws -> OTLPBatch {
        let json = """
            {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
            {"key":"host.name","value":{"stringValue":"h1"}}]},"scopeSpans":[{"scope":{"name":"lib","version":"2"},"spans":[
            {"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0000000000000002","parentSpanId":"0000000000000001",
            "traceState":"a=b","name":"GET","kind":3,"startTimeUnixNano":"1700000000000001000",
            "endTimeUnixNano":"1700000001500001000","attributes":[{"key":"s","value":{"stringValue":"x"}},
            {"key":"i","value":{"intValue":"-7"}},{"key":"d","value":{"doubleValue":1.5}},
            {"key":"b","value":{"boolValue":true}},{"key":"y","value":{"bytesValue":"AQI="}},
            {"key":"l","value":{"arrayValue":{"values":[{"intValue":"1"}]}}},
            {"key":"net.peer.ip","value":{"stringValue":"10.0.0.1"}},{"key":"net.peer.port","value":{"intValue":"443"}},
            {"key":"peer.service","value":{"stringValue":"db"}}],
            "events":[{"timeUnixNano":"1700000000000002000","name":"e","attributes":[{"key":"k","value":{"stringValue":"v"}}]},
            {"timeUnixNano":"1700000000000003000","name":"plain"}],
            "links":[{"traceId":"0000000000000000000000000000000a","spanId":"000000000000000b"}],
            "status":{"code":2,"message":"bad"}},
            {"traceId":"0000000000000000000000000000000a","spanId":"0000000000000003","name":"w","kind":1}]}]}]}
            """
        let bytes = try Array(json.utf8).withUnsafeBytes { try OTLPJSON.decode($0, as: .traces) }
        return try OTLPScanner.batch(bytes, as: .traces)
    }

    @Test("Jaeger: what is written reads as the same spans, the key is the trace ID")
    func jaeger() throws {
        var (keys, posted): ([String], [UInt8]) = ([], [])
        try JaegerSpans.forEach(of: try batch(), .protobuf) { trace, span in
            keys.append(trace)
            var writer = ProtobufWriter()
            let request = writer.beginMessage(1)
            span.withUnsafeBytes { writer.field(1, bytes: $0) }
            writer.endMessage(request)
            posted += writer.bytes
        }
        #expect(keys == ["000102030405060708090a0b0c0d0e0f", "000000000000000a"])
        let read = try posted.withUnsafeBytes { SpanText.lines(try JaegerBatch(postSpansRequest: $0).traces()) }
        #expect(
            read == [
                "{service.name=shop,host.name=h1} lib 000102030405060708090a0b0c0d0e0f/0000000000000002/0000000000000001 "
                    + "GET kind=3 1700000000000001000-1700000001500001000 "
                    + "{s=x,i=-7,d=1.5,b=true,y=[1, 2],l=[1],net.peer.ip=10.0.0.1,net.peer.port=443,peer.service=db} "
                    + "status=2bad event e@1700000000000002000{k=v} event plain@1700000000000003000{} "
                    + "link 000000000000000b{opentracing.ref_type=follows_from}",
                "{service.name=shop,host.name=h1} lib 0000000000000000000000000000000a/0000000000000003/ w kind=1 0-0 {} status=0",
            ])
    }

    @Test("Jaeger: JSON by the mapping of protobuf")
    func jaegerJSON() throws {
        var spans: [JSONValue] = []
        try JaegerSpans.forEach(of: try batch(), .json) { _, span in
            if let value = try? JSONValue(parsing: span) { spans.append(value) }
        }
        try #require(spans.count == 2)
        let first = spans[0]
        #expect(
            first["traceId"]?.stringValue == "AAECAwQFBgcICQoLDA0ODw=="
                && first["spanId"]?.stringValue == "AAAAAAAAAAI=")
        #expect(first["startTime"]?.stringValue == "2023-11-14T22:13:20.000001Z")
        #expect(first["duration"]?.stringValue == "1.500s" && spans[1]["duration"]?.stringValue == "0s")
        let references = first["references"]?.arrayValue ?? []
        #expect(references.map { $0["refType"]?.stringValue } == [nil, "FOLLOWS_FROM"])
        let tags = Dictionary(
            uniqueKeysWithValues: (first["tags"]?.arrayValue ?? []).map { ($0["key"]?.stringValue, $0) })
        #expect(tags["i"]?["vInt64"]?.stringValue == "-7" && tags["i"]?["vType"]?.stringValue == "INT64")
        #expect(tags["s"]?["vStr"]?.stringValue == "x" && tags["s"]?["vType"] == nil)
        #expect(tags["y"]?["vBinary"]?.stringValue == "AQI=" && tags["d"]?["vFloat64"]?.doubleValue == 1.5)
        #expect(tags["otel.status_code"]?["vStr"]?.stringValue == "ERROR" && tags["error"]?["vBool"]?.boolValue == true)
        #expect(
            tags["span.kind"]?["vStr"]?.stringValue == "client" && tags["w3c.tracestate"]?["vStr"]?.stringValue == "a=b"
        )
        #expect(first["process"]?["serviceName"]?.stringValue == "shop")
        #expect(first["logs"]?.arrayValue?.first?["fields"]?.arrayValue?.first?["key"]?.stringValue == "event")
    }

    @Test("Zipkin: what is written reads as the same spans with tags as text", arguments: [true, false])
    func zipkin(isJSON: Bool) throws {
        let written = try ZipkinSpans.encode(try batch(), as: isJSON ? .json : .protobuf)
        #expect(written.count == 2)
        let read = try written.bytes.withUnsafeBytes {
            SpanText.lines(try ZipkinSpans.traces($0, isJSON ? .jsonV2 : .protobufV2, parsesTags: false))
        }
        try #require(read.count == 2)
        let known = [
            "service.name=shop", "host.name=h1",
            " lib 000102030405060708090a0b0c0d0e0f/0000000000000002/0000000000000001 ",
            "GET kind=3 1700000000000001000-1700000001500001000", "s=x,i=-7,d=1.5,b=true,y=AQI=,l=[1]",
            "peer.service=db,net.peer.ip=10.0.0.1,net.peer.port=443", "status=2bad", "event e@1700000000000002000{k=v}",
            "event plain@1700000000000003000{}", "link 000000000000000b{}",
        ]
        for part in known { #expect(read[0].contains(part), "\(part) in \(read[0])") }
        #expect(read[1].contains("0000000000000000000000000000000a/0000000000000003/ w kind=1"), "\(read[1])")
    }

    @Test(
        "Zipkin: a service is named by the best attribute there is, addresses of both kinds, no tag error without one")
    func endpoints() throws {
        let json = """
            {"resourceSpans":[{"resource":{"attributes":[{"key":"faas.name","value":{"stringValue":"f"}}]},"scopeSpans":[{"spans":[
            {"traceId":"0000000000000000000000000000000a","spanId":"0000000000000003","startTimeUnixNano":"5000000000",
            "endTimeUnixNano":"5000000100","attributes":[{"key":"error","value":{"boolValue":false}},
            {"key":"net.host.ip","value":{"stringValue":"::1"}},{"key":"net.peer.ip","value":{"stringValue":"nowhere"}}],
            "status":{"code":1}},{"traceId":"0000000000000000000000000000000a"}]}]}]}
            """
        let bytes = try Array(json.utf8).withUnsafeBytes { try OTLPJSON.decode($0, as: .traces) }
        let written = try ZipkinSpans.encode(try OTLPScanner.batch(bytes, as: .traces), as: .json)
        #expect(written.count == 1)
        let span = try #require(try JSONValue(parsing: written.bytes).arrayValue?.first)
        #expect(span["localEndpoint"] == .object(["serviceName": .string("f"), "ipv6": .string("::1")]))
        #expect(span["remoteEndpoint"] == nil && span["duration"]?.intValue == 1)
        #expect(
            span["tags"]
                == .object([
                    "otlp.service.name.source": .string("faas.name"), "net.peer.ip": .string("nowhere"),
                    "otel.status_code": .string("OK"),
                ]))
    }

    @Test("Whatever is in a batch, it is written, and what is written can be read")
    func hostile() throws {
        let seed = try batch().requestBytes
        var random = SystemRandomNumberGenerator()
        var written = 0
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard let batch = try? OTLPScanner.batch(bytes, as: .traces) else { continue }
            var spans = 0
            try JaegerSpans.forEach(of: batch, .protobuf) { _, _ in spans += 1 }
            try JaegerSpans.forEach(of: batch, .json) { _, span in
                #expect((try? JSONValue(parsing: span)) != nil)
            }
            #expect(spans == batch.itemCount)
            _ = try ZipkinSpans.encode(batch, as: .protobuf)
            #expect((try? JSONValue(parsing: try ZipkinSpans.encode(batch, as: .json).bytes)) != nil)
            written += 1
        }
        #expect(written > 100)
    }
}
