package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// Refuses telemetry while the process uses too much memory.
///
/// Every `check_interval` the memory in use is compared with the limit less the spike limit; above it data is refused with
/// `.overloaded`, so that sources slow down and clients come back. What is passed on is not held.
package final class OtelcolProcessorMemoryLimiter: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.memory_limiter", .generallyAvailable,
        "Refuses telemetry while the process uses too much memory.")

    package struct Arguments: Block, Sendable {
        let checkInterval: Duration
        /// Bytes above which data is refused.
        let softLimit: Int
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            checkInterval = block.required("check_interval", "How often memory is measured.")
            let limit = block.optional("limit", default: ByteCount.zero, "Memory the process should not exceed.")
            let spike = block.optional(
                "spike_limit", default: ByteCount.zero, "Memory expected to be used between two checks.",
                defaultProse: "20% of `limit`")
            let percentage = block.optional(
                "limit_percentage", default: UInt32(0), "The limit as a share of all memory.")
            let spikePercentage = block.optional(
                "spike_limit_percentage", default: UInt32(0), "The spike limit as a share of all memory.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
            if checkInterval <= .zero, block.isSet("check_interval") {
                block.reject("check_interval", "must be greater than zero")
            }
            var hard = limit.bytes
            var expected = spike.bytes > 0 ? spike.bytes : limit.bytes / 5
            if limit.bytes > 0, percentage != 0 {
                block.reject("limit", "and limit_percentage exclude each other")
            } else if limit.bytes > 0 {
                if spike.bytes >= limit.bytes { block.reject("spike_limit", "must be less than limit") }
            } else if percentage > 0 {
                if percentage > 100 || spikePercentage > 100 {
                    block.reject("limit_percentage", "and spike_limit_percentage must be 0 to 100")
                }
                if spikePercentage >= percentage {
                    block.reject("spike_limit_percentage", "must be less than limit_percentage")
                }
                let total = ProcessMemory.total
                hard = total / 100 * Int(min(percentage, 100))
                expected = spikePercentage > 0 ? total / 100 * Int(min(spikePercentage, 100)) : hard / 5
            } else {
                block.reject("either limit or limit_percentage must be set to greater than zero")
            }
            softLimit = max(hard - expected, 1)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let isOver = Mutex(false)

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.processor.memory_limiter is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        if isOver.withLock({ $0 }) {
            throw .overloaded(retryAfter: .seconds(1), "data refused due to high memory usage")
        }
        var moving = batch
        try await arguments.current.output.deliver(&moving)
    }

    /// Measures until cancelled.
    package func run() async throws {
        context.report(.healthy("measuring memory"))
        while true {
            let current = arguments.current
            let used = ProcessMemory.inUse
            let isNow = used > current.softLimit
            let wasOver = isOver.withLock { over in
                defer { over = isNow }
                return over
            }
            if isNow, !wasOver {
                context.log.warn(
                    "Memory usage is above soft limit. Refusing data.", nil,
                    ["used": "\(used)", "limit": "\(current.softLimit)"])
            } else if wasOver, !isNow {
                context.log.info("Memory usage back within limits. Resuming normal operation.", nil, [:])
            }
            try await context.clock.sleep(for: max(current.checkInterval, .milliseconds(1)))
        }
    }
}

extension OtelcolProcessorMemoryLimiter: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        OTLPExplaining.passing(
            item, to: arguments.current.output,
            isOver.withLock { $0 } ? "refused at the moment: memory is above the limit" : "passes while memory lasts")
    }
}
