import AlloySyntax
import ComponentKit
import Compression
import Essentials
import Synchronization
import Telemetry
import TestKit
import Testing
import Transport
import Wire

@testable import LokiComponents

@Suite("loki.source.api")
struct LokiSourceAPITests {
    @Test("Settings of the gRPC server that can have no effect say so")
    func inert() {
        for name in ["server_max_send_msg_size", "max_connection_age"] {
            let value = name == "max_connection_age" ? "\"5m\"" : "1024"
            let said = ComponentHarness(LokiSourceAPI.self).evaluate(
                "forward_to = []\ngrpc {\n \(name) = \(value)\n }")
            #expect(said.count == 1 && said[0].contains("\"\(name)\" has no effect"), "\(said)")
        }
        let usual = "forward_to = []\ngrpc {\n server_max_send_msg_size = 4194304\n }"
        #expect(ComponentHarness(LokiSourceAPI.self).evaluate(usual) == [])
    }

    private func start(_ more: String = "", variables: [String: Value] = [:], memory: ByteCount = .mebibytes(256))
        -> ComponentHarness
    {
        let harness = ComponentHarness(LokiSourceAPI.self, variables: variables, memoryLimit: memory)
        let problems = harness.start(
            """
            http {
              listen_address = "127.0.0.1"
              listen_port = 0
            }
            forward_to = [recorder.logs]
            \(more)
            """)
        #expect(problems == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        return harness
    }

    private struct Reply: Sendable {
        var status: Int
        var body: String
        var retryAfter: String?
    }

    private func request(
        _ harness: ComponentHarness, _ path: String, _ body: [UInt8] = [], method: HTTPMethod = .post,
        fields: HTTPFields = [:]
    ) throws -> Reply {
        let address = try #require(harness.health?.message.split(separator: " ").last)
        let url = try #require(HTTPURL("http://\(address)\(path)"))
        let loops = harness.services.eventLoops
        return try harness.run {
            let client = HTTPClient(on: loops)
            var request = HTTPClientRequest(method, url, fields: fields)
            if method == .post { request.body = body }
            request.timeout = .seconds(10)
            let response = try await client.send(request)
            let body = try await response.collect()
            return Reply(
                status: response.status.code, body: String(decoding: body, as: UTF8.self),
                retryAfter: response.fields["retry-after"])
        }
    }

    private func json(_ harness: ComponentHarness, _ text: String, tenant: String? = nil) throws -> Reply {
        var fields: HTTPFields = ["content-type": "application/json"]
        if let tenant { fields["x-scope-orgid"] = tenant }
        return try request(harness, "/loki/api/v1/push", Array(text.utf8), fields: fields)
    }

    private func entries(_ harness: ComponentHarness) -> [String] {
        harness.logs.batches.flatMap { batch in
            batch.entries.map { entry in
                "\(batch.streams[Int(entry.stream)]) \(entry.timestamp) \(batch.line(entry)) \(entry.metadata)"
            }
        }
    }

    private static let push = #"{"streams":[{"stream":{"app":"a"},"values":[["5","one"],["6","two",{"k":"v"}]]}]}"#

