import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing

@testable import PrometheusComponents

@Suite("prometheus.operator", .serialized)
struct PrometheusOperatorTests {
    private func body(_ double: KubernetesDouble, _ more: String = "") -> String {
        """
        forward_to = [recorder.metrics]
        \(more)
        client { api_server = "\(double.url)" }
        """
    }

    private func settle(_ harness: ComponentHarness, until condition: () -> Bool) -> Bool {
        harness.settle(until: {
            if condition() { return true }
            harness.advance(by: .seconds(5))
            return condition()
        })
    }

    private func samples(_ harness: ComponentHarness) -> [String] {
        harness.metrics.samples.filter { $0.contains("answered") }
    }

    private func monitor(_ double: KubernetesDouble, _ name: String, path: String = "/metrics") {
        double.put(
            "podmonitors",
            #"""
            {"metadata":{"name":"\#(name)","namespace":"ns","labels":{"use":"yes"}},"spec":{\#
            "selector":{"matchLabels":{"app":"web"}},"podMetricsEndpoints":[{"port":"metrics","interval":"10s",\#
            "path":"\#(path)"}]}}
            """#)
    }

    @Test("Pods of a monitor are scraped; monitors and pods come and go")
    func podMonitors() async throws {
        let double = try await KubernetesDouble()
        monitor(double, "m")
        let ports = [(name: "main", ports: ["metrics:\(double.port)", "http:1"])]
        double.putPod("ns", "web-0", ip: "127.0.0.1", labels: ["app": "web"], containers: ports)
        double.putPod("ns", "db-0", ip: "127.0.0.1", labels: ["app": "db"], containers: ports)
        let harness = ComponentHarness(PrometheusOperatorPodMonitors.self)
        #expect(harness.start(body(double)) == [])
        #expect(settle(harness) { !samples(harness).isEmpty })
        let labels =
            #"{__name__="answered", container="main", endpoint="metrics", instance="127.0.0.1:\#(double.port)", "#
            + #"job="ns/m", namespace="ns", pod="web-0"}"#
        #expect(samples(harness).allSatisfy { $0.hasPrefix(labels) }, "\(samples(harness))")
        #expect(harness.health?.message == "using 1 objects")
        try explains(harness, port: double.port)
        // Targets are listed with what was discovered, and those that the monitor's rules drop with the rule.
        let sources = harness.services.scrapes.sources
        let targets = sources.flatMap(\.targetReports)
        #expect(targets.count == 1 && targets[0].discoveredLabels["__meta_kubernetes_pod_name"] == "web-0")
        let dropped = sources.map { $0.droppedTargets(limit: 100) }
        #expect(dropped.contains { $0.items.contains { $0.labels["__meta_kubernetes_pod_name"] == "db-0" } })
        #expect(Set(sources.map(\.componentID)) == ["prometheus.operator.podmonitors.test"])
        double.putPod("ns", "web-1", ip: "127.0.0.1", labels: ["app": "web"], containers: ports)
        #expect(settle(harness) { samples(harness).contains { $0.contains("web-1") } })
        double.delete("podmonitors", "ns", "m")
        #expect(settle(harness) { samples(harness).filter { $0.contains(" stale ") }.count == 2 })
        #expect(harness.finish() == [])
    }

    /// A pod's explanation has the target that is scraped, and tells of others that they are not.
    private func explains(_ harness: ComponentHarness, port: Int) throws {
        func explanation(_ item: ExplainedItem) -> Explanation? {
            guard case .explained(let explanation) = harness.instance.explain(item) else { return nil }
            return explanation
        }
        let web = try #require(explanation(ExplainedItem(.pod, ["namespace": "ns", "name": "web-0"])))
        #expect(
            web.results.map(\.item.labels) == [
                [
                    "__name__": "up", "container": "main", "endpoint": "metrics", "instance": "127.0.0.1:\(port)",
                    "job": "ns/m", "namespace": "ns", "pod": "web-0",
                ]
            ])
        #expect(web.results.map(\.exit) == [.receivers(["recorder.metrics"])])
        #expect(web.steps.contains { $0.title.hasPrefix("relabeling 1: ") })
        let other = try #require(explanation(ExplainedItem(.pod, ["namespace": "ns", "name": "db-0"])))
        #expect(other.results.isEmpty)
        var object = ExplainedItem(.pod, ["namespace": "ns", "name": "new"])
        object.object = Array(
            #"""
            {"metadata":{"name":"new","namespace":"ns","labels":{"app":"web"}},"spec":{"containers":[{"name":"c","ports":\#
            [{"name":"metrics","containerPort":8080}]}]},"status":{"podIP":"10.0.0.9","phase":"Running"}}
            """#.utf8)
        let given = try #require(explanation(object))
        #expect(given.results.map { $0.item.labels["instance"] } == ["10.0.0.9:8080"])
    }

    @Test("A monitor that changes is followed, and one that makes no sense is told")
    func changes() async throws {
        let double = try await KubernetesDouble()
        monitor(double, "m")
        double.put(
            "podmonitors",
            #"{"metadata":{"name":"bad","namespace":"ns"},"spec":{"podMetricsEndpoints":[{"interval":"x"}]}}"#)
        let ports = [(name: "main", ports: ["metrics:\(double.port)"])]
        double.putPod("ns", "web-0", ip: "127.0.0.1", labels: ["app": "web"], containers: ports)
        let harness = ComponentHarness(PrometheusOperatorPodMonitors.self)
        harness.start(body(double))
        #expect(settle(harness) { !samples(harness).isEmpty })
        #expect(harness.health?.message.contains("ns/bad: invalid duration") == true)
        monitor(double, "m", path: "/other/metrics")
        #expect(settle(harness) { double.requests.contains("GET /other/metrics") })
        harness.update(body(double, "selector { match_labels = {use = \"no\"} }"))
        #expect(settle(harness) { harness.health?.message == "using 0 objects" })
        #expect(harness.finish() == [])
    }

    @Test("Fixed targets of scrape configurations and probes are asked")
    func fixedTargets() async throws {
        let double = try await KubernetesDouble()
        double.put(
            "scrapeconfigs",
            #"""
            {"metadata":{"name":"c","namespace":"ns"},"spec":{"staticConfigs":[\#
            {"targets":["127.0.0.1:\#(double.port)"],"labels":{"l":"v"}}]}}
            """#)
        double.put(
            "probes",
            #"""
            {"metadata":{"name":"p","namespace":"ns"},"spec":{"prober":{"url":"127.0.0.1:\#(double.port)"},\#
            "targets":{"staticConfig":{"static":["https://a.example"]}}}}
            """#)
        let configs = ComponentHarness(PrometheusOperatorScrapeConfigs.self)
        configs.start(body(double))
        #expect(
            settle(configs) { samples(configs).contains { $0.contains(#"job="scrapeConfig/ns/c/static/0", l="v""#) } })
        #expect(configs.finish() == [])
        let probes = ComponentHarness(PrometheusOperatorProbes.self)
        probes.start(body(double))
        #expect(settle(probes) { samples(probes).contains { $0.contains(#"instance="https://a.example""#) } })
        #expect(double.requests.contains("GET /probe?target=https%3A%2F%2Fa.example"))
        #expect(probes.finish() == [])
    }

    @Test("A list that does not come in time is told")
    func timeout() async throws {
        let double = try await KubernetesDouble()
        double.forbid(["list servicemonitors"])
        let harness = ComponentHarness(PrometheusOperatorServiceMonitors.self)
        harness.start(body(double, "informer_sync_timeout = \"30s\""))
        #expect(settle(harness) { harness.logSink.lines.contains { $0.contains("Timeout while listing objects") } })
        #expect(harness.health?.state == .unhealthy)
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused",
        arguments: [
            ("kubernetes_role = \"pod\"", "\"kubernetes_role\" must be"),
            ("informer_sync_timeout = \"0s\"", "\"informer_sync_timeout\" must be greater than 0"),
            ("scrape {\n default_scrape_timeout = \"2m\"\n}", "must not be greater than default_scrape_interval"),
        ])
    func arguments(more: String, problem: String) {
        let harness = ComponentHarness(PrometheusOperatorServiceMonitors.self)
        let problems = harness.evaluate("forward_to = []\n\(more)")
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
