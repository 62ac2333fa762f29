import AlloySyntax
import ComponentKit
import Essentials
import Glibc
import Telemetry
import TestKit
import Testing
import Transport

@testable import LokiComponents

@Suite("loki.source.syslog")
struct LokiSourceSyslogTests {
    private static func keepEverything() throws -> Relabeling {
        Relabeling([try RelabelRule(action: .labelmap, pattern: "__syslog_(.+)")])
    }

    private func start(_ listeners: String, relabeling: Relabeling? = nil) -> ComponentHarness {
        var variables: [String: Value] = [:]
        if let relabeling { variables["rules"] = RelabelRules(relabeling).alloyValue }
        let harness = ComponentHarness(LokiSourceSyslog.self, variables: variables)
        let problems = harness.start(
            """
            \(listeners)
            forward_to = [recorder.logs]
            \(relabeling == nil ? "" : "relabel_rules = rules")
            """)
        #expect(problems == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        return harness
    }

    private func address(_ harness: ComponentHarness) throws -> SocketAddress {
        let text = try #require(harness.health?.message.split(separator: " ").last)
        return try #require(SocketAddress(String(text)))
    }

    private func send(_ harness: ComponentHarness, _ text: String, tls: TLSClientSettings? = nil) throws {
        let address = try address(harness)
        let loops = harness.services.eventLoops
        try harness.run {
            let connection = try await TCPConnection.connect(to: address, tls: tls, on: loops)
            try await connection.write(Array(text.utf8))
            connection.close()
        }
    }

    private func entries(_ harness: ComponentHarness) -> [String] {
        harness.logs.batches.flatMap { batch in
            batch.entries.map { "\(batch.streams[Int($0.stream)]) \(batch.line($0))" }
        }
    }

    private func entries(_ harness: ComponentHarness, _ count: Int) -> [String] {
        #expect(harness.settle(until: { entries(harness).count >= count }))
        return entries(harness)
    }

    @Test("Messages over TCP become entries, by line and by length, with the labels of the listener")
    func tcp() throws {
        let harness = start("listener {\naddress = \"127.0.0.1:0\"\nlabels = {job = \"syslog\"}\n}")
        try send(harness, "<34>1 2003-10-11T22:14:15Z h su - ID47 - one\n<34>1 - - - - - - two")
        #expect(entries(harness, 2) == [#"{job="syslog"} one"#, #"{job="syslog"} two"#])
        try send(harness, "27 <34>1 - h su - ID47 - three")
        #expect(entries(harness, 3).last == #"{job="syslog"} three"#)
        #expect(harness.metric("loki_source_syslog_entries_total") == 3)
        let times = harness.logs.batches.flatMap(\.entries).map(\.timestamp)
        #expect(times.allSatisfy { $0 >= 1_700_000_000_000_000_000 })
        #expect(harness.finish() == [])
    }

    @Test("Headers and structured data become labels that rules may keep")
    func labels() throws {
        let harness = start(
            "listener {\naddress = \"127.0.0.1:0\"\nlabel_structured_data = true\nuse_incoming_timestamp = true\n}",
            relabeling: try Self.keepEverything())
        try send(harness, "<165>1 2003-08-24T05:14:15.000003-07:00 host app 12 ID1 [ex@9 k=\"v\"] text\n")
        let found = try #require(entries(harness, 1).first)
        for label in [
            #"connection_ip_address="127.0.0.1""#, #"message_app_name="app""#, #"message_facility="local4""#,
            #"message_hostname="host""#, #"message_msg_id="ID1""#, #"message_proc_id="12""#,
            #"message_sd_ex_9_k="v""#, #"message_severity="notice""#,
        ] {
            #expect(found.contains(label), "\(label) in \(found)")
        }
        #expect(harness.logs.batches.first?.entries.first?.timestamp == 1_061_727_255_000_003_000)
        #expect(harness.finish() == [])
    }

    @Test("What is malformed or empty is counted, and the rest goes on")
    func malformed() throws {
        let harness = start("listener {\naddress = \"127.0.0.1:0\"\nlabels = {a = \"b\"}\n}")
        try send(harness, "<34>1 - - - - - -\n<nonsense\n<34>1 - - - - - - ok\n")
        #expect(entries(harness, 1) == [#"{a="b"} ok"#])
        #expect(harness.metric("loki_source_syslog_parsing_errors_total") == 1)
        #expect(harness.metric("loki_source_syslog_empty_messages_total") == 1)
        try send(harness, "no syslog at all\n")
        #expect(harness.settle(until: { harness.metric("loki_source_syslog_parsing_errors_total") == 2 }))
        #expect(harness.finish() == [])
    }

