import Telemetry
import TestKit

extension ComponentHarness {
    /// The lines that arrived, in their order.
    var lines: [String] { logs.batches.flatMap { batch in batch.entries.map { batch.line($0) } } }

    /// Runs until `condition` holds while half a second after half a second goes by; false after 20 seconds of real time.
    func settleInTime(until condition: () -> Bool) -> Bool {
        settle(until: {
            if condition() { return true }
            advance(by: .milliseconds(500))
            return condition()
        })
    }
}
