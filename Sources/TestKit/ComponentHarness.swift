package import AlloySyntax
package import ComponentKit
package import Essentials
import Glibc
import SelfMetrics
import Synchronization
package import Telemetry
import Transport

/// Runs one component on a virtual clock: Alloy text in, recorded batches out.
///
/// Time stands still until ``advance(by:)``; jobs run only inside ``advance(by:)``, ``settle()`` and
/// ``settle(until:)``. In the text, `recorder.metrics`, `recorder.logs`, `recorder.otlp` and `recorder.profiles` are
/// receivers that record. ``finish()`` stops the component and returns every rule of the component specification it
/// broke; a test expects that to be empty.
package final class ComponentHarness {
    package let type: any Component.Type
    package let clock: EngineClock
    package let executor = ManualExecutor()
    package let services: EngineServices
    package let instance: any ComponentInstance
    package let logSink = RecordingLogSink()
    package let metrics = Recorder<MetricBatch>("metrics")
    package let logs = Recorder<LogBatch>("logs")
    package let otlp = Recorder<OTLPBatch>("otlp")
    package let profiles = Recorder<ProfileBatch>("profiles")

    private let observer = RecordingObserver()
    private let label: String
    private let scope: Scope
    private var lifetime: Task<Void, any Error>?
    private let ending = Outcome<Void>()
    private let ownsStorage: Bool
    /// A disk thread did not come back in time.
    private var hasStuckJob = false

    /// Prepares a component without evaluating it. `variables` extend the scope of its expressions.
    package init(
        _ type: any Component.Type, label: String = "test", variables: [String: Value] = [:],
        memoryLimit: ByteCount = .mebibytes(256), storagePath: String? = nil,
        wallNanoseconds: Int64 = 1_700_000_000_000_000_000, minimumStability: Stability = .experimental
    ) {
        self.type = type
        self.label = label
        clock = .manual(startingAt: wallNanoseconds)
        ownsStorage = storagePath == nil
        let path = storagePath ?? Self.makeTemporaryDirectory()
        var services = EngineServices(
            clock: clock, budget: MemoryBudget(limit: memoryLimit), slots: Slots(2),
            blocking: BlockingPool(name: "test-blocking", threads: 2), eventLoops: EventLoops(threads: 1),
            metrics: MetricRegistry(), logSink: logSink, storagePath: path, handlers: ComponentHandlers(),
            memoryAddress: "alloy.internal:12345", listenAddress: "127.0.0.1:12345",
            minimumStability: minimumStability, liveData: LiveDataHub())
        services.executor = executor
        self.services = services
        var all = variables
        all["recorder"] = .object(
            ObjectValue(ordered: [
                ("metrics", metrics.receiver.alloyValue), ("logs", logs.receiver.alloyValue),
                ("otlp", otlp.receiver.alloyValue), ("profiles", profiles.receiver.alloyValue),
            ]))
        scope = Scope(variables: all, standardLibrary: StandardLibrary(minimumStability: minimumStability))
        let id = type.spec.isSingleton ? type.spec.name : "\(type.spec.name).\(label)"
        instance = type.makeInstance(id: id, label: label, services: services, observer: observer)
    }

    deinit {
        lifetime?.cancel()
        executor.drain()
        if ownsStorage { removeTree(services.storagePath) }
    }

    /// Evaluates the component's block with `body` as its content and returns what was found wrong, one line each.
    package func evaluate(_ body: String) -> [String] {
        let source = SourceFile(
            name: "test.alloy", bytes: Array("\(type.spec.name) \"\(label)\" {\n\(body)\n}\n".utf8))
        do {
            let tree = try Parser.parse(source)
            guard let block = tree.body.blocks.first else { return ["no block"] }
            return instance.evaluate(block, in: scope).diagnostics.items.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    /// Evaluates, starts and settles. Returns what was found wrong; the component runs only when that is empty.
    @discardableResult
    package func start(_ body: String) -> [String] {
        let problems = evaluate(body)
        guard instance.isMade else { return problems }
        let instance = instance
        lifetime = Task(executorPreference: executor) { [ending] in
            do {
                await instance.prepare()
                try await instance.run()
                ending.set(.success(()))
            } catch {
                ending.set(.failure(error))
                throw error
            }
        }
        settle()
        return problems
    }

    /// Gives the running component new arguments and settles.
    @discardableResult
    package func update(_ body: String) -> [String] {
        let problems = evaluate(body)
        settle()
        return problems
    }

    /// Moves time forward, running what becomes ready at each instant. Time stands still while disk threads are at work,
    /// for however slow the machine is, to the component they are fast.
    package func advance(by duration: Duration) { clock.advance(by: duration) { drainWithDisks() } }

    /// Runs everything that is ready and what disk threads make ready; gives up on a disk thread that waits for
    /// something else, until it has ended.
    private func drainWithDisks() {
        executor.drain()
        if hasStuckJob, services.blocking.unfinishedJobs > 0 { return }
        hasStuckJob = !executor.drain(until: { services.blocking.unfinishedJobs == 0 }, rounds: 500)
        executor.drain()
    }

    /// Runs everything that is ready now.
    package func settle() { executor.drain() }

    /// Runs until `condition` holds, also waiting for sockets and disks; false after `seconds` of real time.
    package func settle(until condition: () -> Bool, seconds: Int = 20) -> Bool {
        executor.drain(until: condition, seconds: seconds)
    }

    /// Runs async work of the test itself, such as sending to the component's receiver, to its end.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
        let outcome = Outcome<Value>()
        Task(executorPreference: executor) {
            do {
                outcome.set(.success(try await body()))
            } catch {
                outcome.set(.failure(error))
            }
        }
        _ = executor.drain(until: { outcome.value != nil })
        guard let result = outcome.value else { throw HarnessError.timedOut }
        return try result.get()
    }

    /// The value exported under `name`, decoded.
    package func export<Value: AlloyDecodable>(_ name: String, as type: Value.Type = Value.self) -> Value? {
        guard case .object(let object) = instance.exportsValue, let value = object[name] else { return nil }
        return try? Value(alloy: value)
    }

    /// The health last reported.
    package var health: Health? { observer.lastHealth }

    /// How often the component exported something new.
    package var exportCount: Int { observer.exportCount }

    /// Whether `run()` has ended.
    package var hasEnded: Bool { ending.value != nil }

    /// What `run()` threw other than a cancellation.
    package var failure: (any Error)? {
        guard case .failure(let error)? = ending.value, !(error is CancellationError) else { return nil }
        return error
    }

    /// The value of one of the component's own metrics; `labels` must be among the series' labels.
    package func metric(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        for family in services.metrics.collect() {
            for sample in family.samples where family.name + sample.suffix == name {
                let own = Dictionary(sample.labels.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
                if labels.allSatisfy({ own[$0.key] == $0.value }) { return sample.value }
            }
        }
        return nil
    }

    /// Stops the component and names every rule of the component specification it broke.
    package func finish(seconds: Int = 20) -> [String] {
        var broken: [String] = []
        if let lifetime {
            lifetime.cancel()
            // Virtual time goes on while it stops, for a drain deadline must be able to pass; but not while sockets and
            // disks are at work, for they take real time.
            let stopped = executor.drain(
                until: { hasEnded }, seconds: seconds,
                whenQuiet: { clock.advance(by: .seconds(1)) { executor.drain() } })
            if !stopped { broken.append("run() does not end when cancelled") }
        }
        instance.retire()
        let statement = instance.ledger.statement
        if statement.unaccounted != 0 {
            broken.append("\(statement.unaccounted) items are unaccounted for: \(statement)")
        }
        for holding in services.budget.holdings where holding.held.bytes != 0 {
            if statement.heldItems == 0 { broken.append("\(holding.name) still holds \(holding.held) of the budget") }
        }
        for family in services.metrics.collect() where !Self.isMetricName(family.name) {
            broken.append("metric name \(family.name) is not lower-case snake case")
        }
        for family in services.metrics.collect() where family.kind == .counter && !family.name.hasSuffix("_total") {
            if !Self.upstreamCountersWithoutSuffix.contains(family.name) {
                broken.append("counter \(family.name) does not end in _total")
            }
        }
        return broken
    }

    /// Counters whose upstream name lacks the suffix.
    private static let upstreamCountersWithoutSuffix: Set<String> = [
        "loki_relabel_cache_hits", "loki_relabel_cache_misses", "loki_relabel_entries_processed",
        "loki_relabel_entries_written", "loki_source_api_entries_written", "loki_write_encoded_bytes",
        "prometheus_fanout_latency",
        "prometheus_forwarded_samples",
    ]

    private static func isMetricName(_ name: String) -> Bool {
        name.utf8.allSatisfy { ($0 >= 97 && $0 <= 122) || ($0 >= 48 && $0 <= 57) || $0 == 95 }
    }

    /// A directory that is removed with the harness.
    package static func makeTemporaryDirectory() -> String {
        var template = Array("/tmp/invar-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { return "/tmp" }
        return String(cString: made)
    }
}

/// Why the harness could not do its work.
package enum HarnessError: Error { case timedOut }

/// How a task ended, once it has.
private final class Outcome<Value: Sendable>: Sendable {
    private let stored = Mutex<Result<Value, any Error>?>(nil)
    var value: Result<Value, any Error>? { stored.withLock { $0 } }
    func set(_ result: Result<Value, any Error>) { stored.withLock { $0 = result } }
}

/// Keeps log records.
package final class RecordingLogSink: LogSink {
    private let stored = Mutex<[LogRecord]>([])
    package init() {}
    package var minimumLevel: LogLevel { .debug }
    package func write(_ record: LogRecord) { stored.withLock { $0.append(record) } }
    package var records: [LogRecord] { stored.withLock { $0 } }

    /// Every record as `level message key=value ...`.
    package var lines: [String] {
        records.map { record in
            ([record.level.name, record.message] + record.metadata.map { "\($0.key.name)=\($0.value)" })
                .joined(separator: " ")
        }
    }
}

private final class RecordingObserver: ComponentObserver {
    private let state = Mutex<(health: Health?, exports: Int)>((nil, 0))
    var lastHealth: Health? { state.withLock { $0.health } }
    var exportCount: Int { state.withLock { $0.exports } }
    func exportsChanged(of instance: any ComponentInstance) { state.withLock { $0.exports += 1 } }
    func healthChanged(of instance: any ComponentInstance, to health: Health) { state.withLock { $0.health = health } }
}

/// Removes a directory made by ``ComponentHarness/makeTemporaryDirectory()``.
private func removeTree(_ path: String) {
    guard path.hasPrefix("/tmp/invar-test-") else { return }
    for name in (try? Files.list(path)) ?? [] {
        let child = path + "/" + name
        if unlink(child) != 0 { removeTree(child) }
    }
    rmdir(path)
}
