import AlloySyntax
import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Synchronization
import TestKit
import Testing
import TextFormats
import Transport

@testable import OtelcolComponents

/// What a resolver has said, in order.
private final class Reports: Sendable {
    private let stored = Mutex<[Result<[String], any Error>]>([])

    var hear: ResolverReport { { result in self.stored.withLock { $0.append(result) } } }
    var lists: [[String]] { stored.withLock { $0.compactMap { try? $0.get() } } }
    var failures: Int { stored.withLock { $0.count { if case .failure = $0 { true } else { false } } } }
}

@Suite("Resolvers of the load balancing exporter")
struct EndpointResolverTests {
    @Test("DNS: addresses of both families with the port, asked again at the interval; a failure keeps the list")
    func dns() throws {
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let answers = Mutex<[String]?>(["10.0.0.1", "::1"])
        let arguments = try ResolverSample.dns("hostname = \"pool\"\nport = \"55690\"\ninterval = \"2s\"")
        let resolver = IntervalResolver.dns(arguments, clock: harness.clock) { name in
            guard name == "pool", let found = answers.withLock({ $0 }) else { throw ResolverError("no such host") }
            return found
        }
        let reports = Reports()
        let running = Task(executorPreference: harness.executor) { try await resolver.run(reports.hear) }
        #expect(harness.settle(until: { reports.lists == [["10.0.0.1:55690", "[::1]:55690"]] }))
        answers.withLock { $0 = nil }
        harness.advance(by: .seconds(2))
        #expect(harness.settle(until: { reports.failures == 1 }))
        answers.withLock { $0 = ["10.0.0.2"] }
        harness.advance(by: .seconds(2))
        #expect(harness.settle(until: { reports.lists.last == ["10.0.0.2:55690"] }))
        running.cancel()
        harness.settle()
    }

