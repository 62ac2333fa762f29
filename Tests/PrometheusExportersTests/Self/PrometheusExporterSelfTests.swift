import ComponentKit
import PrometheusExporters
import SelfMetrics
import Telemetry
import TestKit
import Testing

@Suite("prometheus.exporter.self")
struct PrometheusExporterSelfTests {
    @Test("The target leads back into the process and has the labels of Alloy")
    func target() throws {
        let harness = ComponentHarness(PrometheusExporterSelf.self, label: "me")
        #expect(harness.start("") == [])
        let targets: [Target] = try #require(harness.export("targets"))
        #expect(targets.count == 1)
        let labels = targets[0].labels
        #expect(labels["__address__"] == "alloy.internal:12345")
        #expect(labels["__metrics_path__"] == "/api/v0/component/prometheus.exporter.self.me/metrics")
        #expect(labels["__scheme__"] == "http")
        #expect(labels["job"] == "integrations/self")
        #expect(labels["instance"]?.isEmpty == false)
        #expect(labels["__meta_component_name"] == "prometheus.exporter.self")
        #expect(labels["__meta_component_id"] == "prometheus.exporter.self.me")
        #expect(labels.count == 7)
        #expect(harness.finish() == [])
    }

    @Test("The page is the exposition of the registry")
    func page() throws {
        let harness = ComponentHarness(PrometheusExporterSelf.self)
        harness.start("")
        let scope = harness.services.metrics.scope(labels: [("component_id", "x")])
        scope.counter("things_total", "Things.").add(3)
        let (response, text) = try harness.get()
        #expect(response.status == 200)
        #expect(response.contentType == "text/plain; version=0.0.4; charset=utf-8")
        #expect(text.contains("# TYPE things_total counter\nthings_total{component_id=\"x\"} 3\n"))
        #expect(try harness.get("/other").response.status == 404)
        #expect(harness.finish() == [])
    }

    @Test("It takes no arguments")
    func arguments() {
        let problems = ComponentHarness(PrometheusExporterSelf.self).evaluate("x = 1")
        #expect(problems.contains { $0.contains("unrecognized attribute name \"x\"") }, "\(problems)")
    }
}
