import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import TextFormats
import Wire

@testable import InvarComponents

@Suite("invar.recent")
struct InvarRecentTests {
    private static let now: Int64 = 1_700_000_000_000

    private func harness(_ body: String = "") -> ComponentHarness {
        let harness = ComponentHarness(InvarRecent.self, wallNanoseconds: Self.now * 1_000_000)
        #expect(harness.start(body) == [])
        return harness
    }

    private func send(_ harness: ComponentHarness, _ samples: [(LabelSet, Double, Int64)]) throws {
        var writer = SeriesTable.Writer()
        let refs = samples.map { writer.append($0.0) }
        var batch = MetricBatch(table: writer.table)
        for (ref, sample) in zip(refs, samples) { batch.append(ref, sample.1, at: sample.2) }
        let receiver: Receiver<MetricBatch>? = harness.export("metrics_receiver")
        let sent = batch
        try harness.run { try await #require(receiver).consume(sent) }
    }

    private func send(_ harness: ComponentHarness, logs: [(String, LabelSet)], at time: Int64 = now) throws {
        var batch = LogBatch()
        for (line, labels) in logs { batch.append(line, labels: labels, timestamp: time * 1_000_000) }
        let receiver: Receiver<LogBatch>? = harness.export("logs_receiver")
        let sent = batch
        try harness.run { try await #require(receiver).consume(sent) }
    }

    private func ask(_ harness: ComponentHarness, _ path: String, _ query: [(String, String)] = []) throws -> JSONValue
    {
        let handler = try #require(harness.services.handlers.handler(for: "invar.recent.test"))
        let request = ComponentRequest(path: path, query: query.map { (name: $0.0, value: $0.1) })
        let answer = try harness.run { await handler(request) }
        return try JSONValue(parsing: answer.body)
    }

    private func held(_ harness: ComponentHarness) throws -> Int64 {
        try #require(try ask(harness, "/status")["size"]?.intValue)
    }

    @Test("Samples are found by selector, thinned, and counters shown as rates over their resets")
    func metrics() throws {
        let harness = harness()
        let counter: LabelSet = ["__name__": "hits_total", "job": "a\"<b>"]
        for (index, value) in [10.0, 40, 5, 35].enumerated() {
            try send(
                harness,
                [
                    (counter, value, Self.now - 40_000 + Int64(index) * 10_000),
                    (["__name__": "load", "job": "c"], Double(index), Self.now - 40_000 + Int64(index) * 10_000),
                ])
        }
        let series = try ask(harness, "/series", [("match", "hits_total")])
        #expect(series["series"]?.arrayValue?.count == 1)
        #expect(series["series"]?[0]?["labels"]?["job"]?.stringValue == "a\"<b>")
        #expect(series["series"]?[0]?["type"]?.stringValue == "counter")
        #expect(series["series"]?[0]?["last"]?[1]?.doubleValue == 35)
        let rates = try ask(harness, "/range", [("match", "{job=~\"a.*\"}"), ("rate", "true")])
        let points = rates["series"]?[0]?["points"]?.arrayValue?.compactMap { $0[1]?.doubleValue }
        #expect(points == [3, 0.5, 3])
        let range = try ask(
            harness, "/range",
            [("match", "load"), ("start", "\(Self.now - 40_000)"), ("end", "\(Self.now)"), ("points", "2")])
        // The last sample of each half.
        #expect(range["series"]?[0]?["points"]?.arrayValue?.compactMap { $0[1]?.doubleValue } == [1, 3])
        #expect(try ask(harness, "/labels")["names"]?.arrayValue?.count == 2)
        #expect(try ask(harness, "/values", [("name", "job")])["values"]?.arrayValue?.count == 2)
        #expect(harness.finish() == [])
    }

    @Test(
        "Samples that are not newer than what is there are dropped and counted; a new value for the same time is kept")
    func disorder() throws {
        let harness = harness()
        let labels: LabelSet = ["__name__": "m", "hostile": "\u{2028}<script>&\"'\\"]
        try send(harness, [(labels, 1, Self.now), (labels, 2, Self.now - 1_000), (labels, 3, Self.now)])
        let statement = harness.instance.ledger.statement
        #expect(statement.dropped.map { "\($0.reason.name) \($0.items)" } == ["too_old 1"])
        #expect(statement.outgoing == 2)
        let series = try ask(harness, "/series", [("match", "m")])["series"]?[0]
        #expect(series?["last"]?[1]?.doubleValue == 3 && series?["samples"]?.intValue == 1)
        #expect(series?["labels"]?["hostile"]?.stringValue == "\u{2028}<script>&\"'\\")
        #expect(harness.finish() == [])
    }

    @Test("Entries are found by labels, words and patterns, and followed with a cursor")
    func logs() throws {
        let harness = harness()
        try send(harness, logs: [("GET /a+b 200", ["job": "web"]), ("<script>alert(1)</script>", ["job": "db"])])
        let first = try ask(harness, "/logs")
        #expect(
            first["entries"]?.arrayValue?.compactMap { $0["line"]?.stringValue }
                == ["GET /a+b 200", "<script>alert(1)</script>"])
        let cursor = try #require(first["cursor"]?.stringValue)
        #expect(try ask(harness, "/logs", [("after", cursor)])["entries"]?.arrayValue?.isEmpty == true)
        try send(harness, logs: [("later", ["job": "web"])])
        let later = try ask(harness, "/logs", [("after", cursor)])
        #expect(later["entries"]?.arrayValue?.compactMap { $0["line"]?.stringValue } == ["later"])
        func lines(_ query: [(String, String)]) throws -> [String] {
            try ask(harness, "/logs", query)["entries"]?.arrayValue?.compactMap { $0["line"]?.stringValue } ?? []
        }
        #expect(try lines([("match", "{job=\"web\"}")]) == ["GET /a+b 200", "later"])
        #expect(try lines([("text", "get /A+B")]) == ["GET /a+b 200"])
        #expect(try lines([("regex", "^later$|alert.1")]) == ["<script>alert(1)</script>", "later"])
        #expect(try lines([("limit", "1")]) == ["later"])
        #expect(try ask(harness, "/logs", [("limit", "1")])["truncated"]?.boolValue == true)
        #expect(harness.finish() == [])
    }

    @Test("Much more than the limit leaves what came last, within the limit, with everything counted")
    func bounds() throws {
        let harness = harness("max_size = \"1MiB\"")
        let line = String(repeating: "x", count: 1_000)
        var most: Int64 = 0
        for round in 0..<40 {
            harness.clock.advance(by: .seconds(1))
            try send(harness, logs: (0..<100).map { ("\(round) \($0) \(line)", ["job": "j\($0 % 7)"]) })
            try send(
                harness,
                (0..<200).map { (["__name__": "m", "i": "\($0)"], 1, Self.now + Int64(round + 1) * 1_000) })
            most = max(most, try held(harness))
        }
        #expect(most <= 1 << 20)
        #expect(harness.services.budget.usage.bytes <= 1 << 20)
        let newest = try ask(harness, "/logs", [("limit", "1")])
        #expect(newest["entries"]?[0]?["line"]?.stringValue?.hasPrefix("39 99 ") == true)
        let status = try ask(harness, "/status")
        let evicted = try #require(status["evicted"]?["size"]?.intValue)
        let kept = (status["entries"]?.intValue ?? 0) + (status["samples"]?.intValue ?? 0)
        #expect(evicted + kept == 40 * 300)
        #expect(harness.finish() == [])
        #expect(harness.services.budget.usage.bytes == 0)
    }

    @Test("What is older than the retention goes, while nothing comes too")
    func age() throws {
        let harness = harness("retention = \"1m\"")
        try send(harness, [(["__name__": "m"], 1, Self.now)])
        try send(harness, logs: [("old", ["job": "a"])])
        harness.clock.advance(by: .seconds(30))
        try send(harness, logs: [(String(repeating: "y", count: 70_000), ["job": "a"])])
        #expect(try ask(harness, "/logs")["entries"]?.arrayValue?.count == 2)
        harness.clock.advance(by: .seconds(45))
        try harness.run {}
        #expect(try ask(harness, "/series")["series"]?.arrayValue?.isEmpty == true)
        harness.clock.advance(by: .seconds(60))
        try harness.run {}
        let status = try ask(harness, "/status")
        #expect(status["entries"]?.intValue == 0 && status["samples"]?.intValue == 0)
        #expect(status["evicted"]?["age"]?.intValue == 3)
        #expect(harness.finish() == [])
    }

    @Test("Spans come together as traces; metrics and logs of OpenTelemetry are kept with their names")
    func telemetry() throws {
        let harness = harness()
        let receiver: Receiver<OTLPBatch>? = harness.export("input")
        func send(_ text: String, _ kind: OTLPBatch.Kind) throws {
            let bytes = try Array(text.utf8).withUnsafeBytes { try OTLPJSON.decode($0, as: kind) }
            let count = try bytes.withUnsafeBytes { try OTLPScanner.scan($0, as: kind) }
            let batch = OTLPBatch(kind: kind, bytes: bytes, itemCount: count)
            try harness.run { try await #require(receiver).consume(batch) }
        }
        let resource = #""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]}"#
        try send(
            "{\"resourceSpans\":[{\(resource),\"scopeSpans\":[{\"spans\":["
                + #"{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"buy","kind":2,"#
                + #""startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000500000000","#
                + #""events":[{"timeUnixNano":"1700000000100000000","name":"retry"}]},"#
                + #"{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"1112131415161718","#
                + #""parentSpanId":"0102030405060708","name":"pay","kind":3,"startTimeUnixNano":"1700000000100000000","#
                + #""endTimeUnixNano":"1700000000300000000","status":{"code":2,"message":"no money"}}]}]}]}"#, .traces)
        let traces = try ask(harness, "/traces", [("errors", "true")])
        #expect(traces["traces"]?[0]?["name"]?.stringValue == "buy")
        #expect(traces["traces"]?[0]?["duration"]?.doubleValue == 500)
        let trace = try ask(harness, "/trace", [("id", "0102030405060708090A0B0C0D0E0F10")])
        #expect(trace["spans"]?.arrayValue?.compactMap { $0["name"]?.stringValue } == ["buy", "pay"])
        #expect(trace["spans"]?[1]?["parent"]?.stringValue == "0102030405060708")
        #expect(trace["spans"]?[1]?["message"]?.stringValue == "no money")
        #expect(trace["spans"]?[0]?["events"]?[0]?["name"]?.stringValue == "retry")
        #expect(trace["spans"]?[0]?["resource"]?["service.name"]?.stringValue == "shop")
        #expect(try ask(harness, "/trace", [("id", "ff")])["error"] != nil)

        try send(
            "{\"resourceMetrics\":[{\(resource),\"scopeMetrics\":[{\"metrics\":[{\"name\":\"sold\",\"unit\":\"1\",\"sum\":"
                + #"{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"timeUnixNano":"1700000000000000000","#
                + #""asInt":"7","attributes":[{"key":"what","value":{"stringValue":"tea"}}]}]}}]}]}]}"#, .metrics)
        let sold = try ask(harness, "/series", [("match", "sold{job=\"shop\"}")])
        #expect(sold["series"]?[0]?["type"]?.stringValue == "counter")
        #expect(sold["series"]?[0]?["labels"]?["what"]?.stringValue == "tea")
        #expect(sold["series"]?[0]?["last"]?[1]?.doubleValue == 7)

        try send(
            "{\"resourceLogs\":[{\(resource),\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"1700000000000000000\","
                + #""severityNumber":17,"body":{"stringValue":"out of tea"}}]}]}]}"#, .logs)
        let entry = try ask(harness, "/logs", [("match", "{level=\"error\"}")])["entries"]?[0]
        #expect(entry?["line"]?.stringValue == "out of tea")
        #expect(entry?["labels"]?["service_name"]?.stringValue == "shop")
        #expect(harness.finish() == [])
    }

    @Test(
        "A wrong question is told why",
        arguments: [
            ("/range", "points", "x"), ("/range", "start", "99999999999999"), ("/series", "match", "{a=~\"(\"}"),
            ("/series", "match", "m{a"), ("/logs", "regex", "("), ("/logs", "after", "-1"), ("/logs", "limit", "0"),
            ("/traces", "errors", "maybe"), ("/values", "kind", "metrics"), ("/labels", "kind", "spans"),
            ("/series", "other", "1"), ("/trace", "id", ""), ("/nothing", "", ""),
            ("/logs", "match", "{a=\"b\"} |= \"c\""),
        ])
    func wrongQuestions(_ path: String, _ name: String, _ value: String) throws {
        let harness = harness()
        let answer = try ask(harness, path, name.isEmpty ? [] : [(name, value)])
        #expect((answer["error"]?.stringValue ?? "").count > 5, "\(answer)")
        #expect(harness.finish() == [])
    }

    @Test("Arguments are checked, and new ones are kept to at once")
    func arguments() throws {
        for (body, word) in [("retention = \"1s\"", "retention"), ("max_size = \"10KiB\"", "max_size")] {
            let harness = ComponentHarness(InvarRecent.self)
            #expect(harness.start(body).contains { $0.contains(word) })
        }
        let harness = harness("max_size = \"8MiB\"")
        let line = String(repeating: "z", count: 30_000)
        for round in 0..<100 {
            harness.clock.advance(by: .seconds(1))
            try send(harness, logs: [("\(round) \(line)", ["job": "a"])])
        }
        #expect(try held(harness) > 2 << 20)
        #expect(harness.evaluate("max_size = \"2MiB\"") == [])
        #expect(try held(harness) <= 2 << 20)
        #expect(harness.finish() == [])
    }

    @Test("Names of Invar's own components begin with its name")
    func names() { #expect(invarComponents.allSatisfy { $0.spec.name.hasPrefix("invar.") }) }
}
