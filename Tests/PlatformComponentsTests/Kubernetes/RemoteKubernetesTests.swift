import AlloySyntax
import ComponentKit
import Essentials
import TestKit
import Testing

@testable import PlatformComponents

@Suite("remote.kubernetes", .serialized)
struct RemoteKubernetesTests {
    private func body(_ double: KubernetesDouble, _ more: String = "") -> String {
        """
        namespace = "monitoring"
        name = "auth"
        \(more)
        client { api_server = "\(double.url)" }
        """
    }

    private func data(_ harness: ComponentHarness) -> [String: String] {
        let data: [String: OptionalSecret] = harness.export("data") ?? [:]
        return data.mapValues { $0.asSecret.reveal { $0 } }
    }

    private func put(_ double: KubernetesDouble, _ value: String) {
        let encoded = ["bench-client": "YmVuY2gtY2xpZW50", "second": "c2Vjb25k"][value] ?? ""
        double.put(
            "secrets",
            #"{"metadata":{"name":"auth","namespace":"monitoring"},"data":{"tls.key":"\#(encoded)","empty":""}}"#)
    }

    @Test("A Secret is read before anything depends on it, and again at each interval")
    func secret() async throws {
        let double = try await KubernetesDouble()
        put(double, "bench-client")
        let harness = ComponentHarness(RemoteKubernetesSecret.self)
        #expect(harness.start(body(double)) == [])
        #expect(harness.settle(until: { data(harness) == ["tls.key": "bench-client", "empty": ""] }))
        let exported: [String: OptionalSecret] = harness.export("data") ?? [:]
        #expect(exported.values.allSatisfy { $0.isSecret })
        #expect(!"\(exported)".contains("bench-client"))
        #expect(harness.health == Health.healthy("got secret"))
        // The first reading counts for the first interval.
        #expect(double.requests == ["GET /api/v1/namespaces/monitoring/secrets/auth"])
        put(double, "second")
        harness.advance(by: .seconds(59))
        #expect(double.requests.count == 1)
        harness.advance(by: .seconds(1))
        #expect(harness.settle(until: { data(harness)["tls.key"] == "second" }))
        #expect(harness.finish() == [])
    }

    @Test("While the Secret is absent, what it had goes on, and the health says so")
    func absence() async throws {
        let double = try await KubernetesDouble()
        put(double, "bench-client")
        let harness = ComponentHarness(RemoteKubernetesSecret.self)
        harness.start(body(double, "poll_frequency = \"10s\""))
        #expect(harness.settle(until: { data(harness).count == 2 }))
        double.delete("secrets", "monitoring", "auth")
        harness.advance(by: .seconds(10))
        #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
        #expect(harness.health?.message.contains("not found") == true)
        #expect(data(harness)["tls.key"] == "bench-client")
        put(double, "second")
        harness.advance(by: .seconds(10))
        #expect(harness.settle(until: { data(harness)["tls.key"] == "second" }))
        #expect(harness.health?.state == .healthy)
        #expect(!harness.logSink.lines.contains { $0.contains("bench-client") || $0.contains("YmVuY2g") })
        #expect(harness.finish() == [])
    }

    @Test("The data of a ConfigMap are no secrets")
    func configMap() async throws {
        let double = try await KubernetesDouble()
        double.put("configmaps", #"{"metadata":{"name":"auth","namespace":"monitoring"},"data":{"k":"plain é"}}"#)
        let harness = ComponentHarness(RemoteKubernetesConfigMap.self)
        harness.start(body(double))
        #expect(harness.settle(until: { harness.export("data") == ["k": OptionalSecret.plain("plain é")] }))
        #expect(harness.finish() == [])
    }

    @Test(
        "Content that cannot be read is an error that does not quote it",
        arguments: [
            #"{"data":{"k":"no base64!"}}"#, #"{"data":{"k":"c2Vj"#, "c2VjcmV0",
        ])
    func broken(json: String) {
        let error = #expect(throws: ContentError.self) {
            try ObjectPoller.data(in: Array(json.utf8), of: .secret)
        }
        #expect(error.map { !"\($0)".contains("base64!") && !"\($0)".contains("c2Vj") } == true)
    }

    @Test(
        "Arguments that cannot work are refused",
        arguments: [
            ("name = \"a\"", "missing required attribute \"namespace\""),
            ("namespace = \"a\"\nname = \"\"", "\"name\" must not be empty"),
            ("namespace = \"a\"\nname = \"b\"\npoll_frequency = \"0s\"", "\"poll_frequency\" must be greater than 0"),
            (
                "namespace = \"a\"\nname = \"b\"\nclient { bearer_token = \"x\" }",
                "api_server must be set when custom HTTP client configuration is provided"
            ),
            (
                "namespace = \"a\"\nname = \"b\"\nclient {\n kubeconfig_file = \"/x\"\n bearer_token = \"x\"\n}",
                "not allowed when kubeconfig_file is set"
            ),
        ])
    func arguments(body: String, problem: String) {
        let harness = ComponentHarness(RemoteKubernetesSecret.self)
        let problems = harness.evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
