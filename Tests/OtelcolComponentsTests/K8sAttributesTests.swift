import ComponentKit
import Essentials
import Foundation
import Kubernetes
import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

/// An API server, and a component that watches it by way of a kubeconfig file.
private struct Cluster {
    let double: KubernetesDouble
    let harness = ComponentHarness(OtelcolProcessorK8sAttributes.self)

    init() async throws {
        double = try await KubernetesDouble()
        let path = ComponentHarness.makeTemporaryDirectory() + "/kubeconfig"
        try """
        apiVersion: v1
        kind: Config
        current-context: c
        contexts: [{name: c, context: {cluster: k}}]
        clusters: [{name: k, cluster: {server: "\(double.url)"}}]
        """.write(toFile: path, atomically: true, encoding: .utf8)
        setenv("KUBECONFIG", path, 1)
        double.putPod(
            "shop", "web-6c45f8d6f6-x1", ip: "10.1.0.1", labels: ["app": "web", "tier": "front"],
            containers: [("main", ["http:80"]), ("side", ["http:81"])], owner: ("ReplicaSet", "web-6c45f8d6f6"))
        double.putPod(
            "shop", "nightly-28000000-ab", ip: "10.1.0.2", containers: [("main", ["http:80"])],
            owner: ("Job", "nightly-28000000"))
    }

    private let output = "\noutput {\nlogs = [recorder.otlp]\n}"

    /// Starts with `body` and waits until the pods are known.
    func start(_ body: String = "") {
        #expect(harness.start("auth_type = \"kubeConfig\"\n" + body + output) == [])
        #expect(
            harness.settle(until: { harness.health?.message.hasPrefix("knows") == true }),
            "\(String(describing: harness.health))")
    }

    /// Sends a record of a resource with attributes, and gives those it comes out with.
    func describe(_ attributes: [String: String], from address: String = "") throws -> [String: String] {
        let pairs = attributes.map { #"{"key":"\#($0.key)","value":{"stringValue":"\#($0.value)"}}"# }
        var batch = try OTLPSample.batch(
            .logs,
            #"{"resourceLogs":[{"resource":{"attributes":[\#(pairs.joined(separator: ","))]},"scopeLogs":[{"logRecords":[{}]}]}]}"#
        )
        batch.client = OTLPClient(address: address)
        try harness.send(batch)
        var found: [String: String] = [:]
        let walker = OTLPWalker()
        for batch in harness.otlp.take() {
            try walker.walk(batch, to: .resource) { _ in
                walker.resource.attributes.forEach { name, value in
                    found[String(decoding: name, as: UTF8.self)] = String(
                        decoding: OTLPText.bytes(value), as: UTF8.self)
                }
                return .skip
            }
        }
        return found
    }
}

