import Essentials
import OTTL
import Telemetry
import Wire

/// The language of `otelcol.processor.transform`: statements as somebody writes them, and what converters make of
/// bodies that arrive from elsewhere.
enum OTTLTargets {
    static let all: [FuzzTarget] = [statements, converters, xpath]

    // MARK: Statements

    /// Statements are compiled and run on one record each; a statement that is refused says where.
    private static let statements = FuzzTarget(
        name: "ottl-statement",
        seeds: [
            #"set(attributes["a"], Concat([body, "x"], "-")) where body != nil and not IsMatch(body, "^h.*")"#,
            #"merge_maps(attributes, ParseKeyValue(body, ":", ","), "upsert")"#,
            #"replace_all_patterns(attributes, "key", "^(.*)\\.x$", "$$1.y", SHA256)"#,
            #"keep_matching_keys(cache, "(?i)^h") where severity_number >= SEVERITY_NUMBER_WARN"#,
            #"set(cache["t"], Time(body, "%Y-%m-%dT%H:%M:%S")) where 1 + 2 * -3 < Int(attributes["code"])"#,
            #"set(attributes["x"]["y"][0], GetXML(body, "/a[@b='c']/text()"))"#,
            #"limit(resource.attributes, 3, ["a", "b"]) where (true or false) and 0x0A == Len("é")"#,
            #"set(attributes["d"], {"k": [1, 2.5e3, true, nil], "l": Duration("1h3m")})"#,
        ].map(bytes),
        dictionary: [
            " where ", "set(", "attributes[\"", "body", "cache", " and ", " or ", "not ", "nil", "[[", "{\"", "1e9",
            "resource.", "Split(", "Substring(", "SliceToMap(", "delete_key(", "truncate_all(", ", mode=", "\\\"", "==",
        ]
    ) { input in
        let statement = try OTTLStatement(String(decoding: input, as: UTF8.self), in: .log)
        try edit(record(body: .string(bytes("hello, a:b world")))) { frame in try statement.run(frame) }
        return magnitude(input.count)
    }

    // MARK: Converters

    private static let expressions = [
        "ParseJSON(body)", #"ParseKeyValue(body)"#, #"ParseCSV(body, "a,b,c")"#,
        #"ParseCSV(body, "a|b", delimiter="|", mode="lazyQuotes")"#, "ParseXML(body)", "ParseSimplifiedXML(body)",
        #"ConvertAttributesToElementsXML(body, "//*")"#, #"ConvertTextToElementsXML(body, "//*", "t")"#,
        #"GetXML(body, "//a[@b]/text() | //c[2]")"#, #"RemoveXML(body, "//a/@b")"#,
        #"InsertXML(body, "//a", "<n>1</n>")"#, "URL(body)", "UserAgent(body)", "ParseInt(body, 0)",
        #"ExtractPatterns(body, "(?P<a>\\w+)=(?P<b>.*)")"#,
        #"ExtractGrokPatterns(body, "%{COMBINEDAPACHELOG}", true)"#, #"Time(body, "%Y-%m-%dT%H:%M:%S%z")"#,
        "Duration(body)", #"Decode(body, "base64")"#, #"Decode(body, "utf-16le")"#, "Hex(body)", "Trim(body)",
        "XXH3(body)", "SpanID(body)", "CommunityID(body, 1, body, 2)", "IsValidLuhn(body)",
        #"ConvertCase(body, "snake")"#, #"SliceToMap(Split(body, ","), ["a"])"#, "Values(ParseJSON(body))",
    ]

    private static let compiled = expressions.map { expression in
        Result { () throws(OTTLError) in try OTTLStatement("set(cache[\"x\"], \(expression))", in: .log) }
    }

