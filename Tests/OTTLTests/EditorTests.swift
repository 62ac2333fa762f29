import Telemetry
import Testing
import Wire

@testable import OTTL

@Suite("OTTL editors")
struct EditorTests {
    static let nested: OTLPAnyValue = .object(
        ("a", 1), ("b", .object(("c", "x"), ("d", .list("y", .object(("e", true)))))))

    /// Editors on the attribute `m`, a map, and what it is then.
    static let cases: [(String, OTLPAnyValue, OTLPAnyValue)] = [
        ("set(attributes[\"m\"], 5)", "x", 5),
        ("set(attributes[\"m\"][\"p\"][\"q\"], body)", .object(), .object(("p", .object(("q", "hello world"))))),
        ("set(attributes[\"m\"], nil)", 1, 1),
        ("append(attributes[\"m\"], \"b\")", .list("a"), .list("a", "b")),
        ("append(attributes[\"m\"], values = [\"b\", 1])", "a", .list("a", "b", 1)),
        ("append(attributes[\"m\"], attributes[\"m\"])", .list(1, 2), .list(1, 2, 1, 2)),
        ("delete_index(attributes[\"m\"], 0)", .list(1, 2, 3), .list(2, 3)),
        ("delete_index(attributes[\"m\"], 0, Len(attributes[\"m\"]) - 1)", .list(1, 2, 3), .list(3)),
        ("delete_key(attributes[\"m\"], \"a\")", .object(("a", 1), ("b", 2)), .object(("b", 2))),
        ("delete_matching_keys(attributes[\"m\"], \"^p\")", .object(("pw", 1), ("b", 2)), .object(("b", 2))),
        ("keep_matching_keys(attributes[\"m\"], \"^p\")", .object(("pw", 1), ("b", 2)), .object(("pw", 1))),
        ("keep_keys(attributes[\"m\"], [\"b\"])", .object(("a", 1), ("b", 2)), .object(("b", 2))),
        ("limit(attributes[\"m\"], 2, [\"c\"])", .object(("a", 1), ("b", 2), ("c", 3)), .object(("a", 1), ("c", 3))),
        (
            "truncate_all(attributes[\"m\"], 3)", .object(("a", "abcdef"), ("b", 12345)),
            .object(("a", "abc"), ("b", 12345))
        ),
        ("truncate_all(attributes[\"m\"], 3)", .object(("a", "ab\u{e9}")), .object(("a", "ab"))),
        (
            "truncate_all(attributes[\"m\"], 5, truncation_marker = \"..\")", .object(("a", "abcdef")),
            .object(("a", "abc.."))
        ),
        ("flatten(attributes[\"m\"])", nested, .object(("a", 1), ("b.c", "x"), ("b.d.0", "y"), ("b.d.1.e", true))),
        (
            "flatten(attributes[\"m\"], \"p\", 1)", nested,
            .object(("p.a", 1), ("p.b.c", "x"), ("p.b.d", .list("y", .object(("e", true)))))
        ),
        (
            "flatten(attributes[\"m\"], resolveConflicts=true)", .object(("a", .object(("b", 1))), ("a.b", 2)),
            .object(("a.b", 1), ("a.b.0", 2))
        ),
        (
            "merge_maps(attributes[\"m\"], {\"a\": 9, \"c\": 9}, \"insert\")", .object(("a", 1)),
            .object(("a", 1), ("c", 9))
        ),
        ("merge_maps(attributes[\"m\"], {\"a\": 9, \"c\": 9}, \"update\")", .object(("a", 1)), .object(("a", 9))),
        (
            "merge_maps(attributes[\"m\"], {\"a\": 9, \"c\": 9}, \"upsert\")", .object(("a", 1)),
            .object(("a", 9), ("c", 9))
        ),
        (
            "stringify_all(attributes[\"m\"])", .object(("a", 1), ("b", true), ("c", .list(1)), ("d", "x")),
            .object(("a", "1"), ("b", "true"), ("c", "[1]"), ("d", "x"))
        ),
        ("replace_match(attributes[\"m\"], \"/user/*/list/*\", \"/user/{id}\")", "/user/1/list/2", "/user/{id}"),
        ("replace_match(attributes[\"m\"], \"/user/*\", \"x\")", "/group/1", "/group/1"),
        (
            "replace_match(attributes[\"m\"], \"a{b,c}?\", \"n\", MD5, \"<%s>\")", "acd",
            "<7b8b965ad4bca0e41ab51de7b31363a1>"
        ),
        (
            "replace_all_matches(attributes[\"m\"], \"a*\", \"z\")", .object(("k", "abc"), ("l", "b"), ("n", 1)),
            .object(("k", "z"), ("l", "b"), ("n", 1))
        ),
        ("replace_pattern(attributes[\"m\"], \"pass\\\\=[^\\\\s]*\", \"pass=***\")", "a pass=xyz b", "a pass=*** b"),
        ("replace_pattern(attributes[\"m\"], \"^kube_([a-z]+)_\", \"k8s.$1.\")", "kube_pod_x", "k8s.pod.x"),
        (
            "replace_pattern(attributes[\"m\"], \"(n)ame\", \"${1}ame\", SHA1, \"h:%s\")", "a name b",
            "a h:6ae999552a0d2dca14d62e2bc8b764d377b1dd6c b"
        ),
        (
            "replace_all_patterns(attributes[\"m\"], \"value\", \"[0-9]{4}\", \"{n}\")",
            .object(("k", "/a/1234"), ("l", "b")),
            .object(("k", "/a/{n}"), ("l", "b"))
        ),
        (
            "replace_all_patterns(attributes[\"m\"], \"key\", \"^kube_\", \"k8s.\")", .object(("kube_a", 1), ("b", 2)),
            .object(("k8s.a", 1), ("b", 2))
        ),
    ]

