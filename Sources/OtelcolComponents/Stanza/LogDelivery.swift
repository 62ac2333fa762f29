import AlloySyntax
import ComponentKit
import Essentials
import Telemetry

/// Delivers what a receiver of logs has read, and repeats that until it is taken or given up.
struct LogDelivery: Sendable {
    let context: Context<NoValues>
    let metrics: ReceiverMetrics
    /// Where logs go now, and how often.
    let target: @Sendable () -> (output: OTLPOutput, retry: ConsumerRetry)
    private let warnings: LogLimiter

    init(
        _ context: Context<NoValues>, transport: String,
        target: @escaping @Sendable () -> (output: OTLPOutput, retry: ConsumerRetry)
    ) {
        self.context = context
        metrics = ReceiverMetrics(context.metrics, receiver: context.componentID, transport: transport)
        self.target = target
        warnings = LogLimiter(every: .seconds(10), clock: context.clock)
    }

    /// Returns when every consumer has taken the batch or it was given up; throws when cancelled before, with the batch
    /// given up unless `keepsOnStop` says that it will be read again, in which case it was never booked.
    func deliver(_ batch: OTLPBatch, keepsOnStop: Bool = false) async throws(CancellationError) {
        var batch = batch
        let count = batch.itemCount
        if count == 0 { return }
        let bytes = batch.byteCount
        context.memory.book(bytes)
        defer { context.memory.release(bytes) }
        let begin = context.clock.monotonicNanoseconds
        var backoff = target().retry.backoff
        while true {
            let (output, retry) = target()
            let failure: DeliveryError
            do throws(DeliveryError) {
                try await output.deliver(&batch)
                context.ledger.originated(count)
                metrics.accepted(batch)
                return
            } catch {
                failure = error
            }
            metrics.refused(batch)
            let age = Duration.nanoseconds(context.clock.monotonicNanoseconds &- begin)
            if !failure.isRetryable || retry.patience.map({ age >= $0 }) ?? false {
                context.ledger.originated(count)
                output.logs.giveUp(batch, failure.isRetryable ? .retriesExhausted : failure.reason)
                warn("Logs given up", failure)
                return
            }
            var wait = backoff.next()
            switch failure.kind {
            case .retry(let asked?), .overloaded(let asked?): wait = asked
            default: break
            }
            do {
                try await context.clock.sleep(for: wait)
            } catch {
                if !keepsOnStop || failure.anyTaken {
                    context.ledger.originated(count)
                    output.logs.giveUp(batch, .stopped)
                }
                throw CancellationError()
            }
        }
    }

    /// Books what was read but is not delivered.
    func book(_ tally: LogTally) {
        context.ledger.originated(
            tally.malformed + tally.empty + tally.filtered + tally.tooLong + tally.written + tally.unwritten)
        context.ledger.delivered(tally.written)
        context.ledger.drop(tally.unwritten, "write_failed")
        context.ledger.drop(tally.malformed, .malformed)
        context.ledger.drop(tally.empty, "empty")
        context.ledger.drop(tally.tooLong, .limit)
        context.ledger.drop(tally.filtered, .rule, rule: "operators")
        guard let problem = tally.problem else { return }
        if tally.isQuiet {
            context.log.debug("Failed to process a log", problem)
        } else {
            warn("Failed to process a log", problem)
        }
    }

    func warn(_ message: StaticString, _ error: (any Error)?) {
        warnings.attempt { suppressed in
            context.log.warn(message, error, ["suppressed": "\(suppressed)"])
        }
    }
}

/// What became of logs that are not delivered.
struct LogTally: Sendable, Equatable {
    var malformed = 0
    var empty = 0
    var tooLong = 0
    /// Dropped because operators asked for it.
    var filtered = 0
    /// Written by operators that end the pipeline.
    var written = 0
    /// Those that such operators could not write.
    var unwritten = 0
    /// The last reason why a log could not be worked on, sent or not.
    var problem: StanzaError?
    /// Whether that is of interest to people who look for it only.
    var isQuiet = true

    mutating func note(_ error: StanzaError, _ action: ErrorAction) {
        problem = error
        if !action.isQuiet { isQuiet = false }
        if !action.sends { malformed += 1 }
    }
}