    @Test("The system's resolver knows localhost, and not what is invalid")
    func system() throws {
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let blocking = harness.services.blocking
        let found = try harness.run { try await HostAddresses.lookUp("localhost", on: blocking) }
        #expect(found.contains("127.0.0.1") || found.contains("::1"))
        #expect(throws: (any Error).self) {
            try harness.run { try await HostAddresses.lookUp("nowhere.invalid", on: blocking) }
        }
    }

    private func endpoints(_ addresses: [(ip: String, hostname: String, ready: Bool)]) -> String {
        addresses.map {
            #"{"addresses":["\#($0.ip)"],"hostname":"\#($0.hostname)","conditions":{"ready":\#($0.ready)}}"#
        }.joined(separator: ",")
    }

    private func slice(_ name: String, _ content: String) -> String {
        #"""
        {"metadata":{"name":"\#(name)","namespace":"tracing","labels":{"kubernetes.io/service-name":"pool"}},
        "addressType":"IPv4","endpoints":[\#(content)],"ports":[]}
        """#
    }

    @Test("Kubernetes: ready endpoints of all slices, followed; names of pods where asked for")
    func kubernetes() async throws {
        let double = try await KubernetesDouble()
        double.put("endpointslices", slice("a", endpoints([("10.1.0.1", "p-0", true), ("10.1.0.9", "p-9", false)])))
        double.put("endpointslices", slice("b", endpoints([("10.1.0.2", "p-1", true)])))
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let url = try #require(HTTPURL(double.url))
        func follow(_ text: String) throws -> (Reports, Task<Void, any Error>) {
            let resolver = KubernetesEndpoints(
                try ResolverSample.kubernetes(text), harness.services.kubernetes, clock: harness.clock,
                connection: .server(url, HTTPClientSettings()))
            let reports = Reports()
            return (
                reports, Task(executorPreference: harness.executor) { try await resolver.run(reports.hear) }
            )
        }
        let (reports, running) = try follow("service = \"pool.tracing\"\nports = [4317, 55690]")
        let both = ["10.1.0.1:4317", "10.1.0.1:55690", "10.1.0.2:4317", "10.1.0.2:55690"]
        #expect(harness.settle(until: { reports.lists == [both] }))
        double.delete("endpointslices", "tracing", "b")
        #expect(harness.settle(until: { reports.lists.last == ["10.1.0.1:4317", "10.1.0.1:55690"] }))
        let (names, second) = try follow("service = \"pool.tracing\"\nreturn_hostnames = true")
        #expect(harness.settle(until: { names.lists == [["p-0.pool.tracing:4317"]] }))
        for task in [running, second] { task.cancel() }
        harness.settle()
    }

    @Test("Kubernetes: an account without rights to slices reads the Endpoints object")
    func endpointsObject() async throws {
        let double = try await KubernetesDouble()
        double.forbid(["list endpointslices"])
        double.put(
            "endpoints",
            #"{"metadata":{"name":"pool","namespace":"tracing"},"subsets":[{"addresses":[{"ip":"10.1.0.7"}]}]}"#)
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let resolver = KubernetesEndpoints(
            try ResolverSample.kubernetes("service = \"pool.tracing\""), harness.services.kubernetes,
            clock: harness.clock, connection: .server(try #require(HTTPURL(double.url)), HTTPClientSettings()))
        let reports = Reports()
        let running = Task(executorPreference: harness.executor) { try await resolver.run(reports.hear) }
        #expect(harness.settle(until: { reports.lists == [["10.1.0.7:4317"]] }))
        running.cancel()
        harness.settle()
    }

    @Test("Cloud Map: the request is signed and says what is wanted; instances give address and port")
    func cloudMap() async throws {
        let seen = Mutex<[(fields: HTTPFields, body: String)]>([])
        let answer = Mutex(
            (
                status: 200,
                body: #"""
                {"Instances":[{"InstanceId":"i-1","Attributes":{"AWS_INSTANCE_IPV4":"10.2.0.2","AWS_INSTANCE_PORT":"4444"}},
                {"InstanceId":"i-2","Attributes":{"AWS_INSTANCE_IPV4":"10.2.0.1"}},{"InstanceId":"i-3","Attributes":{}}]}
                """#
            ))
        var router = HTTPRouter()
        router.otherwise { request in
            let body = String(decoding: try await request.body.collect(), as: UTF8.self)
            seen.withLock { $0.append((request.fields, body)) }
            let (status, text) = answer.withLock { ($0.status, $0.body) }
            return .text(HTTPStatus(status), text)
        }
        let harness = ComponentHarness(OtelcolExporterLoadBalancing.self)
        let settings = HTTPServerSettings(address: .host("127.0.0.1", port: 0))
        let server = try await HTTPServer.bind(settings, router: router, on: harness.services.eventLoops)
        let executor = ThreadExecutor(name: "cloud-map-double")
        let serving = Task(executorPreference: executor) { await server.run(on: executor) }
        defer { serving.cancel() }
        let url = "http://\(server.address.text)"
        func client(_ more: String) throws -> CloudMapClient {
            CloudMapClient(
                try ResolverSample.cloudMap("namespace = \"mesh\"\nservice_name = \"pool\"\n\(more)"),
                on: harness.services.eventLoops, clock: harness.clock, credentials: ("AKID", Secret("sesame")),
                environment: { ["AWS_ENDPOINT_URL_SERVICEDISCOVERY": url][$0] })
        }
        let first = try client("")
        #expect(try harness.run { try await first.discover() } == ["10.2.0.1:4317", "10.2.0.2:4444"])
        let second = try client("port = 55690\nhealth_status = \"ALL\"\nowner_account = \"123\"")
        #expect(try harness.run { try await second.discover() } == ["10.2.0.1:55690", "10.2.0.2:55690"])
        let requests = seen.withLock { $0 }
        #expect(
            requests.map(\.body) == [
                #"{"NamespaceName":"mesh","ServiceName":"pool","HealthStatus":"HEALTHY"}"#,
                #"{"NamespaceName":"mesh","ServiceName":"pool","HealthStatus":"ALL","OwnerAccount":"123"}"#,
            ])
        #expect(requests[0].fields["x-amz-target"] == "Route53AutoNaming_v20170314.DiscoverInstances")
        let signature = requests[0].fields["authorization"] ?? ""
        #expect(signature.hasPrefix("AWS4-HMAC-SHA256 Credential=AKID/") && signature.contains("/servicediscovery/"))
        #expect(!signature.contains("sesame"))
        answer.withLock { $0 = (400, #"{"__type":"ServiceNotFound","message":"nothing there"}"#) }
        #expect { try harness.run { try await first.discover() } } throws: { "\($0)".contains("nothing there") }
        for client in [first, second] { client.shutDown() }
    }
}

/// Arguments of resolvers, read from text.
enum ResolverSample {
    static func dns(_ text: String) throws -> DNSResolverArguments { try decode(text) }
    static func kubernetes(_ text: String) throws -> KubernetesResolverArguments { try decode(text) }
    static func cloudMap(_ text: String) throws -> CloudMapResolverArguments { try decode(text) }

    private static func decode<B: Block & Sendable>(_ text: String) throws -> B {
        let source = SourceFile(name: "test.alloy", bytes: Array("x {\n\(text)\n}\n".utf8))
        let block = try #require(try Parser.parse(source).body.blocks.first)
        let scope = Scope(variables: [:], standardLibrary: StandardLibrary(minimumStability: .experimental))
        return try #require(BlockDecoder.decode(B.self, body: block.body, range: block.nameRange, in: scope).value)
    }
}
