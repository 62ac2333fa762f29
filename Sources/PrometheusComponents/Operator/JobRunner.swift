import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Synchronization
import Telemetry
import TextFormats
import Transport

/// Runs one job: finds its targets and scrapes them, while the job may change.
final class JobRunner: ScrapeSource {
    /// Changes of targets are gathered for this long, as Prometheus gathers them.
    private static let pause = Duration.seconds(5)
    /// Bytes of one list of targets fetched over HTTP, decompressed.
    private static let maximumList = ByteCount.mebibytes(64)

    let name: String
    let pool: ScrapePool
    private let context: Context<NoValues>
    private let job: Live<MonitorJob?>
    private let scrape: Live<PrometheusScrape.Arguments>
    private let targetsChanged = ChangeSignal()

    private struct State {
        var groups: [String: DiscoveredGroup] = [:]
        /// Whether everything was found that there is at first.
        var isComplete = false
        var forwardTo: Fanout<MetricBatch>
        var problem = ""
    }

    private let state: Mutex<State>

    init(_ job: MonitorJob, forwardTo: Fanout<MetricBatch>, _ context: Context<NoValues>) {
        name = job.name
        self.context = context
        self.job = Live(job)
        scrape = Live(PrometheusScrape.Arguments(job: job.settings, forwardTo: forwardTo))
        pool = ScrapePool(scrape, context, reportsHealth: false)
        state = Mutex(State(forwardTo: forwardTo))
    }

    /// The job as it is now, the targets found for it and where its samples go; nil once it was retired.
    var explained: (job: MonitorJob, targets: [LabelSet], forwardTo: Fanout<MetricBatch>)? {
        guard let job = job.current else { return nil }
        let (groups, forwardTo) = state.withLock { ($0.groups, $0.forwardTo) }
        let targets = groups.sorted { $0.key < $1.key }.flatMap { _, group in
            group.targets.map { Target(own: $0, group: group.labels).labels }
        }
        return (job, targets, forwardTo)
    }

    /// Why targets cannot be found; empty when they can.
    var problem: String { state.withLock { $0.problem } }

    /// Makes the job another one of the same name.
    func change(to new: MonitorJob, forwardTo: Fanout<MetricBatch>) {
        let isSameReceivers = state.withLock { state in
            defer { state.forwardTo = forwardTo }
            return state.forwardTo == forwardTo
        }
        if job.current == new, isSameReceivers { return }
        job.replace(with: new)
        targetsChanged.set()
    }

    /// Ends the job: its series end as those of targets that go, and then ``run()`` returns.
    func retire() {
        job.replace(with: nil)
        targetsChanged.set()
    }

