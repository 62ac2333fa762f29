import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing

@testable import DiscoveryComponents

extension DiscoveryTests {
    @Suite("discovery.kubernetes")
    struct DiscoveryKubernetesTests {
        /// The exported targets, each as the labels a test names.
        private func found(_ harness: ComponentHarness, _ names: String...) -> [String] {
            (harness.export("targets", as: [Target].self) ?? []).map { target in
                names.map { target[$0] ?? "-" }.joined(separator: " ")
            }.sorted()
        }

        private func labels(_ harness: ComponentHarness, address: String) -> [String: String] {
            let target = (harness.export("targets", as: [Target].self) ?? []).first { $0["__address__"] == address }
            return Dictionary(
                (target?.labels.pairs ?? []).map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        }

        private func start(
            _ body: String, _ fill: (KubernetesDouble) -> Void
        ) async throws -> (ComponentHarness, KubernetesDouble) {
            let double = try await KubernetesDouble()
            fill(double)
            let harness = ComponentHarness(DiscoveryKubernetes.self)
            let problems = harness.start("api_server = \"\(double.url)\"\n\(body)")
            #expect(problems == [])
            return (harness, double)
        }

        /// Moves time on until the condition holds.
        private func advance(_ harness: ComponentHarness, until condition: () -> Bool) -> Bool {
            harness.settle(until: {
                if condition() { return true }
                harness.advance(by: .seconds(5))
                return condition()
            })
        }

        @Test("Pods: a target for each port, and one without a port for a container that has none")
        func pods() async throws {
            let (harness, double) = try await start("role = \"pod\"") { double in
                double.putPod(
                    "ns", "web-0", ip: "10.1.0.1", labels: ["app.kubernetes.io/name": "web", "empty": ""],
                    containers: [("main", ["http:80", "metrics:9090"]), ("side", [])], owner: ("StatefulSet", "web"))
                double.putPod("ns", "starting", ip: "", containers: [("main", ["http:80"])], phase: "Pending")
            }
            #expect(harness.settle(until: { targets(harness).count == 3 }))
            #expect(
                found(harness, "__address__", "__meta_kubernetes_pod_container_port_name") == [
                    "10.1.0.1 -", "10.1.0.1:80 http", "10.1.0.1:9090 metrics",
                ])
            #expect(
                labels(harness, address: "10.1.0.1:80") == [
                    "__address__": "10.1.0.1:80", "__meta_kubernetes_namespace": "ns",
                    "__meta_kubernetes_pod_name": "web-0", "__meta_kubernetes_pod_ip": "10.1.0.1",
                    "__meta_kubernetes_pod_ready": "true", "__meta_kubernetes_pod_phase": "Running",
                    "__meta_kubernetes_pod_node_name": "node-a", "__meta_kubernetes_pod_host_ip": "10.0.0.1",
                    "__meta_kubernetes_pod_uid": "uid-web-0",
                    "__meta_kubernetes_pod_label_app_kubernetes_io_name": "web",
                    "__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name": "true",
                    "__meta_kubernetes_pod_labelpresent_empty": "true",
                    "__meta_kubernetes_pod_controller_kind": "StatefulSet",
                    "__meta_kubernetes_pod_controller_name": "web",
                    "__meta_kubernetes_pod_container_name": "main",
                    "__meta_kubernetes_pod_container_id": "containerd://web-0-main",
                    "__meta_kubernetes_pod_container_image": "registry.local/main:1",
                    "__meta_kubernetes_pod_container_init": "false",
                    "__meta_kubernetes_pod_container_port_name": "http",
                    "__meta_kubernetes_pod_container_port_number": "80",
                    "__meta_kubernetes_pod_container_port_protocol": "TCP",
                ])
            double.putPod("ns", "starting", ip: "10.1.0.2", containers: [("main", ["http:80"])])
            double.delete("pods", "ns", "web-0")
            #expect(advance(harness) { found(harness, "__address__") == ["10.1.0.2:80"] })
            #expect(harness.metric("prometheus_sd_kubernetes_events_total", ["role": "pod", "event": "add"]) == 2)
            #expect(harness.metric("prometheus_sd_kubernetes_events_total", ["role": "pod", "event": "delete"]) == 1)
            #expect(harness.metric("prometheus_sd_kubernetes_failures_total") == 0)
            #expect(harness.health?.state == .healthy)
            #expect(harness.finish() == [])
        }

