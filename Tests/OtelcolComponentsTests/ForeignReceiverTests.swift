import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Transport
import Wire

@testable import OtelcolComponents

/// Receivers of other projects' protocols over sockets on the loopback: what they take, and how they say no.
@Suite("Receivers of Zipkin, Jaeger, InfluxDB and Fluent clients")
struct ForeignReceiverTests {
    private func start(
        _ type: any Component.Type, _ body: String, _ signal: String = "traces"
    ) -> ComponentHarness {
        let harness = ComponentHarness(type)
        #expect(harness.start(body + "\noutput {\n\(signal) = [recorder.otlp]\n}") == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        return harness
    }

    private func address(_ harness: ComponentHarness, _ name: String = "address") -> String {
        guard case .string(let text)? = harness.instance.debugInfo[name] else { return "" }
        return text
    }

    private func send(
        _ harness: ComponentHarness, _ url: String, _ body: [UInt8], _ fields: HTTPFields,
        _ method: HTTPMethod = .post
    ) throws -> (status: Int, retryAfter: String?) {
        let loops = harness.services.eventLoops
        return try harness.run {
            let client = HTTPClient(on: loops)
            defer { client.shutDown() }
            var request = HTTPClientRequest(method, try #require(HTTPURL(url)), fields: fields)
            request.body = body
            let response = try await client.send(request)
            return (response.status.code, response.fields["retry-after"])
        }
    }

    /// What an HTTP receiver answers to good and bad requests.
    private func check(
        _ harness: ComponentHarness, _ url: String, _ good: [UInt8], _ bad: [UInt8], _ fields: HTTPFields,
        accepted: Int, metric: String, labels: [String: String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        func status(_ body: [UInt8], _ fields: HTTPFields) throws -> Int { try send(harness, url, body, fields).status }
        #expect(try status(good, fields) == accepted, sourceLocation: sourceLocation)
        #expect(harness.otlp.itemCount == 1, sourceLocation: sourceLocation)
        #expect(try status(bad, fields) == 400, sourceLocation: sourceLocation)
        #expect(try status(Array(good.dropLast(3)), fields) == 400, sourceLocation: sourceLocation)
        // More than the 1 KiB of the configuration, as it comes and unpacked.
        let large = [UInt8](repeating: 0x20, count: 4000)
        #expect(try status(good + large, fields) == 413, sourceLocation: sourceLocation)
        var packed = fields
        packed["content-encoding"] = "gzip"
        #expect(try status(good, packed) == 400, sourceLocation: sourceLocation)
        #expect(try send(harness, url, [], fields, .get).status == 405, sourceLocation: sourceLocation)
        #expect(harness.otlp.itemCount == 1, sourceLocation: sourceLocation)
        harness.otlp.refuse { _ in .overloaded(retryAfter: .seconds(7), "full") }
        let full = try send(harness, url, good, fields)
        #expect(full.status == 429 && full.retryAfter == "7", sourceLocation: sourceLocation)
        harness.otlp.refuse { _ in .retry("later") }
        let later = try send(harness, url, good, fields)
        #expect(later.status == 503 && later.retryAfter != nil, sourceLocation: sourceLocation)
        harness.otlp.refuse { _ in .rejected(.limit, "never") }
        #expect(try status(good, fields) == 400, sourceLocation: sourceLocation)
        #expect(
            harness.metric("otelcol_receiver_accepted_\(metric)_total", labels) == 1, sourceLocation: sourceLocation)
        #expect(
            harness.metric("otelcol_receiver_refused_\(metric)_total", labels) == 3, sourceLocation: sourceLocation)
        #expect(harness.finish() == [], sourceLocation: sourceLocation)
    }

    @Test("Zipkin")
    func zipkin() throws {
        let harness = start(
            OtelcolReceiverZipkin.self, "endpoint = \"127.0.0.1:0\"\nmax_request_body_size = \"1KiB\"")
        let span =
            #"[{"traceId":"0102030405060708","id":"0102030405060708","name":"n","timestamp":1,"duration":2}]"#
        try check(
            harness, "http://\(address(harness))/api/v2/spans", Array(span.utf8), Array("{\"a\"".utf8),
            ["content-type": "application/json"], accepted: 202, metric: "spans", labels: ["transport": "http_v2_json"])
    }

