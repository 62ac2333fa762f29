import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry

/// Spreads batches over endpoints, each with a pipeline of its own.
///
/// As a destination it takes a batch when at least one endpoint has taken its part. Parts that the others cannot take
/// now wait here and are tried again by `retry_on_failure`, without it by `protocol.otlp.retry`; so do batches of
/// endpoints that are gone, which are routed anew over those that are left. When another balancer follows it is given all
/// that waits, in endpoints' queues and here, and routes it anew.
final class LoadBalancer: ExportDestination {
    /// What batches are spread by.
    struct Settings: Sendable, Equatable {
        var routingKey: RoutingKey
        var timeout: Duration
        var callTimeout: Duration
        var queue: SendingQueue
        var retry: RetryOnFailure
        /// When parts that wait here are tried again.
        var rerouting: RetryOnFailure
        var client: GRPCDialArguments
    }

    /// An endpoint of the list of the moment.
    struct Member: Sendable, Equatable {
        let id: UInt64
        let name: String
        let pipeline: ExportPipeline
        let dialer: GRPCDialer

        static func == (left: Member, right: Member) -> Bool { left.id == right.id }
    }

    private struct State {
        var ring = HashRing([])
        /// By name with port.
        var members: [String: Member] = [:]
        var generation: UInt64 = 0
        var nextID: UInt64 = 0
        var waiting: [WaitingBatch] = []
    }

    private struct WaitingBatch {
        var batch: OTLPBatch
        var schedule: RetrySchedule
        var due: Int64
        /// Bytes taken from the memory budget.
        var reserved: Int
    }

    /// What became of the parts of a batch.
    private struct Spread {
        var takenItems = 0
        var refused: [(part: OTLPBatch, error: DeliveryError)] = []
        var open: [(part: OTLPBatch, error: DeliveryError)] = []
    }

    /// Batches that may wait here before no more are taken.
    private static let maximumWaiting = 100
    /// Batches of another balancer that are routed at the same time.
    private static let adoptions = 16

    let members = Live<[Member]>([])

    private let settings: Settings
    private let context: Context<InputExports>
    private let router: BatchRouter
    private let holding: Holding
    private let alarm: Alarm
    private let successor: ExportSuccessor
    private let state = Mutex(State())

    init(_ settings: Settings, _ context: Context<InputExports>, successor: ExportSuccessor) {
        self.settings = settings
        self.successor = successor
        self.context = context
        router = BatchRouter(key: settings.routingKey)
        holding = context.ledger.holding("rerouting")
        alarm = Alarm(clock: context.clock)
    }

    var endpoints: [String] { state.withLock { $0.ring.endpoints } }

    // MARK: Endpoints

    /// Makes `names` the endpoints, but for those that are no addresses; true when that changed them.
    @discardableResult
    func update(_ names: [String]) -> Bool {
        let ring = HashRing(
            names.filter { name in
                if GRPCDialArguments.parse(EndpointName.withPort(name)) != nil { return true }
                context.log.error("An endpoint is no address", nil, ["endpoint": name])
                return false
            })
        let list: [Member]? = state.withLock { state in
            guard ring != state.ring else { return nil }
            state.ring = ring
            state.generation += 1
            var members: [String: Member] = [:]
            for name in ring.endpoints.map(EndpointName.withPort) where members[name] == nil {
                members[name] = state.members[name] ?? makeMember(name, &state.nextID)
            }
            state.members = members
            for index in state.waiting.indices { state.waiting[index].due = 0 }
            return members.values.sorted { $0.id < $1.id }
        }
        guard let list else { return false }
        members.replace(with: list)
        alarm.set(context.clock.monotonicNanoseconds)
        return true
    }

    private func makeMember(_ name: String, _ nextID: inout UInt64) -> Member? {
        guard let client = settings.client.aimed(at: name) else { return nil }
        nextID += 1
        let dialer = GRPCDialer(client, on: context.services.eventLoops, clock: context.clock)
        let destination = MemberDestination(
            id: nextID, balancer: self,
            destination: OTLPGRPCDestination(dialer: dialer, timeout: settings.callTimeout))
        let pipeline = ExportPipeline(
            queue: settings.queue, retry: settings.retry, destination: destination, context: context,
            exporter: Self.exporter(context.componentID, name), holding: "endpoint_queues",
            // A batch whose sender waits goes back to it, and so waits here.
            successor: settings.queue.isEnabled && !settings.queue.waitsForResult ? successor : nil)
        return Member(id: nextID, name: name, pipeline: pipeline, dialer: dialer)
    }

    private static func exporter(_ component: String, _ name: String) -> String { "\(component)/\(name)" }

    /// Sends what one endpoint has in its queue until cancelled, and then what is left: to the endpoint, or to the
    /// others when it is gone.
    func serve(_ member: Member) async throws {
        defer {
            member.dialer.shutDown()
            if !state.withLock({ $0.members[member.name] != nil }) {
                context.metrics.remove(labelled: ["exporter": Self.exporter(context.componentID, member.name)])
                context.metrics.remove(labelled: ["endpoint": member.name])
            }
        }
        try await member.pipeline.run { _ in }
    }

