import ComponentKit
import Essentials
import Glibc
import TextFormats

/// Writes failed scrapes to the file of `scrape_failure_log_file`, a JSON object a line.
final class ScrapeFailureLog: Sendable {
    private let blocking: BlockingPool
    private let log: Log
    private let limiter: LogLimiter

    init(_ context: Context<NoValues>) {
        blocking = context.services.blocking
        log = context.log
        limiter = LogLimiter(every: .seconds(60), clock: context.clock)
    }

    /// Appends a line; a file that cannot be written is a warning, not a failure of the scrape.
    func write(_ message: String, target: String, jobName: String, at wallNanoseconds: Int64, to path: String) async {
        let time = GoTimeLayout("2006-01-02T15:04:05.999999999Z07:00").format(unixNanoseconds: wallNanoseconds)
        var line: [UInt8] = []
        JSONWriter(escapesHTML: false).append(
            .object([
                "time": .string(time), "level": .string("ERROR"), "msg": .string(message),
                "job_name": .string(jobName), "target": .string(target),
            ]), to: &line)
        line.append(10)
        let bytes = line
        do {
            try await blocking.run { try Self.append(bytes, to: path) }
        } catch {
            limiter.attempt { suppressed in
                log.warn(
                    "Failed scrape could not be logged", error, ["file": path, "suppressed": "\(suppressed)"])
            }
        }
    }

    private static func append(_ line: [UInt8], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        defer { close(descriptor) }
        // One write, so that lines of several targets do not mix.
        guard Glibc.write(descriptor, line, line.count) == line.count else { throw SystemError("write", path) }
    }
}
