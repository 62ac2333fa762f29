import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.source.podlogs", .serialized)
struct LokiSourcePodLogsTests {
    private func body(_ double: KubernetesDouble, _ more: String = "") -> String {
        """
        forward_to = [recorder.logs]
        \(more)
        client { api_server = "\(double.url)" }
        """
    }

    private func fill(_ double: KubernetesDouble) {
        double.put("namespaces", #"{"metadata":{"name":"ns","labels":{"team":"t"}}}"#)
        double.put("namespaces", #"{"metadata":{"name":"other"}}"#)
        double.putPod("ns", "web", node: "n1", ip: "1", labels: ["app": "web"], containers: [("main", ["http:80"])])
        double.putPod("other", "web2", node: "n2", ip: "2", labels: ["app": "web"], containers: [("main", [])])
        double.putPod("ns", "db", node: "n1", ip: "3", labels: ["app": "db"], containers: [("main", [])])
        for (namespace, pod) in [("ns", "web"), ("other", "web2"), ("ns", "db")] {
            double.appendLog(namespace, pod, "main", time: "2026-01-01T00:00:01Z", "from \(pod)")
        }
    }

    private static let podLogs = #"""
        {"metadata":{"name":"logs","namespace":"ns","labels":{"use":"yes"}},"spec":{\#
        "selector":{"matchLabels":{"app":"web"}},\#
        "namespaceSelector":{"matchExpressions":[{"key":"team","operator":"Exists"}]},\#
        "relabelings":[{"sourceLabels":["__meta_kubernetes_podlogs_name"],"targetLabel":"podlogs"},\#
        {"action":"Drop","sourceLabels":["__meta_kubernetes_pod_container_name"],"regex":"side"}]}}
        """#

    @Test("PodLogs objects select pods, namespaces and labels; changes of any of them count")
    func selecting() async throws {
        let double = try await KubernetesDouble()
        fill(double)
        double.put("podlogs", Self.podLogs)
        let harness = ComponentHarness(LokiSourcePodLogs.self)
        #expect(harness.start(body(double)) == [])
        #expect(harness.settleInTime { harness.logs.itemCount == 1 })
        #expect(harness.logs.lines == [#"{instance="ns/web:main", job="ns/logs:main", podlogs="logs"} from web"#])
        guard
            case .explained(let web) = harness.instance.explain(
                ExplainedItem(.pod, ["namespace": "ns", "name": "web"])),
            case .explained(let db) = harness.instance.explain(ExplainedItem(.pod, ["namespace": "ns", "name": "db"]))
        else {
            Issue.record("the pods are not explained")
            return
        }
        #expect(web.results.map(\.item.labels) == harness.logs.batches.flatMap(\.streams))
        #expect(db.results.isEmpty && db.steps.map(\.outcome) == [.dropped])
        double.put("namespaces", #"{"metadata":{"name":"other","labels":{"team":"u"}}}"#)
        #expect(harness.settleInTime { harness.logs.itemCount == 2 })
        #expect(harness.logs.lines.last?.hasSuffix("from web2") == true)
        double.delete("podlogs", "ns", "logs")
        #expect(harness.settleInTime { double.followerCount == 0 })
        #expect(harness.finish() == [])
    }

    @Test("Selectors and the node filter of the component narrow what is used")
    func narrowing() async throws {
        let double = try await KubernetesDouble()
        fill(double)
        double.put("podlogs", #"{"metadata":{"name":"all","namespace":"other"},"spec":{"selector":{}}}"#)
        let harness = ComponentHarness(LokiSourcePodLogs.self)
        harness.start(
            body(double, "node_filter {\n enabled = true\n node_name = \"n1\"\n}\npreserve_discovered_labels = true"))
        #expect(harness.settleInTime { harness.logs.itemCount == 2 })
        #expect(harness.logs.lines.allSatisfy { $0.contains("__meta_kubernetes_pod_node_name=\"n1\"") })
        harness.update(body(double, "selector { match_labels = {use = \"yes\"} }"))
        #expect(harness.settleInTime { double.followerCount == 0 })
        #expect(harness.finish() == [])
    }

    @Test("With tail_from_end only new lines are read")
    func tailingFromEnd() async throws {
        let double = try await KubernetesDouble()
        fill(double)
        double.put("podlogs", Self.podLogs)
        let harness = ComponentHarness(LokiSourcePodLogs.self, wallNanoseconds: 1_767_225_700_000_000_000)
        harness.start(body(double, "tail_from_end = true"))
        #expect(harness.settleInTime { double.followerCount == 1 })
        double.appendLog("ns", "web", "main", time: "2026-01-01T01:00:00Z", "new")
        #expect(harness.settleInTime { harness.logs.itemCount >= 1 })
        #expect(harness.logs.lines.map { $0.hasSuffix(" new") } == [true])
        #expect(harness.finish() == [])
    }

    @Test("An object with rules that make no sense is told and the others go on")
    func broken() async throws {
        let double = try await KubernetesDouble()
        fill(double)
        double.put("podlogs", Self.podLogs)
        double.put(
            "podlogs",
            #"{"metadata":{"name":"bad","namespace":"ns"},"spec":{"relabelings":[{"action":"nonsense"}]}}"#)
        let harness = ComponentHarness(LokiSourcePodLogs.self)
        harness.start(body(double))
        #expect(harness.settleInTime { harness.logs.itemCount == 1 })
        #expect(harness.logSink.lines.contains { $0.contains("unknown relabel action \"nonsense\"") })
        #expect(harness.finish() == [])
    }

    @Test("Match expressions are checked")
    func arguments() {
        let harness = ComponentHarness(LokiSourcePodLogs.self)
        for (expression, problem) in [
            ("key = \"a\"\noperator = \"Like\"", "\"operator\" must be one of"),
            ("key = \"a\"\noperator = \"In\"", "\"values\" must be given"),
            ("key = \"a\"\noperator = \"Exists\"\nvalues = [\"x\"]", "\"values\" must not be given"),
        ] {
            let problems = harness.evaluate("forward_to = []\nselector {\n match_expression {\n\(expression)\n}\n}")
            #expect(problems.contains { $0.contains(problem) }, "\(problems)")
        }
    }
}
