import ComponentKit
import Essentials
import Kubernetes
import Storage
import Synchronization
import Telemetry

/// Turns the events of one namespace, or of all, into lines.
///
/// An event is taken once for each of its versions. After a restart those are left out that were delivered before: what
/// is no newer than the last time and version kept.
final class EventFollower: ListWatchSink {
    typealias Object = ClusterEvent

    struct Progress: Sendable {
        var time: Int64
        /// The newest version; nil when it is not known or no number.
        var version: UInt64?
    }

    private struct State {
        /// Versions of the events that exist, by their identifiers.
        var versions: [String: String] = [:]
        var listed: Set<String>?
        var progress: Progress?
    }

    let namespace: String
    private let watcher: ListWatcher<ClusterEvent>
    private let context: Context<NoValues>
    private let settings: @Sendable () -> (format: ClusterEvent.Format, job: String)
    private let delivery: LogDelivery
    private let positions: Positions
    /// What was delivered before this process read anything.
    private let start: Progress?
    private let state: Mutex<State>
    private let failureLog: LogLimiter

    init(
        namespace: String, _ client: KubernetesClient, _ context: Context<NoValues>, _ positions: Positions,
        _ delivery: LogDelivery, _ settings: @escaping @Sendable () -> (format: ClusterEvent.Format, job: String)
    ) {
        self.namespace = namespace
        self.context = context
        self.positions = positions
        self.delivery = delivery
        self.settings = settings
        watcher = ListWatcher(client, ObjectSelection(namespace: namespace.isEmpty ? nil : namespace))
        let micros = positions[Self.key(namespace)].flatMap { Int64($0) } ?? 0
        start =
            micros == 0
            ? nil
            : Progress(
                time: micros.multipliedReportingOverflow(by: 1_000).partialValue,
                version: positions[Self.versionKey(namespace)].flatMap { UInt64($0) })
        state = Mutex(State(progress: start))
        failureLog = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    func run() async throws { try await watcher.run(self) }

    /// Nanoseconds since 1970 of the newest event delivered.
    var lastTime: Int64? { state.withLock { $0.progress?.time } }

    private static func key(_ namespace: String) -> PositionKey {
        PositionKey(path: namespace.isEmpty ? "cursor-events" : "cursor-events-\(namespace)", labels: "")
    }

    private static func versionKey(_ namespace: String) -> PositionKey {
        PositionKey(path: key(namespace).path, labels: "{version}")
    }

    // MARK: What the watch tells

    func listBegan() { state.withLock { $0.listed = [] } }

    func received(page: [ClusterEvent]) async throws {
        state.withLock { $0.listed?.formUnion(page.map(\.metadata.uid)) }
        try await take(page.sorted { ($0.time ?? 0) < ($1.time ?? 0) })
    }

    func listEnded() {
        state.withLock { state in
            if let listed = state.listed { state.versions = state.versions.filter { listed.contains($0.key) } }
            state.listed = nil
        }
    }

    func watchBegan() { context.report(.healthy("watching events")) }

    func received(_ change: ObjectChange<ClusterEvent>) async throws {
        if case .deleted(let event) = change {
            state.withLock { $0.versions[event.metadata.uid] = nil }
            return
        }
        try await take([change.object])
    }

    func failed(_ error: KubernetesError) {
        failureLog.attempt { _ in context.log.error("Failed to list or watch events", error) }
        context.report(.unhealthy("unable to list or watch events: \(error)"))
    }

    /// Delivers what is new among `events`, which then counts as known.
    private func take(_ events: [ClusterEvent]) async throws {
        let (format, job) = settings()
        var batch = LogBatch()
        var versions: [(String, String)] = []
        var progress = state.withLock { $0.progress }
        for event in events {
            let isKnown = state.withLock { $0.versions[event.metadata.uid] == event.metadata.version }
            if isKnown { continue }
            versions.append((event.metadata.uid, event.metadata.version))
            guard !event.involved.name.isEmpty, let time = event.time, isNew(event, time) else { continue }
            let labels = LabelSet(
                [("namespace", event.involved.namespace), ("job", job), ("instance", context.componentID)]
                    .filter { !$0.1.isEmpty })
            batch.append(event.line(format), labels: labels, timestamp: time)
            progress = Progress(
                time: max(time, progress?.time ?? .min),
                version: [UInt64(event.metadata.version), progress?.version].compactMap { $0 }.max())
        }
        try await delivery.deliver(batch)
        state.withLock { [progress] state in
            for (uid, version) in versions { state.versions[uid] = version }
            state.progress = progress
        }
        if !batch.isEmpty, let progress {
            positions[Self.key(namespace)] = "\(progress.time / 1_000)"
            positions[Self.versionKey(namespace)] = progress.version.map { "\($0)" }
        }
    }

    private func isNew(_ event: ClusterEvent, _ time: Int64) -> Bool {
        guard let start else { return true }
        if time > start.time { return true }
        // Times are whole seconds: of those in the last one, the version tells what came later.
        guard let before = start.version, let version = UInt64(event.metadata.version) else { return false }
        return version > before
    }
}
