/// Spans by the trace they belong to; a trace is forgotten as a whole.
struct RecentTraces: Sendable {
    struct Span: Sendable {
        var id: String
        /// Empty for a root.
        var parent: String
        var service: String
        var name: String
        /// 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
        var kind: UInt32
        /// Nanoseconds since 1970.
        var start: UInt64
        var end: UInt64
        /// 0 unset, 1 ok, 2 error.
        var status: UInt32
        var message: String
        var attributes: [(name: String, value: String)]
        var resource: Attributes
        var events: [Event]

        var byteCount: Int {
            224 + id.utf8.count + parent.utf8.count + service.utf8.count + name.utf8.count + message.utf8.count
                + Self.size(attributes) + events.reduce(0) { $0 + 64 + $1.name.utf8.count + Self.size($1.attributes) }
        }

        static func size(_ pairs: [(name: String, value: String)]) -> Int {
            pairs.reduce(0) { $0 + 48 + $1.name.utf8.count + $1.value.utf8.count }
        }
    }

    /// Attributes that many spans share.
    final class Attributes: Sendable {
        let pairs: [(name: String, value: String)]
        init(_ pairs: [(name: String, value: String)]) { self.pairs = pairs }
    }

    struct Event: Sendable {
        var time: UInt64
        var name: String
        var attributes: [(name: String, value: String)]
    }

    struct Trace: Sendable {
        var spans: [Span] = []
        /// Milliseconds since 1970.
        var lastArrival: Int64
        var byteCount = 320

        var start: UInt64 { spans.reduce(UInt64.max) { min($0, $1.start) } }
        var end: UInt64 { spans.reduce(0) { max($0, $1.end) } }
        var errors: Int { spans.reduce(0) { $0 + ($1.status == 2 ? 1 : 0) } }

        /// The span nothing is known to be above of, the earliest of them.
        var root: Span? {
            let ids = Set(spans.map(\.id))
            return spans.filter { $0.parent.isEmpty || !ids.contains($0.parent) }.min { $0.start < $1.start }
                ?? spans.first
        }
    }

    /// Spans of one trace beyond this are not kept.
    static let spanLimit = 10_000

    private(set) var traces: [String: Trace] = [:]
    /// IDs in the order the traces began to come; those that are gone are passed over.
    private var order: ArraySlice<String> = []
    private(set) var byteCount = 0
    private(set) var spanCount = 0

    /// Adds a span; false when its trace has too many.
    mutating func append(_ span: Span, to id: String, now: Int64) -> Bool {
        if traces[id] == nil {
            traces[id] = Trace(lastArrival: now)
            order.append(id)
            byteCount += 320
        }
        guard traces[id, default: Trace(lastArrival: now)].spans.count < Self.spanLimit else { return false }
        let bytes = span.byteCount
        traces[id]?.spans.append(span)
        traces[id]?.lastArrival = now
        traces[id]?.byteCount += bytes
        byteCount += bytes
        spanCount += 1
        return true
    }

    /// Forgets the traces whose last span came before `time`; returns how many spans that were.
    mutating func forget(before time: Int64) -> Int {
        var gone = 0
        var later: [String] = []
        while let id = order.first, let trace = traces[id] {
            // What began before may still get spans: it waits behind what began later.
            guard trace.lastArrival < time else {
                if later.isEmpty, order.count > 1, let next = traces[order[order.startIndex + 1]],
                    next.lastArrival < time
                {
                    later.append(id)
                    order.removeFirst()
                    continue
                }
                break
            }
            order.removeFirst()
            traces[id] = nil
            gone += trace.spans.count
            byteCount -= trace.byteCount
        }
        order.append(contentsOf: later)
        if order.startIndex > 1024 { order = ArraySlice(Array(order)) }
        spanCount -= gone
        return gone
    }

    /// When the oldest trace got its last span.
    var oldestArrival: Int64? { order.first.flatMap { traces[$0]?.lastArrival } }

    /// IDs of the traces, those that began to come last first.
    var newestFirst: [String] { order.reversed() }
}
