import Essentials
import LogSources
import SelfMetrics
import Storage
import Synchronization
import Telemetry

/// One target's file with its labels and metrics. Read by one thread at a time.
final class TailedFile: Sendable {
    /// The numbers kept about one path.
    struct Instruments: Sendable {
        let readBytes: Gauge
        let totalBytes: Gauge
        let readLines: Counter

        init(_ metrics: MetricScope, path: String) {
            readBytes = metrics.gauge(
                "loki_source_file_read_bytes_total", "Number of bytes read.", labels: ["path": path])
            totalBytes = metrics.gauge(
                "loki_source_file_file_bytes_total", "Number of bytes total.", labels: ["path": path])
            readLines = metrics.counter(
                "loki_source_file_read_lines_total", "Number of lines read.", labels: ["path": path])
        }

        static func remove(_ path: String, from metrics: MetricScope) {
            for name in [
                "loki_source_file_read_bytes_total", "loki_source_file_file_bytes_total",
                "loki_source_file_read_lines_total",
            ] {
                metrics.remove(name, labels: ["path": path])
            }
        }
    }

    /// When to look again.
    private struct Schedule {
        var next: Int64
        var delay: Int64 = 0
    }

    private struct State: ~Copyable {
        var tail: FileTail
        var schedule: Schedule
        /// What was last reported about the file, so that it is reported once.
        var reported: String?
        var wasOpen = false
    }

    let key: PositionKey
    let path: String
    /// The target's labels and `filename`.
    let labels: LabelSet
    let instruments: Instruments
    let isCompressed: Bool
    private let state: Mutex<State>

    /// `firstLook` is on the monotonic clock.
    init(
        key: PositionKey, labels: LabelSet, position: Int64?, options: FileTail.Options, decoder: TextDecoder,
        metrics: MetricScope, firstLook: Int64, earlier: EarlierFile? = nil
    ) {
        self.key = key
        path = key.path
        self.labels = labels
        instruments = Instruments(metrics, path: key.path)
        isCompressed = options.compression != nil
        state = Mutex(
            State(
                tail: FileTail(
                    path: key.path, position: position, options: options, decoder: decoder, earlier: earlier),
                schedule: Schedule(next: firstLook)))
    }

    /// When the file is to be looked at, on the monotonic clock.
    var nextLook: Int64 { state.withLock { $0.schedule.next } }
    var position: Int64 { state.withLock { $0.tail.position } }
    /// Whether the position is that of a file which may stand under another name.
    var needsPosition: Bool { state.withLock { $0.tail.needsPosition } }
    var isOpen: Bool { state.withLock { $0.tail.isOpen } }

    /// What changed about being readable.
    enum Report: Sendable, Equatable {
        case opened
        case failed(String)
        /// The file read in an earlier life is gone, and may have had more to read.
        case lostEarlierFile
    }

    /// Looks at the file; see ``FileTail/look()``. Blocks.
    func look() -> FileTail.Activity {
        let (activity, size) = state.withLock { state in (state.tail.look(), state.tail.size) }
        instruments.totalBytes.set(Int(size))
        return activity
    }

    /// What there is to tell an operator since the last call.
    func takeReport() -> Report? {
        state.withLock { state in
            let isOpen = state.tail.isOpen
            if state.tail.hasLostEarlierFile {
                state.tail.hasLostEarlierFile = false
                return .lostEarlierFile
            }
            defer { state.wasOpen = isOpen }
            if let problem = state.tail.problem {
                guard state.reported != problem else { return nil }
                state.reported = problem
                return .failed(problem)
            }
            if isOpen { state.reported = nil }
            return isOpen && !state.wasOpen ? .opened : nil
        }
    }

    /// Plans the next look: at first after `minimum`, then after twice as long each time nothing happened. Counted from
    /// when this one was due, not from when its reading ended, or every second round of looks would find nothing due.
    func postponeLook(from now: Int64, minimum: Int64, maximum: Int64, isQuiet: Bool) {
        state.withLock { state in
            let delay = isQuiet && state.schedule.delay > 0 ? min(state.schedule.delay &* 2, maximum) : minimum
            state.schedule = Schedule(next: max(state.schedule.next &+ delay, now), delay: delay)
        }
    }

    /// Adds lines to `batch`; see ``FileTail/read(into:stream:limit:now:)``. Blocks.
    func read(into batch: inout LogBatch, limit: Int, now: Int64) -> FileTail.Outcome {
        let stream = batch.stream(for: labels)
        return state.withLock { state in state.tail.read(into: &batch, stream: stream, limit: limit, now: now) }
    }

    /// Takes the position over what was read, and returns it with the file it belongs to and the number of lines that
    /// were cut.
    func commit(lines: Int) -> (position: Int64, fingerprint: FileFingerprint?, cutLines: Int) {
        let result = state.withLock { state in
            state.tail.commit()
            defer { state.tail.cutLines = 0 }
            return (state.tail.position, state.tail.fingerprint, state.tail.cutLines)
        }
        instruments.readBytes.set(Int(result.0))
        instruments.readLines.add(lines)
        return result
    }

    /// Closes the file; it can be opened again by a look.
    func close() { state.withLock { $0.tail.close() } }
}
