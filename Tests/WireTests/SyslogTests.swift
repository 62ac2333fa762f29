import Testing

@testable import Wire

@Suite("SyslogParser")
struct SyslogParserTests {
    /// What a message says, as one text.
    private static func read(_ text: String, _ parser: SyslogParser) -> String {
        Array(text.utf8).withUnsafeBytes { bytes in
            do throws(SyslogError) {
                let message = try parser.parse(bytes)
                func part(_ range: Range<Int>?) -> String {
                    range.map { String(decoding: bytes[$0], as: UTF8.self) } ?? "nil"
                }
                let data = message.structuredData.map {
                    "\(part($0.element)).\(part($0.name))=\(String(decoding: $0.value, as: UTF8.self))"
                }
                let numbers = [message.counter, message.sequence].map { $0.map { "\($0)" } ?? "nil" }
                return
                    ([
                        message.severityName ?? "nil", message.facilityName ?? "nil", "\(message.time)",
                        part(message.hostName), part(message.appName), part(message.processID),
                        part(message.messageID),
                    ] + (parser.cisco == nil ? [] : numbers) + [data.joined(separator: ","), part(message.message)])
                    .joined(separator: "|")
            } catch {
                return "error: \(error)"
            }
        }
    }

    @Test(
        "RFC 5424",
        arguments: [
            (
                "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{FEFF}'su root' failed",
                "critical|auth|exact(1065910455003000000)|mymachine.example.com|su|nil|ID47||\u{FEFF}'su root' failed"
            ),
            (
                "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time.",
                "notice|local4|exact(1061727255000003000)|192.0.2.1|myproc|8710|nil||%% It's time."
            ),
            (
                "<0>999 - - - - - [a@1 x=\"1\" y=\"q\\\"\\\\\\]\"][b]",
                "emergency|kern|unknown|nil|nil|nil|nil|a@1.x=1,a@1.y=q\"\\]|nil"
            ),
            ("<191>1 - h a p m - ", "debug|local7|unknown|h|a|p|m||nil"),
            (
                "<14>1 1969-12-31T23:59:59Z h a p m - \u{E9}\n2",
                "informational|user|exact(-1000000000)|h|a|p|m||\u{E9}\n2"
            ),
            ("<192>1 - h a p m - x", "error: expecting a priority from 0 to 191 within angle brackets at byte 4"),
            ("<01>1 - h a p m - x", "error: expecting a priority from 0 to 191 within angle brackets at byte 3"),
            ("<1>0 - h a p m - x", "error: expecting a version from 1 to 999 at byte 4"),
            (
                "<1>1 2003-02-29T00:00:00Z h a p m - x",
                "error: expecting a time as in RFC 3339 with microseconds, or a hyphen at byte 5"
            ),
            (
                "<1>1 2003-02-28T00:00:00 h a p m - x",
                "error: expecting a time as in RFC 3339 with microseconds, or a hyphen at byte 5"
            ),
            ("<1>1 - h a p m [a x=\"]\"] x", "error: expecting a bracket in a value to be escaped at byte 21"),
            ("<1>1 - h a p m [a][a] x", "error: element of structured data appears twice at byte 19"),
            ("<1>1 - h a p m [a x=\"1", "error: expecting the end of a value at byte 22"),
            ("<1>1 - h a p m -x", "error: expecting a space before the text at byte 16"),
            ("<1>1 - h", "error: expecting host name of 1 to 255 characters and a space at byte 8"),
            ("", "error: expecting a priority from 0 to 191 within angle brackets at byte 0"),
        ])
    func rfc5424(text: String, expected: String) {
        #expect(Self.read(text, SyslogParser(.rfc5424)) == expected)
    }

