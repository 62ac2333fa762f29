import AlloySyntax
import ComponentKit
import Essentials
import PrometheusComponents
import Runtime
import SelfMetrics
import Synchronization
import Testing
import Transport

@testable import Console

/// The console's server on a free port before a runtime with Prometheus components, on a clock that stands still.
final class ConsoleHarness: Sendable {
    let clock = EngineClock.manual()
    let services: EngineServices
    let runtime: Runtime
    let server: ConsoleServer
    private let client: HTTPClient
    private let counting: Counting

    /// Runs a console with `configuration` loaded for the time of `body`.
    static func run(
        _ configuration: String = "", prefix: String = "/", _ body: (ConsoleHarness) async throws -> Void
    ) async throws {
        let harness = try await ConsoleHarness(prefix: prefix)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await harness.runtime.run() }
            group.addTask { try await harness.server.run() }
            defer { group.cancelAll() }
            let loaded = await harness.runtime.load(ConfigurationSource(configuration))
            #expect(loaded.applied && loaded.diagnostics.isEmpty, "\(loaded.diagnostics)")
            try await body(harness)
            harness.client.shutDown()
            await harness.runtime.shutDown()
        }
    }

    private init(prefix: String) async throws {
        let loops = EventLoops(threads: 1)
        services = EngineServices(
            clock: clock, budget: MemoryBudget(limit: .mebibytes(64)), slots: Slots(2),
            blocking: BlockingPool(name: "test-blocking", threads: 2), eventLoops: loops, metrics: MetricRegistry(),
            logSink: SilentLogSink(), storagePath: "/nonexistent",
            handlers: ComponentHandlers(), memoryAddress: "alloy.internal:12345", listenAddress: "127.0.0.1:12345",
            minimumStability: .experimental, liveData: LiveDataHub())
        runtime = Runtime(
            services: services, registry: ComponentRegistry(prometheusComponents),
            gates: FeatureGates(minimumStability: .experimental), version: "1.2.3")
        let reloads = Counting()
        server = try await ConsoleServer.bind(
            ConsoleServer.Settings(
                address: .host("127.0.0.1", port: 0), pathPrefix: prefix, flags: [("some.flag", "<b>\"value\"")],
                version: "1.2.3"),
            runtime: runtime, services: services, log: Log(sink: SilentLogSink(), clock: clock),
            recentLogs: RecentLogs(),
            reload: {
                reloads.count.withLock { $0 += 1 }
                return nil
            })
        counting = reloads
        client = HTTPClient(on: loops)
    }

    /// How often the configuration was asked to be loaded again.
    var reloadCount: Int { counting.count.withLock { $0 } }

    func send(
        _ method: HTTPMethod = .get, _ target: String, _ fields: HTTPFields = [:], body: [UInt8]? = nil
    ) async throws -> Answer {
        let url = try url(target)
        var request = HTTPClientRequest(method, url, fields: fields)
        request.body = body
        let response = try await client.send(request)
        return Answer(
            status: response.status.code, fields: response.fields,
            text: String(decoding: try await response.collect(), as: UTF8.self))
    }

    /// The answer while its body is still coming.
    func open(_ target: String) async throws -> HTTPClientResponse {
        try await client.send(HTTPClientRequest(.get, url(target)))
    }

    var host: String { "127.0.0.1:\(server.address.port ?? 0)" }

    private func url(_ target: String) throws -> HTTPURL {
        guard let url = HTTPURL("http://\(host)\(target)") else { throw BadTarget(target: target) }
        return url
    }
}

struct BadTarget: Error { let target: String }

struct Answer {
    let status: Int
    let fields: HTTPFields
    let text: String
}

final class Counting: Sendable {
    let count = Mutex(0)
}
