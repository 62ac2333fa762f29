import ComponentKit
import Telemetry
import TestKit
import Testing

@testable import DiscoveryComponents

extension DiscoveryTests {
    @Suite("Explanations of discovery.kubernetes")
    struct DiscoveryKubernetesExplainTests {
        private static let pod = #"""
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-0","namespace":"ns","uid":"u","labels":{"app":"web"},\#
            "ownerReferences":[{"kind":"StatefulSet","name":"web","uid":"o","controller":true}]},\#
            "spec":{"nodeName":"node-a","containers":[{"name":"main","image":"i","ports":\#
            [{"name":"http","containerPort":80,"protocol":"TCP"},{"name":"m","containerPort":90,"protocol":"TCP"}]},\#
            {"name":"side","image":"j"}]},\#
            "status":{"phase":"Running","podIP":"10.1.0.1","hostIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}
            """#

        private func explanation(_ harness: ComponentHarness, _ item: ExplainedItem) -> Explanation? {
            guard case .explained(let explanation) = harness.instance.explain(item) else { return nil }
            return explanation
        }

        private var named: ExplainedItem { ExplainedItem(.pod, ["namespace": "ns", "name": "web-0"]) }

        private var given: ExplainedItem {
            var item = named
            item.object = Array(Self.pod.utf8)
            return item
        }

        @Test("A pod given as an object has the targets that the discovery finds of it")
        func agrees() async throws {
            let double = try await KubernetesDouble()
            double.put("pods", Self.pod)
            let harness = ComponentHarness(DiscoveryKubernetes.self)
            #expect(harness.start("api_server = \"\(double.url)\"\nrole = \"pod\"") == [])
            #expect(explanation(harness, named) == nil)
            #expect(harness.settle(until: { harness.export("targets", as: [Target].self)?.isEmpty == false }))
            let exported = Set((harness.export("targets", as: [Target].self) ?? []).map(\.labels))
            #expect(exported.count == 3)
            for item in [given, named] {
                let explained = try #require(explanation(harness, item))
                #expect(Set(explained.results.map(\.item.labels)) == exported)
                #expect(explained.results.allSatisfy { $0.exit == .targets("targets") && $0.item.kind == .target })
            }
            let other = try #require(explanation(harness, ExplainedItem(.pod, ["namespace": "ns", "name": "x"])))
            #expect(other.results.isEmpty)
            #expect(other.steps.map(\.detail) == ["none of the 3 targets found is of this pod"])
            #expect(harness.finish() == [])
        }

        @Test(
            "Why a pod is not found",
            arguments: [
                ("namespaces {\nnames = [\"other\"]\n}", "it looks at other only"),
                ("selectors {\nrole = \"pod\"\nlabel = \"app in (a, b), !c\"\n}", "the pod's labels do not meet"),
                ("selectors {\nrole = \"pod\"\nfield = \"spec.nodeName=node-b\"\n}", "spec.nodeName=node-b"),
                ("selectors {\nrole = \"pod\"\nfield = \"status.phase!=Running\"\n}", "status.phase!=Running"),
                ("selectors {\nrole = \"pod\"\nlabel = \"app=web,x!=y\"\nfield = \"spec.nodeName=node-a\"\n}", ""),
            ])
        func refusals(_ body: String, _ reason: String) throws {
            let harness = ComponentHarness(DiscoveryKubernetes.self)
            #expect(harness.evaluate("role = \"pod\"\n" + body) == [])
            let explained = try #require(explanation(harness, given))
            if reason.isEmpty {
                #expect(explained.results.count == 3)
            } else {
                #expect(explained.results.isEmpty)
                #expect(explained.steps.first?.detail.contains(reason) == true)
            }
        }

        @Test("Targets of another role are not found here")
        func roles() throws {
            let harness = ComponentHarness(DiscoveryKubernetes.self)
            #expect(harness.evaluate("role = \"endpoints\"") == [])
            let other = try #require(
                explanation(harness, ExplainedItem(.target, ["__meta_kubernetes_pod_name": "p"])))
            #expect(other.results.isEmpty)
            let own = try #require(
                explanation(
                    harness,
                    ExplainedItem(
                        .target, ["__meta_kubernetes_pod_name": "p", "__meta_kubernetes_endpoints_name": "e"])))
            #expect(own.results.map(\.exit) == [.targets("targets")])
            #expect(explanation(harness, given) == nil)
        }
    }
}
