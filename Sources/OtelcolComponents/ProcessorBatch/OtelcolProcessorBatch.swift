package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry
import Wire

/// Joins small batches into large ones and splits those that are too large.
///
/// A batch is taken when it is held in memory, within a bound. While the consumers refuse what is due, it is offered to them
/// again and again, and once the bound is reached senders are refused too, so that the pressure reaches the source.
package final class OtelcolProcessorBatch: Component, Explaining {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.batch", .generallyAvailable, "Joins small batches of telemetry into large ones.")

    package struct Arguments: Block, Sendable {
        let timeout: Duration
        let size: Int
        let maximumSize: Int
        let metadataKeys: [String]
        let cardinalityLimit: Int
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            timeout = block.optional(
                "timeout", default: .milliseconds(200), "Time after which a batch is sent whatever its size.")
            let size = block.optional("send_batch_size", default: UInt32(2000), "Items from which a batch is sent.")
            let maximum = block.optional(
                "send_batch_max_size", default: UInt32(3000), "Items above which a batch is split; 0 is no limit.")
            metadataKeys = block.optional(
                "metadata_keys", default: [], "Metadata of clients whose values keep batches apart.")
            let limit = block.optional(
                "metadata_cardinality_limit", default: UInt32(1000), "Combinations of metadata that may occur.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
            self.size = Int(size)
            maximumSize = Int(maximum)
            cardinalityLimit = Int(limit)
            if maximum > 0, maximum < size {
                block.reject("send_batch_max_size", "must be greater or equal to send_batch_size when not 0")
            }
            if timeout < .zero { block.reject("timeout", "must not be negative") }
            if Set(metadataKeys.map { $0.lowercased() }).count != metadataKeys.count {
                block.reject("metadata_keys", "must not have duplicates")
            }
        }
    }

    private struct LaneKey: Hashable {
        var kind: OTLPBatch.Kind
        var values: [[String]]
    }

    private struct State {
        var lanes: [LaneKey: BatchLane] = [:]
        var keys: [String] = []
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let metrics: BatchMetrics
    private let holding: Holding
    private let alarm: Alarm
    private let state = Mutex(State())

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        metrics = BatchMetrics(context.metrics, processor: context.componentID)
        holding = context.ledger.holding("batch")
        alarm = Alarm(clock: context.clock)
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.processor.batch is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        return OTLPExplaining.passing(
            item, to: current.output,
            "joined with others until there are \(current.size) items, at most for \(current.timeout)")
    }

    // MARK: Taking batches

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        if batch.itemCount == 0 { return }
        let current = arguments.current
        let lane = try lane(for: batch, current)
        guard context.memory.reserve(batch.byteCount) else {
            throw .overloaded(retryAfter: .seconds(1), "the memory budget is exhausted")
        }
        // What waits for consumers that refuse may be as much again as what is being gathered.
        let bound = max(2 * current.size, 2 * current.maximumSize, 1)
        guard lane.add(batch, bound: bound) else {
            context.memory.release(batch.byteCount)
            throw .overloaded(retryAfter: .seconds(1), "the batch processor is full")
        }
        holding.add(batch.itemCount)
        if current.timeout == .zero || lane.itemCount >= current.size {
            await flush(lane, current, isTimeout: false)
        }
        if !lane.isEmpty {
            alarm.set(lane.deadline(now: context.clock.monotonicNanoseconds, timeout: current.timeout))
        }
    }

    private func lane(for batch: OTLPBatch, _ current: Arguments) throws(DeliveryError) -> BatchLane {
        let values = current.metadataKeys.map { batch.client?.values(of: $0) ?? [] }
        let key = LaneKey(kind: batch.kind, values: values)
        let client =
            current.metadataKeys.isEmpty
            ? nil
            : OTLPClient(
                metadata: zip(current.metadataKeys, values).filter { !$0.1.isEmpty }.map {
                    OTLPClient.Field(name: $0.0.lowercased(), values: $0.1)
                })
        let found = state.withLock { state -> BatchLane? in
            if state.keys != current.metadataKeys {
                // Lanes of other keys empty themselves by their deadlines; they stay until then.
                state.lanes = state.lanes.filter { !$0.value.isEmpty }
                state.keys = current.metadataKeys
            }
            if let lane = state.lanes[key] { return lane }
            if !current.metadataKeys.isEmpty, current.cardinalityLimit > 0,
                Set(state.lanes.keys.map(\.values)).union([values]).count > current.cardinalityLimit
            {
                return nil
            }
            let lane = BatchLane(kind: batch.kind, client: client)
            state.lanes[key] = lane
            metrics.cardinality.set(Set(state.lanes.keys.map(\.values)).count)
            return lane
        }
        guard let found else {
            throw .rejected(.limit, "too many batcher metadata-value combinations")
        }
        return found
    }

    // MARK: Sending

    /// Sends what is due: whole batches of the size asked for, and the rest when its time has come.
    private func flush(_ lane: BatchLane, _ current: Arguments, isTimeout: Bool, isLast: Bool = false) async {
        let least = isTimeout || current.timeout == .zero ? 1 : max(current.size, 1)
        while let due = lane.cut(
            atLeast: least, atMost: current.maximumSize, now: isLast ? nil : context.clock.monotonicNanoseconds)
        {
            var batch = due
            do throws(DeliveryError) {
                try await current.output.deliver(&batch)
            } catch {
                if error.isRetryable {
                    lane.putBack(batch, now: context.clock.monotonicNanoseconds)
                    return
                }
                settle(batch)
                current.output[batch.kind].giveUp(batch, after: error)
                context.log.warn("Consumers refused a batch", error, ["items": "\(batch.itemCount)"])
                continue
            }
            lane.delivered()
            settle(batch)
            metrics.sent(batch, isTimeout: isTimeout)
        }
    }

    private func settle(_ batch: OTLPBatch) {
        holding.subtract(batch.itemCount)
        context.memory.release(lane: batch)
    }

    // MARK: Life

    /// Sends what has waited long enough until cancelled, then everything that is left.
    package func run() async throws {
        context.report(.healthy("batching"))
        while true {
            do {
                try await alarm.wait()
            } catch {
                break
            }
            await flushDue()
        }
        // The rest goes out in spite of the cancellation; this task is awaited.
        await Task(executorPreference: context.services.executor) { [self] in await drain() }.value
        throw CancellationError()
    }

    private func flushDue() async {
        let current = arguments.current
        for lane in state.withLock({ Array($0.lanes.values) }) where !lane.isEmpty {
            let deadline = lane.deadline(now: context.clock.monotonicNanoseconds, timeout: current.timeout)
            if deadline <= context.clock.monotonicNanoseconds { await flush(lane, current, isTimeout: true) }
            if !lane.isEmpty {
                alarm.set(lane.deadline(now: context.clock.monotonicNanoseconds, timeout: current.timeout))
            }
        }
    }

    /// Everything goes: what is refused even now is dropped and counted.
    private func drain() async {
        let current = arguments.current
        for lane in state.withLock({ Array($0.lanes.values) }) {
            for attempt in 0..<3 where !lane.isEmpty {
                if attempt > 0 { try? await context.clock.sleep(for: .milliseconds(200)) }
                await flush(lane, current, isTimeout: true, isLast: true)
            }
            while let batch = lane.cut(atLeast: 1, atMost: 0, now: nil) {
                settle(batch)
                current.output[batch.kind].giveUp(batch, .stopped)
            }
            lane.close()
        }
    }
}