    /// A Thrift batch of the binary encoding with one span.
    private static let batch: [UInt8] = {
        func field(_ type: UInt8, _ id: UInt8) -> [UInt8] { [type, 0, id] }
        func number(_ value: UInt8, bytes: Int) -> [UInt8] { [UInt8](repeating: 0, count: bytes - 1) + [value] }
        func text(_ text: String) -> [UInt8] { number(UInt8(text.utf8.count), bytes: 4) + Array(text.utf8) }
        var bytes = field(12, 1) + field(11, 1) + text("shop") + [0]
        bytes += field(15, 2) + [12] + number(1, bytes: 4)
        for id: UInt8 in 1...4 { bytes += field(10, id) + number(id, bytes: 8) }
        bytes += field(11, 5) + text("pay") + field(8, 7) + number(1, bytes: 4)
        bytes += field(10, 8) + number(9, bytes: 8) + field(10, 9) + number(5, bytes: 8)
        return bytes + [0, 0]
    }()

    @Test("Jaeger over HTTP")
    func jaeger() throws {
        let harness = start(
            OtelcolReceiverJaeger.self,
            """
            protocols {
                thrift_http {
                    endpoint = "127.0.0.1:0"
                    max_request_body_size = "1KiB"
                }
            }
            """)
        let url = "http://\(address(harness, "thrift_http_address"))/api/traces"
        #expect(try send(harness, url, Self.batch, ["content-type": "text/plain"]).status == 400)
        #expect(try send(harness, url + "/x", Self.batch, [:]).status == 404)
        try check(
            harness, url, Self.batch, [0xFF, 1, 2], ["content-type": "application/x-thrift"], accepted: 202,
            metric: "spans", labels: ["transport": "collector_http"])
    }

    @Test("InfluxDB line protocol")
    func influx() throws {
        let harness = start(
            OtelcolReceiverInfluxDB.self, "endpoint = \"127.0.0.1:0\"\nmax_request_body_size = \"1KiB\"", "metrics")
        let base = "http://\(address(harness))"
        #expect(try send(harness, base + "/ping", [], [:], .get).status == 204)
        #expect(try send(harness, base + "/write?precision=week", Array("cpu v=1 1".utf8), [:]).status == 400)
        #expect(try send(harness, base + "/query", [], [:]).status == 404)
        try check(
            harness, base + "/write", Array("cpu,h=a value=1 1".utf8), Array("cpu,h= value".utf8), [:], accepted: 204,
            metric: "metric_points", labels: [:])
    }

    @Test("Fluent Forward: messages are acknowledged, bytes that are none end their connection and are counted")
    func fluent() throws {
        let harness = start(OtelcolReceiverFluentForward.self, "endpoint = \"127.0.0.1:0\"", "logs")
        let text = address(harness)
        let address = try #require(SocketAddress(text))
        let loops = harness.services.eventLoops
        func exchange(_ bytes: [UInt8]) throws -> [UInt8] {
            try harness.run {
                let connection = try await TCPConnection.connect(to: address, on: loops)
                defer { connection.close() }
                try await connection.write(bytes)
                return try await connection.next().map { Array($0) } ?? []
            }
        }
        // ["t", [[1, {"k": "v"}]], {"chunk": "c"}]
        let message: [UInt8] =
            [0x93, 0xA1, 0x74, 0x91, 0x92, 0x01, 0x81, 0xA1, 0x6B, 0xA1, 0x76, 0x81, 0xA5] + Array("chunk".utf8)
            + [0xA1, 0x63]
        #expect(try exchange(message) == [0x81, 0xA3] + Array("ack".utf8) + [0xA1, 0x63])
        #expect(harness.otlp.itemCount == 1)
        #expect(harness.metric("otelcol_fluent_events_parsed_total") == 1)
        let broken: [[UInt8]] = [[0xC1], [0x93, 0x01, 0x02, 0x03], [0xDD, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0xC1]]
        for (count, bytes) in broken.enumerated() {
            #expect(try exchange(bytes) == [])
            #expect(
                harness.settle(until: { harness.metric("otelcol_fluent_parse_failures_total") == Double(count + 1) }))
        }
        #expect(harness.settle(until: { harness.metric("otelcol_fluent_closed_connections_total") == 4 }))
        #expect(harness.otlp.itemCount == 1)
        #expect(harness.finish() == [])
    }
}
