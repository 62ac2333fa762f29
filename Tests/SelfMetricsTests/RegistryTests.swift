import SelfMetrics
import Testing

@Suite("MetricRegistry")
struct RegistryTests {
    @Test("Scopes label their metrics, equal names merge, and a released scope vanishes")
    func scopes() {
        let registry = MetricRegistry()
        let a = registry.scope(labels: [("component_id", "a")])
        a.counter("hits_total", "Hits.").add(2)
        do {
            let b = registry.scope(labels: [("component_id", "b\"\n\\")])
            b.counter("hits_total", "Hits.").add(3)
            let text = String(decoding: Exposition.text(registry.collect()), as: UTF8.self)
            #expect(
                text == #"""
                    # HELP hits_total Hits.
                    # TYPE hits_total counter
                    hits_total{component_id="a"} 2
                    hits_total{component_id="b\"\n\\"} 3

                    """#)
        }
        #expect(registry.collect().first?.samples.count == 1)
    }

    @Test("Asking twice returns the same instrument; labelled series can be removed")
    func instruments() {
        let scope = MetricRegistry().scope()
        #expect(scope.counter("x_total", "X.") === scope.counter("x_total", "X."))
        #expect(scope.counter("x_total", "X.", labels: ["a": "1"]) !== scope.counter("x_total", "X."))
        scope.gauge("g", "G.", labels: ["a": "1"]).set(4)
        scope.remove("g", labels: ["a": "1"])
        #expect(scope.gauge("g", "G.", labels: ["a": "1"]).value == 0)
    }

    @Test("Histograms are cumulative and end in +Inf")
    func histograms() {
        let registry = MetricRegistry()
        let scope = registry.scope()
        let histogram = scope.histogram("h_seconds", "H.", bounds: [0.5, 1])
        for value in [0.1, 0.5, 0.7, 9] { histogram.observe(value) }
        let lines = String(decoding: Exposition.text(registry.collect()), as: UTF8.self).split(separator: "\n")
        #expect(
            lines.dropFirst(2) == [
                #"h_seconds_bucket{le="0.5"} 2"#, #"h_seconds_bucket{le="1"} 3"#, #"h_seconds_bucket{le="+Inf"} 4"#,
                "h_seconds_sum 10.3", "h_seconds_count 4",
            ])
    }

    @Test(
        "Numbers print as they read back",
        arguments: [(1.0, "1"), (0.25, "0.25"), (1e21, "1e+21"), (.infinity, "+Inf")])
    func numbers(value: Double, text: String) { #expect(Exposition.number(value) == text) }
}
