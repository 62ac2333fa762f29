import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import TextFormats
import Transport
import Wire

@testable import OtelcolComponents

/// otelcol.receiver.syslog and otelcol.receiver.tcplog, over sockets on the loopback.
@Suite("Receivers of logs over sockets")
struct StreamReceiverTests {
    private func start(_ type: any Component.Type, _ body: String) -> ComponentHarness {
        let harness = ComponentHarness(type)
        #expect(harness.start(body + "\noutput {\nlogs = [recorder.otlp]\n}") == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        return harness
    }

    private func problems(_ type: any Component.Type, _ body: String) -> String {
        ComponentHarness(type).evaluate(body + "\noutput {\nlogs = [recorder.otlp]\n}").joined(separator: "\n")
    }

    private func address(_ harness: ComponentHarness) throws -> SocketAddress {
        guard case .string(let text)? = harness.instance.debugInfo["listen_address"] else {
            throw StanzaError("not listening")
        }
        return try #require(SocketAddress(text))
    }

    /// Sends text over a connection of its own and closes it.
    private func send(_ harness: ComponentHarness, _ bytes: [UInt8]) throws {
        let address = try address(harness)
        let loops = harness.services.eventLoops
        try harness.run {
            let connection = try await TCPConnection.connect(to: address, on: loops)
            try await connection.write(bytes)
            connection.close()
        }
    }

    private func send(_ harness: ComponentHarness, _ text: String) throws { try send(harness, Array(text.utf8)) }

    private func sendDatagram(_ harness: ComponentHarness, _ text: String) throws {
        let address = try address(harness)
        let loops = harness.services.eventLoops
        try harness.run {
            let socket = try await UDPSocket.connect(to: address, on: loops)
            try await socket.send(Array(text.utf8))
            socket.close()
        }
    }

    /// Records as `body severity attributes`, once there are `count` of them.
    private func records(_ harness: ComponentHarness, _ count: Int) -> [String] {
        #expect(harness.settle(until: { harness.otlp.itemCount >= count }))
        return Self.records(harness.otlp.batches)
    }

    static func records(_ batches: [OTLPBatch]) -> [String] {
        var found: [String] = []
        let walker = OTLPWalker()
        for batch in batches {
            try? walker.walk(batch, to: .item) { level in
                guard level == .item else { return .keep }
                let record = walker.logRecord
                let body = OTLPText.string(OTLPAnyValue(record.body))
                let attributes = OTLPText.string(.map(walker.item.attributes.map))
                found.append("\(body) \(walker.item.varint(OTLPField.LogRecord.severityNumber)) \(attributes)")
                return .keep
            }
        }
        return found
    }

