import Essentials
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

/// Operators that end a pipeline, and those that hold something of what they saw.
@Suite("Sinks of logs")
struct StanzaSinkTests {
    private func run(_ text: String, _ entries: [StanzaEntry]) throws -> (entries: [StanzaEntry], tally: LogTally) {
        var state = StanzaPipeline.State(try StanzaOperatorTests.pipeline(text))
        var output: [StanzaEntry] = []
        var tally = LogTally()
        for entry in entries { state.process(entry, into: &output, &tally) }
        state.flushAll(into: &output, &tally)
        state.writeSinks(&tally)
        return (output, tally)
    }

    private func text(_ path: String) throws -> String { String(decoding: try Files.read(path), as: UTF8.self) }

    @Test("file_output appends a line of JSON for each entry, in the collector's form")
    func file() throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        let path = directory + "/out.log"
        var entry = StanzaOperatorTests.entry("a <b>", ["n": .int(5), "f": .double(1.5)])
        entry.timestamp = 1_700_000_000_500_000_000
        entry.severity = 9
        entry.severityText = Array("info".utf8)
        entry.spanID = [1, 2, 3, 4, 5, 6, 7, 8]
        entry.traceID = [UInt8](repeating: 0xFF, count: 16)
        entry.flags = 1
        entry.scopeName = Array("s".utf8)
        entry.resource["r"] = .string("x")
        let operators = "{type = \"file_output\", path = \"\(path)\"}"
        let (entries, tally) = try run(operators, [entry, StanzaOperatorTests.entry("b")])
        #expect(entries.isEmpty)
        #expect(tally == LogTally(written: 2))
        _ = try run(operators, [StanzaOperatorTests.entry("c")])
        let rest = #""timestamp":"0001-01-01T00:00:00Z","body":"%","severity":0,"scope_name":""}"#
        let observed = #"{"observed_timestamp":"2023-11-14T22:13:20Z","#
        #expect(
            try text(path) == observed + #""timestamp":"2023-11-14T22:13:20.5Z","body":"a <b>","#
                + #""attributes":{"f":1.5,"n":5},"resource":{"r":"x"},"severity_text":"info","#
                + #""span_id":"AQIDBAUGBwg=","trace_id":"/////////////////////w==","trace_flags":"AQ==","#
                + #""severity":9,"scope_name":"s"}"# + "\n"
                + ["b", "c"].map { observed + rest.replacing("%", with: $0) + "\n" }.joined())
    }

    @Test("file_output writes what its template makes; what the template cannot take is dropped")
    func template() throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        let path = directory + "/out.log"
        var entry = StanzaOperatorTests.entry("hello", ["user": "ann"])
        entry.severity = 18
        let format = "{{.Severity}} {{.Attributes.user}}: {{.Body}} {{len .Body}}\\n"
        let broken = StanzaEntry(body: .int(1), observed: 0)
        let (_, tally) = try run(
            "{type = \"file_output\", path = \"\(path)\", format = \"\(format)\"}", [entry, broken])
        #expect(try text(path) == "ERROR2 ann: hello 5\n")
        #expect(tally.written == 1 && tally.malformed == 1)
    }

    @Test("What cannot be written is counted, and the reason told")
    func unwritten() throws {
        let (entries, tally) = try run(
            #"{type = "file_output", path = "/nonexistent/directory/x"}"#, [StanzaOperatorTests.entry("a")])
        #expect(entries.isEmpty)
        #expect(tally.unwritten == 1 && tally.written == 0 && !tally.isQuiet)
        #expect("\(tally.problem.map { "\($0)" } ?? "")".contains("cannot open /nonexistent/directory/x"))
    }

    @Test("stdout and drop_output end a pipeline; routes lead around them")
    func ends() throws {
        let operators = #"""
            {type = "router", routes = [
              {expr = "body == 'drop'", output = "none"},
              {expr = "body == 'print'", output = "screen"},
            ], default = "rest"},
            {type = "drop_output", id = "none"},
            {type = "stdout", id = "screen"},
            {type = "noop", id = "rest"}
            """#
        let (entries, tally) = try run(
            operators, ["drop", "print", "go", "drop"].map { StanzaOperatorTests.entry($0) })
        #expect(entries.map(\.body) == ["go"])
        #expect(tally == LogTally(filtered: 2, written: 1))
    }

    @Test("An entry goes to a file and on when it is sent to both")
    func both() throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        let path = directory + "/out.log"
        let (entries, tally) = try run(
            """
            {type = "noop", output = ["file", "on"]},
            {type = "file_output", id = "file", path = "\(path)", format = "{{.Body}}\\n"},
            {type = "noop", id = "on"}
            """, [StanzaOperatorTests.entry("a")])
        #expect(entries.map(\.body) == ["a"])
        #expect(tally == LogTally(written: 1))
        #expect(try text(path) == "a\n")
    }

    @Test("The cache of regex_parser gives what the expression gives and holds no more than its size")
    func cache() throws {
        let operators = #"{type = "regex_parser", regex = "^(?P<a>\\w)(?P<b>\\w*)$", cache = {size = 2}}"#
        let bodies = ["xy", "xy", "zz", "q", "xy", "!", "zz"]
        let (entries, tally) = try run(operators, bodies.map { StanzaOperatorTests.entry($0) })
        #expect(entries.map { $0.attributes["b"] } == ["y", "y", "z", "", "y", nil, "z"])
        #expect(tally.malformed == 0 && tally.problem != nil)
        let cache = RegexCache(size: 2)
        var calls = 0
        for text in ["a", "a", "b", "a", "c", "a", "c"] {
            _ = try cache.value(of: Array(text.utf8)) { (text) throws(StanzaError) in
                calls += 1
                return OTLPAnyValue.Map()
            }
            #expect(cache.count <= 2)
        }
        // The first in is the first out: c makes a leave, a makes b leave.
        #expect(calls == 4)
    }

    @Test("The container parser puts what it read where parse_to says and joins by it")
    func container() throws {
        let operators =
            #"{type = "container", add_metadata_from_filepath = false, parse_to = "resource.line"}"#
        let (entries, tally) = try run(
            operators,
            [
                "2024-01-01T00:00:00Z stdout P one ", "2024-01-01T00:00:00Z stdout F two",
                #"{"log":"three","stream":"stderr","time":"2024-01-01T00:00:00Z","x":1}"#,
            ].map { StanzaOperatorTests.entry($0) })
        #expect(tally.problem == nil)
        #expect(entries.map(\.body) == ["one two", "three"])
        #expect(
            entries.map { OTLPText.string(.map($0.resource)) } == [
                #"{"line":{"log.iostream":"stdout","logtag":"F"}}"#, #"{"line":{"log.iostream":"stderr","x":1}}"#,
            ])
        #expect(entries.allSatisfy { $0.attributes.count == 0 })
    }
}
