import Telemetry
import TestKit
import Testing

@Suite("loki.process: stages that read the line")
struct ProcessParsingTests {
    private func check(
        _ stages: String, _ lines: [String], _ expected: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let found = try ProcessFixture.run(stages, lines.map { InputEntry($0) })
        #expect(found == expected, sourceLocation: sourceLocation)
    }

    private func checkAll(
        _ stages: String, _ lines: [String], _ expected: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let found = try ProcessFixture.runAll(stages, lines.map { InputEntry($0) })
        #expect(found == expected, sourceLocation: sourceLocation)
    }

    @Test("Without stages entries pass unchanged")
    func noStages() throws {
        try checkAll("", ["a", "b"], [#"{job="a"} {} @1000 a"#, #"{job="a"} {} @1000 b"#])
    }

    @Test("CRI lines give time, stream and content")
    func cri() throws {
        let time: Int64 = 1_556_579_156_706_540_911
        try checkAll(
            "stage.cri { }",
            [
                "2019-04-29T23:05:56.706540911Z stderr F a message",
                "2019-04-30T01:05:56.706540911+02:00 stdout F",
                "2019-04-29T23:05:56.706540911Z stdout no flag",
                "not a container line",
                "2019-04-29T23:05:56Z stdout F two  spaces ",
                "yesterday stdout F kept",
                "2019-04-29T23:05:56.7Z\tstdout F tab",
                " stdout F empty time",
            ],
            [
                #"{job="a", stream="stderr"} {} @\#(time) a message"#,
                #"{job="a", stream="stdout"} {} @\#(time) "#,
                #"{job="a", stream="stdout"} {} @\#(time) no flag"#,
                #"{job="a"} {} @1000 not a container line"#,
                #"{job="a", stream="stdout"} {} @1556579156000000000 two  spaces "#,
                #"{job="a", stream="stdout"} {} @1000 kept"#,
                "{job=\"a\"} {} @1000 2019-04-29T23:05:56.7Z\tstdout F tab",
                #"{job="a", stream="stdout"} {} @1000 empty time"#,
            ])
    }

    @Test("CRI times of every kind are read as Go reads them")
    func criTimes() throws {
        let cases: [(String, Int64)] = [
            ("2024-02-29T12:00:00Z", 1_709_208_000_000_000_000),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("2023-12-31T23:59:59.999999999-00:30", 1_704_069_000_000_000_000 - 1 + 0),
            ("2000-03-01T00:00:00+14:00", 951_818_400_000_000_000),
            ("2023-02-30T00:00:00Z", 1000),
            ("2023-02-28T24:00:00Z", 1000),
            ("2023-02-28T00:00:00", 1000),
        ]
        for (text, expected) in cases {
            let found = try ProcessFixture.runAll("stage.cri { }", [InputEntry("\(text) stdout F x")])
            #expect(found == [#"{job="a", stream="stdout"} {} @\#(expected) x"#], "\(text)")
        }
    }

    @Test("Docker lines give time, stream and log")
    func docker() throws {
        try checkAll(
            "stage.docker { }",
            [
                #"{"log":"line\n","stream":"stderr","time":"2019-04-30T02:12:41.8443515Z"}"#,
                #"{"LOG":"upper \u00e9","time":"bad"}"#,
                #"{"stream":"stderr"}"#,
                #"{"log":5}"#,
                "plain",
            ],
            [
                "{job=\"a\", stream=\"stderr\"} {} @1556590361844351500 line\n",
                #"{job="a"} {} @1000 upper é"#,
                #"{job="a"} {} @1000 {"stream":"stderr"}"#,
                #"{job="a"} {} @1000 {"log":5}"#,
                #"{job="a"} {} @1000 plain"#,
            ])
    }

    @Test("JSON fields become values with their types")
    func json() throws {
        let stages = """
            stage.json { expressions = { level = "", n = "number", f = "float", b = "flag", deep = "user.name", list = "items", obj = "user", esc = "text", gone = "missing", first = "items[0]", count = "length(items)" } }
            stage.labels { values = { level = "", n = "", f = "", b = "", deep = "", list = "", obj = "", esc = "", gone = "", first = "", count = "" } }
            """
        try check(
            stages,
            [
                #"{"level":"info","number":12,"float":1.50,"flag":true,"user":{"name":"x","id":1.0},"items":["<a>",2],"text":"a\tb\u00e9"}"#
            ],
            [
                "{b=\"true\", count=\"2\", deep=\"x\", esc=\"a\tbé\", f=\"1.5\", first=\"<a>\", job=\"a\", level=\"info\", "
                    + #"list="[\"\\u003ca\\u003e\",2]", n="12", obj="{\"name\":\"x\",\"id\":1}"} {"level":"info","number":12,"float":1.50,"flag":true,"user":{"name":"x","id":1.0},"items":["<a>",2],"text":"a\tb\u00e9"}"#
            ])
    }

    @Test("JSON numbers print as 64-bit floats without exponent")
    func jsonNumbers() throws {
        let cases = [
            ("1e3", "1000"), ("-0", "-0"), ("12345678901234567890", "12345678901234567000"), ("0.1", "0.1"),
            ("1.0", "1"), ("-5", "-5"), ("1e-7", "0.0000001"),
        ]
        for (number, text) in cases {
            let found = try ProcessFixture.run(
                #"stage.json { expressions = { v = "" } } stage.output { source = "v" }"#,
                [InputEntry("{\"v\":\(number)}")])
            #expect(found == [#"{job="a"} \#(text)"#], "\(number)")
        }
    }

    @Test("A missing JSON field hides an earlier value; malformed lines are kept or dropped")
    func jsonMissing() throws {
        let stages = """
            stage.json { expressions = { job = "" } }
            stage.labels { values = { copy = "job" } }
            """
        try check(
            stages, [#"{"x":1}"#, "{broken", #"{"job":"b"}"#],
            [
                #"{job="a"} {"x":1}"#, #"{copy="a", job="a"} {broken"#, #"{copy="b", job="a"} {"job":"b"}"#,
            ])
        try check(
            #"stage.json { expressions = { x = "" } drop_malformed = true }"#,
            ["{broken", "[1]", "{}", "", "null", #"{"a":1} x"#],
            [#"{job="a"} {}"#, #"{job="a"} null"#])
    }

    @Test("JSON keys chosen by regex become values, from a source as well")
    func jsonRegex() throws {
        try check(
            """
            stage.json { expressions = { inner = "" } }
            stage.json { regex = "^k" source = "inner" }
            stage.labels { values = { k1 = "", k2 = "", other = "" } }
            """, [#"{"inner":"{\"k1\":\"v1\",\"k2\":2,\"other\":3}"}"#],
            [#"{job="a", k1="v1", k2="2"} {"inner":"{\"k1\":\"v1\",\"k2\":2,\"other\":3}"}"#])
    }

    @Test("Logfmt pairs become values")
    func logfmt() throws {
        let stages = """
            stage.logfmt { mapping = { level = "", msg = "message", "quoted" = "q" } regex = "^x_" }
            stage.labels { values = { level = "", msg = "", quoted = "", x_1 = "" } }
            """
        try check(
            stages,
            [
                #"level=info message="two words" q="a\"b\u00e9" x_1=1"#,
                #"level= message flag"#,
                #"level=a=b message=c"#,
                #"message=ok level="open"#,
                "level=one\nmessage=two",
            ],
            [
                #"{job="a", level="info", msg="two words", quoted="a\"bé", x_1="1"} level=info message="two words" q="a\"b\u00e9" x_1=1"#,
                #"{job="a"} level= message flag"#,
                #"{job="a"} level=a=b message=c"#,
                #"{job="a", msg="ok"} message=ok level="open"#,
                "{job=\"a\", level=\"one\", msg=\"two\"} level=one\nmessage=two",
            ])
    }

    @Test("Named groups of a regex become values and labels")
    func regex() throws {
        try check(
            """
            stage.regex { expression = "^(?P<ip>\\\\S+) (?<user>\\\\S+)?( (.*))?$" labels_from_groups = true }
            stage.output { source = "user" }
            """, ["1.2.3.4 bob rest", "1.2.3.4 ", "nothing"],
            [#"{ip="1.2.3.4", job="a", user="bob"} bob"#, #"{ip="1.2.3.4", job="a"} "#, #"{job="a"} nothing"#])
        try check(
            """
            stage.regex { expression = "(?P<rest>b.*)" }
            stage.regex { expression = "(?P<last>.)$" source = "rest" }
            stage.labels { values = { last = "" } }
            """, ["abc", "xyz"], [#"{job="a", last="c"} abc"#, #"{job="a"} xyz"#])
    }

    @Test("Captures of a pattern become values as far as the line goes")
    func pattern() throws {
        try check(
            #"stage.pattern { pattern = "<ip> - <_> [<time>] <rest>" labels_from_groups = true }"#,
            ["1.1.1.1 - bob [now] GET /", "1.1.1.1 - bob", "plain", ""],
            [
                #"{ip="1.1.1.1", job="a", rest="GET /", time="now"} 1.1.1.1 - bob [now] GET /"#,
                #"{ip="1.1.1.1", job="a"} 1.1.1.1 - bob"#,
                #"{ip="plain", job="a"} plain"#,
                #"{job="a"} "#,
            ])
        try check(
            #"stage.pattern { pattern = "level=<level> " } stage.labels { values = { level = "" } }"#,
            ["level=info x", "x level=info x", "level=warn"],
            [
                #"{job="a", level="info"} level=info x"#, #"{job="a"} x level=info x"#,
                #"{job="a", level="warn"} level=warn"#,
            ])
    }

    @Test("Times are read by layout, zone and fallback")
    func timestamp() throws {
        func stages(_ arguments: String) -> String {
            """
            stage.regex { expression = "(?s)^(?P<t>.*)$" }
            stage.timestamp { source = "t"
            \(arguments) }
            """
        }
        let cases: [(String, String, Int64)] = [
            (#"format = "RFC3339""#, "2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
            (#"format = "RFC3339Nano""#, "2023-11-14T22:13:20.5+01:00", 1_699_996_400_500_000_000),
            (#"format = "Unix""#, "1700000000", 1_700_000_000_000_000_000),
            (#"format = "Unix""#, "1700000000.25", 1_700_000_000_250_000_000),
            (#"format = "UnixMs""#, "1700000000123", 1_700_000_000_123_000_000),
            (#"format = "UnixUs""#, "1700000000123456", 1_700_000_000_123_456_000),
            (#"format = "UnixNs""#, "1700000000123456789", 1_700_000_000_123_456_789),
            (#"format = "2006-01-02 15:04:05""#, "2023-11-14 22:13:20", 1_700_000_000_000_000_000),
            (
                "format = \"2006-01-02 15:04:05\"\nlocation = \"Europe/Prague\"", "2023-11-14 23:13:20",
                1_700_000_000_000_000_000
            ),
            (#"format = "Jan _2 15:04:05""#, "Nov 14 22:13:20", 1_700_000_000_000_000_000),
            (
                "format = \"RFC3339\"\nfallback_formats = [\"UnixMs\", \"Unix\"]", "1700000000123",
                1_700_000_000_123_000_000
            ),
            (#"format = "RFC3339""#, "garbage", 1000),
            (#"format = "UnixMs""#, "99999999999999999999", 1000),
        ]
        for (arguments, text, expected) in cases {
            let found = try ProcessFixture.runAll(stages(arguments), [InputEntry(text)])
            #expect(found == [#"{job="a"} {} @\#(expected) \#(text)"#], "\(arguments) \(text)")
        }
    }

    @Test("Equal and missing times are moved on by a nanosecond for each stream")
    func timestampFudge() throws {
        let stages = #"stage.regex { expression = "t=(?P<t>\\d+)" } stage.timestamp { source = "t" format = "Unix" }"#
        let entries = [
            InputEntry("t=1"), InputEntry("t=1"), InputEntry("none"), InputEntry("t=1"),
            InputEntry("t=1", ["job": "b"]),
            InputEntry("none", ["job": "c"]), InputEntry("t=2"),
        ]
        #expect(
            try ProcessFixture.runAll(stages, entries) == [
                #"{job="a"} {} @1000000000 t=1"#, #"{job="a"} {} @1000000001 t=1"#, #"{job="a"} {} @1000000002 none"#,
                #"{job="a"} {} @1000000003 t=1"#, #"{job="b"} {} @1000000000 t=1"#, #"{job="c"} {} @1000 none"#,
                #"{job="a"} {} @2000000000 t=2"#,
            ])
        let plain = stages.replacing(
            "format = \"Unix\" }",
            with: "format = \"Unix\"\naction_on_failure = \"skip\"\naction_on_duplicate_timestamp = \"keep\" }")
        #expect(
            try ProcessFixture.runAll(plain, Array(entries.prefix(3))) == [
                #"{job="a"} {} @1000000000 t=1"#, #"{job="a"} {} @1000000000 t=1"#, #"{job="a"} {} @1000 none"#,
            ])
    }

    @Test("Event log messages become values")
    func eventLogMessage() throws {
        try check(
            """
            stage.json { expressions = { message = "", Overwritten = "" } }
            stage.eventlogmessage { }
            stage.labels { values = { Image = "", UtcTime = "", Process_Id = "", Overwritten = "", Overwritten_extracted = "" } }
            stage.output { source = "Image" }
            """,
            [
                #"{"Overwritten":"old","message":"Created:\r\nUtcTime: 12:00\r\nProcess Id: 5\r\nOverwritten: new\r\nImage:  C:\\x.exe \r\nnocolon"}"#
            ],
            [
                #"{Image="C:\\x.exe", Overwritten="old", Overwritten_extracted="new", Process_Id="5", UtcTime="12:00", job="a"} C:\x.exe"#
            ])
    }

    @Test("Windows event messages become values by section")
    func windowsEvent() throws {
        let message = [
            "Special privileges.\\r\\n\\r\\nSubject:\\r\\n\\tSecurity ID:\\t\\tS-1\\r\\n\\tAccount Name:\\tSYSTEM",
            "\\r\\n\\r\\nPrivileges:\\t\\tSeA\\r\\n\\t\\t\\tSeB",
        ].joined()
        try check(
            """
            stage.json { expressions = { message = "" } }
            stage.windowsevent { }
            stage.labels { values = { Description = "", Subject_SecurityID = "", Subject_AccountName = "", Privileges = "" } }
            stage.output { source = "Description" }
            """,
            ["{\"message\":\"\(message)\"}"],
            [
                #"{Description="Special privileges.", Privileges="SeA,SeB", Subject_AccountName="SYSTEM", Subject_SecurityID="S-1", job="a"} Special privileges."#
            ])
    }
}