    @Test("RFC 5424 over TCP: body, severity, time and attributes")
    func rfc5424() throws {
        let harness = start(
            OtelcolReceiverSyslog.self, "tcp {\nlisten_address = \"127.0.0.1:0\"\n}")
        let line = "<165>1 2003-08-24T05:14:15.000003-07:00 host app 12 ID1 [ex@9 k=\"v\"] some text"
        try send(harness, line + "\n\n  <34>1 - - - - - - second  \n")
        #expect(
            records(harness, 2) == [
                line + " 10 "
                    + #"{"appname":"app","facility":20,"hostname":"host","message":"some text","msg_id":"ID1","#
                    + #""priority":165,"proc_id":"12","structured_data":{"ex@9":{"k":"v"}},"version":1}"#,
                #"<34>1 - - - - - - second 18 {"facility":4,"message":"second","priority":34,"version":1}"#,
            ])
        let walker = OTLPWalker()
        var times: [UInt64] = []
        var texts: [String] = []
        try walker.walk(try #require(harness.otlp.batches.first), to: .item) { level in
            guard level == .item else { return .keep }
            times.append(walker.item.fixed64(OTLPField.LogRecord.timeUnixNano))
            texts.append(walker.item.string(OTLPField.LogRecord.severityText))
            return .keep
        }
        #expect(times == [1_061_727_255_000_003_000, 0])
        #expect(texts == ["notice", "crit"])
        #expect(harness.metric("otelcol_receiver_accepted_log_records_total", ["transport": "syslog"]) == 2)
        #expect(harness.finish() == [])
    }

    @Test("RFC 3164 over UDP, times in a zone and of the right year, addresses as attributes")
    func rfc3164() throws {
        let harness = start(
            OtelcolReceiverSyslog.self,
            """
            protocol = "rfc3164"
            location = "Europe/Berlin"
            udp {
                listen_address = "127.0.0.1:0"
                add_attributes = true
            }
            """)
        try sendDatagram(harness, "<34>Nov 11 22:14:15 host su[12]: 'su root' failed\n")
        let found = try #require(records(harness, 1).first)
        for part in [
            #""appname":"su""#, #""proc_id":"12""#, #""message":"'su root' failed""#, #""net.transport":"IP.UDP""#,
            #""net.peer.ip":"127.0.0.1""#, #""net.host.port":""#, #""net.host.ip":"127.0.0.1""#,
        ] {
            #expect(found.contains(part), "\(part) in \(found)")
        }
        #expect(harness.finish() == [])
        let parser = SyslogEntryParser(
            parser: SyslogParser(.rfc3164), zone: try .load("Europe/Berlin"), countsOctets: false,
            maximumOctets: 8192, allowsMissingPriority: false, trailer: nil)
        func time(_ text: String) throws -> Int64? {
            // The fourteenth of November 2023.
            try parser.fields(of: Array("<34>\(text) host a: b".utf8), now: 1_700_000_000_000_000_000).timestamp
        }
        #expect(try time("Nov 14 23:13:20") == 1_700_000_000_000_000_000)
        #expect(try time("Jul  1 00:00:00") == 1_688_162_400_000_000_000)
        #expect(try time("Dec 24 00:00:00") == 1_671_836_400_000_000_000)
    }

    @Test("Frames with their length in front, messages without a priority, NUL as the end")
    func framing() throws {
        let counted = start(
            OtelcolReceiverSyslog.self,
            "enable_octet_counting = true\nmax_octets = 40\ntcp {\nlisten_address = \"127.0.0.1:0\"\n}")
        try send(counted, "24 <34>1 - h su - - - a\nb\r\n26 <34>1 - h su - - - tree")
        let frames = records(counted, 2)
        #expect(frames.first?.hasPrefix("24 <34>1 - h su - - - a\nb 18 ") == true)
        #expect(frames.last?.contains(#""message":"tree""#) == true)
        try send(counted, "50 <34>1 - h su - - - " + String(repeating: "x", count: 28))
        #expect(records(counted, 3).last?.hasSuffix(" 0 {}") == true)
        #expect(counted.finish() == [])

        let skipping = start(
            OtelcolReceiverSyslog.self, "allow_skip_pri_header = true\ntcp {\nlisten_address = \"127.0.0.1:0\"\n}")
        try send(skipping, "1 - h su - - - text\n")
        #expect(
            records(skipping, 1)
                == [#"1 - h su - - - text 0 {"appname":"su","hostname":"h","message":"text","version":1}"#])
        #expect(skipping.finish() == [])

        let null = start(
            OtelcolReceiverSyslog.self,
            "non_transparent_framing_trailer = \"NUL\"\ntcp {\nlisten_address = \"127.0.0.1:0\"\n}")
        try send(null, "<34>1 - - - - - - a\nb\0<34>1 - - - - - - c\0")
        #expect(
            PipelineTests.lines(Array(try recordsBatches(null, 2))) == [
                "<34>1 - - - - - - a\nb", "<34>1 - - - - - - c",
            ])
        #expect(null.finish() == [])
    }

    private func recordsBatches(_ harness: ComponentHarness, _ count: Int) throws -> [OTLPBatch] {
        #expect(harness.settle(until: { harness.otlp.itemCount >= count }))
        return harness.otlp.batches
    }

    @Test("What cannot be read is sent as it is, or dropped and counted")
    func onError() throws {
        let sending = start(OtelcolReceiverSyslog.self, "tcp {\nlisten_address = \"127.0.0.1:0\"\n}")
        try send(sending, "nonsense\n")
        #expect(records(sending, 1) == ["nonsense 0 {}"])
        #expect(sending.logSink.lines.contains { $0.hasPrefix("warn Failed to process a log") })
        #expect(sending.finish() == [])

        let dropping = start(
            OtelcolReceiverSyslog.self, "on_error = \"drop_quiet\"\ntcp {\nlisten_address = \"127.0.0.1:0\"\n}")
        try send(dropping, "nonsense\n<34>1 - - - - - - ok\n")
        #expect(records(dropping, 1).count == 1)
        #expect(dropping.instance.ledger.statement.dropped.map(\.items) == [1])
        #expect(!dropping.logSink.lines.contains { $0.hasPrefix("warn") })
        #expect(dropping.finish() == [])
    }

    @Test("Arguments that make no sense are refused by name")
    func refused() {
        let tcp = "tcp {\nlisten_address = \"127.0.0.1:0\"\n}\n"
        let udp = "udp {\nlisten_address = \"127.0.0.1:0\"\n}\n"
        let syslog = OtelcolReceiverSyslog.self
        #expect(problems(syslog, "").contains("at least one of 'tcp' or 'udp'"))
        #expect(problems(syslog, "protocol = \"raw\"\n" + tcp).contains("invalid protocol"))
        #expect(problems(syslog, "location = \"Mars/Base\"\n" + tcp).contains("location"))
        #expect(problems(syslog, "on_error = \"panic\"\n" + tcp).contains("on_error"))
        #expect(problems(syslog, "enable_octet_counting = true\n" + udp).contains("udp"))
        #expect(problems(syslog, "non_transparent_framing_trailer = \"CR\"\n" + tcp).contains("LF"))
        #expect(problems(syslog, "tcp {\n}\n").contains("cannot be empty"))
        let big = "tcp {\nlisten_address = \"127.0.0.1:0\"\nmax_log_size = \"1KiB\"\n}"
        #expect(problems(syslog, big).contains("65536"))
        let tcplog = OtelcolReceiverTCPLog.self
        #expect(problems(tcplog, "listen_address = \"a\"").contains("host:port"))
        #expect(problems(tcplog, "listen_address = \"a:1\"\nencoding = \"klingon\"").contains("unsupported encoding"))
        let both = "listen_address = \"a:1\"\nmultiline {\nline_start_pattern = \"a\"\nline_end_pattern = \"b\"\n}"
        #expect(problems(tcplog, both).contains("only one of"))
        #expect(problems(tcplog, "listen_address = \"a:1\"\nmultiline {\nline_end_pattern = \"(\"\n}").contains("("))
    }

    @Test("tcplog: lines, several lines as one, encodings, whole connections")
    func tcplog() throws {
        let lines = start(OtelcolReceiverTCPLog.self, "listen_address = \"127.0.0.1:0\"\nadd_attributes = true")
        try send(lines, "one\r\ntwo\nthree")
        #expect(PipelineTests.lines(try recordsBatches(lines, 3)) == ["one", "two", "three"])
        #expect(records(lines, 3).first?.contains(#""net.transport":"IP.TCP""#) == true)
        #expect(lines.finish() == [])

        let starts = start(
            OtelcolReceiverTCPLog.self,
            "listen_address = \"127.0.0.1:0\"\nmultiline {\nline_start_pattern = \"^LOG \"\n}")
        try send(starts, "before\nLOG a\n  more\nLOG b\nLOG c\nend")
        #expect(
            PipelineTests.lines(try recordsBatches(starts, 4)) == ["before", "LOG a\n  more", "LOG b", "LOG c\nend"])
        #expect(starts.finish() == [])

        let ends = start(
            OtelcolReceiverTCPLog.self,
            "listen_address = \"127.0.0.1:0\"\nmultiline {\nline_end_pattern = \";;\"\nomit_pattern = true\n}")
        try send(ends, "a\nb;;c;;d")
        #expect(PipelineTests.lines(try recordsBatches(ends, 3)) == ["a\nb", "c", "d"])
        #expect(ends.finish() == [])

        let wide = start(
            OtelcolReceiverTCPLog.self,
            """
            listen_address = "127.0.0.1:0"
            encoding = "utf-16le"
            multiline {
                line_start_pattern = "^#"
            }
            """)
        try send(wide, "#ä\nb\n#😀".utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
        #expect(PipelineTests.lines(try recordsBatches(wide, 2)) == ["#ä\nb", "#😀"])
        #expect(wide.finish() == [])

        let whole = start(
            OtelcolReceiverTCPLog.self, "listen_address = \"127.0.0.1:0\"\none_log_per_packet = true")
        try send(whole, "a\nb\n")
        #expect(PipelineTests.lines(try recordsBatches(whole, 1)) == ["a\nb"])
        #expect(whole.finish() == [])
    }

    @Test("A long log in many pieces arrives whole")
    func pieces() throws {
        let harness = start(OtelcolReceiverTCPLog.self, "listen_address = \"127.0.0.1:0\"")
        let address = try address(harness)
        let loops = harness.services.eventLoops
        let line = String(repeating: "0123456789", count: 20_000)
        try harness.run {
            let connection = try await TCPConnection.connect(to: address, on: loops)
            for start in stride(from: 0, to: line.utf8.count, by: 1000) {
                try await connection.write(Array(line.utf8.dropFirst(start).prefix(1000)))
            }
            try await connection.write(Array("\nshort\n".utf8))
            connection.close()
        }
        #expect(PipelineTests.lines(try recordsBatches(harness, 2)) == [line, "short"])
        #expect(harness.finish() == [])
    }

    @Test("A log without an end is counted and ends its connection")
    func tooLong() throws {
        let harness = start(
            OtelcolReceiverTCPLog.self, "listen_address = \"127.0.0.1:0\"\nmax_log_size = \"64KiB\"")
        try send(harness, String(repeating: "x", count: 200_000))
        #expect(
            harness.settle(until: {
                harness.instance.ledger.statement.dropped.contains { $0.reason == .limit && $0.items == 1 }
            }))
        try send(harness, "next\n")
        #expect(PipelineTests.lines(try recordsBatches(harness, 1)) == ["next"])
        #expect(harness.finish() == [])
    }

    @Test("A delivery is repeated until it is taken, or given up at the age asked for")
    func retries() throws {
        let harness = start(OtelcolReceiverTCPLog.self, "listen_address = \"127.0.0.1:0\"")
        harness.otlp.refuse { _ in .retry("later") }
        try send(harness, "a\n")
        #expect(
            harness.settle(until: { (harness.metric("otelcol_receiver_refused_log_records_total") ?? 0) > 0 }))
        harness.otlp.refuse(nil)
        harness.advance(by: .seconds(10))
        #expect(PipelineTests.lines(try recordsBatches(harness, 1)) == ["a"])
        #expect(harness.finish() == [])

        let limited = start(
            OtelcolReceiverTCPLog.self,
            """
            listen_address = "127.0.0.1:0"
            retry_on_failure {
                enabled = true
                max_elapsed_time = "10s"
            }
            """)
        limited.otlp.refuse { _ in .retry("later") }
        try send(limited, "a\n")
        #expect(
            limited.settle(until: { (limited.metric("otelcol_receiver_refused_log_records_total") ?? 0) > 0 }))
        for _ in 0..<40 { limited.advance(by: .seconds(1)) }
        #expect(
            limited.instance.ledger.statement.dropped.contains { $0.reason == .retriesExhausted && $0.items == 1 })
        #expect(limited.finish() == [])
    }
}
