import Telemetry
import Testing
import Wire

@testable import OTTL

@Suite("OTTL language")
struct LanguageTests {
    @Test(
        "Values and calculations",
        arguments: [
            ("\"a\\tb\\x41\\u00e9\\\"\"", .string("a\tbA\u{e9}\"")),
            ("-5", .int(-5)), ("+7", .int(7)), ("-9223372036854775808", .int(.min)),
            ("1.5", .double(1.5)), (".5", .double(0.5)), ("-.25e2", .double(-25)),
            ("true", .bool(true)), ("nil", .empty), ("0x0aFF", .bytes([10, 255])),
            ("[1, \"b\", [true]]", .list(1, "b", .list(true))),
            ("{\"a\": 1, \"b\": {\"c\": attributes[\"code\"]}}", .object(("a", 1), ("b", .object(("c", 200))))),
            ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("10 - 2 - 3", 5), ("7 / 2", 3), ("7.0 / 2.0", .double(3.5)),
            ("-(3 - 5)", 2), ("attributes[\"code\"] + 1", 201), ("SEVERITY_NUMBER_ERROR2", 18),
            ("Split(\"a,b\", \",\")[1]", "b"), ("ParseJSON(\"{\\\"a\\\":[1,2]}\")[\"a\"][1]", .double(2)),
            ("attributes[Concat([\"co\", \"de\"], \"\")]", 200),
            ("time - observed_time < Duration(\"0s\")", nil),
        ] as [(String, OTLPAnyValue?)])
    func values(_ text: String, _ expected: OTLPAnyValue?) throws {
        guard let expected else {
            _ = try OTTLCondition(text, in: .log)
            return
        }
        #expect(try Fixture.value(text) == expected)
    }

