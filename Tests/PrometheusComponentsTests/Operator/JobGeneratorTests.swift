import AlloySyntax
import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Telemetry
import TestKit
import Testing
import TextFormats
import Transport
import Wire

@testable import PrometheusComponents

@Suite("JobGenerator", .serialized)
struct JobGeneratorTests {
    /// Arguments as a block gives them.
    private struct Decoded: Block, Sendable {
        let shared: OperatorArguments
        init(from block: inout BlockReader) { shared = OperatorArguments(from: &block, kind: .serviceMonitors) }
    }

    private func generator(_ double: KubernetesDouble, _ more: String = "") throws -> JobGenerator {
        let source = SourceFile(name: "t", bytes: Array("b {\nforward_to = []\n\(more)\n}".utf8))
        let block = try #require(try Parser.parse(source).body.blocks.first)
        let scope = Scope(variables: [:], standardLibrary: StandardLibrary(minimumStability: .experimental))
        let decoded = BlockDecoder.decode(Decoded.self, body: block.body, range: block.nameRange, in: scope)
        let arguments = try #require(decoded.value, "\(decoded.diagnostics)").shared
        let url = try #require(HTTPURL(double.url))
        let client = KubernetesClient(
            KubernetesServer(url: url, settings: HTTPClientSettings()), on: EventLoops(threads: 1), clock: .system)
        return JobGenerator(arguments: arguments, values: ReferencedValues(client, clock: .system))
    }

    private func metadata(_ name: String = "m") -> ObjectMetadata {
        var metadata = ObjectMetadata()
        metadata.key = ObjectKey(namespace: "ns", name: name)
        return metadata
    }