    @Test(
        "RFC 3164",
        arguments: [
            (
                "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
                "critical|auth|yearless(month: 10, day: 11, nanoseconds: 80055000000000)|mymachine|su|nil|nil||'su root' failed for lonvick on /dev/pts/8"
            ),
            (
                "<13>Feb  5 17:32:18 10.0.0.99 sshd[1234]: Failed\tpassword\n",
                "notice|user|yearless(month: 2, day: 5, nanoseconds: 63138000000000)|10.0.0.99|sshd|1234|nil||Failed\tpassword"
            ),
            (
                "<13>Feb  5 17:32:18 sshd[1234]: no host",
                "notice|user|yearless(month: 2, day: 5, nanoseconds: 63138000000000)|nil|sshd|1234|nil||no host"
            ),
            (
                "<13> Feb 29 00:00:00  host  just text",
                "notice|user|yearless(month: 2, day: 29, nanoseconds: 0)|host|nil|nil|nil||just text"
            ),
            (
                "<13>Jan  1 00:00:00 h a:b",
                "notice|user|yearless(month: 1, day: 1, nanoseconds: 0)|h|nil|nil|nil||a:b"
            ),
            (
                "<13>Jan  1 00:00:00 h tag: ",
                "notice|user|yearless(month: 1, day: 1, nanoseconds: 0)|h|tag|nil|nil||nil"
            ),
            ("<13>Foo  1 00:00:00 h x", "error: expecting a time such as \"Jan  2 15:04:05\" at byte 4"),
            ("<13>Jan 32 00:00:00 h x", "error: expecting a time such as \"Jan  2 15:04:05\" at byte 4"),
            ("<13>Jan  1 00:00:00.5 h x", "error: expecting a space after the time at byte 19"),
            ("Jan  1 00:00:00 h x", "error: expecting a priority from 0 to 191 within angle brackets at byte 0"),
        ])
    func rfc3164(text: String, expected: String) {
        #expect(Self.read(text, SyslogParser(.rfc3164)) == expected)
    }

    @Test(
        "RFC 3164 as Cisco writes it",
        arguments: [
            (
                "<189>269614: 000123: host1: *Apr 11 10:02:08.250: %LINEPROTO-5-UPDOWN: Line protocol",
                "notice|local7|yearless(month: 4, day: 11, nanoseconds: 36128250000000)|host1|%LINEPROTO-5-UPDOWN|nil|nil|269614|123||Line protocol"
            ),
            (
                "<189>237: .Jan  8 19:46:03: text here",
                "notice|local7|yearless(month: 1, day: 8, nanoseconds: 71163000000000)|text|nil|nil|nil|237|nil||here"
            ),
        ])
    func cisco(text: String, expected: String) {
        let all = SyslogParser.CiscoComponents(
            hasCounter: true, hasSequence: true, hasHostName: true, hasFractions: true)
        #expect(Self.read(text, SyslogParser(.rfc3164, cisco: all)) == expected)
    }

    @Test(
        "Raw",
        arguments: [
            ("<13> CEF:0|a|b ", "notice|user|unknown|nil|nil|nil|nil||CEF:0|a|b"),
            ("<255>x", "debug|nil|unknown|nil|nil|nil|nil||x"), ("<256>x", "nil|nil|unknown|nil|nil|nil|nil||<256>x"),
            ("<1x>x", "nil|nil|unknown|nil|nil|nil|nil||<1x>x"), (" \t ", "nil|nil|unknown|nil|nil|nil|nil||nil"),
        ])
    func raw(text: String, expected: String) {
        #expect(Self.read(text, SyslogParser(.raw)) == expected)
    }

    @Test("A time without a year is of the year nearest to now")
    func years() throws {
        func year(_ text: String, now: Int64) throws -> Int64? {
            let message = try Array("<1>\(text) h x".utf8).withUnsafeBytes { try SyslogParser(.rfc3164).parse($0) }
            return message.timestamp(near: now)
        }
        let newYear2024: Int64 = 1_704_067_200_000_000_000
        let second: Int64 = 1_000_000_000
        #expect(try year("Jan  1 00:00:00", now: newYear2024) == newYear2024)
        #expect(try year("Dec 31 23:59:59", now: newYear2024) == newYear2024 - second)
        #expect(try year("Jan  1 00:00:00", now: newYear2024 - second) == newYear2024)
        #expect(try year("Feb 29 00:00:00", now: newYear2024 - second) == nil)
    }

