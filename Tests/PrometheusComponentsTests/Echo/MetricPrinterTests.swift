import PrometheusComponents
import Telemetry
import Testing

@Suite("MetricPrinter")
struct MetricPrinterTests {
    private func sample() -> MetricBatch {
        var writer = SeriesTable.Writer()
        let ref = writer.append([("__name__", "requests_total"), ("code", "2\"0")].asLabels)
        var batch = MetricBatch(table: writer.table)
        batch.append(ref, 3, at: 1500)
        batch.metadata = [MetricMetadata(family: "requests_total", kind: .counter, help: "All\nrequests")]
        batch.exemplars = [ExemplarSample(series: ref, labels: [("trace", "a")].asLabels, value: 1, timestamp: 1000)]
        return batch
    }

    @Test("The text format names families once and escapes label values")
    func text() {
        let text = String(decoding: MetricPrinter.print(sample(), isOpenMetrics: false), as: UTF8.self)
        #expect(
            text == """
                # HELP requests_total All\\nrequests
                # TYPE requests_total counter
                requests_total{code="2\\"0"} 3 1500

                """)
    }

    @Test("OpenMetrics has seconds, exemplars and an end")
    func openMetrics() {
        let text = String(decoding: MetricPrinter.print(sample(), isOpenMetrics: true), as: UTF8.self)
        #expect(text.hasSuffix(#"requests_total{code="2\"0"} 3 1.5 # {trace="a"} 1 1"# + "\n# EOF\n"))
    }
}

extension Array where Element == (String, String) {
    fileprivate var asLabels: LabelSet { LabelSet(self) }
}