@Suite("otelcol.processor.k8sattributes", .serialized, .timeLimit(.minutes(2)))
struct K8sAttributesTests {
    @Test("By the address of the client, the attributes taken by default")
    func byAddress() async throws {
        let cluster = try await Cluster()
        cluster.start()
        #expect(
            try cluster.describe([:], from: "10.1.0.1:4711") == [
                "k8s.pod.name": "web-6c45f8d6f6-x1", "k8s.pod.uid": "uid-web-6c45f8d6f6-x1",
                "k8s.namespace.name": "shop", "k8s.node.name": "node-a", "k8s.deployment.name": "web",
            ])
        #expect(
            try cluster.describe(["k8s.pod.ip": "10.1.0.2", "k8s.pod.name": "kept", "k8s.pod.uid": ""]) == [
                "k8s.pod.ip": "10.1.0.2", "k8s.pod.name": "kept", "k8s.pod.uid": "uid-nightly-28000000-ab",
                "k8s.namespace.name": "shop", "k8s.node.name": "node-a", "container.image.name": "registry.local/main",
                "container.image.tag": "1",
            ])
        #expect(try cluster.describe(["a": "b"], from: "10.9.9.9:1") == ["a": "b"])
        #expect(cluster.harness.metric("otelcol_otelsvc_k8s_pod_added_total") == 2)
        #expect(cluster.harness.metric("otelcol_otelsvc_k8s_ip_lookup_miss_total") == 1)
        #expect(cluster.harness.metric("otelcol_otelsvc_k8s_pod_table_size") ?? 0 > 0)
        #expect(cluster.harness.finish() == [])
    }

    @Test("By associations in order; containers by name, by identifier and run")
    func associations() async throws {
        let cluster = try await Cluster()
        cluster.start(
            """
            extract {
              metadata = ["k8s.pod.name", "k8s.container.name", "container.id", "service.instance.id", "service.version",
                "service.name", "k8s.job.name", "k8s.cronjob.name"]
            }
            pod_association {
              source {
                from = "resource_attribute"
                name = "k8s.pod.name"
              }
              source {
                from = "resource_attribute"
                name = "k8s.namespace.name"
              }
            }
            pod_association {
              source {
                from = "resource_attribute"
                name = "container.id"
              }
            }
            pod_association {
              source { from = "connection" }
            }
            """)
        let name = "web-6c45f8d6f6-x1"
        let given = ["k8s.pod.name": name, "k8s.namespace.name": "shop", "k8s.container.name": "side"]
        #expect(
            try cluster.describe(given)
                == given.merging([
                    "container.id": "\(name)-side", "service.instance.id": "shop.\(name).side", "service.version": "1",
                    "service.name": "web",
                ]) { $1 })
        for count in ["7", "many"] {
            let other = given.merging(["k8s.container.restart_count": count]) { $1 }
            #expect(try cluster.describe(other)["container.id"] == nil)
        }
        let byContainer = try cluster.describe(["container.id": "\(name)-main"])
        #expect(byContainer["k8s.container.name"] == "main" && byContainer["k8s.pod.name"] == name)
        let job = try cluster.describe([:], from: "[::ffff:1]:5")
        #expect(job == [:])
        #expect(
            try cluster.describe([:], from: "10.1.0.2:5")["k8s.cronjob.name"] == "nightly")
        #expect(
            try cluster.describe(["k8s.pod.name": name, "k8s.namespace.name": "other"], from: "10.1.0.1:1").count == 2)
        #expect(cluster.harness.finish() == [])
    }

    @Test("Labels and annotations of the pod, its namespace, node and deployment, by key and by expression")
    func texts() async throws {
        let cluster = try await Cluster()
        cluster.double.put("namespaces", #"{"metadata":{"name":"shop","uid":"n","labels":{"team":"ops"}}}"#)
        cluster.double.put("namespaces", #"{"metadata":{"name":"kube-system","uid":"cluster-1"}}"#)
        cluster.double.put("nodes", #"{"metadata":{"name":"node-a","uid":"node-uid","annotations":{"rack":"r7"}}}"#)
        cluster.double.put(
            "replicasets",
            #"{"metadata":{"name":"web-6c45f8d6f6","namespace":"shop","uid":"o","ownerReferences":[{"kind":"Deployment","name":"web","uid":"d1","controller":true}]}}"#
        )
        cluster.double.put(
            "deployments", #"{"metadata":{"name":"web","namespace":"shop","uid":"d1","labels":{"release":"blue"}}}"#)
        cluster.start(
            """
            extract {
              metadata = ["k8s.deployment.uid", "k8s.cluster.uid", "k8s.node.uid"]
              label {
                key_regex = "(ti.*)"
                tag_name  = "got.$1"
              }
              label { key = "app" }
              label {
                key  = "team"
                from = "namespace"
              }
              label {
                key  = "release"
                from = "deployment"
              }
              annotation {
                key      = "rack"
                from     = "node"
                tag_name = "rack"
              }
            }
            """)
        let expected = [
            "got.tier": "front", "k8s.pod.labels.app": "web", "k8s.namespace.labels.team": "ops",
            "k8s.deployment.label.release": "blue", "rack": "r7", "k8s.deployment.uid": "d1",
            "k8s.cluster.uid": "cluster-1", "k8s.node.uid": "node-uid",
        ]
        #expect(cluster.harness.settle(until: { (try? cluster.describe([:], from: "10.1.0.1:1")) == expected }))
        cluster.double.put("namespaces", #"{"metadata":{"name":"shop","uid":"n","labels":{"team":"dev"}}}"#)
        #expect(
            cluster.harness.settle(until: {
                (try? cluster.describe([:], from: "10.1.0.1:1"))?["k8s.namespace.labels.team"] == "dev"
            }))
        #expect(cluster.harness.finish() == [])
    }

    @Test("A pod that is gone is remembered for the grace period; its address may be another's before")
    func deleted() async throws {
        let cluster = try await Cluster()
        cluster.start("pod_delete_grace_period = \"30s\"\nextract {\nmetadata = [\"k8s.pod.name\"]\n}")
        cluster.double.delete("pods", "shop", "web-6c45f8d6f6-x1")
        cluster.double.delete("pods", "shop", "nightly-28000000-ab")
        cluster.double.putPod("shop", "next", ip: "10.1.0.2", containers: [("main", ["http:80"])])
        #expect(
            cluster.harness.settle(until: {
                (try? cluster.describe([:], from: "10.1.0.2:1")) == ["k8s.pod.name": "next"]
            }))
        #expect(try cluster.describe([:], from: "10.1.0.1:1") == ["k8s.pod.name": "web-6c45f8d6f6-x1"])
        for _ in 0..<40 { cluster.harness.advance(by: .seconds(1)) }
        #expect(try cluster.describe([:], from: "10.1.0.1:1") == [:])
        #expect(try cluster.describe([:], from: "10.1.0.2:1") == ["k8s.pod.name": "next"])
        #expect(cluster.harness.finish() == [])
    }

    @Test("A pod found by a label changes with it; one that excludes itself is unknown at once and keeps its address")
    func changes() async throws {
        let cluster = try await Cluster()
        cluster.start(
            """
            extract {
              metadata = ["k8s.pod.name"]
              label {
                key      = "app"
                tag_name = "app"
              }
            }
            pod_association {
              source {
                from = "resource_attribute"
                name = "app"
              }
            }
            pod_association {
              source { from = "connection" }
            }
            """)
        let pod = ["k8s.pod.name": "web-6c45f8d6f6-x1"]
        func put(_ name: String, _ app: String, _ annotations: String = "{}") {
            cluster.double.put(
                "pods",
                #"""
                {"metadata":{"name":"\#(name)","namespace":"shop","uid":"uid-\#(name)","labels":{"app":"\#(app)"},\#
                "annotations":\#(annotations)},"status":{"podIP":"10.1.0.1"}}
                """#)
        }
        #expect(try cluster.describe(["app": "web"]) == pod.merging(["app": "web"]) { $1 })
        put("web-6c45f8d6f6-x1", "shop")
        #expect(
            cluster.harness.settle(until: {
                (try? cluster.describe(["app": "shop"])) == pod.merging(["app": "shop"]) { $1 }
            }))
        #expect(try cluster.describe(["app": "web"]) == ["app": "web"])
        #expect(try cluster.describe([:], from: "10.1.0.1:1") == pod.merging(["app": "shop"]) { $1 })
        put("web-6c45f8d6f6-x1", "shop", #"{"opentelemetry.io/k8s-processor/ignore":" True "}"#)
        #expect(cluster.harness.settle(until: { (try? cluster.describe([:], from: "10.1.0.1:1")) == [:] }))
        // An excluded pod at the address of one that is gone: what comes from there is not the other's.
        put("web-6c45f8d6f6-x1", "shop")
        #expect(cluster.harness.settle(until: { (try? cluster.describe([:], from: "10.1.0.1:1")) != [:] }))
        cluster.double.delete("pods", "shop", "web-6c45f8d6f6-x1")
        put("jaeger-agent-1", "agent")
        #expect(cluster.harness.settle(until: { (try? cluster.describe([:], from: "10.1.0.1:1")) == [:] }))
        #expect(cluster.harness.finish() == [])
    }

    @Test("A pod outlives its deployment and replica set with their attributes, for the grace period")
    func owners() async throws {
        let cluster = try await Cluster()
        cluster.double.put(
            "replicasets",
            #"{"metadata":{"name":"web-6c45f8d6f6","namespace":"shop","uid":"o","ownerReferences":[{"kind":"Deployment","name":"web","uid":"d1","controller":true}]}}"#
        )
        cluster.double.put(
            "deployments",
            #"{"metadata":{"name":"web","namespace":"shop","uid":"d1","annotations":{"a":"long","team":"ops"}}}"#)
        cluster.start(
            """
            pod_delete_grace_period = "30s"
            extract {
              metadata                        = ["k8s.deployment.uid", "k8s.deployment.name"]
              deployment_name_from_replicaset = false
              annotation {
                key      = "team"
                from     = "deployment"
                tag_name = "team"
              }
            }
            """)
        let expected = ["k8s.deployment.uid": "d1", "k8s.deployment.name": "web", "team": "ops"]
        #expect(try cluster.describe([:], from: "10.1.0.1:1") == expected)
        cluster.double.delete("deployments", "shop", "web")
        cluster.double.delete("replicasets", "shop", "web-6c45f8d6f6")
        cluster.double.putPod("shop", "next", ip: "10.1.0.9", containers: [], owner: ("ReplicaSet", "web-6c45f8d6f6"))
        #expect(cluster.harness.settle(until: { (try? cluster.describe([:], from: "10.1.0.9:1")) == expected }))
        #expect(try cluster.describe([:], from: "10.1.0.1:1") == expected)
        #expect(
            cluster.harness.settle(until: {
                cluster.harness.advance(by: .seconds(1))
                return (try? cluster.describe(["k8s.deployment.uid": "d1"])) == ["k8s.deployment.uid": "d1"]
            }))
        #expect(cluster.harness.finish() == [])
    }

    @Test(
        "Names of deployments in those of replica sets",
        arguments: [
            ("web-6c45f8d6f6", "web"), ("a-b-5d78c986d", "a-b"), ("web-abcdefghi0", "web"), ("my-frontend", nil),
            ("web", nil), ("web-", nil), ("web-6c45f8d6f66", nil), ("", nil),
        ])
    func trimmedNames(_ name: String, _ deployment: String?) {
        #expect(PodDescription.trimmed(name) == deployment)
    }

    @Test("Filters become selectors; excluded pods are as if they were not there")
    func filters() async throws {
        let cluster = try await Cluster()
        cluster.double.putPod("shop", "jaeger-agent-1", ip: "10.1.0.3", labels: ["app": "web"], containers: [])
        cluster.start(
            """
            filter {
              node      = "node-a"
              namespace = "shop"
              label {
                key   = "app"
                value = ""
                op    = "exists"
              }
              field {
                key   = "status.phase"
                value = "Failed"
                op    = "not-equals"
              }
            }
            extract { metadata = ["k8s.pod.name", "k8s.node.uid", "k8s.cluster.uid"] }
            """)
        let list = try #require(cluster.double.requests.first { $0.contains("/namespaces/shop/pods?") })
        #expect(list.contains("labelSelector=app&"))
        #expect(list.contains("fieldSelector=status.phase%21%3DFailed%2Cspec.nodeName%3Dnode-a"))
        // Of nodes and namespaces no others than those whose UIDs are wanted.
        for selector in [
            "/nodes?fieldSelector=metadata.name%3Dnode-a&", "/namespaces?fieldSelector=metadata.name%3Dkube-system&",
        ] {
            #expect(cluster.double.requests.contains { $0.contains(selector) }, "\(cluster.double.requests)")
        }
        #expect(try cluster.describe([:], from: "10.1.0.3:1") == [:])
        #expect(try cluster.describe([:], from: "10.1.0.2:1") == [:])
        #expect(try cluster.describe([:], from: "10.1.0.1:1")["k8s.pod.name"] == "web-6c45f8d6f6-x1")
        #expect(cluster.harness.finish() == [])
    }

    @Test("Batches wait for the pods when told to; passing addresses on needs no API")
    func waiting() async throws {
        let cluster = try await Cluster()
        for _ in 0..<3 { cluster.double.fail("/pods", with: 500) }
        #expect(
            cluster.harness.start(
                "auth_type = \"kubeConfig\"\nwait_for_metadata = true\noutput {\nlogs = [recorder.otlp]\n}") == [])
        #expect(cluster.harness.settle(until: { cluster.harness.health?.state == .unhealthy }))
        #expect(throws: (any Error).self) { try cluster.describe([:], from: "10.1.0.1:1") }
        #expect(
            cluster.harness.settle(until: {
                cluster.harness.advance(by: .seconds(1))
                return cluster.harness.health?.message.hasPrefix("knows") == true
            }))
        #expect(try cluster.describe([:], from: "10.1.0.1:1")["k8s.namespace.name"] == "shop")
        cluster.harness.update("passthrough = true\noutput {\nlogs = [recorder.otlp]\n}")
        #expect(cluster.harness.settle(until: { cluster.harness.health?.message == "adding addresses of clients" }))
        #expect(try cluster.describe([:], from: "10.1.0.1:1") == ["k8s.pod.ip": "10.1.0.1"])
        #expect(cluster.harness.finish() == [])
    }

    @Test("What cannot be is refused by name")
    func refusals() {
        let problems = ComponentHarness(OtelcolProcessorK8sAttributes.self).evaluate(
            """
            auth_type = "tls"
            extract {
              metadata = ["k8s.pod.color"]
              label {
                key       = "a"
                key_regex = "a"
              }
              annotation {
                key  = "a"
                from = "cluster"
              }
            }
            filter {
              field {
                key   = "a"
                value = "b"
                op    = "exists"
              }
            }
            pod_association {
              source { from = "resource_attribute" }
            }
            exclude {
              pod { name = "(" }
            }
            output { }
            """)
        #expect(problems.count == 7, "\(problems)")
    }

    @Test("A label without a name is allowed and takes nothing; one without a name for its attribute gets one")
    func emptyRules() async throws {
        let said = ComponentHarness(OtelcolProcessorK8sAttributes.self).evaluate(
            "extract {\nlabel { from = \"pod\" }\n}\noutput { }")
        #expect(said.count == 1 && said[0].contains("has no effect"), "\(said)")
        let cluster = try await Cluster()
        cluster.start("extract {\nmetadata = [\"k8s.pod.name\"]\nlabel { key_regex = \"(ti)er\" }\n}")
        #expect(
            try cluster.describe([:], from: "10.1.0.1:1") == [
                "k8s.pod.name": "web-6c45f8d6f6-x1", "k8s.pod.labels.tier": "front",
            ])
        #expect(cluster.harness.finish() == [])
    }

    @Test(
        "Names of images",
        arguments: [
            ("nginx", "nginx", nil, nil), ("a.io:5000/x/y:1.2", "a.io:5000/x/y", "1.2", nil),
            (
                "x/y:1@sha256:0123456789abcdef0123456789abcdef", "x/y", "1",
                "docker.io/x/y@sha256:0123456789abcdef0123456789abcdef"
            ),
            (
                "nginx@sha256:0123456789abcdef0123456789abcdef", "nginx", nil,
                "docker.io/library/nginx@sha256:0123456789abcdef0123456789abcdef"
            ),
        ])
    func images(_ text: String, _ repository: String, _ tag: String?, _ canonical: String?) {
        let image = ImageReference(text)
        #expect(image?.repository == repository && image?.tag == tag && image?.canonical == canonical)
        for broken in ["", ":1", "a:", "a@sha256:12", "a b"] { #expect(ImageReference(broken) == nil) }
    }
}