    private static let converters = FuzzTarget(
        name: "ottl-converter",
        seeds: [
            #"{"a":[1,{"b":null}],"c":-1.5e3}"#, "k=v k2=\"v 2\"", "a,\"b\"\"c\",d", "a|\"b|c\"", xml, xml, xml, xml,
            xml,
            xml, xml, "https://u:p@[::1]:8080/p/a.tar.gz?q=%41#f",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1.2.3 Safari/537.36", "0x1F",
            "key=value", #"1.2.3.4 - u [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 23 "-" "curl""#,
            "2024-01-02T03:04:05+0100", "1h2m3.5s", "aGVsbG8=", "h\u{0}i\u{0}", "raw", "  x ", "hash",
            "0102030405060708",
            "10.0.0.1", "4539 1488 0343 6467", "fooBar_baz", "a,b,,c", #"{"a":1,"b":[2]}"#,
        ].enumerated().map { index, text in [UInt8(truncatingIfNeeded: index)] + bytes(text) },
        dictionary: ["<![CDATA[", "]]>", "<a b='", "&#x10FFFF;", "<?", "<!--", "\"\"", "=\"", "%zz", "\\u", "[[[["]
    ) { input in
        guard let choice = input.first else { return 0 }
        let index = Int(choice) % compiled.count
        let statement: OTTLStatement
        do { statement = try compiled[index].get() } catch { throw Finding("\(expressions[index]): \(error)") }
        try edit(record(body: .string(Array(input.dropFirst())))) { frame in try statement.run(frame) }
        return index << 8 | magnitude(input.count)
    }

    // MARK: XPath

    private static let xml = "<a b='1'><c>x</c><c>y &amp; z</c><!-- n --><d:e><![CDATA[<]]></d:e><?go now?></a>"

    /// XPath expressions over one document: both sides of what `GetXML` and its like are given.
    private static let xpath = FuzzTarget(
        name: "xpath",
        seeds: [
            "/a[1]/c/text()", "//c[last()] | //@b", "//*[local-name()='e']/ancestor-or-self::node()",
            "//c[contains(., 'y') and position() mod 2 = 0]", "(//c)[2]/preceding-sibling::c[1]",
            "//c[substring(., 1, 2) = translate('X', 'X', 'x')]", "/a[comment()]/processing-instruction('go')",
            "//c[count(../*) * 2 - 1 div 3 > -sum(//@b)]", "//following::d:*[not(@x)][normalize-space()='<']",
        ].map(bytes),
        dictionary: [
            "//", "::", "ancestor::", "following::", "descendant-or-self::", "[", "]", "@", "*", "node()", "text()",
            " and ", " or ", " | ", "position()", "last()", "concat(", "starts-with(", "..", "'",
        ]
    ) { input in
        // A text in the statement: what would end it is escaped.
        var path = ""
        for scalar in String(decoding: input, as: UTF8.self).unicodeScalars {
            if scalar == "\"" || scalar == "\\" { path += "\\" }
            path.unicodeScalars.append(scalar)
        }
        let statements = try ["GetXML", "RemoveXML", "ConvertTextToElementsXML"].map {
            try OTTLStatement("set(cache[\"x\"], \($0)(body, \"\(path)\"))", in: .log)
        }
        for statement in statements {
            try edit(record(body: .string(bytes(xml)))) { frame in try statement.run(frame) }
        }
        return magnitude(input.count)
    }

    // MARK: Records

    private static func record(body: OTLPAnyValue) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .logs)
        let message = OTLPMessage()
        message.clear(as: .resource)
        assembler.begin(resource: message)
        message.clear(as: .scope)
        assembler.begin(scope: message)
        message.clear(as: .logRecord)
        message.set(OTLPField.LogRecord.body, value: body)
        message.attributes.set("code" as OTLPKey, to: OTLPAnyValue.int(200))
        assembler.append(message)
        return assembler.finish()
    }

    private static func edit(_ batch: OTLPBatch, _ body: (OTTLFrame) throws -> Bool) throws {
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: .manual(startingAt: 1_700_000_000_000_000_000))
        let edited = try walker.edit(batch, to: .item) { level in
            frame.begin(level)
            if level == .item { _ = try body(frame) }
            return .keep
        }
        try require(edited.itemCount == batch.itemCount, "\(batch.itemCount) records became \(edited.itemCount)")
    }
}