    @Test("Each editor changes what its documentation says, in a value", arguments: cases)
    func values(_ statement: String, _ before: OTLPAnyValue, _ after: OTLPAnyValue) throws {
        let result = try Fixture.run([statement], on: Fixture.logs([("m", before)]), in: .log)
        #expect(try Fixture.attributes(result)["m"] == after, "\(statement)")
    }

    @Test("And so it does in attributes and in the cache")
    func places() throws {
        for case (let statement, .map(let before), let after) in Self.cases where !statement.hasPrefix("set") {
            let onAttributes = statement.replacing("attributes[\"m\"]", with: "attributes")
            let batch = try Fixture.run(
                ["set(attributes, cache[\"m\"])"], on: Fixture.logs([("m", .map(before))]), in: .log)
            #expect(batch.itemCount == 1)
            let cleared = try Fixture.run(
                ["set(cache[\"m\"], attributes[\"m\"])", "set(attributes, cache[\"m\"])", onAttributes],
                on: Fixture.logs([("m", .map(before))]), in: .log)
            #expect(OTLPAnyValue.map(try Fixture.attributes(cleared)) == after, "\(onAttributes)")
            let onCache = statement.replacing("attributes[\"m\"]", with: "cache[\"m\"]")
            let cached = try Fixture.run(
                ["set(cache[\"m\"], attributes[\"m\"])", onCache, "set(attributes[\"m\"], cache[\"m\"])"],
                on: Fixture.logs([("m", .map(before))]), in: .log)
            #expect(try Fixture.attributes(cached)["m"] == after, "\(onCache)")
        }
    }

    @Test("There is a case for every editor that is not for metrics")
    func complete() {
        let texts = Self.cases.map(\.0)
        for (name, editor) in Functions.editors where editor.contexts == nil {
            #expect(texts.contains { $0.hasPrefix(name + "(") }, "\(name)")
        }
    }

    @Test("The where clause decides, and a batch nothing changed in is the batch that came")
    func conditions() throws {
        let batch = Fixture.logs()
        let same = try Fixture.run(["set(attributes[\"a\"], 1) where attributes[\"code\"] == 404"], on: batch, in: .log)
        #expect(same.chunks == batch.chunks)
        let changed = try Fixture.run(
            ["set(attributes[\"a\"], 1) where attributes[\"code\"] == 200"], on: batch, in: .log)
        #expect(try Fixture.attributes(changed)["a"] == 1)
    }

