import Essentials

/// Logs the failures of an endpoint's requests, each kind at most every ten seconds.
struct FailureReports: Sendable {
    private let log: Log
    private let endpoint: String
    private let warnings: LogLimiter
    private let errors: LogLimiter

    init(_ log: Log, endpoint: String, clock: EngineClock) {
        self.log = log
        self.endpoint = endpoint
        warnings = LogLimiter(every: .seconds(10), clock: clock)
        errors = LogLimiter(every: .seconds(10), clock: clock)
    }

    /// A request that will be repeated.
    func warn(_ message: String, attempt: Int, items: Int) {
        warnings.attempt { suppressed in
            log.warn(
                "Failed to send a request, retrying", nil,
                [
                    "endpoint": endpoint, .error: message, "attempt": "\(attempt)", "samples": "\(items)",
                    "suppressed": "\(suppressed)",
                ])
        }
    }

    /// Samples that are given up.
    func error(_ message: String, _ items: Int) {
        errors.attempt { suppressed in
            log.error(
                "The endpoint refused samples for good", nil,
                ["endpoint": endpoint, .error: message, "samples": "\(items)", "suppressed": "\(suppressed)"])
        }
    }
}