    @Test("Options of the formats: whole messages, empty ones, the current year, raw text")
    func formats() throws {
        let whole = start(
            """
            listener {
              address = "127.0.0.1:0"
              labels = {a = "b"}
              use_rfc5424_message = true
              rfc5424_allow_empty_msg = true
            }
            """)
        try send(whole, "<34>1 - h - - - - text\n<34>1 - h - - - -\n")
        #expect(entries(whole, 2) == [#"{a="b"} <34>1 - h - - - - text"#, #"{a="b"} <34>1 - h - - - -"#])
        #expect(whole.metric("loki_source_syslog_empty_messages_total") == 1)
        #expect(whole.finish() == [])

        let old = start(
            """
            listener {
              address = "127.0.0.1:0"
              labels = {a = "b"}
              syslog_format = "rfc3164"
              use_incoming_timestamp = true
              rfc3164_default_to_current_year = true
              rfc3164_cisco_components {
                enable_all = true
              }
            }
            """)
        try send(old, "<189>2: 3: host1: *Nov 14 22:13:19.500: %SYS-5-CONFIG_I: Configured\n")
        #expect(entries(old, 1) == [#"{a="b"} Configured"#])
        #expect(old.logs.batches.first?.entries.first?.timestamp == 1_699_999_999_500_000_000)
        #expect(old.finish() == [])

        let raw = start(
            """
            listener {
              address = "127.0.0.1:0"
              labels = {a = "b"}
              syslog_format = "raw"
              raw_format_options {
                use_null_terminator_delimiter = true
              }
            }
            """)
        try send(raw, "<13>CEF:0|x\nsecond line\u{0}other\u{0}")
        #expect(entries(raw, 2) == ["{a=\"b\"} CEF:0|x\nsecond line", #"{a="b"} other"#])
        #expect(raw.finish() == [])
    }

    @Test("Datagrams over UDP become entries; what is too long is cut")
    func udp() throws {
        let harness = start(
            """
            listener {
              address            = "127.0.0.1:0"
              protocol           = "udp"
              labels             = {a = "b"}
              max_message_length = 30
            }
            """)
        let address = try address(harness)
        let loops = harness.services.eventLoops
        try harness.run {
            let socket = try await UDPSocket.connect(to: address, on: loops)
            try await socket.send(Array("<34>1 - - - - - - one\n<34>1 - -".utf8))
            try await socket.send(Array("<34>1 - - - - - - 0123456789abcdef".utf8))
            socket.close()
        }
        #expect(entries(harness, 2) == [#"{a="b"} one"#, #"{a="b"} 0123456789ab"#])
        #expect(harness.finish() == [])
    }

    @Test("Connections are encrypted when a certificate is given, and clients verified when a CA is")
    func tls() throws {
        let folder = TemporaryDirectory()
        let made = system(
            "cd \(folder.path) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem "
                + "-out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null")
        try #require(made == 0)
        let harness = start(
            """
            listener {
              address = "127.0.0.1:0"
              labels = {a = "b"}
              tls_config {
                cert_file = "\(folder["cert.pem"])"
                key_file  = "\(folder["key.pem"])"
                ca_file   = "\(folder["cert.pem"])"
              }
            }
            """)
        var client = TLSClientSettings()
        client.caFile = folder["cert.pem"]
        // Without a certificate of its own the client is turned away.
        try? send(harness, "<34>1 - - - - - - intruder\n", tls: client)
        client.certificateFile = folder["cert.pem"]
        client.keyFile = folder["key.pem"]
        try send(harness, "<34>1 - - - - - - secret\n", tls: client)
        #expect(entries(harness, 1) == [#"{a="b"} secret"#])
        #expect(harness.finish() == [])
    }

    @Test("A receiver that cannot take entries now gets them later")
    func backpressure() throws {
        let harness = start("listener {\naddress = \"127.0.0.1:0\"\nlabels = {a = \"b\"}\n}")
        let isRefused = Flag()
        harness.logs.refuse { _ in
            isRefused.set("yes")
            return .retry("busy")
        }
        try send(harness, "<34>1 - - - - - - one\n")
        #expect(harness.settle(until: { isRefused.value != nil }))
        #expect(entries(harness) == [])
        harness.logs.refuse(nil)
        harness.advance(by: .seconds(10))
        #expect(entries(harness, 1) == [#"{a="b"} one"#])
        #expect(harness.finish() == [])
    }

    @Test(
        "Wrong arguments are refused by name",
        arguments: [
            ("", "missing required block \"listener\""),
            ("listener {\naddress = \"x\"\n}", "\"address\" must be `host:port`"),
            (
                "listener {\naddress = \":1\"\nsyslog_format = \"raw\"\nuse_incoming_timestamp = true\n}",
                "\"use_incoming_timestamp\" has no effect when syslog format is set to \"raw\""
            ),
            (
                "listener {\naddress = \":1\"\nraw_format_options { }\n}",
                "raw_format_options has no effect when syslog format is not \"raw\""
            ),
            (
                "listener {\naddress = \":1\"\nsyslog_format = \"rfc3164\"\nrfc3164_cisco_components { }\n}",
                "at least one option in rfc3164_cisco_components has to be enabled"
            ),
            (
                "listener {\naddress = \":1\"\nrfc3164_cisco_components {\nenable_all = true\n}\n}",
                "rfc3164_cisco_components has no effect when syslog format is not \"rfc3164\""
            ),
            ("listener {\naddress = \":1\"\nprotocol = \"sctp\"\n}", "\"sctp\" should be one of"),
            (
                "listener {\naddress = \":1\"\ntls_config {\nca_pem = \"x\"\n}\n}",
                "certificate and key must be configured"
            ),
        ])
    func refused(listeners: String, problem: String) {
        let harness = ComponentHarness(LokiSourceSyslog.self)
        let problems = harness.evaluate("forward_to = [recorder.logs]\n\(listeners)")
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