    /// Whether an endpoint is on the list no longer.
    fileprivate func isGone(_ id: UInt64) -> Bool {
        state.withLock { state in !state.members.values.contains { $0.id == id } }
    }

    // MARK: Batches

    func send(_ batch: OTLPBatch) async throws(ExportError) -> ExportReport {
        if state.withLock({ $0.waiting.count >= Self.maximumWaiting }) {
            throw .retryable("too many batches wait for endpoints", after: .seconds(1))
        }
        let spread = await spread(batch)
        if spread.takenItems == 0 {
            if let open = spread.open.first { throw .retryable(open.error.message, after: nil) }
            if let refused = spread.refused.first { throw .permanent(refused.error.message) }
        }
        settle(spread)
        return ExportReport(handedOnItems: batch.itemCount)
    }

    /// Takes a batch of an endpoint that is gone.
    fileprivate func takeBack(_ batch: OTLPBatch) async -> ExportReport {
        settle(await spread(batch))
        return ExportReport(handedOnItems: batch.itemCount)
    }

    /// Takes over what another balancer had waiting, some batches at a time; once cancelled what has no place in a queue
    /// waits here.
    func adopt(_ entries: [ExportEntry]) async {
        await withTaskGroup(of: Void.self) { group in
            for (number, entry) in entries.enumerated() {
                if number >= Self.adoptions { await group.next() }
                group.addTask { entry.settled(.sent(await self.takeBack(entry.batch))) }
            }
        }
    }

    /// Books what nobody took: dropped, or waiting here.
    private func settle(_ spread: Spread) {
        for (part, error) in spread.refused { drop(part, error.reason, error) }
        for (part, error) in spread.open { wait(part, error) }
    }

    private func drop(_ batch: OTLPBatch, _ reason: DropReason, _ error: DeliveryError?) {
        context.ledger.drop(batch.itemCount, reason)
        context.log.error(
            "Dropping data that no endpoint takes", error, ["items": "\(batch.itemCount)", "reason": "\(reason)"])
    }

    /// How long to wait; nil is for ever. What is only kept for a successor uses up no attempt.
    private func pause(_ schedule: inout RetrySchedule, _ now: Int64) -> Duration? {
        successor.isExpected() ? .seconds(3600) : schedule.next(now: now, atLeast: nil)
    }

    private func wait(_ batch: OTLPBatch, _ error: DeliveryError) {
        let now = context.clock.monotonicNanoseconds
        var schedule = RetrySchedule(settings.rerouting, now: now)
        guard let pause = pause(&schedule, now) else { return drop(batch, .retriesExhausted, error) }
        let bytes = batch.byteCount
        guard context.memory.reserve(bytes) else { return drop(batch, .overloaded, error) }
        holding.add(batch.itemCount)
        let due = now &+ pause.nanoseconds
        state.withLock { state in
            state.waiting.append(WaitingBatch(batch: batch, schedule: schedule, due: due, reserved: bytes))
        }
        alarm.set(due)
    }

    /// Gives every part to its endpoint. While the list changes under way, what was refused is routed again.
    private func spread(_ batch: OTLPBatch) async -> Spread {
        var spread = Spread()
        var pending = [batch]
        for _ in 0..<3 {
            let (ring, members, generation) = state.withLock { ($0.ring, $0.members, $0.generation) }
            guard !ring.isEmpty else {
                spread.open += pending.map { ($0, .retry("no endpoint is known")) }
                return spread
            }
            var failed: [(part: OTLPBatch, error: DeliveryError)] = []
            for whole in pending {
                do {
                    let parts = try router.split(whole, over: ring)
                    for (part, error) in await give(parts, ring, members) {
                        guard let error else {
                            spread.takenItems += part.itemCount
                            continue
                        }
                        if error.isRetryable {
                            failed.append((part, error))
                        } else {
                            spread.refused.append((part, error))
                        }
                    }
                } catch {
                    spread.refused.append((whole, .rejected(.malformed, "\(error)")))
                }
            }
            if failed.isEmpty { return spread }
            guard state.withLock({ $0.generation != generation }) else {
                spread.open += failed
                return spread
            }
            pending = failed.map(\.part)
        }
        spread.open += pending.map { ($0, .retry("the endpoints keep changing")) }
        return spread
    }

    private func give(
        _ parts: [(endpoint: Int, part: OTLPBatch)], _ ring: HashRing, _ members: [String: Member]
    ) async -> [(part: OTLPBatch, error: DeliveryError?)] {
        let ways = parts.map { (members[EndpointName.withPort(ring.endpoints[$0.endpoint])], $0.part) }
        if ways.count == 1 { return [(ways[0].1, await give(ways[0].1, to: ways[0].0))] }
        return await withTaskGroup(of: (OTLPBatch, DeliveryError?).self) { group in
            for (member, part) in ways { group.addTask { (part, await self.give(part, to: member)) } }
            return await group.reduce(into: []) { $0.append(($1.0, $1.1)) }
        }
    }

