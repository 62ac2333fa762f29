import Synchronization

/// How much an operator needs to see a message.
package enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    case debug, info, warn, error

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    package var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warn: "warn"
        case .error: "error"
        }
    }

    package init?(name: String) {
        guard let level = LogLevel.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }
}

/// The name of one piece of metadata in a log line. Names match upstream's so that queries keep working.
package struct LogKey: Sendable, Hashable, ExpressibleByStringLiteral {
    package let name: String
    package init(stringLiteral name: String) { self.name = name }
    package init(_ name: String) { self.name = name }

    package static let componentPath: LogKey = "component_path"
    package static let componentID: LogKey = "component_id"
    package static let nodeID: LogKey = "node_id"
    package static let error: LogKey = "err"
    package static let duration: LogKey = "duration"
    package static let traceID: LogKey = "trace_id"
}

/// One log line before it is written out.
package struct LogRecord: Sendable {
    package var timeNanoseconds: Int64
    package var level: LogLevel
    package var message: String
    package var metadata: [(key: LogKey, value: String)]

    package init(timeNanoseconds: Int64, level: LogLevel, message: String, metadata: [(key: LogKey, value: String)]) {
        self.timeNanoseconds = timeNanoseconds
        self.level = level
        self.message = message
        self.metadata = metadata
    }
}

/// Where log records go: standard error, a recorder in tests, `loki.*` receivers.
package protocol LogSink: Sendable {
    /// Records below this level are not built.
    var minimumLevel: LogLevel { get }
    func write(_ record: LogRecord)
}

/// A sink that keeps nothing.
package struct SilentLogSink: LogSink {
    package init() {}
    package var minimumLevel: LogLevel { .error }
    package func write(_ record: LogRecord) {}
}

/// Writes log records with fixed metadata, such as the component's ID.
package struct Log: Sendable {
    private let sink: any LogSink
    private let clock: EngineClock
    private let metadata: [(key: LogKey, value: String)]

    package init(sink: any LogSink, clock: EngineClock, metadata: [(key: LogKey, value: String)] = []) {
        self.sink = sink
        self.clock = clock
        self.metadata = metadata
    }

    package static let silent = Log(sink: SilentLogSink(), clock: .system)

    /// The same log with one more piece of metadata on every record.
    package func with(_ key: LogKey, _ value: String) -> Log {
        Log(sink: sink, clock: clock, metadata: metadata + [(key, value)])
    }

    package func isEnabled(_ level: LogLevel) -> Bool { level >= sink.minimumLevel }

    package func debug(
        _ message: StaticString, _ error: (any Error)? = nil,
        _ values: @autoclosure () -> KeyValuePairs<LogKey, String> = [:]
    ) { write(.debug, message, error, values) }

    package func info(
        _ message: StaticString, _ error: (any Error)? = nil,
        _ values: @autoclosure () -> KeyValuePairs<LogKey, String> = [:]
    ) { write(.info, message, error, values) }

    package func warn(
        _ message: StaticString, _ error: (any Error)? = nil,
        _ values: @autoclosure () -> KeyValuePairs<LogKey, String> = [:]
    ) { write(.warn, message, error, values) }

    package func error(
        _ message: StaticString, _ error: (any Error)? = nil,
        _ values: @autoclosure () -> KeyValuePairs<LogKey, String> = [:]
    ) { write(.error, message, error, values) }

    private func write(
        _ level: LogLevel, _ message: StaticString, _ error: (any Error)?,
        _ values: () -> KeyValuePairs<LogKey, String>
    ) {
        guard isEnabled(level) else { return }
        var all = metadata
        for (key, value) in values() { all.append((key, value)) }
        if let error { all.append((.error, "\(error)")) }
        sink.write(
            LogRecord(
                timeNanoseconds: clock.wallNanoseconds, level: level, message: "\(message)", metadata: all))
    }
}

/// Lets one event through per interval and counts the rest, so that a repeated failure does not flood the log.
package final class LogLimiter: Sendable {
    private struct State: ~Copyable {
        var nextAllowed: Int64 = .min
        var suppressed = 0
    }

    private let interval: Duration
    private let clock: EngineClock
    private let state = Mutex(State())

    package init(every interval: Duration, clock: EngineClock) {
        self.interval = interval
        self.clock = clock
    }

    /// Calls `emit` with the number of events suppressed since the last one, unless the interval has not passed.
    package func attempt(_ emit: (_ suppressed: Int) -> Void) {
        let now = clock.monotonicNanoseconds
        let suppressed: Int? = state.withLock { state in
            if now < state.nextAllowed {
                state.suppressed += 1
                return nil
            }
            defer { state.suppressed = 0 }
            state.nextAllowed = now &+ interval.nanoseconds
            return state.suppressed
        }
        if let suppressed { emit(suppressed) }
    }
}
