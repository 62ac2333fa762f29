import Essentials
import Synchronization
import Telemetry
import Wire

/// What is gathered of one signal and one combination of metadata.
final class BatchLane: Sendable {
    private struct State {
        var pending: OTLPBatch
        /// Parts that consumers refused, in the order they go next.
        var refused: [OTLPBatch] = []
        /// When the oldest of `pending` came.
        var since: Int64?
        var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(5))
        /// While consumers refuse: when they are asked next.
        var retryAt: Int64?
        var isClosed = false
    }

    private let kind: OTLPBatch.Kind
    private let client: OTLPClient?
    private let state: Mutex<State>

    init(kind: OTLPBatch.Kind, client: OTLPClient?) {
        self.kind = kind
        self.client = client
        state = Mutex(State(pending: OTLPBatch(kind: kind, client: client)))
    }

    /// Items waiting to be gathered or offered again.
    var itemCount: Int { state.withLock { $0.pending.itemCount + $0.refused.reduce(0) { $0 + $1.itemCount } } }
    var isEmpty: Bool { state.withLock { $0.pending.itemCount == 0 && $0.refused.isEmpty } }

    /// Adds a batch; false when more than `bound` items wait for consumers that refuse, or the lane is closed.
    func add(_ batch: OTLPBatch, bound: Int) -> Bool {
        state.withLock { state in
            if state.isClosed { return false }
            let refused = state.refused.reduce(0) { $0 + $1.itemCount }
            if refused > 0, refused + state.pending.itemCount >= bound { return false }
            state.pending.append(batch)
            return true
        }
    }

    /// When something of the lane is due.
    func deadline(now: Int64, timeout: Duration) -> Int64 {
        state.withLock { state in
            if let retryAt = state.retryAt { return retryAt }
            if state.since == nil { state.since = now }
            return (state.since ?? now) &+ timeout.nanoseconds
        }
    }

    /// Takes out a batch of at most `maximum` items (0 is all), when at least `least` are there and consumers do not
    /// refuse at the moment (`now` is before they are to be asked again; nil asks anyway). What was refused goes first.
    func cut(atLeast least: Int, atMost maximum: Int, now: Int64?) -> OTLPBatch? {
        state.withLock { state in
            if let now, let retryAt = state.retryAt, now < retryAt { return nil }
            if !state.refused.isEmpty {
                state.retryAt = nil
                return state.refused.removeFirst()
            }
            guard state.pending.itemCount >= least, state.pending.itemCount > 0 else { return nil }
            state.since = nil
            var cut = state.pending
            if maximum > 0, cut.itemCount > maximum {
                var splitter = OTLPSplitter()
                var rest = cut
                // Bytes that were scanned can be split; if not, they go as they are.
                if let first = try? splitter.take(maximum, from: &rest) {
                    cut = first
                    state.pending = rest
                    return cut
                }
            }
            state.pending = OTLPBatch(kind: kind, client: client)
            return cut
        }
    }

    /// Puts back what consumers would not take now.
    func putBack(_ batch: OTLPBatch, now: Int64) {
        state.withLock { state in
            state.refused.insert(batch, at: 0)
            state.retryAt = now &+ state.backoff.nextExact().nanoseconds
        }
    }

    func delivered() { state.withLock { $0.backoff.reset() } }

    /// Takes nothing more.
    func close() { state.withLock { $0.isClosed = true } }
}