    @Test("JSON and protobuf pushes on both paths become entries; the time is that of arrival unless asked otherwise")
    func pushes() throws {
        let harness = start("labels = {source = \"api\", app = \"fixed\"}")
        #expect(try json(harness, Self.push).status == 204)
        let now: Int64 = 1_700_000_000_000_000_000
        let fixed = #"{app="fixed", source="api"}"#
        #expect(entries(harness) == ["\(fixed) \(now) one {}", "\(fixed) \(now + 1) two {k=\"v\"}"])
        #expect(harness.finish() == [])

        let incoming = start("use_incoming_timestamp = true")
        var builder = LokiPushBuilder()
        var batch = LogBatch()
        batch.append("proto", labels: ["app": "b"], timestamp: 7, metadata: ["k": "v"])
        builder.append(batch)
        var body: [UInt8] = []
        var scratch: [UInt8] = []
        try builder.compress(into: &body, scratch: &scratch)
        for path in ["/api/v1/push", "/loki/api/v1/push"] {
            #expect(try request(incoming, path, body, fields: ["content-type": "application/x-protobuf"]).status == 204)
        }
        var gzip: [UInt8] = []
        try Gzip().compress(Array(Self.push.utf8), into: &gzip)
        let fields: HTTPFields = ["content-type": "application/json", "content-encoding": "gzip"]
        #expect(try request(incoming, "/api/v1/push", gzip, fields: fields).status == 204)
        #expect(
            entries(incoming) == [
                #"{app="b"} 7 proto {k="v"}"#, #"{app="b"} 7 proto {k="v"}"#, #"{app="a"} 5 one {}"#,
                #"{app="a"} 6 two {k="v"}"#,
            ])
        #expect(incoming.metric("loki_source_api_entries_written") == 4)
        // The server books a request when its answer is out, which the client may be ahead of.
        let route = ["method": "POST", "route": "api_v1_push", "status_code": "204"]
        #expect(
            incoming.settle(until: {
                incoming.metric("loki_source_api_request_duration_seconds_count", route) == 2
                    && incoming.metric("loki_source_api_inflight_requests", ["route": "api_v1_push"]) == 0
            }))
        #expect(incoming.metric("loki_source_api_request_message_bytes_count", ["route": "api_v1_push"]) == 2)
        #expect(incoming.instance.ledger.statement.outgoing == 4)
        #expect(incoming.finish() == [])
    }

    @Test("Plain text becomes one entry a line with the configured labels alone")
    func raw() throws {
        let harness = start("labels = {a = \"b\"}")
        for path in ["/api/v1/raw", "/loki/api/v1/raw"] {
            #expect(
                try request(harness, path, Array("one\r\n\ntwo".utf8), fields: ["x-scope-orgid": "t"]).status == 204)
        }
        #expect(entries(harness).map { $0.split(separator: " ")[2] } == ["one", "two", "one", "two"])
        #expect(harness.logs.batches.allSatisfy { $0.streams == [["a": "b"]] })
        #expect(harness.finish() == [])
    }

    @Test("Rules relabel and drop streams; internal labels go, the tenant of the request stays")
    func relabeling() throws {
        let rules = Relabeling([
            try RelabelRule(action: .drop, sourceLabels: ["app"], pattern: "noise"),
            try RelabelRule(action: .replace, sourceLabels: ["__meta"], targetLabel: "meta"),
        ])
        let harness = start(
            "relabel_rules = rules\n labels = {__meta = \"m\"}", variables: ["rules": RelabelRules(rules).alloyValue])
        let text = """
            {"streams":[{"stream":{"app":"noise"},"values":[["1","dropped"]]},
            {"stream":{"app":"a","__secret":"x"},"values":[["1","kept"]]}]}
            """
        #expect(try json(harness, text, tenant: "team-1").status == 204)
        #expect(harness.logs.batches.flatMap { $0.entries.map { $0.stream } }.count == 1)
        try #require(!entries(harness).isEmpty)
        #expect(entries(harness)[0].hasPrefix(#"{__tenant_id__="team-1", app="a", meta="m"} "#))
        #expect(try json(harness, text, tenant: "a|b").status == 204)
        #expect(entries(harness)[1].hasPrefix(#"{app="a", meta="m"} "#))
        #expect(harness.instance.ledger.statement.droppedItems == 2)
        #expect(harness.finish() == [])
    }

    @Test("Streams with bad labels are reported, the others are kept")
    func partial() throws {
        let harness = start()
        let reply = try json(
            harness, #"{"streams":[{"values":[["1","lost"]]},{"stream":{"a":"b"},"values":[["2","kept"]]}]}"#)
        #expect(reply.status == 400)
        #expect(reply.body == "stream without labels\n")
        #expect(entries(harness).count == 1)
        #expect(harness.finish() == [])
    }

    @Test("Requests that are wrong are answered with what is wrong")
    func refusals() throws {
        let harness = start("max_send_message_size = \"1KiB\"")
        #expect(try json(harness, "{").status == 400)
        #expect(try request(harness, "/loki/api/v1/push", [1, 2, 3]).status == 400)
        let encoded: HTTPFields = ["content-encoding": "br", "content-type": "application/json"]
        #expect(
            try request(harness, "/loki/api/v1/push", [], fields: encoded).body
                == "Content-Encoding \"br\" not supported\n")
        let large = try request(harness, "/loki/api/v1/raw", [UInt8](repeating: 0x61, count: 2000))
        #expect(large.status == 413)
        #expect(large.body == "received message larger than max (2000 vs 1024)\n")
        #expect(try request(harness, "/loki/api/v1/push", method: .get).status == 405)
        #expect(try request(harness, "/other", method: .get).status == 404)
        let ready = try request(harness, "/ready", method: .get)
        #expect(ready.status == 200 && ready.body == "ready")
        #expect(entries(harness).isEmpty)
        #expect(harness.finish() == [])
    }

    @Test("A receiver that cannot take entries now is 429 or 503 with a time to come back, and nothing is kept")
    func backPressure() throws {
        let harness = start()
        harness.logs.refuse { _ in .overloaded(retryAfter: .milliseconds(1500), "full") }
        let full = try json(harness, Self.push)
        #expect(full.status == 429 && full.body == "full\n" && full.retryAfter == "2")
        harness.logs.refuse { _ in .retry("down") }
        let down = try json(harness, Self.push)
        #expect(down.status == 503 && down.retryAfter == "1")
        harness.logs.refuse { _ in .rejected(.malformed, "never") }
        #expect(try json(harness, Self.push).status == 400)
        harness.logs.refuse(nil)
        #expect(try json(harness, Self.push).status == 204)
        #expect(entries(harness).count == 2)
        #expect(harness.services.budget.usage.bytes == 0)
        #expect(harness.instance.ledger.statement.incoming == 4)
        #expect(harness.finish() == [])
    }

    @Test("Without memory requests are refused before they are read")
    func memory() throws {
        let harness = start(memory: .kibibytes(64))
        let other = harness.services.budget.account("other")
        #expect(other.reserve(60 << 10))
        #expect(try request(harness, "/api/v1/raw", [UInt8](repeating: 0x61, count: 10_000)).status == 429)
        other.release(60 << 10)
        #expect(try request(harness, "/api/v1/raw", [UInt8](repeating: 0x61, count: 10_000)).status == 204)
        #expect(harness.finish() == [])
    }

    @Test("A change of labels applies to the next request, a change of the server binds anew")
    func reload() throws {
        let harness = start("labels = {v = \"1\"}")
        let before = harness.health?.message
        #expect(try request(harness, "/api/v1/raw", Array("a".utf8)).status == 204)
        let rest = "forward_to = [recorder.logs]\n http {\n listen_address = \"127.0.0.1\"\n listen_port = 0\n"
        harness.update(rest + "}\n labels = {v = \"2\"}")
        #expect(harness.health?.message == before)
        #expect(try request(harness, "/api/v1/raw", Array("b".utf8)).status == 204)
        harness.update(rest + "server_idle_timeout = \"5s\"\n}\n labels = {v = \"3\"}")
        #expect(harness.settle(until: { harness.health?.message != before }))
        #expect(try request(harness, "/api/v1/raw", Array("c".utf8)).status == 204)
        #expect(harness.logs.batches.map { $0.streams[0]["v"] } == ["1", "2", "3"])
        #expect(harness.finish() == [])
    }

    @Test("An address in use is unhealthy and an error")
    func addressInUse() throws {
        let first = start()
        let address = try #require(first.health?.message.split(separator: ":").last)
        let second = ComponentHarness(LokiSourceAPI.self)
        second.start(
            "http {\n listen_address = \"127.0.0.1\"\n listen_port = \(address)\n }\n forward_to = [recorder.logs]")
        #expect(second.settle(until: { second.hasEnded }))
        #expect(second.failure != nil)
        #expect(second.health?.state == .unhealthy)
        #expect(first.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused by name",
        arguments: [
            ("http { listen_port = 70000 }", "listen_port"), ("http { conn_limit = -1 }", "conn_limit"),
            ("http {\n tls { client_auth_type = \"Maybe\" }\n }", "client_auth_type"),
            (
                "http {\n tls {\n cert_pem = \"a\"\n key_pem = \"b\"\n min_version = \"VersionTLS9\"\n }\n }",
                "min_version"
            ),
            ("max_send_message_size = \"big\"", "big"), ("unknown = 1", "unknown"),
        ])
    func refused(_ text: String, _ name: String) {
        let problems = ComponentHarness(LokiSourceAPI.self).evaluate("forward_to = []\n" + text)
        #expect(problems.contains { $0.contains(name) }, "\(problems)")
    }

    @Test("A grpc block opens a server that knows no services")
    func grpc() throws {
        let harness = start("grpc { listen_address = \"127.0.0.1\" }")
        let line = try #require(harness.logSink.lines.first { $0.contains("grpc=") })
        let address = try #require(line.split(separator: "=").last)
        let url = try #require(HTTPURL("http://\(address)/pkg.Service/Call"))
        let loops = harness.services.eventLoops
        let status = try harness.run {
            var settings = HTTPClientSettings()
            settings.usesHTTP2PriorKnowledge = true
            let client = HTTPClient(settings, on: loops)
            let response = try await client.send(.post(url, [0, 0, 0, 0, 0], type: "application/grpc"))
            return response.fields["grpc-status"]
        }
        #expect(status == "12")
        #expect(harness.finish() == [])
    }
}
