import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing

@testable import DiscoveryComponents

extension DiscoveryTests {
    @Suite("discovery.kubelet")
    struct DiscoveryKubeletTests {
        private static let pods = #"""
            {"kind":"PodList","items":[
             {"metadata":{"name":"a","namespace":"one","uid":"u","annotations":{"x/y":"z"}},
              "spec":{"nodeName":"n","containers":[{"name":"c","image":"i","ports":[{"name":"p","containerPort":80}]}]},
              "status":{"podIP":"10.0.0.1","phase":"Running"}},
             {"metadata":{"name":"b","namespace":"two"},"spec":{"containers":[{"name":"c"}]},"status":{"podIP":"10.0.0.2"}},
             {"metadata":{"name":"none","namespace":"one"},"spec":{"containers":[{"name":"c"}]},"status":{}}]}
            """#

        private func addresses(_ harness: ComponentHarness) -> [String] {
            (harness.export("targets", as: [Target].self) ?? []).compactMap { $0["__address__"] }.sorted()
        }

        @Test("The pods of the node become targets; an answer that cannot be used changes nothing")
        func fetching() throws {
            let harness = ComponentHarness(DiscoveryKubelet.self)
            let server = try ScriptedServer(harness)
            server.answer(Self.pods)
            let url = server.url.split(separator: "/sd").first.map(String.init) ?? ""
            #expect(harness.start("url = \"\(url)\"\nbearer_token = \"t\"") == [])
            #expect(harness.settle(until: { addresses(harness) == ["10.0.0.1:80", "10.0.0.2"] }))
            #expect(server.requests.first?.hasPrefix("get /pods http/1.1\r\n") == true)
            #expect(server.requests.first?.contains("authorization: bearer t") == true)
            let first = try #require(
                harness.export("targets", as: [Target].self)?.first { $0["__address__"] == "10.0.0.1:80" })
            #expect(first["__meta_kubernetes_namespace"] == "one")
            #expect(first["__meta_kubernetes_pod_annotation_x_y"] == "z")
            #expect(first["__meta_kubernetes_pod_node_name"] == "n")
            server.answer("{\"items\": [", status: "200 OK")
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(5))
                    return harness.health?.state == .unhealthy
                }))
            #expect(addresses(harness).count == 2)
            server.answer("{\"items\": []}")
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(5))
                    return addresses(harness) == []
                }))
            #expect(harness.finish() == [])
        }

        @Test("Only pods of the given namespaces count")
        func namespaces() throws {
            let harness = ComponentHarness(DiscoveryKubelet.self)
            let server = try ScriptedServer(harness)
            server.answer(Self.pods)
            let url = server.url.split(separator: "/sd").first.map(String.init) ?? ""
            harness.start("url = \"\(url)\"\nnamespaces = [\"two\"]")
            #expect(harness.settle(until: { addresses(harness) == ["10.0.0.2"] }))
            #expect(harness.finish() == [])
        }

        @Test("A URL that cannot be asked is refused")
        func refusal() {
            let harness = ComponentHarness(DiscoveryKubelet.self)
            #expect(harness.evaluate("url = \"localhost:10250\"").contains { $0.contains("\"url\" must be") })
        }
    }
}
