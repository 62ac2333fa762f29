import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Synchronization
import Telemetry

/// Watches the objects of one kind and keeps a runner for each job they ask for.
final class MonitorController<Resource: MonitorResource>: Sendable {
    typealias Monitor = CustomObject<Resource>

    /// How an object fared.
    struct Outcome: Sendable, Equatable {
        var key: ObjectKey
        var error = ""
    }

    /// Changes of objects are gathered for this long.
    private static var pause: Duration { .seconds(1) }

    private let arguments: @Sendable () -> OperatorArguments
    private let context: Context<NoValues>
    private let changed = ChangeSignal()

    private struct State {
        var runners: [String: JobRunner] = [:]
        var outcomes: [Outcome] = []
    }

    private let state = Mutex(State())
    private let wanted = Live<[MonitorJob]>([])

    init(_ context: Context<NoValues>, _ arguments: @escaping @Sendable () -> OperatorArguments) {
        self.context = context
        self.arguments = arguments
    }

    var outcomes: [Outcome] { state.withLock { $0.outcomes } }
    var runners: [JobRunner] { state.withLock { Array($0.runners.values) }.sorted { $0.name < $1.name } }

    /// Arguments that do not begin anything anew have changed.
    func argumentsChanged() { changed.set() }

    // MARK: Jobs

    /// Runs what is wanted until cancelled.
    func runJobs() async throws {
        await withDiscardingTaskGroup { group in
            var (jobs, version) = wanted.snapshot
            while true {
                for runner in synchronise(jobs) {
                    group.addTask { [self] in
                        await runner.run()
                        state.withLock { state in
                            if state.runners[runner.name] === runner { state.runners[runner.name] = nil }
                        }
                    }
                }
                do { try await wanted.change(after: version) } catch { break }
                (jobs, version) = wanted.snapshot
            }
            group.cancelAll()
        }
        try Task.checkCancellation()
    }

    private func synchronise(_ jobs: [MonitorJob]) -> [JobRunner] {
        let forwardTo = arguments().forwardTo
        var added: [JobRunner] = []
        let known = state.withLock { $0.runners }
        let names = Set(jobs.map(\.name))
        for job in jobs {
            if let runner = known[job.name] {
                runner.change(to: job, forwardTo: forwardTo)
            } else {
                added.append(JobRunner(job, forwardTo: forwardTo, context))
            }
        }
        for (name, runner) in known where !names.contains(name) { runner.retire() }
        state.withLock { [added] state in for runner in added { state.runners[runner.name] = runner } }
        return added
    }

    // MARK: Objects

    /// Watches objects until cancelled.
    func follow(_ watched: OperatorArguments.Watched) async throws {
        let client = try await connect(watched.connection)
        let namespaces = watched.namespaces.isEmpty ? [nil] : watched.namespaces.sorted().map { Optional($0) }
        let caches: [ResourceCache<Monitor>] = namespaces.map { namespace in
            client.cache(ObjectSelection(namespace: namespace, labelSelector: watched.selector.text))
        }
        let subscriptions = caches.map { cache in
            cache.subscribe(changed) { [context] notice in
                guard case .failed(let error) = notice else { return }
                context.log.error("Failed to list or watch objects", error)
                context.report(.unhealthy("unable to list or watch objects: \(error)"))
            }
        }
        let values = ReferencedValues(client, clock: context.clock)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for cache in caches { group.addTask { try await cache.serve() } }
            group.addTask { [self] in
                try await context.clock.sleep(for: watched.syncTimeout)
                if !caches.allSatisfy(\.isSynced) { reportTimeout(caches) }
                try await waitForCancellation()
            }
            group.addTask { [self] in
                // What is in Secrets may change without an object.
                while true {
                    try await context.clock.sleep(for: ReferencedValues.lifetime)
                    if values.forgetAges() { changed.set() }
                }
            }
            group.addTask { [self] in
                while true {
                    try await changed.wait()
                    for subscription in subscriptions { _ = subscription.take() }
                    guard caches.allSatisfy(\.isSynced) else { continue }
                    try await reconcile(caches.flatMap(\.objects), values)
                    if caches.allSatisfy({ $0.failure == nil }) { reportHealth() }
                    try await context.clock.sleep(for: Self.pause)
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func reconcile(_ objects: [Monitor], _ values: ReferencedValues) async throws {
        let generator = JobGenerator(arguments: arguments(), values: values)
        var jobs: [MonitorJob] = []
        var outcomes: [Outcome] = []
        for object in objects.sorted(by: { $0.metadata.key < $1.metadata.key }) {
            let made = try await generator.jobs(of: Resource.kind, object.metadata, object.spec)
            jobs += made.jobs
            outcomes.append(Outcome(key: object.metadata.key, error: made.problems.joined(separator: "; ")))
        }
        let before = state.withLock { [outcomes] state in
            defer { state.outcomes = outcomes }
            return state.outcomes
        }
        for outcome in outcomes where !outcome.error.isEmpty && !before.contains(outcome) {
            context.log.error(
                "Failed to use an object", nil, ["object": "\(outcome.key)", .error: outcome.error])
        }
        wanted.replace(with: jobs)
    }

    private func reportHealth() {
        let (count, failing) = state.withLock { state in
            (state.outcomes.count, state.outcomes.first { !$0.error.isEmpty })
        }
        if let failing {
            context.report(.healthy("using \(count) objects; \(failing.key): \(failing.error)"))
        } else {
            context.report(.healthy("using \(count) objects"))
        }
    }

    private func reportTimeout(_ caches: [ResourceCache<Monitor>]) {
        let reason = caches.compactMap(\.failure).first.map { ": \($0)" } ?? ""
        context.log.error(
            "Timeout while listing objects; check that the API server is reachable and the permissions suffice", nil,
            ["resource": Resource.resource.plural])
        context.report(.unhealthy("listing \(Resource.resource.plural) has not ended in time\(reason)"))
    }

    private func connect(_ connection: KubernetesConnection) async throws -> KubernetesClient {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(60))
        while true {
            do {
                return try await context.services.kubernetes.client(for: connection)
            } catch {
                try Task.checkCancellation()
                context.log.error("Failed to find the API server", error)
                context.report(.unhealthy("unable to find the API server: \(error)"))
                try await context.clock.sleep(for: backoff.next())
            }
        }
    }
}