    private func jobs(
        _ kind: MonitorKind, _ spec: String, _ more: String = ""
    ) async throws -> (jobs: [MonitorJob], problems: [String]) {
        let double = try await KubernetesDouble()
        double.put(
            "secrets",
            #"{"metadata":{"name":"s","namespace":"ns"},"data":{"user":"dQ==","pass":"cA==","token":"dG9r"}}"#)
        double.put("configmaps", #"{"metadata":{"name":"c","namespace":"ns"},"data":{"ca":"PEM"}}"#)
        return try await generator(double, more).jobs(of: kind, metadata(), try JSONValue(parsing: spec))
    }

    private func relabelled(_ job: MonitorJob, _ labels: [(String, String)]) -> [String: String]? {
        var scratch = LabelSetBuilder()
        guard let result = job.relabelled(LabelSet(labels), scratch: &scratch) else { return nil }
        return Dictionary(
            result.pairs.filter { !$0.name.hasPrefix("__meta") }.map { ($0.name, $0.value) },
            uniquingKeysWith: { first, _ in first })
    }

    private static let pod: [(String, String)] = [
        ("__address__", "10.0.0.1:80"), ("__meta_kubernetes_namespace", "ns"),
        ("__meta_kubernetes_pod_name", "web-0"), ("__meta_kubernetes_pod_container_name", "main"),
        ("__meta_kubernetes_pod_container_port_name", "metrics"), ("__meta_kubernetes_pod_phase", "Running"),
        ("__meta_kubernetes_pod_label_app", "web.x"), ("__meta_kubernetes_pod_labelpresent_app", "true"),
        ("__meta_kubernetes_pod_label_team", "t"), ("__meta_kubernetes_pod_labelpresent_team", "true"),
    ]

    @Test("A pod monitor keeps the pods and ports it selects and names them")
    func podMonitor() async throws {
        let (jobs, problems) = try await jobs(
            .podMonitors,
            #"""
            {"selector":{"matchLabels":{"app":"web.x"},"matchExpressions":[{"key":"off","operator":"DoesNotExist"}]},\#
            "podTargetLabels":["team"],"sampleLimit":7,"podMetricsEndpoints":[{"port":"metrics","interval":"15s",\#
            "path":"/m","honorLabels":true,"params":{"a":["b"]},\#
            "relabelings":[{"targetLabel":"extra","replacement":"yes"}],\#
            "metricRelabelings":[{"action":"drop","sourceLabels":["__name__"],"regex":"go_.*"}]}]}
            """#, "rule {\n target_label = \"first\"\n replacement = \"1\"\n}")
        #expect(problems == [])
        let job = try #require(jobs.first)
        #expect(job.name == "podMonitor/ns/m/0")
        #expect(job.settings.interval == .seconds(15) && job.settings.timeout == .seconds(10))
        #expect(job.settings.options.limits.samples == 7 && job.settings.honorsLabels)
        #expect(job.settings.metricRelabeling.rules.count == 1)
        guard case .kubernetes(let request) = job.source else { return #expect(Bool(false), "\(job.source)") }
        #expect(request.role == .pod && request.namespaces == ["ns"])
        #expect(
            relabelled(job, Self.pod) == [
                "__address__": "10.0.0.1:80", "__metrics_path__": "/m", "__scheme__": "http", "__param_a": "b",
                "__tmp_prometheus_job_name": "podMonitor/ns/m/0", "namespace": "ns", "pod": "web-0",
                "container": "main", "team": "t", "job": "ns/m", "endpoint": "metrics", "extra": "yes", "first": "1",
            ])
        func changed(_ name: String, _ value: String) -> [(String, String)] {
            Self.pod.filter { $0.0 != name } + [(name, value)]
        }
        #expect(relabelled(job, changed("__meta_kubernetes_pod_phase", "Succeeded")) == nil)
        #expect(relabelled(job, changed("__meta_kubernetes_pod_container_port_name", "http")) == nil)
        #expect(relabelled(job, changed("__meta_kubernetes_pod_labelpresent_off", "true")) == nil)
        // The value is no expression.
        #expect(relabelled(job, changed("__meta_kubernetes_pod_label_app", "webAx")) == nil)
    }

    @Test("A service monitor finds its endpoints and takes credentials from Secrets")
    func serviceMonitor() async throws {
        let (jobs, problems) = try await jobs(
            .serviceMonitors,
            #"""
            {"selector":{"matchLabels":{"app":"web"}},"namespaceSelector":{"any":true},"jobLabel":"team",\#
            "targetLabels":["x/y"],"endpoints":[\#
            {"port":"http","scheme":"HTTPS","basicAuth":{"username":{"name":"s","key":"user"},\#
            "password":{"name":"s","key":"pass"}},"tlsConfig":{"ca":{"configMap":{"name":"c","key":"ca"}},\#
            "serverName":"sn"}},{"targetPort":8080,"bearerTokenSecret":{"name":"s","key":"token"}},\#
            {"bearerTokenFile":"/var/run/token"},{"basicAuth":{"username":{"name":"s","key":"missing"}}}]}
            """#)
        #expect(jobs.map(\.name) == ["serviceMonitor/ns/m/0", "serviceMonitor/ns/m/1"])
        #expect(problems.count == 2)
        #expect(problems.first?.contains("allow_arbitrary_file_access is false") == true)
        #expect(problems.last?.contains("has no key \"missing\"") == true)
        let first = try #require(jobs.first).settings
        #expect(first.scheme == "https" && first.client.tls.caPEM == "PEM" && first.client.tls.serverName == "sn")
        #expect(first.client.authorisation == .basic(username: "u", password: .inline(Secret("p"))))
        #expect(jobs[1].settings.client.authorisation == .bearer(.inline(Secret("tok"))))
        guard case .kubernetes(let request) = jobs[0].source else { return #expect(Bool(false), "\(jobs[0].source)") }
        #expect(request.role == .endpoints && request.namespaces == [])
        let endpoint: [(String, String)] = [
            ("__address__", "10.0.0.1:80"), ("__meta_kubernetes_namespace", "other"),
            ("__meta_kubernetes_service_name", "api"), ("__meta_kubernetes_service_label_app", "web"),
            ("__meta_kubernetes_service_labelpresent_app", "true"), ("__meta_kubernetes_service_label_x_y", "z"),
            ("__meta_kubernetes_service_label_team", "blue"), ("__meta_kubernetes_endpoint_port_name", "http"),
            ("__meta_kubernetes_endpoint_address_target_kind", "Pod"),
            ("__meta_kubernetes_endpoint_address_target_name", "web-0"),
            ("__meta_kubernetes_pod_name", "web-0"), ("__meta_kubernetes_pod_container_name", "main"),
        ]
        #expect(
            relabelled(jobs[0], endpoint) == [
                "__address__": "10.0.0.1:80", "__metrics_path__": "/metrics", "__scheme__": "https",
                "__tmp_prometheus_job_name": "serviceMonitor/ns/m/0", "namespace": "other", "pod": "web-0",
                "container": "main", "service": "api", "x_y": "z", "job": "blue", "endpoint": "http",
            ])
    }

    @Test("A probe asks its prober for each target")
    func probe() async throws {
        let (jobs, problems) = try await jobs(
            .probes,
            #"""
            {"jobName":"j","module":"http_2xx","prober":{"url":"prober:9115"},"interval":"30s",\#
            "targets":{"staticConfig":{"static":["https://a.example"],"labels":{"l":"v"}}}}
            """#)
        #expect(problems == [])
        let job = try #require(jobs.first)
        #expect(job.name == "probe/ns/m" && job.settings.metricsPath == "/probe")
        guard case .fixed(let addresses, let labels) = job.source else { return #expect(Bool(false), "\(job.source)") }
        #expect(addresses == ["https://a.example"] && labels == ["l": "v", "namespace": "ns"])
        #expect(
            relabelled(job, [("__address__", "https://a.example")]) == [
                "__address__": "prober:9115", "__metrics_path__": "/probe", "__scheme__": "http",
                "__param_module": "http_2xx", "__param_target": "https://a.example",
                "__tmp_prometheus_job_name": "probe/ns/m", "instance": "https://a.example", "job": "j",
            ])
        let ingress = try await self.jobs(
            .probes, #"{"prober":{"url":"p:1"},"targets":{"ingress":{"selector":{"matchLabels":{"a":"b"}}}}}"#)
        #expect(
            relabelled(
                try #require(ingress.jobs.first),
                [
                    ("__address__", "a.example"), ("__meta_kubernetes_ingress_scheme", "https"),
                    ("__meta_kubernetes_ingress_path", "/x"), ("__meta_kubernetes_namespace", "ns"),
                    ("__meta_kubernetes_ingress_name", "gw"), ("__meta_kubernetes_ingress_label_a", "b"),
                    ("__meta_kubernetes_ingress_labelpresent_a", "true"),
                ])?["__param_target"] == "https://a.example/x")
    }

    @Test("A scrape configuration makes a job of each list of targets and names what it cannot use")
    func scrapeConfig() async throws {
        let (jobs, problems) = try await jobs(
            .scrapeConfigs,
            #"""
            {"scheme":"HTTPS","metricsPath":"/x","staticConfigs":[{"targets":["a:1","b:2"],"labels":{"l":"v"}}],\#
            "httpSDConfigs":[{"url":"http://sd/list","refreshInterval":"2m"}],"kubernetesSDConfigs":[{"role":"Pod"}]}
            """#)
        #expect(jobs.map(\.name) == ["scrapeConfig/ns/m/static/0", "scrapeConfig/ns/m/http/0"])
        #expect(problems == ["not supported and left out: kubernetesSDConfigs"])
        #expect(jobs[0].settings.scheme == "https" && jobs[0].settings.metricsPath == "/x")
        #expect(relabelled(jobs[0], [("__address__", "a:1")])?["instance"] == "a:1")
        guard case .http(let url, let interval, _) = jobs[1].source else { return #expect(Bool(false), "\(jobs[1])") }
        #expect(url.text == "http://sd/list" && interval == .seconds(120))
    }

    @Test(
        "What makes no sense is that object's error",
        arguments: [
            (#"{"endpoints":[{"interval":"x"}]}"#, "invalid duration"),
            (#"{"endpoints":[{"interval":"5s","scrapeTimeout":"10s"}]}"#, "timeout greater than"),
            (#"{"endpoints":[{"relabelings":[{"action":"nope"}]}]}"#, "unknown relabel action"),
            (#"{"endpoints":[{}],"scrapeProtocols":["Smoke"]}"#, "unknown scrape protocol"),
            (#"{"endpoints":[{}],"bodySizeLimit":"much"}"#, "bodySizeLimit"),
            (#"{"endpoints":[{"proxyUrl":"::"}]}"#, "proxyUrl"),
            (#"{"endpoints":[{}],"selector":{"matchExpressions":[{"key":"a","operator":"Like"}]}}"#, "Like"),
            (#"{"endpoints":[{"tlsConfig":{"cert":{"secret":{"name":"s","key":"user"}}}}]}"#, "tlsConfig"),
        ])
    func problems(spec: String, problem: String) async throws {
        let (jobs, problems) = try await jobs(.serviceMonitors, spec)
        #expect(jobs.isEmpty)
        #expect(problems.count == 1 && problems[0].contains(problem), "\(problems)")
    }

    @Test("A value of a Secret is kept until it is to be read again")
    func changedSecret() async throws {
        let double = try await KubernetesDouble()
        let url = try #require(HTTPURL(double.url))
        let client = KubernetesClient(
            KubernetesServer(url: url, settings: HTTPClientSettings()), on: EventLoops(threads: 1), clock: .system)
        let values = ReferencedValues(client, clock: .system)
        #expect(!values.forgetAges())
        let selector = try JSONValue(parsing: #"{"name":"s","key":"k"}"#)
        func put(_ encoded: String) {
            double.put("secrets", #"{"metadata":{"name":"s","namespace":"ns"},"data":{"k":"\#(encoded)"}}"#)
        }
        put("YQ==")
        #expect(try await values.secret("ns", selector) == Secret("a"))
        put("Yg==")
        #expect(try await values.secret("ns", selector) == Secret("a"))
        #expect(values.forgetAges())
        #expect(try await values.secret("ns", selector) == Secret("b"))
    }
}
