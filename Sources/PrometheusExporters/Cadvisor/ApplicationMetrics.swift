import Essentials
import SelfMetrics
import Synchronization
import TextFormats
import Transport

/// Asks containers for the metrics they say they have, and keeps what they answered until it is time to ask again.
final class ApplicationMetrics: Sendable {
    private struct Source: Sendable {
        var config: ApplicationConfig?
        /// When it is asked next, on the monotonic clock.
        var next: Int64 = .min
        var samples: [ApplicationSample] = []
    }

    private struct Key: Hashable {
        var container: String
        var name: String
    }

    /// How long a container without a usable file is left alone.
    private static let retry = Duration.seconds(60)
    private static let timeout = Duration.seconds(5)
    private static let maximumPage = ByteCount.mebibytes(4)
    private static let maximumSources = 1_000
    private static let concurrency = 16

    private let http: HTTPClient
    private let clock: EngineClock
    private let log: Log
    private let limiter: LogLimiter
    private let procfs: String
    private let sources = Mutex<[Key: Source]>([:])

    init(procfs: String, on loops: EventLoops, clock: EngineClock, log: Log) {
        self.procfs = procfs
        self.clock = clock
        self.log = log
        limiter = LogLimiter(every: .seconds(60), clock: clock)
        http = HTTPClient(HTTPClientSettings(), on: loops, clock: clock)
    }

    func shutDown() { http.shutDown() }

    /// Asks those whose time has come. Files are read on `blocking`.
    func refresh(_ facts: [String: ContainerFacts], on blocking: BlockingPool) async {
        var wanted: [Key: (facts: ContainerFacts, path: String)] = [:]
        for (id, facts) in facts {
            for label in facts.labels where label.name.hasPrefix(ApplicationConfig.labelPrefix) {
                let name = String(label.name.dropFirst(ApplicationConfig.labelPrefix.count))
                if wanted.count < Self.maximumSources { wanted[Key(container: id, name: name)] = (facts, label.value) }
            }
        }
        let now = clock.monotonicNanoseconds
        let due = sources.withLock { sources in
            sources = sources.filter { wanted[$0.key] != nil }
            for key in wanted.keys where sources[key] == nil { sources[key] = Source() }
            return sources.filter { $0.value.next <= now }
        }
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for (key, source) in due {
                guard let entry = wanted[key] else { continue }
                if running >= Self.concurrency { await group.next() }
                running += 1
                group.addTask { [self] in await refresh(key, source, entry.facts, entry.path, blocking) }
            }
        }
    }

    private func refresh(
        _ key: Key, _ source: Source, _ facts: ContainerFacts, _ path: String, _ blocking: BlockingPool
    ) async {
        var source = source
        do {
            let config: ApplicationConfig
            if let known = source.config { config = known } else { config = try await read(key, facts, path, blocking) }
            source.config = config
            source.next = clock.monotonicNanoseconds &+ config.interval.nanoseconds
            source.samples = []
            source.samples = try Self.samples(try await page(config.url), config)
        } catch {
            if source.config == nil { source.next = clock.monotonicNanoseconds &+ Self.retry.nanoseconds }
            limiter.attempt { suppressed in
                log.warn(
                    "Metrics of an application cannot be read", error,
                    ["container": key.container, "name": key.name, "suppressed": "\(suppressed)"])
            }
        }
        sources.withLock { [source] in $0[key] = source }
    }

    private func read(
        _ key: Key, _ facts: ContainerFacts, _ path: String, _ blocking: BlockingPool
    ) async throws -> ApplicationConfig {
        let root = "\(procfs)/\(facts.processID)/root"
        guard let text = try await blocking.run({ ApplicationConfig.read(path, below: root) }) else {
            throw ApplicationError("the file \(path) does not exist in the container, or is no plain file")
        }
        return try ApplicationConfig(text, name: key.name, address: facts.address)
    }

    private func page(_ address: String) async throws -> [UInt8] {
        guard let url = HTTPURL(address), url.scheme == "http" || url.scheme == "https" else {
            throw ApplicationError("the endpoint is no address of HTTP")
        }
        var request = HTTPClientRequest(.get, url)
        request.timeout = Self.timeout
        request.maximumBodyBytes = Self.maximumPage
        let response = try await http.send(request)
        guard response.status == .ok else {
            response.body.cancel()
            throw ApplicationError("server returned HTTP status \(response.status)")
        }
        return try await response.collect()
    }

    private static func samples(_ page: [UInt8], _ config: ApplicationConfig) throws -> [ApplicationSample] {
        switch config.content {
        case .exposition(let names): return try ApplicationSample.read(page, names: names)
        case .patterns(let patterns):
            let text = String(decoding: page, as: UTF8.self)
            return patterns.compactMap { pattern in
                guard ApplicationSample.isUsable(pattern.name.utf8),
                    let groups = pattern.expression.firstMatch(in: text), groups.count > 1, let found = groups[1],
                    let value = Array(found.utf8).withUnsafeBytes({ $0.trimmed.number ?? Double($0.trimmed.string) })
                else { return nil }
                return ApplicationSample(name: pattern.name, value: value)
            }
        }
    }

    /// Adds what the container `id` answered last.
    func add(_ id: String, to page: MetricPage, base: [UInt8]) {
        let samples = sources.withLock { $0.filter { $0.key.container == id }.values.flatMap(\.samples) }
        var written: Set<[UInt8]> = []
        for sample in samples {
            let labels = base + sample.labels
            guard written.insert(Array(sample.name.utf8) + labels).inserted else { continue }
            page.add(page.gauge(sample.name, "Custom application metric."), base: labels, sample.value)
        }
    }
}