extension MemoryAccount {
    /// Gives back what a batch held. Splitting repeats headers, so that parts may be larger than what they came from.
    fileprivate func release(lane batch: OTLPBatch) { release(min(batch.byteCount, held.bytes)) }
}

/// The processor's metrics, named as the OpenTelemetry Collector names them.
private struct BatchMetrics: Sendable {
    let cardinality: Gauge
    private let sizes: Histogram
    private let bytes: Histogram
    private let bySize: Counter
    private let byTimeout: Counter

    init(_ scope: MetricScope, processor: String) {
        let labels: KeyValuePairs<String, String> = ["processor": processor]
        cardinality = scope.gauge(
            "otelcol_processor_batch_metadata_cardinality",
            "Number of distinct metadata value combinations being processed", labels: labels)
        sizes = scope.histogram(
            "otelcol_processor_batch_batch_send_size", "Number of units in the batch",
            bounds: [
                10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 20000,
                30000, 50000, 100_000,
            ],
            labels: labels)
        bytes = scope.histogram(
            "otelcol_processor_batch_batch_send_size_bytes", "Number of bytes in batch that was sent",
            bounds: [
                10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 20000,
                30000, 50000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000,
                1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000, 6_000_000, 7_000_000, 8_000_000, 9_000_000,
            ],
            labels: labels)
        bySize = scope.counter(
            "otelcol_processor_batch_batch_size_trigger_send_total",
            "Number of times the batch was sent due to a size trigger", labels: labels)
        byTimeout = scope.counter(
            "otelcol_processor_batch_timeout_trigger_send_total",
            "Number of times the batch was sent due to a timeout trigger", labels: labels)
    }

    func sent(_ batch: OTLPBatch, isTimeout: Bool) {
        (isTimeout ? byTimeout : bySize).add()
        sizes.observe(Double(batch.itemCount))
        bytes.observe(Double(batch.byteCount))
    }
}