    @Test("Any bytes are read without harm")
    func hostile() {
        let seeds = [
            "<34>1 2003-10-11T22:14:15.003Z h su p ID47 [a x=\"1\\\"\"][b y=\"2\"] text",
            "<189>269614: 000123: host1: *Apr 11 10:02:08.250: %LINEPROTO-5-UPDOWN[12]: Line protocol",
        ]
        let all = SyslogParser.CiscoComponents(
            hasCounter: true, hasSequence: true, hasHostName: true, hasFractions: true)
        let parsers = [
            SyslogParser(.rfc5424), SyslogParser(.rfc3164), SyslogParser(.rfc3164, cisco: all), SyslogParser(.raw),
        ]
        var state: UInt64 = 7
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        var read = 0
        for round in 0..<4000 {
            var bytes = Array(seeds[round % 2].utf8)
            for _ in 0...random(4) {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = UInt8(random(256))
                case 1: bytes.insert(UInt8(random(256)), at: random(bytes.count))
                default: if bytes.count > 1 { bytes.removeLast(random(bytes.count)) }
                }
                if bytes.isEmpty { bytes = [0] }
            }
            for parser in parsers {
                let message = bytes.withUnsafeBytes { try? parser.parse($0) }
                guard let message else { continue }
                read += 1
                for range in [message.hostName, message.appName, message.processID, message.message] {
                    if let range { #expect(range.lowerBound >= 0 && range.upperBound <= bytes.count) }
                }
            }
        }
        #expect(read > 4000)
    }
}

@Suite("SyslogFramer")
struct SyslogFramerTests {
    /// The messages in `text`, given in pieces of `step` bytes; an error at the end stands as `!`.
    private static func cut(_ text: String, step: Int, raw: Bool = false, delimiter: UInt8 = 0x0A) -> [String] {
        var framer = SyslogFramer(maximumLength: 20, isRaw: raw, delimiter: delimiter)
        var found: [String] = []
        let bytes = Array(text.utf8)
        var index = 0
        do throws(SyslogError) {
            while index < bytes.count {
                let end = min(index + step, bytes.count)
                bytes[index..<end].withUnsafeBytes { framer.append($0) }
                index = end
                while try framer.next({ found.append(String(decoding: $0, as: UTF8.self)) }) {}
            }
            while try framer.next(isLast: true, { found.append(String(decoding: $0, as: UTF8.self)) }) {}
        } catch {
            found.append("!")
        }
        return found
    }

    @Test(
        "Messages are cut by length or line, however they arrive",
        arguments: [
            ("<1>a\n<2>b\n<3>c", ["<1>a", "<2>b", "<3>c"]), ("4 <1>a5 <2>\nb", ["<1>a", "<2>\nb"]),
            ("4 <1>a\n4 <2>b\n", ["<1>a", "<2>b"]), ("4 <1>", ["!"]), ("21 <1>", ["!"]), ("4x<1>a", ["!"]),
            ("0 <1>", ["!"]), ("hello\n", ["!"]), ("<1>a\n\r\n\n<2>b\r\n", ["<1>a", "<2>b\r"]), ("\n", []), ("", []),
            ("<1>a\nmore\n", ["<1>a", "more"]), ("99999999999999999999 <1>", ["!"]),
        ])
    func cuts(text: String, expected: [String]) {
        for step in [1, 2, 3, 100] { #expect(Self.cut(text, step: step) == expected, "in steps of \(step)") }
    }

    @Test("The raw format tells framing apart for each message and may end them with a null byte")
    func raw() {
        for step in [1, 3, 100] {
            #expect(Self.cut("CEF:0\n3 abcCEF:1\n", step: step, raw: true) == ["CEF:0", "abc", "CEF:1"])
            #expect(Self.cut("a\nb\0c\0", step: step, raw: true, delimiter: 0) == ["a\nb", "c"])
        }
    }

    @Test("A line without an end does not grow without bound")
    func bounded() {
        var framer = SyslogFramer(maximumLength: 20)
        let chunk = [UInt8](repeating: UInt8(ascii: "<"), count: 4096)
        var steps = 0
        #expect(throws: SyslogError.self) {
            while steps < 100 {
                chunk.withUnsafeBytes { framer.append($0) }
                _ = try framer.next { _ in }
                steps += 1
            }
        }
        #expect(steps < 20)
    }
}
