import Testing
import Wire

@testable import OTTL

@Suite("OTTL converters")
struct ConverterTests {
    static let cases: [(String, OTLPAnyValue)] = [
        // Types
        ("Bool(\"true\")", true), ("Bool(0)", false), ("Bool(\"x\")", .empty), ("Bool(1.5)", true),
        ("Int(\"12\")", 12), ("Int(2.9)", 2), ("Int(\"2.0\")", .empty), ("Int(true)", 1), ("Int(\"x\")", .empty),
        ("Double(\"2.5\")", .double(2.5)), ("Double(3)", .double(3)), ("Double(body)", .empty),
        ("String(12)", "12"), ("String(1.5)", "1.5"), ("String(true)", "true"), ("String(0x0a)", "0a"),
        ("String([1, \"a\"])", "[1,\"a\"]"), ("String({\"b\": 1, \"a\": 2})", "{\"a\":2,\"b\":1}"),
        ("String(nil)", .empty),
        ("Hex(1.1)", "3ff199999999999a"), ("Hex(\"1\")", "31"), ("Hex(true)", "01"), ("Hex(12)", "000000000000000c"),
        ("Hex(0x02)", "02"),
        ("IsBool(false)", true), ("IsBool(1)", false), ("IsInt(1)", true), ("IsInt(1.0)", false),
        ("IsDouble(1.0)", true), ("IsDouble(1)", false), ("IsString(body)", true), ("IsString(1)", false),
        ("IsMap(attributes)", true), ("IsMap(body)", false), ("IsList([1])", true), ("IsList(body)", false),
        ("IsEmpty(attributes[\"none\"])", true), ("IsEmpty(\"\")", true), ("IsEmpty({})", true), ("IsEmpty(1)", false),
        ("IsEmpty(trace_id)", true),
        ("Len(body)", 11), ("Len([1, 2])", 2), ("Len(attributes)", 2), ("Len({\"a\": 1})", 1),
        ("Log(1)", .double(0)), ("Coalesce([attributes[\"x\"], attributes[\"code\"], 1])", 200),
        ("Coalesce([nil, nil])", .empty),
        (
            "TraceID(\"a389023abaa839283293ed323892389d\")",
            .bytes([0xa3, 0x89, 2, 0x3a, 0xba, 0xa8, 0x39, 0x28, 0x32, 0x93, 0xed, 0x32, 0x38, 0x92, 0x38, 0x9d])
        ),
        ("SpanID(0x0102030405060708)", .bytes([1, 2, 3, 4, 5, 6, 7, 8])),
        ("IsValidLuhn(\"17893729974\")", true), ("IsValidLuhn(17893729975)", false),
        // Strings
        ("Concat([\"a\", 1, true, nil, 0x0f, 1.5, [1]], \"-\")", "a-1-true-<nil>-0f-1.5-"),
        ("Split(\"a|b||c\", \"|\")", .list("a", "b", "", "c")), ("Split(\"ab\", \"\")", .list("a", "b")),
        ("Substring(\"123456789\", 0, 3)", "123"), ("Substring(\"\u{e9}\u{e9}\", 0, 3, true)", "\u{e9}"),
        ("Substring(\"123\", 1, 2)", "23"),
        ("ConvertCase(\"myMetric\", \"snake\")", "my_metric"), ("ConvertCase(\"my_metric\", \"camel\")", "MyMetric"),
        ("ConvertCase(\"Ab\", \"lower\")", "ab"), ("ConvertCase(\"Ab\", \"upper\")", "AB"),
        ("ToLowerCase(\"MyName\")", "myname"), ("ToUpperCase(\"MyName\")", "MYNAME"),
        ("ToSnakeCase(\"HTTPServer\")", "http_server"), ("ToCamelCase(\"my_metric_name\")", "MyMetricName"),
        ("HasPrefix(body, \"hello\")", true), ("HasPrefix(body, \"world\")", false),
        ("HasSuffix(body, \"world\")", true), ("HasSuffix(body, \"hello\")", false),
        ("Trim(\" a b \")", "a b"), ("Trim(\"!!a!!\", \"!!\")", "a"),
        ("TrimPrefix(\"ingest_service\", \"ingest_\")", "service"), ("TrimPrefix(\"a\", \"b\")", "a"),
        ("TrimSuffix(\"ingest_service\", \"_service\")", "ingest"), ("TrimSuffix(\"a\", \"b\")", "a"),
        ("Format(\"%02d/%s/%v\", [7, \"x\", true])", "07/x/true"), ("Format(\"%d\", [\"x\"])", "%!d(string=x)"),
        ("IsMatch(\"string\", \".*ring\")", true), ("IsMatch(200, \"^2\")", true), ("IsMatch(nil, \".*\")", false),
        ("IsMatch(body, Concat([\"he\", \"l+\"], \"\"))", true),
        ("Base64Decode(\"aGVsbG8gd29ybGQ=\")", "hello world"), ("Base64Encode(\"test string\")", "dGVzdCBzdHJpbmc="),
        ("Base64Encode(\"a?>\", \"base64-raw-url\")", "YT8-"),
        ("Decode(\"aGVsbG8gd29ybGQ=\", \"base64\")", "hello world"), ("Decode(0xe9, \"iso-8859-1\")", "\u{e9}"),
        ("Decode(0x00410042, \"utf-16\")", "AB"), ("Decode(\"abc\", \"us-ascii\")", "abc"),
        ("ParseInt(\"0xFF\", 0)", 255), ("ParseInt(\"AA\", 16)", 170), ("ParseInt(\"-20\", 8)", -16),
        ("ParseInt(\"0b1111_0000\", 0)", 240),
        ("Len(UUID())", 36), ("IsMatch(UUID(), \"^[0-9a-f-]{14}4[0-9a-f-]{4}[89ab]\")", true),
        ("IsMatch(UUIDv7(), \"^018bcfe5-687b-7\")", true),
        // Digests
        ("MD5(\"name\")", "b068931cc450442b63f5b3d276ea4297"),
        ("SHA1(\"name\")", "6ae999552a0d2dca14d62e2bc8b764d377b1dd6c"),
        ("SHA256(\"name\")", "82a3537ff0dbce7eec35d69edc3a189ee6f17d82f353a553f9aa96cb0be3ce89"),
        ("Len(SHA512(\"name\"))", 128), ("HasPrefix(SHA512(\"\"), \"cf83e1357eefb8bd\")", true),
        ("FNV(\"\")", .int(Int64(bitPattern: 0xcbf2_9ce4_8422_2325))),
        ("FNV(\"a\")", .int(Int64(bitPattern: 0xaf63_dc4c_8601_ec8c))),
        ("Murmur3Hash(\"\")", "00000000"), ("Murmur3Hash(\"hello\")", "47fa8b24"),
        ("Murmur3Hash128(\"hello\")", "029bbd41b3a7d8cb191dae486a901e5b"),
        ("XXH3(\"\")", "2d06800538d394c2"), ("XXH3(\"hello world\")", "d447b1ea40e6988b"),
        ("XXH128(\"\")", "99aa06d3014798d86001c324468d497f"),
        ("XXH128(\"hello world\")", "df8d09e93f874900a99b8775cc15b6c7"),
        ("Hex(ProfileID(0x0102030405060708090a0b0c0d0e0f10))", "0102030405060708090a0b0c0d0e0f10"),
        // Times
        ("UnixNano(Now())", .int(1_700_000_000_123_456_789)), ("UnixMicro(Now())", .int(1_700_000_000_123_456)),
        ("UnixMilli(Now())", .int(1_700_000_000_123)), ("UnixSeconds(Now())", .int(1_700_000_000)),
        ("UnixSeconds(Time(\"02/04/2023\", \"%m/%d/%Y\"))", 1_675_468_800),
        ("UnixSeconds(Time(\"2023-05-26 12:34:56\", \"%Y-%m-%d %H:%M:%S\", \"America/New_York\"))", 1_685_118_896),
        ("Hour(Time(\"2023-05-26 12:34:56 +0200\", \"%F %T %z\"))", 12),
        ("Year(Time(\"Feb 15 10:00:00\", \"%b %d %H:%M:%S\"))", 2023),
        ("FormatTime(Time(\"02/04/2023\", \"%m/%d/%Y\"), \"%A %h %e %Y\")", "Saturday Feb  4 2023"),
        ("FormatTime(Unix(0, 5000000), \"%S.%L\")", "00.005"),
        ("UnixSeconds(TruncateTime(Now(), Duration(\"1h\")))", 1_699_999_200),
        ("UnixSeconds(Unix(1672527600))", 1_672_527_600), ("UnixNano(Unix(1, 5))", 1_000_000_005),
        ("Year(Now())", 2023), ("Month(Now())", 11), ("Day(Now())", 14), ("Hour(Now())", 22), ("Minute(Now())", 13),
        ("Second(Now())", 20), ("Nanosecond(Now())", 123_456_789), ("Weekday(Now())", 2),
        ("Hours(Duration(\"90m\"))", .double(1.5)), ("Minutes(Duration(\"90s\"))", .double(1.5)),
        ("Seconds(Duration(\"1500ms\"))", .double(1.5)), ("Milliseconds(Duration(\"2s\"))", 2000),
        ("Microseconds(Duration(\"2ms\"))", 2000), ("Nanoseconds(observed_time - time)", .int(999_999_999)),
        // Lists and maps
        ("Keys({\"k1\": \"v1\", \"k2\": \"v2\"})", .list("k1", "k2")),
        ("Values({\"a\": 1, \"b\": [2]})", .list(1, .list(2))),
        ("ContainsValue([1, 2.5], 2.5)", true), ("ContainsValue([\"GET\"], \"PUT\")", false),
        ("Index(\"hello world\", \"world\")", 6), ("Index([5, 6], 6)", 1), ("Index([5], 7)", -1),
        ("Sort([3, 1, 2])", .list(1, 2, 3)), ("Sort([1, 2.5, 2], \"desc\")", .list(.double(2.5), 2, 1)),
        ("Sort([\"b\", \"a\"])", .list("a", "b")), ("Sort([true, false])", .list(false, true)),
        ("SliceToMap([{\"n\": \"a\", \"v\": 1}], [\"n\"], [\"v\"])", .object(("a", 1))),
        ("SliceToMap([5, 6])", .object(("0", 5), ("1", 6))),
        ("SliceToMap([{\"n\": \"a\"}], [\"n\"])", .object(("a", .object(("n", "a"))))),
        ("ToKeyValueString({\"k2\": \"v=2\", \"k1\": 1}, sort_output = true)", "k1=1 k2=\"v=2\""),
        ("ToKeyValueString({\"a\": \"x\", \"b\": [1]}, \":\", \",\")", "a:x,b:[1]"),
        // Formats
        (
            "ParseJSON(\"{\\\"a\\\": [1, null, \\\"x\\\", true]}\")",
            .object(("a", .list(.double(1), .empty, "x", true)))
        ),
        ("ParseJSON(\"[1]\")", .list(.double(1))),
        ("ParseKeyValue(\"k1=v1 k2=\\\"v 2\\\" k3=\")", .object(("k1", "v1"), ("k2", "v 2"), ("k3", ""))),
        ("ParseKeyValue(\"k1!v1_k2!v2\", \"!\", \"_\")", .object(("k1", "v1"), ("k2", "v2"))),
        ("ParseCSV(\"a,\\\"b \\\"\\\"c\\\"\\\"\\\",d\", \"x,y,z\")", .object(("x", "a"), ("y", "b \"c\""), ("z", "d"))),
        ("ParseCSV(\"1|2\", \"a,b\", delimiter=\"|\", headerDelimiter=\",\")", .object(("a", "1"), ("b", "2"))),
        ("ParseCSV(\"a\\\"b,c\", \"x,y\", mode=\"lazyQuotes\")", .object(("x", "a\"b"), ("y", "c"))),
        ("ParseCSV(\"\\\"a,b\", \"x,y\", mode=\"ignoreQuotes\")", .object(("x", "\"a"), ("y", "b"))),
        (
            "ExtractPatterns(body, \"(?P<first>\\\\w+) (?P<second>\\\\w+)(?P<third>!)?\")",
            .object(("first", "hello"), ("second", "world"), ("third", ""))
        ),
        ("ExtractPatterns(body, \"(?P<a>zzz)\")", .object()),
        (
            "ExtractGrokPatterns(\"10.1.2.3 42 x\", \"%{IP:client.ip} %{INT:n:int} %{WORD}\", true)",
            .object(("client.ip", "10.1.2.3"), ("n", 42))
        ),
        (
            "ExtractGrokPatterns(\"smith:pass\", \"%{USERNAME:user.name}:%{PW:pw}\", true, [\"PW=%{WORD}\"])",
            .object(("user.name", "smith"), ("pw", "pass"))
        ),
        (
            "ParseSeverity(\"inf\", {\"info\": [{\"equals\": [\"inf\"]}, {\"range\": {\"min\": 200, \"max\": 299}}]})",
            "info"
        ),
        ("ParseSeverity(404, {\"info\": [{\"range\": \"2xx\"}], \"error\": [{\"range\": \"4xx\"}]})", "error"),
        (
            "ParseXML(\"<a x='1'>t<b/><![CDATA[ u&]]></a>\")",
            .object(
                ("tag", "a"), ("attributes", .object(("x", "1"))), ("content", "tu&"),
                ("children", .list(.object(("tag", "b")))))
        ),
        (
            "ParseSimplifiedXML(\"<?xml version='1.0'?><a> x <b>1</b><!-- c --><c>&lt;2</c><c>3</c><d/></a>\")",
            .object(("a", .object(("b", "1"), ("c", .list("<2", "3")))))
        ),
        ("IsInCIDR(\"192.168.0.1\", [\"10.0.0.0/8\", \"192.168.0.0/16\"])", true),
        ("IsInCIDR(\"::1\", [\"fe80::/10\"])", false),
        ("CommunityID(\"128.232.110.120\", 34855, \"66.35.250.204\", 80, \"TCP\")", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        ("CommunityID(\"66.35.250.204\", 80, \"128.232.110.120\", 34855)", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        (
            "URL(\"http://u:p@www.example.com:80/foo.gif?k=v#f\")",
            .object(
                ("url.original", "http://u:p@www.example.com:80/foo.gif?k=v#f"), ("url.scheme", "http"),
                ("url.fragment", "f"), ("url.query", "k=v"),
                ("url.path", "/foo.gif"), ("url.extension", "gif"), ("url.user_info", "u:p"), ("url.username", "u"),
                ("url.password", "p"),
                ("url.port", 80), ("url.domain", "www.example.com"))
        ),
        (
            "ParseCEF(\"<1>h CEF:0|Sec|mgr|1.0|100|worm \\\\| x|10|src=10.0.0.1 msg=a b\\\\=c spt=1232\")",
            .object(
                ("cef.version", "0"), ("cef.device_vendor", "Sec"), ("cef.device_product", "mgr"),
                ("cef.device_version", "1.0"),
                ("cef.device_event_class_id", "100"), ("cef.name", "worm | x"), ("cef.severity", "10"),
                ("cef.extensions", .object(("src", "10.0.0.1"), ("msg", "a b=c"), ("spt", "1232"))))
        ),
        (
            "ParseLEEF(\"LEEF:2.0|L|S|1.0|41|^|src=1^dst=2\")",
            .object(
                ("leef.version", "2.0"), ("leef.vendor", "L"), ("leef.product.name", "S"),
                ("leef.product.version", "1.0"),
                ("leef.event.id", "41"), ("leef.attributes", .object(("src", "1"), ("dst", "2"))))
        ),
        ("ParseLEEF(\"LEEF:1.0|M|E|4.0|15|src=1\\tsev=5\")[\"leef.attributes\"][\"sev\"]", "5"),
        (
            "ParseELF(\"#Version: 1.0\\n#Fields: time m\\n00:34 \\\"GET x\\\"\")",
            .object(
                ("elf.version", "1.0"), ("elf.fields", .list("time", "m")),
                ("elf.entries", .list(.object(("time", "00:34"), ("m", "GET x")))))
        ),
        (
            "ParseCLF(\"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \\\"GET /a HTTP/1.0\\\" 200 -\")",
            .object(
                ("clf.remote_host", "127.0.0.1"), ("clf.rfc931", "-"), ("clf.auth_user", "frank"),
                ("clf.timestamp", "10/Oct/2000:13:55:36 -0700"), ("clf.request", "GET /a HTTP/1.0"),
                ("clf.method", "GET"),
                ("clf.request_uri", "/a"), ("clf.protocol", "HTTP/1.0"), ("clf.status", 200))
        ),
        ("GetXML(\"<a><b>1</b></a>\", \"/a/b\")", "<b>1</b>"),
        ("RemoveXML(\"<a><b>1</b></a>\", \"/a/b\")", "<a></a>"),
        ("InsertXML(\"<a/>\", xpath=\"/a\", sub_document=\"<b/>\")", "<a><b></b></a>"),
        ("ConvertAttributesToElementsXML(\"<a b='1'/>\")", "<a><b>1</b></a>"),
        ("ConvertTextToElementsXML(\"<a>1<b/></a>\", element_name=\"c\")", "<a><c>1</c><b></b></a>"),
        ("UserAgent(\"okhttp/4.12.0\")[\"user_agent.name\"]", "okhttp"),
        ("ParseCLF(\"h - - [d] \\\"-\\\" 304 5 \\\"r\\\\x41\\\" \\\"u\\\"\", \"combined\")[\"clf.referer\"]", "rA"),
    ]

    @Test("Each converter gives what its documentation says", arguments: cases)
    func results(_ text: String, _ expected: OTLPAnyValue) throws {
        let found = try Fixture.value(text)
        #expect(found == expected, "\(text)")
    }

    @Test("There is a case for every converter")
    func complete() {
        let texts = Self.cases.map(\.0).joined(separator: " ")
        let elsewhere: Set = ["IsRootSpan", "HasAttrKeyOnDatapoint", "HasAttrOnDatapoint", "AdjustedCount"]
        for name in Functions.converters.keys where !elsewhere.contains(name) {
            #expect(texts.contains(name + "("), "\(name)")
        }
    }

    @Test(
        "What cannot be computed is an error",
        arguments: [
            "Split(attributes[\"none\"], \",\")", "Substring(body, 5, 100)", "Log(0)", "ParseJSON(\"{\")",
            "ParseInt(\"x\", 10)",
            "Time(\"x\", \"%Y\")", "Duration(attributes[\"http.method\"])", "1 / (attributes[\"code\"] - 200)",
            "attributes[\"code\"] + 1.5", "attributes[\"code\"][\"x\"]", "[1][attributes[\"code\"]]",
            "ParseXML(\"<a>\")",
            "ParseXML(\"<a></b>\")", "ParseCSV(\"a\", \"x,y\")", "ParseKeyValue(\"a\")",
            "IsInCIDR(body, [\"10.0.0.0/8\"])",
            "Keys(body)", "Sort([{}])", "ParseCEF(body)", "ParseCLF(body)", "ParseLEEF(body)", "ParseELF(body)",
            "SliceToMap([1], [\"a\"])", "URL(body)", "Hour(attributes[\"code\"])", "Decode(\"!\", \"base64\")",
            "ParseSeverity(\"z\", {\"info\": [{\"equals\": [\"inf\"]}]})",
        ])
    func failures(_ text: String) {
        #expect(throws: OTTLError.self, "\(text)") { try Fixture.value(text) }
    }

    @Test("Questions about the record itself")
    func records() throws {
        #expect(try Fixture.value("AdjustedCount()", of: Fixture.traces(), in: .span) == 1.0)
        for (state, count) in [("ot=th:8", 2.0), ("a=b, ot=rv:1;th:c", 4), ("ot=th:0", 1), ("ot=th:x", 1), ("th:8", 1)]
        {
            #expect(Array(state.utf8).withUnsafeBytes { SamplingThreshold.adjustedCount($0) } == count, "\(state)")
        }
        #expect(try Fixture.value("IsRootSpan()", of: Fixture.traces(), in: .span) == true)
        let metric = Fixture.metric(.gauge, [{ $0.attributes.set("a" as OTLPKey, to: "b") }])
        #expect(try Fixture.value("HasAttrKeyOnDatapoint(\"a\")", of: metric, in: .metric) == true)
        #expect(try Fixture.value("HasAttrKeyOnDatapoint(\"b\")", of: metric, in: .metric) == false)
        #expect(try Fixture.value("HasAttrOnDatapoint(\"a\", \"b\")", of: metric, in: .metric) == true)
        #expect(try Fixture.value("HasAttrOnDatapoint(\"a\", \"c\")", of: metric, in: .metric) == false)
    }
}

@Suite("OTTL large input")
struct LargeInputTests {
    @Test("Many keys cost no more than their number")
    func manyKeys() throws {
        let pairs = (0..<20_000).map { "key\($0)=\($0)" }.joined(separator: " ")
        let batch = Fixture.logs(body: .string(pairs))
        #expect(try Fixture.value("Len(ParseKeyValue(body))", of: batch) == 20_000)
        let result = try Fixture.run(["merge_maps(attributes, ParseKeyValue(body), \"upsert\")"], on: batch, in: .log)
        let map = try Fixture.attributes(result)
        #expect(map.count == 20_002)
        #expect(map["key19999"] == "19999")
    }
}
