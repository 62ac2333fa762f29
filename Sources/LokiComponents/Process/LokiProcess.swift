package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import TextFormats

/// Runs log entries through a pipeline of stages and forwards what comes out.
///
/// A batch is accepted when its entries were forwarded, dropped by a stage or are held by one. Where stages keep state
/// (joined lines, rates, metrics) a batch cannot be processed twice, so what a receiver refuses for the moment waits
/// here, and further batches are refused until it is gone: at most one batch for each source waits. Pipelines without
/// state hold nothing and hand the refusal on.
package final class LokiProcess: Component {
    package static let spec = ComponentSpec(
        "loki.process", .generallyAvailable, "Runs log entries through processing stages.")

    package struct Arguments: Block, Sendable {
        let forwardTo: Fanout<LogBatch>
        let stages: [any StageConfiguration]
        /// Equal for equal stages.
        let fingerprint: String

        package init(from block: inout BlockReader) {
            forwardTo = block.required("forward_to", "Receivers the processed entries are sent to.")
            stages = StageBlocks.read(&block)
            fingerprint = String(describing: stages)
        }
    }

    package struct Exports: WritableBlock {
        var receiver: Receiver<LogBatch>
        package static var placeholder: Exports { Exports(receiver: .placeholder) }
        package func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes the entries to process.")
        }
    }

    private struct State: Sendable {
        var pipeline: Pipeline
        var fingerprint: String
        var forwardTo: Fanout<LogBatch>
        /// Processed entries that a receiver would not take yet.
        var pending: [LogBatch] = []
    }

    private static let retryInterval = Duration.milliseconds(250)
    private static let stopAttempts = 20

    let arguments: Live<Arguments>
    let context: Context<Exports>
    private let live: LiveView
    private let receiver: Receiver<LogBatch>
    private let services: StageServices
    private let held: Holding
    private let pending: Holding
    private let wake = WakeSignal()
    private let state: Mutex<State>

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        live = context.makeLiveView()
        receiver = context.makeReceiver()
        services = StageServices(
            metrics: PipelineMetrics(scope: context.metrics, clock: context.clock, account: context.memory),
            memory: HeldMemory(context.memory))
        held = context.ledger.holding("stages")
        pending = context.ledger.holding("pending")
        let current = arguments.current
        let pipeline = Pipeline(current.stages, services, clock: context.clock, log: context.log)
        state = Mutex(
            State(pipeline: pipeline, fingerprint: current.fingerprint, forwardTo: current.forwardTo))
        receiver.install { [weak self] (batch: LogBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("loki.process is gone") }
            try await self.consume(batch)
        }
        context.export(Exports(receiver: receiver))
    }

    package func run() async throws {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.followArguments() }
                group.addTask { try await self.keepTime() }
                try await group.waitForAll()
            }
        } catch {
            receiver.install(nil)
            await stop()
            throw error
        }
    }

    // MARK: Batches

    private func consume(_ batch: LogBatch) async throws(DeliveryError) {
        try await deliverPending()
        show(batch, "[IN]", count: 0)
        var (pipeline, forwardTo) = state.withLock { ($0.pipeline, $0.forwardTo) }
        var processed = pipeline.process(batch)
        while processed == nil {
            // A reload closed the pipeline after we asked for it.
            (pipeline, forwardTo) = state.withLock { ($0.pipeline, $0.forwardTo) }
            processed = pipeline.process(batch)
        }
        guard var result = processed else { return }
        if result.tally.isRepeatable, result.outputs.count <= 1 {
            if var output = result.outputs.popLast()?.batch {
                defer { pipeline.recycle(&output) }
                output.takenBy = batch.takenBy
                show(output, "[OUT]", count: 1)
                try await forwardTo.deliver(&output)
            }
            commit(result.tally)
        } else {
            commit(result.tally)
            await forward(result.outputs, forwardTo)
        }
    }

    private func commit(_ tally: Tally) {
        for (drop, count) in tally.drops { context.ledger.drop(count, .rule, rule: drop.stage) }
        if tally.created != 0 { context.ledger.created(tally.created) }
        if tally.merged != 0 { context.ledger.merged(tally.merged) }
        if tally.held != 0 {
            held.add(tally.held)
            wake.raise()
        }
        services.metrics.add(tally)
    }

    /// Forwards batches whose entries are this component's responsibility now, each when its time has come.
    private func forward(_ outputs: [TimedBatch], _ forwardTo: Fanout<LogBatch>) async {
        for output in outputs {
            if output.notBefore > context.clock.monotonicNanoseconds {
                do {
                    try await context.clock.sleep(untilMonotonic: output.notBefore)
                } catch {
                    keep(output.batch)
                    continue
                }
            }
            show(output.batch, "[OUT]", count: 1)
            var batch = output.batch
            do throws(DeliveryError) {
                try await forwardTo.deliver(&batch)
            } catch {
                if error.isRetryable { keep(batch) } else { forwardTo.giveUp(batch, after: error) }
            }
        }
    }

    private func keep(_ batch: LogBatch) {
        pending.add(batch.itemCount)
        services.memory.add(batch.byteCount)
        state.withLock { $0.pending.append(batch) }
        wake.raise()
    }

    /// Sends what waits; throws when a receiver still refuses it.
    private func deliverPending() async throws(DeliveryError) {
        let (batches, forwardTo) = state.withLock { state in
            defer { state.pending = [] }
            return (state.pending, state.forwardTo)
        }
        if batches.isEmpty { return }
        var refusal: DeliveryError?
        for var batch in batches {
            pending.subtract(batch.itemCount)
            services.memory.subtract(batch.byteCount)
            if refusal != nil {
                keep(batch)
                continue
            }
            do throws(DeliveryError) {
                try await forwardTo.deliver(&batch)
            } catch {
                if error.isRetryable {
                    refusal = error
                    keep(batch)
                } else {
                    forwardTo.giveUp(batch, after: error)
                }
            }
        }
        if var refusal {
            // The receivers that took the waiting batch have not seen the caller's.
            refusal.takenBy = ReceiverSet()
            throw refusal
        }
    }

    private func show(_ batch: LogBatch, _ direction: String, count: Int) {
        guard live.isWatched else { return }
        for entry in batch.entries.prefix(LiveView.itemLimit) {
            live.publish(.lokiLog, count: count) {
                let time = GoTimeLayout("RFC3339Nano").format(unixNanoseconds: entry.timestamp)
                let labels = batch.streams[Int(entry.stream)]
                return
                    "\(direction): timestamp: \(time), entry: \(batch.line(entry)), labels: \(labels), structured_metadata: \(entry.metadata)"
            }
        }
        live.publishRest(.lokiLog, batch.entries.count - LiveView.itemLimit)
    }

    // MARK: Time and change

    private func followArguments() async throws {
        var seen: UInt64 = 0
        while true {
            let (current, version) = arguments.snapshot
            await apply(current)
            seen = version
            try await arguments.change(after: seen)
        }
    }

    private func apply(_ current: Arguments) async {
        let isSame = state.withLock { state in
            guard state.fingerprint == current.fingerprint else { return false }
            state.forwardTo = current.forwardTo
            return true
        }
        if isSame { return }
        services.metrics.custom.beginPipeline()
        let made = Pipeline(current.stages, services, clock: context.clock, log: context.log)
        let (old, forwardTo) = state.withLock { state in
            let before = (state.pipeline, state.forwardTo)
            state.pipeline = made
            state.fingerprint = current.fingerprint
            state.forwardTo = current.forwardTo
            return before
        }
        let result = old.close()
        commit(result.tally)
        await forward(result.outputs.map { TimedBatch(notBefore: 0, batch: $0.batch) }, forwardTo)
    }

    /// Lets go of held entries when they fall due and tries again to send what waits.
    private func keepTime() async throws {
        while true {
            let (pipeline, hasPending) = state.withLock { ($0.pipeline, !$0.pending.isEmpty) }
            let now = context.clock.monotonicNanoseconds
            var deadline = pipeline.nextDeadline
            if hasPending {
                let retry = now &+ Self.retryInterval.nanosecondsClamped
                deadline = deadline.map { min($0, retry) } ?? retry
            }
            guard let deadline else {
                try await wake.wait()
                continue
            }
            // A stage with a shorter patience may begin to hold meanwhile, hence at most a second.
            try await context.clock.sleep(untilMonotonic: min(deadline, now &+ 1_000_000_000))
            do throws(DeliveryError) {
                try await deliverPending()
            } catch {
                continue
            }
            let (current, forwardTo) = state.withLock { ($0.pipeline, $0.forwardTo) }
            let result = current.release(dueAt: context.clock.monotonicNanoseconds)
            commit(result.tally)
            await forward(result.outputs, forwardTo)
        }
    }

    /// Sends everything held; what nobody takes in time is dropped and counted.
    private func stop() async {
        let (pipeline, forwardTo) = state.withLock { ($0.pipeline, $0.forwardTo) }
        let result = pipeline.close()
        commit(result.tally)
        await forward(result.outputs.map { TimedBatch(notBefore: 0, batch: $0.batch) }, forwardTo)
        if await isDrained() { return }
        // This task is cancelled, so waiting between attempts needs one that is not; it ends with `stopAttempts`.
        let drained = await Task { [self] in
            for _ in 0..<Self.stopAttempts {
                try? await context.clock.sleep(for: Self.retryInterval)
                if await isDrained() { return true }
            }
            return false
        }.value
        if drained { return }
        for batch in state.withLock({ state in
            defer { state.pending = [] }
            return state.pending
        }) {
            pending.subtract(batch.itemCount)
            services.memory.subtract(batch.byteCount)
            forwardTo.giveUp(batch, .stopped)
        }
    }

    private func isDrained() async -> Bool {
        do throws(DeliveryError) {
            try await deliverPending()
            return true
        } catch {
            return false
        }
    }
}