        private static let node = #"""
            {"metadata":{"name":"node-a","labels":{"zone":"z1"}},"spec":{"providerID":"p://a"},\#
            "status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"},{"type":"Hostname","address":"a"}],\#
            "conditions":[{"type":"Ready","status":"True"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}}
            """#

        @Test("Nodes: the kubelet's address and what is known about the node")
        func nodes() async throws {
            let (harness, double) = try await start("role = \"node\"") { $0.put("nodes", Self.node) }
            #expect(harness.settle(until: { targets(harness).count == 1 }))
            #expect(
                labels(harness, address: "10.0.0.1:10250") == [
                    "__address__": "10.0.0.1:10250", "instance": "node-a", "__meta_kubernetes_node_name": "node-a",
                    "__meta_kubernetes_node_provider_id": "p://a", "__meta_kubernetes_node_condition_ready": "true",
                    "__meta_kubernetes_node_label_zone": "z1", "__meta_kubernetes_node_labelpresent_zone": "true",
                    "__meta_kubernetes_node_address_InternalIP": "10.0.0.1",
                    "__meta_kubernetes_node_address_Hostname": "a",
                ])
            #expect(double.requests.allSatisfy { $0.contains("/api/v1/nodes?") })
            #expect(harness.finish() == [])
        }

        @Test("Services: one target for each port under the service's name")
        func services() async throws {
            let (harness, double) = try await start("role = \"service\"") { double in
                double.put(
                    "services",
                    #"""
                    {"metadata":{"name":"api","namespace":"ns","annotations":{"prometheus.io/scrape":"true"}},\#
                    "spec":{"type":"LoadBalancer","clusterIP":"10.96.0.5","ports":[\#
                    {"name":"http","port":80,"protocol":"TCP"},{"name":"dns","port":53,"protocol":"UDP"}]},\#
                    "status":{"loadBalancer":{"ingress":[{"ip":"1.2.3.4"},{"hostname":"x"},{"ip":"1.2.3.5"}]}}}
                    """#)
                double.put(
                    "services",
                    #"""
                    {"metadata":{"name":"ext","namespace":"ns"},"spec":{"type":"ExternalName",\#
                    "externalName":"x.example","ports":[{"port":443,"protocol":"TCP"}]}}
                    """#)
            }
            #expect(harness.settle(until: { targets(harness).count == 3 }))
            let api = labels(harness, address: "api.ns.svc:53")
            #expect(api["__meta_kubernetes_service_port_protocol"] == "UDP")
            #expect(api["__meta_kubernetes_service_cluster_ip"] == "10.96.0.5")
            #expect(api["__meta_kubernetes_service_loadbalancer_ip"] == "1.2.3.4,1.2.3.5")
            #expect(api["__meta_kubernetes_service_annotation_prometheus_io_scrape"] == "true")
            #expect(api["__meta_kubernetes_service_name"] == "api")
            let external = labels(harness, address: "ext.ns.svc:443")
            #expect(external["__meta_kubernetes_service_external_name"] == "x.example")
            #expect(external["__meta_kubernetes_service_cluster_ip"] == nil)
            #expect(double.requests.first?.contains("/api/v1/services?") == true)
            #expect(harness.finish() == [])
        }

        @Test("Ingresses: one target for each path, secure where a certificate has the host")
        func ingresses() async throws {
            let (harness, double) = try await start("role = \"ingress\"") { double in
                double.put(
                    "ingresses",
                    #"""
                    {"metadata":{"name":"gw","namespace":"ns"},"spec":{"ingressClassName":"nginx",\#
                    "tls":[{"hosts":["*.example.com"]}],"rules":[\#
                    {"host":"a.example.com","http":{"paths":[{"path":"/x"},{}]}},{"host":"b.c.example.com"}]}}
                    """#)
            }
            #expect(harness.settle(until: { targets(harness).count == 3 }))
            #expect(
                found(
                    harness, "__address__", "__meta_kubernetes_ingress_scheme", "__meta_kubernetes_ingress_path",
                    "__meta_kubernetes_ingress_class_name") == [
                        "a.example.com https / nginx", "a.example.com https /x nginx", "b.c.example.com http / nginx",
                    ])
            #expect(double.requests.first?.contains("/apis/networking.k8s.io/v1/ingresses") == true)
            #expect(harness.finish() == [])
        }

        private static let slice = #"""
            {"metadata":{"name":"api-x","namespace":"ns","labels":{"kubernetes.io/service-name":"api"}},\#
            "addressType":"IPv4","endpoints":[{"addresses":["10.1.0.1"],"nodeName":"node-a","zone":"z1",\#
            "conditions":{"ready":true,"serving":true,"terminating":false},\#
            "targetRef":{"kind":"Pod","name":"web-0","namespace":"ns"}},{"addresses":["192.0.2.1"]}],\#
            "ports":[{"name":"http","port":80,"protocol":"TCP"}]}
            """#

        @Test("Endpoint slices: labels of service, pod and node come and go with them")
        func slices() async throws {
            let body = "role = \"endpointslice\"\nattach_metadata {\n node = true\n namespace = true\n}"
            let (harness, double) = try await start(body) { $0.put("endpointslices", Self.slice) }
            let address = "10.1.0.1:80"
            #expect(harness.settle(until: { targets(harness).count == 2 }))
            #expect(labels(harness, address: address)["__meta_kubernetes_endpointslice_endpoint_zone"] == "z1")
            #expect(labels(harness, address: address)["__meta_kubernetes_pod_name"] == nil)
            double.put("nodes", Self.node)
            double.put("namespaces", #"{"metadata":{"name":"ns","labels":{"team":"t"}}}"#)
            double.put("services", #"{"metadata":{"name":"api","namespace":"ns","labels":{"s":"1"}},"spec":{}}"#)
            double.putPod("ns", "web-0", ip: "10.1.0.1", containers: [("main", ["http:80", "metrics:9090"])])
            #expect(advance(harness) { targets(harness).count == 3 })
            #expect(
                advance(harness) {
                    let found = labels(harness, address: address)
                    return found["__meta_kubernetes_pod_name"] == "web-0"
                        && found["__meta_kubernetes_pod_container_port_name"] == "http"
                        && found["__meta_kubernetes_service_label_s"] == "1"
                        && found["__meta_kubernetes_node_label_zone"] == "z1"
                        && found["__meta_kubernetes_namespace_label_team"] == "t"
                        && found["__meta_kubernetes_endpointslice_endpoint_conditions_ready"] == "true"
                        && found["__meta_kubernetes_endpointslice_address_target_name"] == "web-0"
                        && found["__meta_kubernetes_pod_container_id"] == nil
                })
            // A port of the pod that no endpoint names.
            #expect(labels(harness, address: "10.1.0.1:9090")["__meta_kubernetes_pod_container_name"] == "main")
            double.delete("pods", "ns", "web-0")
            #expect(advance(harness) { targets(harness).count == 2 })
            #expect(harness.finish() == [])
        }

        @Test("Endpoints: addresses that are ready and that are not, with their service and pods")
        func endpoints() async throws {
            let (harness, double) = try await start("role = \"endpoints\"") { double in
                double.put("services", #"{"metadata":{"name":"api","namespace":"ns","labels":{"s":"1"}},"spec":{}}"#)
                double.putPod("ns", "web-0", ip: "10.1.0.1", containers: [("main", ["http:80", "metrics:9090"])])
                double.put(
                    "endpoints",
                    #"""
                    {"metadata":{"name":"api","namespace":"ns"},"subsets":[{"addresses":[{"ip":"10.1.0.1",\#
                    "nodeName":"node-a","targetRef":{"kind":"Pod","name":"web-0","namespace":"ns"}}],\#
                    "notReadyAddresses":[{"ip":"10.1.0.2"}],"ports":[{"name":"http","port":80,"protocol":"TCP"}]}]}
                    """#)
            }
            #expect(harness.settle(until: { targets(harness).count == 3 }))
            #expect(
                found(
                    harness, "__address__", "__meta_kubernetes_endpoint_ready", "__meta_kubernetes_pod_name",
                    "__meta_kubernetes_service_label_s", "__meta_kubernetes_endpoints_name") == [
                        "10.1.0.1:80 true web-0 1 api", "10.1.0.1:9090 - web-0 1 api", "10.1.0.2:80 false - 1 api",
                    ])
            #expect(double.requests.contains { $0.contains("/api/v1/endpoints?") })
            #expect(harness.finish() == [])
        }

        @Test("Namespaces and selectors narrow what is asked for; an unknown role selects nothing")
        func narrowing() async throws {
            let body = """
                role = "pod"
                namespaces { names = ["one", "two"] }
                selectors {
                    role  = "pod"
                    label = "app=x"
                    field = "spec.nodeName=node-a"
                }
                """
            let (harness, double) = try await start(body) { double in
                for (namespace, name, node, app) in [
                    ("one", "a", "node-a", "x"), ("one", "b", "node-b", "x"), ("two", "c", "node-a", "y"),
                    ("two", "d", "node-a", "x"), ("three", "e", "node-a", "x"),
                ] {
                    double.putPod(
                        namespace, name, node: node, ip: name, labels: ["app": app], containers: [("m", [])])
                }
            }
            #expect(harness.settle(until: { found(harness, "__address__") == ["a", "d"] }))
            #expect(double.requests.contains { $0.contains("/namespaces/one/pods?labelSelector=app%3Dx") })
            let problems = harness.update(
                "api_server = \"\(double.url)\"\nrole = \"pod\"\nselectors {\n role = \"replicaset\"\n label = \"a=b\"\n}"
            )
            #expect(problems.count == 1 && problems[0].contains("unknown role \"replicaset\" select nothing"))
            #expect(advance(harness) { found(harness, "__address__") == ["a", "b", "c", "d", "e"] })
            #expect(harness.finish() == [])
        }

        @Test("A refusal is counted and told, and the last targets stay")
        func refusals() async throws {
            let (harness, double) = try await start("role = \"pod\"") { double in
                double.putPod("ns", "a", ip: "10.1.0.1", containers: [("main", [])])
            }
            #expect(harness.settle(until: { targets(harness).count == 1 && double.watcherCount == 1 }))
            double.forbid(["list pods", "watch pods"])
            double.expireWatches()
            #expect(advance(harness) { harness.metric("prometheus_sd_kubernetes_failures_total") ?? 0 > 0 })
            #expect(harness.health?.state == .unhealthy)
            #expect(harness.health?.message.contains("pods is forbidden") == true)
            #expect(targets(harness).count == 1)
            double.forbid([])
            double.putPod("ns", "b", ip: "10.1.0.2", containers: [("main", [])])
            #expect(advance(harness) { targets(harness).count == 2 && harness.health?.state == .healthy })
            #expect(harness.finish() == [])
        }

        @Test(
            "Arguments that cannot work are refused",
            arguments: [
                ("", "missing required attribute \"role\""), ("role = \"pods\"", "\"role\" must be one of"),
                ("role = \"pod\"\napi_server = \"ftp://x\"", "\"api_server\" must be"),
                ("role = \"pod\"\napi_server = \"http://x\"\nkubeconfig_file = \"/x\"", "only one of"),
                (
                    "role = \"pod\"\napi_server = \"http://x\"\nnamespaces { own_namespace = true }",
                    "cannot have own_namespace"
                ),
                ("role = \"pod\"\nfollow_redirects = false", "no effect without api_server"),
            ])
        func arguments(body: String, problem: String) {
            let harness = ComponentHarness(DiscoveryKubernetes.self)
            let problems = harness.evaluate(body)
            #expect(problems.contains { $0.contains(problem) }, "\(problems)")
        }
    }
}
