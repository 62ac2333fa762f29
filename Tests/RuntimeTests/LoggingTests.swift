import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing

@testable import Runtime

@Suite struct LogFormatTests {
    private func record(_ message: String, _ metadata: [(key: LogKey, value: String)] = [], level: LogLevel = .info)
        -> LogRecord
    {
        LogRecord(timeNanoseconds: 1_700_000_000_123_456_000, level: level, message: message, metadata: metadata)
    }

    private func text(_ record: LogRecord, _ format: LogFormat) -> String {
        String(decoding: format.line(record), as: UTF8.self)
    }

    @Test(
        "logfmt lines quote what Go's slog quotes",
        arguments: [
            ("plain", "plain"), ("two words", "\"two words\""), ("", "\"\""), ("a=b", "\"a=b\""),
            ("a\"b", "\"a\\\"b\""),
            ("back\\slash", "back\\slash"), ("line\nbreak", "\"line\\nbreak\""), ("é", "é"), ("\u{A0}", "\"\\u00a0\""),
            ("tab\t", "\"tab\\t\""), ("/path/x:1", "/path/x:1"), ("<>&'", "<>&'"), ("\u{7F}", "\u{7F}"),
        ])
    func quoting(_ value: String, _ expected: String) {
        #expect(
            text(record("m", [("k", value)]), .logfmt)
                == "ts=2023-11-14T22:13:20.123456Z level=info msg=m k=\(expected)\n")
    }

    @Test("JSON lines have the same keys in the same order")
    func json() {
        #expect(
            text(record("a \"b\"\n\u{1}\u{2028}<", [("err", "x\\y"), ("bad key", "1")], level: .warn), .json)
                == "{\"ts\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"warn\",\"msg\":\"a \\\"b\\\"\\n\\u0001\\u2028<\","
                + "\"err\":\"x\\\\y\",\"bad_key\":\"1\"}\n")
    }

    @Test(
        "Times are RFC 3339 with the decimals there are",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_500_000_000, "2024-02-29T23:59:59.5Z"), (4_102_444_800_000_000_000, "2100-01-01T00:00:00Z"),
        ])
    func times(_ nanoseconds: Int64, _ expected: String) { #expect(LogTime.text(nanoseconds) == expected) }
}

@Suite struct LoggingTests {
    @Test("What was logged before the block was read is written in its format and at its level")
    func earlyMessages() {
        let harness = RuntimeHarness()
        let log = Log(sink: harness.router, clock: harness.clock)
        log.debug("early debug")
        log.info("early info")
        #expect(harness.log.isEmpty)
        harness.load("logging {\n level = \"debug\"\n format = \"json\"\n}")
        #expect(harness.log.contains("\"msg\":\"early debug\"") && harness.log.contains("\"msg\":\"early info\""))
        harness.load("logging { level = \"error\" }")
        log.warn("quiet")
        log.error("loud")
        #expect(!harness.log.contains("quiet") && harness.log.contains("level=error msg=loud\n"))
        harness.load("")
        log.info("default again")
        #expect(harness.log.contains("level=info msg=\"default again\"\n"))
    }

    @Test(
        "Settings that cannot be honoured are refused",
        arguments: [
            (
                "logging { destination = \"windows_event_log\" }",
                "\"destination\" must be \"stderr\": \"windows_event_log\" exists on Windows only"
            ),
            ("logging { level = \"loud\" }", "\"loud\" should be one of \"debug\", \"info\", \"warn\", \"error\""),
            ("tracing { sampling_fraction = 2 }", "\"sampling_fraction\" must be a number between 0 and 1"),
            (
                "http { tls { min_version = \"SSL3\" } }",
                "\"min_version\" must be one of \"TLS10\", \"TLS11\", \"TLS12\", \"TLS13\""
            ),
        ])
    func refusals(_ text: String, _ expected: String) {
        let result = RuntimeHarness().load(text)
        #expect(result.diagnostics.items.map(\.message) == [expected])
        #expect(!result.applied)
    }

    @Test("write_to sends lines on, labelled as Alloy's own, and counts what is refused")
    func forwarding() {
        let harness = RuntimeHarness()
        harness.load("test.relay \"r\" { }\nlogging { write_to = [test.relay.r.receiver] }")
        harness.start()
        Log(sink: harness.router, clock: harness.clock).info("hello")
        harness.settle()
        let statement = harness.runtime.ledger().first
        #expect((statement?.incoming ?? 0) > 0 && statement?.unaccounted == 0)

        let recorder = Recorder<LogBatch>("log")
        harness.router.configure(level: .info, format: .logfmt, receivers: [recorder.receiver])
        Log(sink: harness.router, clock: harness.clock).info("forwarded")
        harness.settle()
        #expect(recorder.lines == ["{component=\"alloy\"} ts=2023-11-14T22:13:20Z level=info msg=forwarded\n"])
        recorder.refuse { _ in .rejected(.malformed, "no") }
        Log(sink: harness.router, clock: harness.clock).info("refused")
        harness.settle()
        #expect(harness.metric("invar_log_entries_lost_total") == 1)
    }

    @Test("Forwarding is bounded while receivers are slow")
    func boundedForwarding() {
        let router = LogRouter { _ in }
        let recorder = Recorder<LogBatch>("log")
        router.configure(level: .info, format: .logfmt, receivers: [recorder.receiver])
        let log = Log(sink: router, clock: .manual())
        for _ in 0..<1_500 { log.info("nobody takes this yet") }
        #expect(router.lostEntries == 500)
    }

    @Test("http and livedebugging blocks reach those who follow them, and their absence too")
    func services() {
        let harness = RuntimeHarness()
        harness.load(
            """
            livedebugging { enabled = true }
            http {
                auth {
                    basic {
                        username = "u"
                        password = "p"
                    }
                }
                tls { cert_file = "/c" }
            }
            """)
        #expect(harness.services.liveData.isEnabled)
        #expect(harness.runtime.http.current.authentication?.basic?.username == "u")
        #expect(harness.runtime.http.current.authentication?.filter.authenticatesMatchingPaths == true)
        #expect(harness.runtime.http.current.tls?.certificateFile == "/c")
        harness.load("")
        #expect(!harness.services.liveData.isEnabled && harness.runtime.http.current == .none)
    }
}
