import AlloySyntax
import Essentials

/// The `retry_on_failure` block of receivers of logs.
///
/// A source here repeats a delivery that failed for the moment whatever the block says, as all of the program's sources
/// do, and reads nothing more meanwhile. Enabled, the block gives the times and the age at which a batch is given up.
struct ConsumerRetry: Block, Sendable, Equatable {
    let isEnabled: Bool
    let initialInterval: Duration
    let maximumInterval: Duration
    /// Nil is without end.
    let maximumElapsed: Duration?

    init(from block: inout BlockReader) {
        isEnabled = block.optional(
            "enabled", default: false, "Whether the times below apply to deliveries that are repeated.")
        initialInterval = block.optional("initial_interval", default: .seconds(1), "Wait before the second attempt.")
        maximumInterval = block.optional("max_interval", default: .seconds(30), "Longest wait between attempts.")
        let elapsed = block.optional(
            "max_elapsed_time", default: Duration.seconds(300),
            "Age at which logs are given up; zero is never.")
        maximumElapsed = elapsed > .zero ? elapsed : nil
        if isEnabled {
            if initialInterval <= .zero { block.reject("initial_interval", "must be greater than zero") }
            if maximumInterval < initialInterval {
                block.reject("max_interval", "must not be less than initial_interval")
            }
            if elapsed < .zero { block.reject("max_elapsed_time", "must not be negative") }
        }
    }

    var backoff: Backoff {
        isEnabled
            ? Backoff(minimum: initialInterval, maximum: maximumInterval)
            : Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
    }

    /// How long a batch may be repeated; nil is without end.
    var patience: Duration? { isEnabled ? maximumElapsed : nil }
}