    @Test(
        "Every field of a context can be set and read back",
        arguments: [
            (OTTLContext.log, "time_unix_nano", "5", "5"), (.log, "observed_time_unix_nano", "5", "5"),
            (.log, "time", "Unix(5, 7)", nil), (.log, "observed_time", "Unix(5)", nil),
            (.log, "severity_number", "13", "13"),
            (.log, "severity_text", "\"W\"", "\"W\""), (.log, "body", "{\"a\": 1}", nil),
            (.log, "body.string", "\"t\"", "\"t\""), (.log, "dropped_attributes_count", "3", "3"),
            (.log, "flags", "1", "1"),
            (.log, "event_name", "\"e\"", nil), (.log, "trace_id", "TraceID(0x01020304050607080910111213141516)", nil),
            (.log, "trace_id.string", "\"01020304050607080910111213141516\"", nil),
            (.log, "span_id", "SpanID(0x0102030405060708)", nil), (.log, "span_id.string", "\"0102030405060708\"", nil),
            (.log, "attributes[\"x\"]", "[1]", nil), (.log, "cache[\"x\"]", "1", nil),
            (.log, "resource.attributes[\"x\"]", "1", nil),
            (.log, "resource.dropped_attributes_count", "2", nil), (.log, "resource.schema_url", "\"u\"", nil),
            (.log, "scope.name", "\"n\"", nil), (.log, "instrumentation_scope.version", "\"n\"", nil),
            (.log, "scope.attributes[\"a\"]", "1", nil), (.log, "scope.schema_url", "\"u\"", nil),
            (.log, "scope.dropped_attributes_count", "1", nil), (.resource, "attributes[\"x\"]", "1", nil),
            (.scope, "name", "\"n\"", nil), (.span, "name", "\"n\"", nil), (.span, "kind", "3", nil),
            (.span, "kind.string", "\"Client\"", nil), (.span, "kind.deprecated_string", "\"SPAN_KIND_CLIENT\"", nil),
            (.span, "trace_state", "\"a=2\"", nil), (.span, "trace_state[\"b\"]", "\"9\"", nil),
            (.span, "parent_span_id", "SpanID(0x0102030405060708)", nil),
            (.span, "parent_span_id.string", "\"0102030405060708\"", nil),
            (.span, "span_id.string", "\"0102030405060709\"", nil),
            (.span, "start_time_unix_nano", "9", nil), (.span, "end_time_unix_nano", "9", nil),
            (.span, "start_time", "Unix(1)", nil), (.span, "end_time", "Unix(2)", nil),
            (.span, "dropped_attributes_count", "1", nil), (.span, "dropped_events_count", "1", nil),
            (.span, "dropped_links_count", "1", nil), (.span, "flags", "257", nil),
            (.span, "status.code", "STATUS_CODE_ERROR", nil),
            (.span, "status.message", "\"m\"", nil), (.spanevent, "name", "\"n\"", nil),
            (.spanevent, "time_unix_nano", "4", nil),
            (.spanevent, "time", "Unix(4)", nil), (.spanevent, "attributes[\"a\"]", "1", nil),
            (.spanevent, "dropped_attributes_count", "1", nil), (.spanevent, "span.name", "\"q\"", nil),
        ] as [(OTTLContext, String, String, String?)])
    func fields(_ context: OTTLContext, _ path: String, _ value: String, _ text: String?) throws {
        let batch = context == .span || context == .spanevent ? Fixture.traces() : Fixture.logs()
        let changed = try Fixture.run(["set(\(path), \(value))", "set(\(path), \(path))"], on: batch, in: context)
        guard !path.hasPrefix("cache") else { return }
        let check = try OTTLCondition("\(path) == \(value)", in: context)
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: Fixture.clock)
        var seen = 0
        try walker.walk(changed, to: Fixture.level(context)) { level in
            frame.begin(level)
            guard level == Fixture.level(context) else { return .keep }
            let isEqual = try check.holds(frame)
            #expect(isEqual, "\(path)")
            seen += 1
            return .keep
        }
        #expect(seen == 1)
    }

    @Test("Messages are set as a whole, counted and compared")
    func messages() throws {
        let batch = Fixture.traces()
        #expect(try Fixture.value("Len(events)", of: batch, in: .span) == 1)
        #expect(try Fixture.value("event_index", of: batch, in: .spanevent) == 0)
        let same = try Fixture.run(["set(events, events)"], on: batch, in: .span)
        #expect(try Fixture.value("Len(events)", of: same, in: .span) == 1)
        #expect(throws: OTTLError.self) { try Fixture.run(["set(events, status)"], on: batch, in: .span) }
    }
}