    /// Runs until the task is cancelled, or ``retire()`` was called and every series has ended.
    func run() async {
        context.services.scrapes.add(self)
        defer { context.services.scrapes.remove(self) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [pool] in await pool.run() }
            group.addTask { [self] in
                try? await job.whileCurrent(\.?.source) { source in
                    guard let source else { return try await waitForCancellation() }
                    self.state.withLock { state in
                        state.groups = [:]
                        state.isComplete = false
                    }
                    try await self.discover(source)
                }
            }
            group.addTask { [self] in try? await updateTargets() }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Targets

    var componentID: String { context.componentID }
    var jobName: String { name }

    func droppedTargets(limit: Int) -> DroppedTargets {
        guard let job = job.current else { return DroppedTargets() }
        var dropped = DroppedTargets()
        var scratch = LabelSetBuilder()
        for (_, group) in state.withLock({ $0.groups }).sorted(by: { $0.key < $1.key }) {
            for own in group.targets {
                let labels = Target(own: own, group: group.labels).labels
                job.prepare(&scratch, from: labels)
                dropped.note(labels, as: &scratch, by: job.relabeling, limit: limit)
            }
        }
        return dropped
    }

    private func updateTargets() async throws {
        while true {
            try await targetsChanged.wait()
            guard let job = job.current else { return try await drain() }
            let (groups, isComplete, forwardTo) = state.withLock { ($0.groups, $0.isComplete, $0.forwardTo) }
            guard isComplete else { continue }
            var arguments = PrometheusScrape.Arguments(job: job.settings, forwardTo: forwardTo)
            var scratch = LabelSetBuilder()
            for (_, group) in groups.sorted(by: { $0.key < $1.key }) {
                for own in group.targets {
                    let discovered = Target(own: own, group: group.labels)
                    if let target = job.relabelled(discovered.labels, scratch: &scratch) {
                        arguments.targets.append(Target(own: target))
                        arguments.discovered.append(discovered)
                    }
                }
            }
            scrape.replace(with: arguments)
            try await context.clock.sleep(for: Self.pause)
        }
    }

    /// Waits until the series of every target have ended.
    private func drain() async throws {
        var arguments = scrape.current
        arguments.targets = []
        arguments.discovered = []
        scrape.replace(with: arguments)
        repeat { try await context.clock.sleep(for: Self.pause) } while !pool.isEmpty
    }

    private func found(_ groups: [String: DiscoveredGroup], isWhole: Bool) {
        state.withLock { state in
            if isWhole { state.groups = [:] }
            for (source, group) in groups { state.groups[source] = group.targets.isEmpty ? nil : group }
            state.isComplete = true
            state.problem = ""
        }
        targetsChanged.set()
    }

    private func discover(_ source: MonitorJob.Source) async throws {
        switch source {
        case .fixed(let addresses, let labels):
            let targets = addresses.map { LabelSet([("__address__", $0)]) }
            found(["": DiscoveredGroup(labels: labels, targets: targets)], isWhole: true)
            try await waitForCancellation()
        case .kubernetes(let request):
            let discovery = KubernetesDiscovery(request, context.services.kubernetes, clock: context.clock)
            try await discovery.run { news in
                switch news {
                case .groups(let groups): self.found(groups, isWhole: false)
                case .complete: self.state.withLock { $0.problem = "" }
                case .failed(let error): self.failed(error)
                case .counted: break
                }
            }
        case .http(let url, let interval, let settings):
            let client = HTTPClient(settings, on: context.services.eventLoops, clock: context.clock)
            defer { client.shutDown() }
            while true {
                do {
                    found(try await fetch(url, interval, client), isWhole: true)
                } catch {
                    try Task.checkCancellation()
                    failed(error)
                }
                try await context.clock.sleep(for: interval)
            }
        }
    }

    private func failed(_ error: any Error) {
        let isNew = state.withLock { state in
            defer { state.problem = "\(error)" }
            return state.problem != "\(error)"
        }
        if isNew { context.log.error("Failed to find the targets of a job", error, ["job": name]) }
    }

    /// Fetches a list of target groups (Prometheus documentation, "HTTP Service Discovery").
    private func fetch(
        _ url: HTTPURL, _ interval: Duration, _ client: HTTPClient
    ) async throws -> [String: DiscoveredGroup] {
        var request = HTTPClientRequest(.get, url, fields: ["accept": "application/json"])
        request.timeout = interval
        request.maximumBodyBytes = Self.maximumList
        let response = try await client.send(request)
        guard response.status == .ok else {
            response.body.cancel()
            throw MonitorError("server returned HTTP status \(response.status)")
        }
        let document = try JSONValue(parsing: try await response.collect())
        guard let elements = document.arrayValue else { throw MonitorError("a list of target groups is expected") }
        var groups: [String: DiscoveredGroup] = [:]
        for (index, element) in elements.enumerated() {
            guard let addresses = element["targets"]?.arrayValue else {
                throw MonitorError("a target group has no list of targets")
            }
            var labels: [(String, String)] = [("__meta_url", url.text)]
            for (name, value) in element["labels"]?.objectValue ?? JSONObject() {
                guard let text = value.stringValue else { throw MonitorError("label values must be strings") }
                labels.append((name, text))
            }
            groups["\(index)"] = DiscoveredGroup(
                labels: LabelSet(labels),
                targets: addresses.compactMap(\.stringValue).map { LabelSet([("__address__", $0)]) })
        }
        return groups
    }
}
