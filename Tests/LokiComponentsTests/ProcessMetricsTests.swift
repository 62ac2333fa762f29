import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import TestKit
import Testing

@Suite("loki.process: stage.metrics")
struct ProcessMetricsTests {
    private func metric(_ kind: String, _ arguments: String) -> String {
        "stage.json { expressions = { v = \"\", d = \"\" } }\nstage.metrics {\nmetric.\(kind) {\n\(arguments)\n}\n}"
    }

    @Test("Counters and gauges do what their action says, for each label set")
    func actions() throws {
        let cases: [(String, String, String, Double?)] = [
            ("counter", "name = \"c_total\"\naction = \"inc\"\nsource = \"v\"", "c_total", 3),
            ("counter", "name = \"c_total\"\naction = \"add\"\nsource = \"v\"", "c_total", 7),
            ("counter", "name = \"c_total\"\naction = \"inc\"\nsource = \"v\"\nvalue = \"2\"", "c_total", 1),
            ("counter", "name = \"c_total\"\naction = \"inc\"\nmatch_all = true", "c_total", 4),
            (
                "counter", "name = \"c_total\"\naction = \"add\"\nmatch_all = true\ncount_entry_bytes = true",
                "c_total",
                26
            ),
            ("gauge", "name = \"v\"\naction = \"set\"", "v", 4),
            ("gauge", "name = \"g\"\naction = \"dec\"\nsource = \"v\"", "g", -3),
            ("gauge", "name = \"g\"\naction = \"sub\"\nsource = \"v\"", "g", -7),
            ("gauge", "name = \"g\"\naction = \"add\"\nsource = \"d\"", "g", 0.5),
        ]
        for (kind, arguments, name, expected) in cases {
            let fixture = ProcessFixture(metric(kind, arguments))
            #expect(fixture.problems == [])
            try fixture.send([#"{"v":1}"#, #"{"v":2}"#, #"{"v":4}"#, "other"].map { InputEntry($0) })
            if arguments.contains("\"d\"") { try fixture.send([InputEntry(#"{"d":"500ms"}"#)]) }
            let labels = ["job": "a", "component_id": "loki.process.test"]
            #expect(fixture.harness.metric("loki_process_custom_" + name, labels) == expected, "\(kind) \(arguments)")
            #expect(fixture.harness.finish() == [])
        }
    }

    @Test("Histograms count observations in their buckets")
    func histogram() throws {
        let fixture = ProcessFixture(
            metric("histogram", "name = \"h\"\nprefix = \"my_\"\nsource = \"v\"\nbuckets = [1, 2.5]"))
        try fixture.send([#"{"v":1}"#, #"{"v":2}"#, #"{"v":4}"#].map { InputEntry($0) })
        #expect(fixture.harness.metric("my_h_bucket", ["le": "1"]) == 1)
        #expect(fixture.harness.metric("my_h_bucket", ["le": "2.5"]) == 2)
        #expect(fixture.harness.metric("my_h_bucket", ["le": "+Inf"]) == 3)
        #expect(fixture.harness.metric("my_h_sum") == 7)
        #expect(fixture.harness.metric("my_h_count") == 3)
        #expect(fixture.harness.finish() == [])
    }

    @Test("Idle series are removed after they were shown, and begin anew")
    func idle() throws {
        let fixture = ProcessFixture(
            metric("counter", "name = \"c_total\"\naction = \"inc\"\nsource = \"v\"\nmax_idle_duration = \"10s\""))
        let name = "loki_process_custom_c_total"
        try fixture.send([InputEntry(#"{"v":1}"#)])
        fixture.harness.advance(by: .seconds(9))
        #expect(fixture.harness.metric(name) == 1)
        fixture.harness.advance(by: .seconds(1))
        #expect(fixture.harness.metric(name) == 1)
        #expect(fixture.harness.metric(name) == nil)
        try fixture.send([InputEntry(#"{"v":1}"#)])
        #expect(fixture.harness.metric(name) == 1)
        #expect(fixture.harness.finish() == [])
    }

    @Test("Reserved labels are not shown; a reload forgets all series")
    func labels() throws {
        let stages = metric("gauge", "name = \"g\"\naction = \"set\"\nsource = \"v\"")
        let fixture = ProcessFixture(stages)
        try fixture.send([InputEntry(#"{"v":1}"#, ["__x__": "1", "job": "a"])])
        let family = try #require(
            fixture.harness.services.metrics.collect().first { $0.name == "loki_process_custom_g" })
        #expect(family.samples.map { $0.labels.map(\.name) } == [["component_id", "component_path", "job"]])
        fixture.harness.update(ProcessFixture.body(stages + "\nstage.cri { }"))
        #expect(fixture.harness.metric("loki_process_custom_g") == nil)
        #expect(fixture.harness.finish() == [])
    }

    @Test("Series are booked on the memory budget; without memory observations are refused and counted")
    func memory() throws {
        let fixture = ProcessFixture(
            "stage.metrics {\nmetric.counter {\nname = \"c\"\naction = \"inc\"\nmatch_all = true\n}\n}")
        #expect(fixture.problems == [])
        let before = fixture.harness.services.budget.usage.bytes
        try fixture.send((0..<50).map { InputEntry("x", ["job": "job-\($0)"]) })
        let perSeries = (fixture.harness.services.budget.usage.bytes - before) / 50
        #expect((160...400).contains(perSeries))
        let refused = "invar_loki_process_observations_refused_total"
        #expect(fixture.harness.metric(refused) == 0)
        let other = fixture.harness.services.budget.account("other")
        other.book(fixture.harness.services.budget.limit.bytes)
        try fixture.send([InputEntry("x", ["job": "job-1"]), InputEntry("x", ["job": "late"])])
        #expect(fixture.harness.metric(refused) == 1)
        #expect(fixture.harness.metric("loki_process_custom_c", ["job": "job-1"]) == 2)
        other.release(fixture.harness.services.budget.limit.bytes)
        #expect(fixture.harness.finish() == [])
        #expect(fixture.harness.services.budget.usage.bytes == before)
    }

    @Test("The values stage.limit remembers are booked, and those it forgets are given back")
    func limitMemory() throws {
        let fixture = ProcessFixture(
            "stage.limit {\nrate = 1\nburst = 1\ndrop = true\nby_label_name = \"job\"\nmax_distinct_labels = 10000\n}")
        let before = fixture.harness.services.budget.usage.bytes
        func held() -> Int { fixture.harness.services.budget.usage.bytes - before }
        func send(_ range: Range<Int>) throws {
            try fixture.send(range.map { InputEntry("x", ["job": "\($0 + 10_000)"]) })
            _ = fixture.take()
        }
        try send(0..<9_999)
        let full = held()
        #expect(full == 9_999 * 165)
        try send(9_999..<20_001)
        // One value new, 10,000 of the round before; the first 10,000 are forgotten.
        #expect(held() == 10_001 * 165)
        #expect(fixture.harness.finish() == [])
        #expect(held() == 0)
    }
}
