import AlloySyntax
import ComponentKit
import Essentials
import OTTL

/// What becomes of an error of a statement or condition.
enum ErrorMode: String, AlloyWord {
    static var placeholder: ErrorMode { .ignore }

    /// Logs it and goes on.
    case ignore
    /// Goes on.
    case silent
    /// Refuses the batch.
    case propagate
}

/// Reports errors of statements by their mode.
struct StatementErrors: Sendable {
    private let log: Log
    private let limit: LogLimiter

    init(log: Log, clock: EngineClock) {
        self.log = log
        limit = LogLimiter(every: .seconds(10), clock: clock)
    }

    /// Throws the error again, logs it or does nothing.
    func report(_ error: any Error, in statement: String, _ mode: ErrorMode) throws {
        switch mode {
        case .propagate: throw OTTLError("\"\(statement)\": \(error)")
        case .silent: break
        case .ignore:
            limit.attempt { suppressed in
                log.warn(
                    "failed to execute statement", error, ["statement": statement, "suppressed": "\(suppressed)"])
            }
        }
    }
}
