import Synchronization
import Wire

/// What an expression found in texts that were seen before: the setting `cache` of `regex_parser`.
///
/// Holds `size` texts at most and 16 MiB about; the oldest make room, as upstream.
final class RegexCache: Sendable {
    private struct State {
        var found: [[UInt8]: OTLPAnyValue.Map] = [:]
        var order: [[UInt8]] = []
        var head = 0
        var bytes = 0
    }

    private static let maximumBytes = 16 << 20

    private let size: Int
    private let state = Mutex(State())

    init(size: Int) { self.size = size }

    /// Number of texts it holds.
    var count: Int { state.withLock { $0.found.count } }

    /// What is known of `text`, or what `find` says, which is kept. Failures are not.
    func value(
        of text: [UInt8], _ find: ([UInt8]) throws(StanzaError) -> OTLPAnyValue.Map
    ) throws(StanzaError) -> OTLPAnyValue.Map {
        if let known = state.withLock({ $0.found[text] }) { return known }
        let found = try find(text)
        state.withLock { state in
            guard state.found[text] == nil else { return }
            let bytes = Self.bytes(text, found)
            guard bytes <= Self.maximumBytes else { return }
            while state.found.count >= size || state.bytes + bytes > Self.maximumBytes {
                let oldest = state.order[state.head]
                state.order[state.head] = []
                state.head += 1
                if let old = state.found.removeValue(forKey: oldest) { state.bytes -= Self.bytes(oldest, old) }
            }
            if state.head > 1024, state.head * 2 > state.order.count {
                state.order.removeFirst(state.head)
                state.head = 0
            }
            state.found[text] = found
            state.order.append(text)
            state.bytes += bytes
        }
        return found
    }

    private static func bytes(_ text: [UInt8], _ found: OTLPAnyValue.Map) -> Int {
        // The text is a key and stands in the order, which share it.
        64 + text.count + OTLPAnyValue.map(found).approximateBytes
    }
}