    @Test(
        "Conditions",
        arguments: [
            ("true", true), ("not true", false), ("true and false or true", true), ("false and (true or true)", false),
            ("not (1 == 2) and 1 != 2", true), ("attributes[\"http.method\"] == \"GET\"", true),
            ("\"GET\" == attributes[\"http.method\"]", true), ("attributes[\"http.method\"] != \"GET\"", false),
            ("attributes[\"missing\"] == nil", true), ("attributes[\"missing\"] != nil", false),
            ("attributes[\"missing\"] == \"x\"", false), ("attributes[\"missing\"] != \"x\"", true),
            ("attributes[\"code\"] >= 200 and attributes[\"code\"] < 300.5", true), ("1 == 1.0", true),
            ("\"1\" == 1", false), ("\"1\" != 1", true), ("\"a\" < \"b\"", true), ("true > false", true),
            ("severity_number >= SEVERITY_NUMBER_INFO", true), ("IsMatch(body, \"w[o]rld$\")", true),
            ("(1 + 1) == 2", true), ("((1 + 1) * 2 == 4)", true), ("[1, 2] == [1, 2]", true),
            ("{\"a\": 1} != {\"a\": 2}", true), ("0x01 < 0x02", true),
            ("resource.attributes[\"service.name\"] == \"shop\"", true),
            ("instrumentation_scope.name == \"library\" and scope.version == \"1.2\"", true),
            ("trace_id == TraceID(0x00000000000000000000000000000000)", true),
            ("log.body == \"hello world\"", true), ("time < observed_time", true),
            ("time + Duration(\"1s\") > observed_time", true), ("1 == nil", false), ("nil == nil", true),
        ])
    func conditions(_ text: String, _ expected: Bool) throws {
        let condition = try OTTLCondition(text, in: .log)
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: Fixture.clock)
        var seen: [Bool] = []
        try walker.walk(Fixture.logs(), to: .item) { level in
            frame.begin(level)
            if level == .item { seen.append(try condition.holds(frame)) }
            return .keep
        }
        #expect(seen == [expected])
    }

    @Test(
        "Statements that cannot be loaded say where and why",
        arguments: [
            ("set(attributes[\"a\"], 1", "column 23", "\")\" expected"),
            ("set(atributes[\"a\"], 1)", "column 5", "did you mean \"attributes\"?"),
            ("sett(attributes[\"a\"], 1)", "column 1", "did you mean \"set\"?"),
            ("set(attributes[\"a\"], Concta([\"a\"], \"\"))", "column 22", "did you mean \"Concat\"?"),
            ("Concat([\"a\"], \"\")", "column 1", "begins with an editor"),
            ("set(attributes[\"a\"])", "column 1", "value is missing"),
            ("set(attributes[\"a\"], 1, 2)", "column 25", "takes 2 arguments"),
            ("set(severity_text, 5)", "column 20", "severity_text is a string, and this is a int"),
            ("set(\"a\", 5)", "column 5", "must be a field"),
            ("set(attributes[0], 5)", "column 5", "has string keys"),
            ("set(attributes.http, 5)", "column 16", "attributes[\"http\"]"),
            ("set(span.name, \"a\")", "column 5", "out of reach from the log context"),
            ("set(resource.cache[\"a\"], \"a\")", "column 14", "log.cache"),
            ("set(resource, \"a\")", "column 5", "resource.attributes"),
            ("set(attributes[\"a\"], \"\\d\")", "column 23", "a backslash is written"),
            ("set(attributes[\"a\"], 'b')", "column 22", "double quotes"),
            ("set(attributes[\"a\"], 1) where 1 = 1", "column 33", "\"==\""),
            ("set(attributes[\"a\"], 1) where attributes", "column 31", "a condition is a comparison"),
            ("set(attributes[\"a\"], 1) where Len(body)", "column 31", "compare it with =="),
            ("set(attributes[\"a\"], 1 + 2.0)", "column 24", "do not mix"),
            ("set(attributes[\"a\"], SPAN_KIND_CLIENT)", "column 22", "unknown name"),
            ("set(attributes[\"a\"], Filter(body))", "column 22", "Filter is not supported"),
            ("convert_sum_to_gauge()", "column 1", "metric context"),
            ("delete_matching_keys(attributes, \"(\")", "column 34", "invalid regular expression"),
            ("replace_pattern(body, \"a\", \"b\", NoSuch)", "column 33", "unknown function"),
            ("keep_keys(attributes, \"a\")", "column 23", "a list in brackets"),
            ("truncate_all(attributes, limt = 5)", "column 33", "did you mean \"limit\"?"),
            ("set(attributes[\"a\"], Split(1, \",\"))", "column 28", "must be a string"),
            ("set(value = 1, attributes[\"a\"])", "column 16", "without a name come before"),
            ("set(attributes[\"a\"], (a, b) => a)", "column 22", "lambda"),
        ])
    func refusals(_ text: String, _ place: String, _ why: String) throws {
        do {
            _ = try OTTLStatement(text, in: .log)
            Issue.record("loaded: \(text)")
        } catch {
            #expect(error.message.contains(place), "\(error.message)")
            #expect(error.message.contains(why), "\(error.message)")
        }
    }

    @Test("Deep nesting and damaged statements are refused, never fatal")
    func damage() {
        let deep = String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000)
        #expect(throws: OTTLError.self) { try OTTLCondition(deep + " == 1", in: .log) }
        let nots = String(repeating: "not ", count: 5000) + "true"
        #expect(throws: OTTLError.self) { try OTTLCondition(nots, in: .log) }
        let whole =
            "replace_all_patterns(attributes, \"value\", \"a{2}\", \"$1\") where not (a[\"x\"][0] == 0x01 or 1.5e3 >= -2)"
        var loaded: [Int] = []
        for length in 0..<whole.utf8.count {
            let cut = String(decoding: Array(whole.utf8)[..<length], as: UTF8.self)
            if (try? OTTLStatement(cut, in: .log)) != nil { loaded.append(length) }
        }
        // The editor alone, with and without the space behind it.
        let editor = whole.utf8.count - " where not (a[\"x\"][0] == 0x01 or 1.5e3 >= -2)".utf8.count
        #expect(loaded == [editor, editor + 1])
    }

    @Test(
        "The context of a statement is that of its innermost path",
        arguments: [
            ("set(resource.attributes[\"a\"], 1)", OTLPBatch.Kind.logs, OTTLContext.resource),
            ("set(log.attributes[\"a\"], resource.attributes[\"b\"])", .logs, .log),
            ("set(metric.description, \"x\") where datapoint.attributes[\"a\"] == \"b\"", .metrics, .datapoint),
            ("convert_sum_to_gauge() where resource.attributes[\"a\"] == nil", .metrics, .metric),
            ("set(span.name, \"x\") where spanevent.name == \"e\"", .traces, .spanevent),
        ])
    func inference(_ text: String, _ kind: OTLPBatch.Kind, _ expected: OTTLContext) throws {
        #expect(try OTTLContext.inferred(fromStatements: [text], for: kind) == expected)
    }

    @Test("A statement without a context is refused, and so is a path without one")
    func inferenceFails() {
        #expect(throws: OTTLError.self) {
            try OTTLContext.inferred(fromStatements: ["set(attributes[\"a\"], 1)"], for: .logs)
        }
        #expect(throws: OTTLError.self) {
            try OTTLStatement("set(attributes[\"a\"], log.body)", in: .log, requiresPrefix: true)
        }
    }
}
