import AlloySyntax
import ComponentKit
import Essentials
import Glibc
import Synchronization
import Telemetry
import TestKit
import Testing
import TextFormats
import Transport
import Wire

@testable import OtelcolComponents

/// What a server answered, once it has.
private final class AnswerBox: Sendable {
    let value = Mutex<(Int, String)?>(nil)
}

@Suite("Remote sampling")
struct RemoteSamplingTests {
    private static let document = #"""
        {"default_strategy": {"type": "probabilistic", "param": 0.2,
           "operation_strategies": [{"operation": "/health", "type": "probabilistic", "param": 0},
                                    {"operation": "/pay", "type": "probabilistic", "param": 0.9}]},
         "service_strategies": [
           {"service": "shop", "type": "probabilistic", "param": 0.5},
           {"service": "cart", "type": "probabilistic", "param": 0.6,
            "operation_strategies": [{"operation": "/pay", "type": "probabilistic", "param": 1},
                                     {"operation": "/list", "type": "ratelimiting", "param": 3}]},
           {"service": "mail", "type": "ratelimiting", "param": 5.9},
           {"service": "odd", "type": "sometimes"}]}
        """#

    private func operations(_ strategy: SamplingStrategy) -> [String] {
        strategy.operations?.probabilities.map { "\($0.operation) \($0.probability)" } ?? []
    }

    // MARK: Documents

    @Test("Services have their strategy, and the operations of the default one where Jaeger says so")
    func documents() throws {
        let document = try SamplingDocument(parsing: Self.document)
        #expect(document.strategy(for: "other").kind == .probabilistic(0.2))
        #expect(operations(document.strategy(for: "other")) == ["/health 0.0", "/pay 0.9"])
        let shop = document.strategy(for: "shop")
        #expect(shop.kind == .probabilistic(0.5) && shop.operations?.defaultProbability == 0.5)
        #expect(operations(shop) == ["/health 0.0", "/pay 0.9"])
        let cart = document.strategy(for: "cart")
        #expect(cart.operations?.defaultProbability == 0.6 && operations(cart) == ["/pay 1.0", "/health 0.0"])
        #expect(document.strategy(for: "mail") == SamplingStrategy(kind: .rateLimiting(5)))
        #expect(document.strategy(for: "odd").kind == .probabilistic(0.001))
        #expect(document.warnings.count == 2)
    }

    @Test("An empty document samples by Jaeger's default; what is no document is refused")
    func poorDocuments() throws {
        for text in ["null", "{}", #"{"service_strategies": null}"#] {
            #expect(try SamplingDocument(parsing: text).strategy(for: "a") == SamplingStrategy())
        }
        for text in [
            "", "[]", "{", #"{"default_strategy": 1}"#, #"{"service_strategies": {}}"#,
            #"{"default_strategy": {"type": "probabilistic", "param": "1"}}"#,
            #"{"default_strategy": {"type": 1}}"#,
        ] {
            #expect(throws: (any Error).self) { try SamplingDocument(parsing: text) }
        }
        let huge = try SamplingDocument(parsing: #"{"default_strategy": {"type": "ratelimiting", "param": 1e300}}"#)
        #expect(huge.fallback.kind == .rateLimiting(.max))
    }

    @Test("Strategies come through protobuf as they were; broken messages are refused")
    func protobuf() throws {
        let document = try SamplingDocument(parsing: Self.document)
        for name in ["other", "shop", "cart", "mail", "odd"] {
            let strategy = document.strategy(for: name)
            #expect(try strategy.protobuf.withRawBytes { try SamplingStrategy(protobuf: $0) } == strategy)
        }
        // Of protoc's encoder: RATE_LIMITING with five traces a second.
        #expect(SamplingStrategy(kind: .rateLimiting(5)).protobuf == [0x08, 0x01, 0x1A, 0x02, 0x08, 0x05])
        #expect(SamplingStrategy(kind: .probabilistic(0)).protobuf == [0x12, 0x00])
        #expect(throws: ProtobufError.self) {
            try [0x12, 0x7F].withRawBytes { try SamplingStrategy(protobuf: $0) }
        }
    }

    // MARK: Servers

    private struct Server {
        let harness: ComponentHarness
        let http: String
        let grpc: String

        init(_ source: String, _ more: String = "") throws {
            let harness = ComponentHarness(OtelcolExtensionJaegerRemoteSampling.self)
            self.harness = harness
            let problems = harness.start(
                """
                grpc { endpoint = "127.0.0.1:0" }
                http {
                    endpoint = "127.0.0.1:0"
                    \(more)
                }
                source {
                \(source)
                }
                """)
            #expect(problems == [])
            var (http, grpc) = ("", "")
            let isListening = harness.settle(until: {
                guard case .string(let one)? = harness.instance.debugInfo["http_address"],
                    case .string(let two)? = harness.instance.debugInfo["grpc_address"]
                else { return false }
                (http, grpc) = (one, two)
                return !one.isEmpty && !two.isEmpty
            })
            #expect(isListening)
            (self.http, self.grpc) = (http, grpc)
        }

        func get(_ path: String, _ method: HTTPMethod = .get, _ fields: HTTPFields = [:]) throws -> (Int, String) {
            let loops = harness.services.eventLoops
            let url = "http://\(http)\(path)"
            return try harness.run {
                let client = HTTPClient(on: loops)
                defer { client.shutDown() }
                let response = try await client.send(
                    HTTPClientRequest(method, try #require(HTTPURL(url)), fields: fields))
                return (response.status.code, String(decoding: try await response.collect(), as: UTF8.self))
            }
        }

        func call(_ message: [UInt8]) throws -> Result<SamplingStrategy, GRPCStatus> {
            let parts = try #require(GRPCDialArguments.parse(grpc))
            let loops = harness.services.eventLoops
            return try harness.run {
                let client = GRPCClient(GRPCClientSettings(host: parts.host, port: parts.port), on: loops)
                defer { client.shutDown() }
                do throws(GRPCStatus) {
                    let answer = try await client.call(SamplingStrategy.method, message, timeout: .seconds(20)).message
                    return .success(
                        (try? answer.withRawBytes { try SamplingStrategy(protobuf: $0) }) ?? SamplingStrategy())
                } catch {
                    return .failure(error)
                }
            }
        }
    }

    private func content(_ text: String) -> String { "content = \(StringLiteral.quoted(text))" }

    @Test("Both servers answer with the service's strategy; HTTP names its kind")
    func serving() throws {
        let server = try Server(content(Self.document))
        let limited = try server.get("/sampling?service=mail")
        #expect(limited.0 == 200)
        #expect(limited.1 == #"{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":5}}"#)
        let (status, body) = try server.get("/api/sampling?service=cart")
        let answer = try JSONValue(parsing: body)
        #expect(status == 200 && answer["strategyType"]?.stringValue == "PROBABILISTIC")
        #expect(answer["probabilisticSampling"]?["samplingRate"]?.doubleValue == 0.6)
        let operations = answer["operationSampling"]
        #expect(operations?["defaultSamplingProbability"]?.doubleValue == 0.6)
        #expect(operations?["perOperationStrategies"]?[0]?["operation"]?.stringValue == "/pay")
        #expect(try server.get("/sampling").0 == 400)
        #expect(try server.get("/sampling?service=").0 == 400)
        #expect(try server.get("/?service=mail").0 == 404)
        #expect(try server.get("/sampling?service=mail", .post).0 == 405)
        #expect(try server.call(SamplingStrategy.request(for: "mail")).get().kind == .rateLimiting(5))
        #expect(try server.call([]).get().kind == .probabilistic(0.2))
        guard case .failure(let refusal) = try server.call([0x0A, 0x7F]) else { throw HarnessError.timedOut }
        #expect(refusal.code == .internal)
        // A new document counts at once, and the servers stay where they are.
        let next = #"{"default_strategy": {"type": "ratelimiting", "param": 1}}"#
        let text = """
            grpc { endpoint = "127.0.0.1:0" }
            http { endpoint = "127.0.0.1:0" }
            source { \(content(next)) }
            """
        #expect(server.harness.update(text) == [])
        #expect(try server.get("/sampling?service=cart").1.contains("RATE_LIMITING"))
        #expect(server.harness.finish() == [])
    }

    @Test("A file is read again at the interval; one that broke leaves the document before in use")
    func files() throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        let path = "\(directory)/strategies.json"
        func write(_ rate: String) throws {
            try Files.replace(
                path, with: Array(#"{"default_strategy": {"type": "probabilistic", "param": \#(rate)}}"#.utf8))
        }
        defer { unlink(path); rmdir(directory) }
        try write("0.25")
        let server = try Server("file = \"\(path)\"\nreload_interval = \"10s\"")
        // The servers may listen before the file has been read.
        #expect(server.harness.settle(until: { (try? server.get("/sampling?service=a"))?.1.contains("0.25") == true }))
        for (rate, expected) in [("0.75", "0.75"), ("oops", "0.75"), ("0.5", "0.5")] {
            try write(rate)
            server.harness.advance(by: .seconds(10))
            #expect(server.harness.settle(until: { server.harness.services.blocking.unfinishedJobs == 0 }))
            #expect(try server.get("/sampling?service=a").1.contains(expected))
        }
        #expect(server.harness.finish() == [])
    }

    @Test("A file that is not there ends the component and says so")
    func missingFile() throws {
        let harness = ComponentHarness(OtelcolExtensionJaegerRemoteSampling.self)
        #expect(harness.start("http { endpoint = \"127.0.0.1:0\" }\nsource { file = \"/nowhere/s.json\" }") == [])
        #expect(harness.settle(until: { harness.hasEnded }))
        #expect(harness.health?.state == .unhealthy && harness.failure != nil)
        #expect(harness.finish() == [])
    }

    @Test("Another sampling manager is asked, and its answers are kept for the interval")
    func remote() throws {
        let upstream = try Server(content(Self.document))
        let source = """
            reload_interval = "30s"
            remote {
                endpoint = "\(upstream.grpc)"
                tls { insecure = true }
            }
            """
        let server = try Server(source)
        func ask() throws -> (Int, String) {
            let loops = server.harness.services.eventLoops
            let url = "http://\(server.http)/sampling?service=mail"
            let outcome = AnswerBox()
            let task = Task(executorPreference: server.harness.executor) {
                let client = HTTPClient(on: loops)
                defer { client.shutDown() }
                let response = try await client.send(HTTPClientRequest(.get, try #require(HTTPURL(url))))
                let body = String(decoding: try await response.collect(), as: UTF8.self)
                outcome.value.withLock { $0 = (response.status.code, body) }
            }
            #expect(
                server.harness.settle(until: {
                    upstream.harness.settle()
                    return outcome.value.withLock { $0 != nil }
                }))
            _ = task
            return try #require(outcome.value.withLock { $0 })
        }
        #expect(try ask().1.contains("\"maxTracesPerSecond\":5"))
        let address = upstream.grpc
        let changed = """
            grpc { endpoint = "\(address)" }
            http { endpoint = "127.0.0.1:0" }
            source { \(content(#"{"default_strategy": {"type": "ratelimiting", "param": 9}}"#)) }
            """
        #expect(upstream.harness.update(changed) == [])
        upstream.harness.settle()
        #expect(try ask().1.contains("\"maxTracesPerSecond\":5"))
        server.harness.advance(by: .seconds(31))
        #expect(
            server.harness.settle(until: {
                upstream.harness.settle()
                return (try? ask().1.contains("\"maxTracesPerSecond\":9")) == true
            }))
        #expect(upstream.harness.finish() == [])
        server.harness.advance(by: .seconds(31))
        let (status, body) = try ask()
        #expect(status == 500 && body.contains("remote call failed"))
        #expect(server.harness.finish() == [])
    }

    @Test("What cannot take effect is refused by name")
    func refusals() {
        func problems(_ body: String) -> String {
            ComponentHarness(OtelcolExtensionJaegerRemoteSampling.self).evaluate(body).joined(separator: "\n")
        }
        let http = "http { endpoint = \"127.0.0.1:0\" }\n"
        #expect(problems("source { content = \"{}\" }").contains("http or grpc"))
        #expect(problems(http + "source { }").contains("one of content, file and remote must be given"))
        #expect(problems(http + "source {\ncontent = \"{}\"\nfile = \"a\"\n}").contains("only one of"))
        #expect(problems(http + "source { content = \"[]\" }").contains("is no sampling document"))
        #expect(problems(http + "source {\nfile = \"a\"\nreload_interval = \"-1s\"\n}").contains("reload_interval"))
        #expect(problems(http + "source { content = \"{}\" }") == "")
    }
}
