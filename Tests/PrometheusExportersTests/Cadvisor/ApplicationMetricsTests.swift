import Essentials
import Foundation
import TestKit
import Testing
import Transport

@testable import PrometheusExporters

@Suite("prometheus.exporter.cadvisor: metrics of applications")
struct ApplicationMetricsTests {
    private static let loops = EventLoops(threads: 2)

    private func refresh(
        _ tree: FakeTree, _ labels: [(name: String, value: String)]
    ) async -> (page: Exposed, log: [String]) {
        let sink = RecordingLogSink()
        let clock = EngineClock.system
        let asked = ApplicationMetrics(
            procfs: tree.path + "/proc", on: Self.loops, clock: clock, log: Log(sink: sink, clock: clock))
        defer { asked.shutDown() }
        var facts = ContainerFacts()
        facts.id = "c"
        facts.processID = 7
        facts.address = "127.0.0.1"
        facts.labels = labels
        await asked.refresh(["c": facts], on: BlockingPool(name: "applications", threads: 1))
        let page = MetricPage()
        page.begin()
        asked.add("c", to: page, base: Array(#"id="/c""#.utf8))
        return (Exposed(String(decoding: page.render(), as: UTF8.self)), sink.lines)
    }

    private func serving(
        _ pages: [String: String], _ body: (Int) async throws -> Void
    ) async throws {
        var router = HTTPRouter()
        router.otherwise { request in
            pages[request.path].map { .text(.ok, $0) } ?? .text(.notFound, "")
        }
        let settings = HTTPServerSettings(address: .host("127.0.0.1", port: 0))
        let server = try await HTTPServer.bind(settings, router: router, on: Self.loops)
        let running = Task { await server.run() }
        let result: Result<Void, any Error>
        do { result = .success(try await body(server.address.port ?? 0)) } catch { result = .failure(error) }
        running.cancel()
        await running.value
        try result.get()
    }

    @Test("Pages in Prometheus text become metrics of the container, those that are chosen")
    func exposition() async throws {
        let tree = try FakeTree()
        let text = """
            # HELP jobs_total Jobs.
            # TYPE jobs_total counter
            jobs_total{queue="a \\"b\\", c",code="200"} 5 1700000000000
            jobs_total{queue="other"} 7
            lag 0.5
            hidden 1
            container_spoofed 1
            infinite +Inf
            """
        try await serving(["/metrics": text]) { port in
            try tree.write(
                "proc/7/root/etc/app.json",
                """
                {"endpoint": {"protocol": "http", "port": \(port), "path": "/metrics"}, "polling_frequency": 5000000000,
                 "metrics_config": ["jobs_total", "lag", "infinite", "container_spoofed"]}
                """)
            let (page, log) = await refresh(tree, [("io.cadvisor.metric.prometheus-app", "/etc/app.json"), ("x", "y")])
            #expect(log == [])
            #expect(page["jobs_total", #"{app_code="200",app_queue="a \"b\", c",id="/c"}"#] == 5)
            #expect(page["jobs_total", #"{app_queue="other",id="/c"}"#] == 7)
            #expect(page["lag", #"{id="/c"}"#] == 0.5)
            #expect(page["infinite", #"{id="/c"}"#] == .infinity)
            #expect(page.types["jobs_total"] == "gauge" && page.helps["jobs_total"] == "Custom application metric.")
            #expect(page.values.count == 4)
        }
    }

    @Test("Expressions find metrics in any page")
    func patterns() async throws {
        let tree = try FakeTree()
        try await serving(["/status": "Active connections: 42\nReading: 0.5\n"]) { port in
            try tree.write(
                "proc/7/root/status.json",
                """
                {"endpoint": "http://127.0.0.1:\(port)/status", "metrics_config": [
                 {"name": "activeConnections", "metric_type": "gauge", "units": "count", "data_type": "int",
                  "polling_frequency": 10000000000, "regex": "Active connections: ([0-9]+)"},
                 {"name": "reading", "data_type": "float", "regex": "Reading: ([0-9.]+)"},
                 {"name": "none", "data_type": "int", "regex": "Nothing: ([0-9]+)"}]}
                """)
            let (page, _) = await refresh(tree, [("io.cadvisor.metric.nginx", "/status.json")])
            #expect(page["activeConnections", #"{id="/c"}"#] == 42 && page["reading", #"{id="/c"}"#] == 0.5)
            #expect(page.values.count == 2)
        }
    }

    @Test("Files outside of the container, links and what is no configuration are refused")
    func refusals() async throws {
        let tree = try FakeTree()
        try tree.write("secret.json", #"{"endpoint": "http://127.0.0.1:1/", "metrics_config": ["a"]}"#)
        try tree.write("proc/7/root/plain.json", "nonsense")
        try tree.write("proc/7/root/empty.json", #"{"endpoint": "http://127.0.0.1:1/"}"#)
        try tree.link("proc/7/root/link.json", to: tree.path + "/secret.json")
        try tree.link("proc/7/root/etc", to: tree.path)
        let root = tree.path + "/proc/7/root"
        #expect(ApplicationConfig.read("/plain.json", below: root) == Array("nonsense".utf8))
        for path in ["/link.json", "/etc/secret.json", "/../../../secret.json", "/none", "/", ""] {
            #expect(ApplicationConfig.read(path, below: root) == nil, "\(path)")
        }
        for path in ["/plain.json", "/empty.json", "/link.json"] {
            let (page, log) = await refresh(tree, [("io.cadvisor.metric.x", path)])
            #expect(page.values.isEmpty)
            #expect(log.count == 1 && log[0].contains("Metrics of an application cannot be read"), "\(log)")
        }
        let noAddress = #"{"endpoint": {"port": 80}, "metrics_config": [{"name": "a", "regex": "(b)"}]}"#
        #expect(throws: ApplicationError.self) { try ApplicationConfig(Array(noAddress.utf8), name: "x", address: "") }
        let many = (0..<101).map { "\"m\($0)\"" }.joined(separator: ",")
        #expect(throws: ApplicationError.self) {
            try ApplicationConfig(
                Array("{\"endpoint\":\"http://a\",\"metrics_config\":[\(many)]}".utf8), name: "prometheus", address: "")
        }
    }

    @Test("Pages that are no Prometheus text, or hold too much, make no metrics")
    func hostilePages() throws {
        for text in ["a{b=\"c\" 1", "a{b} 1", "a{b=\"c\"}", "a b", "a{b=\"\\"] {
            #expect(throws: ApplicationError.self, "\(text)") {
                try ApplicationSample.read(Array(text.utf8), names: nil)
            }
        }
        let many = (0..<101).map { "m\($0) 1\n" }.joined()
        #expect(throws: ApplicationError.self) { try ApplicationSample.read(Array(many.utf8), names: nil) }
        #expect(try ApplicationSample.read(Array("a{} 1\n\n# x\nb{x=\"\"} NaN\n".utf8), names: nil).count == 2)
    }
}
