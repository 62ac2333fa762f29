package import Essentials
import Glibc
import Synchronization
import Telemetry

/// Where the process's own log lines go: standard error in the format the `logging` block asks for, and the receivers
/// of its `write_to`.
///
/// What is logged before the block was read waits, within a bound, and is written in its format and at its level.
package final class LogRouter: LogSink {
    /// Writes one line, newline included.
    package typealias Output = @Sendable ([UInt8]) -> Void

    private struct State: ~Copyable {
        var format = LogFormat.logfmt
        var isConfigured = false
        var early: [LogRecord] = []
        var earlyLost = 0
        var forwarding = LogForwarding()
    }

    private static let earlyLimit = 2_000

    private let output: Output
    private let level = Atomic<Int>(LogLevel.debug.rawValue)
    private let state = Mutex(State())
    private let arrival = Signal()
    /// Entries forwarded and lost, for the program's metrics.
    private let lost = Atomic<Int>(0)

    /// Makes a router; without `output` it writes to standard error.
    package init(output: @escaping Output = LogRouter.standardError) {
        self.output = output
    }

    package var minimumLevel: LogLevel { LogLevel(rawValue: level.load(ordering: .relaxed)) ?? .info }

    package func write(_ record: LogRecord) {
        let wakes: Bool = state.withLock { state in
            guard state.isConfigured else {
                if state.early.count < LogRouter.earlyLimit { state.early.append(record) } else { state.earlyLost += 1 }
                return false
            }
            return emit(record, &state)
        }
        if wakes { arrival.raise() }
    }

    /// Applies a `logging` block. The first call writes what waited.
    func configure(level newLevel: LogLevel, format: LogFormat, receivers: [Receiver<LogBatch>]) {
        level.store(newLevel.rawValue, ordering: .relaxed)
        let wakes: Bool = state.withLock { state in
            state.format = format
            state.forwarding.receivers = receivers
            if receivers.isEmpty { state.forwarding.discard() }
            guard !state.isConfigured else { return false }
            state.isConfigured = true
            let early = state.early
            state.early = []
            var wakes = false
            for record in early where record.level >= newLevel { wakes = emit(record, &state) || wakes }
            return wakes
        }
        if wakes { arrival.raise() }
    }

    /// Writes what waits with Alloy's defaults, unless a block was applied: for a process that gives up at start.
    package func flush() {
        let isConfigured = state.withLock { $0.isConfigured }
        if !isConfigured { configure(level: .info, format: .logfmt, receivers: []) }
    }

    /// Entries that `write_to` receivers did not get because they were slow or refused them.
    package var lostEntries: Int { lost.load(ordering: .relaxed) }

    /// Sends what `write_to` asks for until cancelled.
    func forward() async {
        while !Task.isCancelled {
            await arrival.wait()
            while let (batch, receivers) = state.withLock({ $0.forwarding.take() }) {
                for receiver in receivers {
                    do {
                        try await receiver.consume(batch)
                    } catch {
                        // Nothing may be logged here: it would come back.
                        lost.add(batch.itemCount, ordering: .relaxed)
                    }
                }
                if Task.isCancelled { return }
            }
        }
    }

    /// Writes one record; true when there is something to forward.
    private func emit(_ record: LogRecord, _ state: inout State) -> Bool {
        let line = state.format.line(record)
        output(line)
        guard !state.forwarding.receivers.isEmpty else { return false }
        if !state.forwarding.append(line, at: record.timeNanoseconds) { lost.add(1, ordering: .relaxed) }
        return true
    }

    /// Writes to standard error; a line that cannot be written is lost.
    package static let standardError: Output = { line in
        line.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = Glibc.write(STDERR_FILENO, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
                if count < 0 {
                    if errno == EINTR { continue }
                    return
                }
                offset += count
            }
        }
    }
}

/// Log lines on their way to receivers.
struct LogForwarding {
    private static let entryLimit = 1_000
    private static let byteLimit = 1 << 20

    var receivers: [Receiver<LogBatch>] = []
    private var batch = LogBatch()

    /// The labels Alloy gives its own log lines.
    private static let labels = LabelSet([("component", "alloy")])

    /// Adds a line; false when there is no room for it.
    mutating func append(_ line: [UInt8], at timestamp: Int64) -> Bool {
        guard batch.itemCount < Self.entryLimit, batch.byteCount + line.count <= Self.byteLimit else { return false }
        let stream = batch.stream(for: Self.labels)
        line.withUnsafeBytes { batch.append($0, stream: stream, timestamp: timestamp) }
        return true
    }

    mutating func take() -> (LogBatch, [Receiver<LogBatch>])? {
        guard !batch.isEmpty else { return nil }
        defer { batch = LogBatch() }
        return (batch, receivers)
    }

    mutating func discard() { batch = LogBatch() }
}