    private func give(_ part: OTLPBatch, to member: Member?) async -> DeliveryError? {
        guard let member else { return .retry("the endpoint is no address") }
        let started = context.clock.monotonicNanoseconds
        let error = await take(part, member.pipeline)
        let elapsed = Double(context.clock.monotonicNanoseconds &- started) / 1e6
        context.metrics.counter(
            "otelcol_loadbalancer_backend_outcome_total", "Number of successes and failures for each endpoint.",
            labels: ["endpoint": member.name, "success": "\(error == nil)"]
        ).add()
        context.metrics.histogram(
            "otelcol_loadbalancer_backend_latency", "Response latency in ms for the backends.",
            bounds: [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], labels: ["endpoint": member.name]
        ).observe(elapsed)
        return error
    }

    private func take(_ part: OTLPBatch, _ pipeline: ExportPipeline) async -> DeliveryError? {
        @Sendable func attempt() async -> DeliveryError? {
            do throws(DeliveryError) {
                try await pipeline.take(part)
                return nil
            } catch {
                return error
            }
        }
        guard settings.timeout > .zero else { return await attempt() }
        let (timeout, clock) = (settings.timeout, context.clock)
        return await withTaskGroup(of: (isAnswer: Bool, error: DeliveryError?).self) { race in
            race.addTask { (true, await attempt()) }
            race.addTask {
                try? await clock.sleep(for: timeout)
                return (false, nil)
            }
            // When time is up the attempt is cancelled; it may have come through all the same.
            while let result = await race.next() {
                race.cancelAll()
                if result.isAnswer { return result.error }
            }
            return nil
        }
    }

    // MARK: What waits

    /// Tries again what waits here, until cancelled; then once more.
    func repeatWaiting() async {
        while (try? await alarm.wait()) != nil { await retry(all: false) }
        if successor.isExpected() { return }
        // Senders and endpoints outlive this task; what is left is tried while they do.
        await Task(executorPreference: context.services.executor) { [self] in await retry(all: true) }.value
    }

    private func retry(all: Bool) async {
        let now = context.clock.monotonicNanoseconds
        let due = state.withLock { state in
            let due = state.waiting.filter { all || $0.due <= now }
            state.waiting.removeAll { all || $0.due <= now }
            return due
        }
        for entry in due {
            let spread = await spread(entry.batch)
            context.memory.release(entry.reserved)
            holding.subtract(entry.batch.itemCount)
            for (part, error) in spread.refused { drop(part, error.reason, error) }
            for (part, error) in spread.open { waitOn(part, entry.schedule, error, isLast: all) }
        }
        if let next = state.withLock({ $0.waiting.map(\.due).min() }) { alarm.set(next) }
    }

    private func waitOn(_ part: OTLPBatch, _ schedule: RetrySchedule, _ error: DeliveryError, isLast: Bool) {
        if isLast { return drop(part, .stopped, error) }
        let now = context.clock.monotonicNanoseconds
        var schedule = schedule
        guard let pause = pause(&schedule, now) else { return drop(part, .retriesExhausted, error) }
        let bytes = part.byteCount
        guard context.memory.reserve(bytes) else { return drop(part, .overloaded, error) }
        holding.add(part.itemCount)
        state.withLock { state in
            state.waiting.append(
                WaitingBatch(batch: part, schedule: schedule, due: now &+ pause.nanoseconds, reserved: bytes))
        }
    }

    /// Ends what waits for another attempt at an endpoint, so that who waits for that learns of it.
    func interrupt() {
        for member in state.withLock({ Array($0.members.values) }) { member.pipeline.interrupt() }
    }

    /// Hands on or gives up what still waits when everything else has ended, and lets go of the endpoints.
    func finish() {
        let left = state.withLock { state in
            state.members = [:]
            defer { state.waiting = [] }
            return state.waiting
        }
        // Their destinations refer to this.
        members.replace(with: [])
        let isFollowed = successor.isExpected()
        for entry in left {
            let count = entry.batch.itemCount
            if isFollowed {
                successor.take(
                    ExportEntry(batch: entry.batch) { [context, holding] outcome in
                        context.memory.release(entry.reserved)
                        holding.subtract(count)
                        ExportPipeline.book(outcome, count, context.ledger)
                    })
                continue
            }
            context.memory.release(entry.reserved)
            holding.subtract(count)
            drop(entry.batch, .stopped, nil)
        }
    }
}

/// One endpoint while it is on the list; afterwards the way back to the balancer.
private struct MemberDestination: ExportDestination {
    let id: UInt64
    let balancer: LoadBalancer
    let destination: OTLPGRPCDestination

    func send(_ batch: OTLPBatch) async throws(ExportError) -> ExportReport {
        if balancer.isGone(id) { return await balancer.takeBack(batch) }
        do throws(ExportError) {
            return try await destination.send(batch)
        } catch {
            if case .retryable = error, balancer.isGone(id) { return await balancer.takeBack(batch) }
            throw error
        }
    }
}
