import AlloySyntax
import ComponentKit
import Essentials
import Foundation
import SelfMetrics
import Synchronization
import Telemetry
import TestKit
import Transport

@testable import Runtime

/// A runtime with stub components on a virtual clock.
final class RuntimeHarness {
    let clock = EngineClock.manual()
    let executor = ManualExecutor()
    let services: EngineServices
    let runtime: Runtime
    let router: LogRouter
    let journal: Journal
    private let logLines = Lines()
    private let directory: String
    private var lifetime: Task<Void, Never>?
    let hasEnded = Flag()

    init(
        stability: Stability = .generallyAvailable, community: Bool = false, deadline: Duration = .seconds(600),
        maximumNodes: Int = 250_000
    ) {
        directory = ComponentHarness.makeTemporaryDirectory()
        let lines = logLines
        router = LogRouter { lines.append($0) }
        journal = Journal.at(directory)
        var services = EngineServices(
            clock: clock, budget: MemoryBudget(limit: .mebibytes(256)), slots: Slots(2),
            blocking: BlockingPool(name: "test-blocking", threads: 2), eventLoops: EventLoops(threads: 1),
            metrics: MetricRegistry(), logSink: router, storagePath: directory, handlers: ComponentHandlers(),
            memoryAddress: "alloy.internal:12345", listenAddress: "127.0.0.1:12345", minimumStability: stability,
            liveData: LiveDataHub())
        services.executor = executor
        self.services = services
        runtime = Runtime(
            services: services, registry: ComponentRegistry(stubComponents),
            gates: FeatureGates(
                minimumStability: stability, allowsCommunityComponents: community, maximumNodes: maximumNodes),
            shutdownDeadline: deadline, version: "1.2.3", logRouter: router)
    }

    deinit {
        lifetime?.cancel()
        executor.drain()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Writes a file below the harness's directory; its path.
    func write(_ name: String, _ text: String) -> String {
        let path = directory + "/" + name
        try? FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try? Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Starts what is loaded.
    func start() {
        let (runtime, hasEnded) = (runtime, hasEnded)
        lifetime = Task(executorPreference: executor) {
            await runtime.run()
            hasEnded.set()
        }
        settle()
    }

    /// Runs work to its end.
    func run<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) -> Result? {
        let outcome = Box<Result>()
        Task(executorPreference: executor) { outcome.set(await body()) }
        _ = executor.drain(until: { outcome.value != nil })
        return outcome.value
    }

    @discardableResult
    func load(_ text: String) -> LoadResult {
        let runtime = runtime
        let result = run { await runtime.load(ConfigurationSource(text, modulePath: "/etc/invar")) }
        settle()
        return result ?? LoadResult(diagnostics: Diagnostics(), applied: false)
    }

    /// Loads and gives each diagnostic as `line:column: message`.
    func problems(_ text: String) -> [String] { load(text).diagnostics.items.map(RuntimeHarness.text) }

    static func text(_ diagnostic: Diagnostic) -> String {
        diagnostic.description.replacingOccurrences(of: "config.alloy:", with: "")
    }

    func settle() { executor.drain() }

    func settle(until condition: () -> Bool) -> Bool { executor.drain(until: condition) }

    func advance(_ duration: Duration) { clock.advance(by: duration) { executor.drain() } }

    var log: String { logLines.text }

    /// The exports of a component as `name = value` lines.
    func exports(_ id: String) -> String? {
        runtime.component(id)?.exports.alloyText(includingDefaults: true).trimmingCharacters(
            in: .whitespacesAndNewlines)
    }

    func arguments(_ id: String) -> String? {
        runtime.component(id)?.arguments.alloyText().trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func health(_ id: String) -> String? {
        runtime.component(id).map { "\($0.health.state): \($0.health.message)" }
    }

    /// Sends one entry through the receiver a component exports.
    func send(_ id: String, _ lines: [String] = ["line"]) {
        guard case .capsule(let capsule)? = runtime.component(id)?.exports["receiver"],
            let receiver: Receiver<LogBatch> = capsule.unwrap()
        else { return }
        _ = run {
            var batch = LogBatch()
            for line in lines { batch.append(line, labels: .empty, timestamp: 1) }
            try? await receiver.consume(batch)
            return true
        }
        settle()
    }

    func metric(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        for family in services.metrics.collect() {
            for sample in family.samples where family.name + sample.suffix == name {
                let own = Dictionary(sample.labels.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
                if labels.allSatisfy({ own[$0.key] == $0.value }) { return sample.value }
            }
        }
        return nil
    }
}

final class Box<Value: Sendable>: Sendable {
    private let stored = Mutex<Value?>(nil)
    var value: Value? { stored.withLock { $0 } }
    func set(_ value: Value) { stored.withLock { $0 = value } }
}

final class Flag: Sendable {
    private let stored = Atomic<Bool>(false)
    var isSet: Bool { stored.load(ordering: .relaxed) }
    func set() { stored.store(true, ordering: .relaxed) }
}

final class Lines: Sendable {
    private let stored = Mutex<[UInt8]>([])
    func append(_ line: [UInt8]) { stored.withLock { $0 += line } }
    var text: String { String(decoding: stored.withLock { $0 }, as: UTF8.self) }
}
