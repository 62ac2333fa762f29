import AlloySyntax
import ComponentKit
import Essentials
import Kubernetes
import Telemetry
import TestKit
import Testing
import TextFormats

@testable import LokiComponents

@Suite("loki.source.kubernetes_events", .serialized)
struct LokiSourceKubernetesEventsTests {
    private func event(_ name: String, second: Int, namespace: String = "ns", message: String = "a \\\"b\\\"") -> String
    {
        #"""
        {"metadata":{"name":"\#(name)","namespace":"\#(namespace)","uid":"u-\#(name)"},\#
        "involvedObject":{"kind":"Pod","namespace":"\#(namespace)","name":"web","apiVersion":"v1"},\#
        "reason":"Pulled","type":"Normal","count":2,"source":{"component":"kubelet","host":"n1"},\#
        "lastTimestamp":"2026-01-01T00:00:\#(second < 10 ? "0" : "")\#(second)Z","message":"\#(message)"}
        """#
    }

    private func body(_ double: KubernetesDouble, _ more: String = "") -> String {
        """
        forward_to = [recorder.logs]
        \(more)
        client { api_server = "\(double.url)" }
        """
    }

    @Test("Events become lines, once for each of their versions")
    func following() async throws {
        let double = try await KubernetesDouble()
        double.put("events", event("e1", second: 1))
        let harness = ComponentHarness(LokiSourceKubernetesEvents.self)
        #expect(harness.start(body(double)) == [])
        #expect(harness.settleInTime { double.watcherCount == 1 && harness.lines.count == 1 })
        #expect(
            harness.logs.lines == [
                #"{instance="loki.source.kubernetes_events.test", job="loki.source.kubernetes_events", namespace="ns"} "#
                    + #"name=web kind=Pod objectAPIversion=v1 eventRV=101 sourcecomponent=kubelet sourcehost=n1 "#
                    + #"reason=Pulled type=Normal count=2 msg="a \"b\"" "#
            ])
        double.put("events", event("e1", second: 5))
        double.put("events", event("e2", second: 5, namespace: "other"))
        double.delete("events", "ns", "e1")
        #expect(harness.settleInTime { harness.lines.count == 3 })
        // A new list repeats nothing.
        double.expireWatches()
        #expect(harness.settleInTime { double.watcherCount == 1 })
        double.put("events", event("e3", second: 6))
        #expect(harness.settleInTime { harness.lines.count >= 4 })
        #expect(harness.lines.count == 4)
        #expect(harness.finish() == [])
    }

    @Test("A restart takes up what came later, also within the same second")
    func restarting() async throws {
        let double = try await KubernetesDouble()
        let storage = ComponentHarness.makeTemporaryDirectory()
        double.put("events", event("e1", second: 1, message: "one"))
        let first = ComponentHarness(LokiSourceKubernetesEvents.self, storagePath: storage)
        first.start(body(double, "log_format = \"json\""))
        #expect(first.settleInTime { first.lines.count == 1 })
        #expect(
            first.lines == [
                #"{"count":2,"eventRV":"101","kind":"Pod","msg":"one","name":"web","objectAPIversion":"v1","#
                    + #""reason":"Pulled","sourcecomponent":"kubelet","sourcehost":"n1","type":"Normal"}"#
            ])
        #expect(first.finish() == [])
        double.put("events", event("e2", second: 1, message: "two"))
        double.put("events", event("e0", second: 0, message: "older but new"))
        let second = ComponentHarness(LokiSourceKubernetesEvents.self, storagePath: storage)
        second.start(body(double, "log_format = \"json\""))
        #expect(second.settleInTime { double.watcherCount == 1 && second.lines.count >= 2 })
        #expect(second.lines.map { $0.contains("two") || $0.contains("older") } == [true, true])
        #expect(second.finish() == [])
    }

    @Test("Only the given namespaces are watched, and a refusal is told")
    func namespaces() async throws {
        let double = try await KubernetesDouble()
        double.put("events", event("e1", second: 1, namespace: "one"))
        double.put("events", event("e2", second: 1, namespace: "two"))
        double.put("events", event("e3", second: 1, namespace: "three"))
        double.forbid(["list events"])
        let harness = ComponentHarness(LokiSourceKubernetesEvents.self)
        harness.start(body(double, "namespaces = [\"one\", \"two\"]\njob_name = \"j\""))
        #expect(harness.settleInTime { harness.health?.state == .unhealthy })
        #expect(harness.health?.message.contains("events is forbidden") == true)
        double.forbid([])
        #expect(harness.settleInTime { harness.lines.count == 2 && harness.health?.state == .healthy })
        #expect(double.requests.allSatisfy { $0.contains("/namespaces/one/") || $0.contains("/namespaces/two/") })
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused",
        arguments: [
            ("forward_to = []\nlog_format = \"xml\"", "\"log_format\" must be"),
            ("forward_to = []\njob_name = \"\"", "\"job_name\" must not be"), ("", "missing required attribute"),
        ])
    func arguments(body: String, problem: String) {
        let harness = ComponentHarness(LokiSourceKubernetesEvents.self)
        let problems = harness.evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
