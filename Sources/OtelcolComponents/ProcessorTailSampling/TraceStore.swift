import Essentials
import Telemetry
import Wire

/// A trace ID as a key of tables.
struct TraceID: Hashable, Sendable {
    let bytes: [UInt8]

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = Array(bytes) }
}

/// The traces that wait for their decision, and the decisions made lately.
struct TraceStore: ~Copyable {
    /// What became of spans that were added.
    struct Taken {
        var newTraces = 0
        var evictedTraces = 0
        var evictedSpans = 0
        var largeTraces = 0
        var largeSpans = 0
        /// Spans of traces that were decided to be kept before they came.
        var lateKept: [OTLPBatch] = []
        /// Spans of traces that were decided to be dropped before they came.
        var lateDropped = 0
    }

    /// A trace to be decided about.
    struct Due {
        let id: TraceID
        let batch: OTLPBatch
    }

    private struct Trace {
        var batch: OTLPBatch
        /// Monotonic nanoseconds.
        var deadline: Int64
    }

    private struct Deadline {
        var id: TraceID
        var time: Int64
    }

    /// Bytes of a trace besides its spans.
    private static let overhead = 256

    private var traces: [TraceID: Trace] = [:]
    /// By the time of the decision after the first span, and after the root: times only grow within each.
    private var byArrival = Queue<Deadline>()
    private var byRoot = Queue<Deadline>()
    private var kept = RecentSet<TraceID>()
    private var dropped = RecentSet<TraceID>()
    /// Bytes and spans held.
    private(set) var bytes = 0
    private(set) var items = 0

    /// What is known of a trace.
    enum Knowledge {
        /// Held, with its spans so far and the monotonic time of the decision in nanoseconds.
        case waiting(OTLPBatch, deadline: Int64)
        case kept, dropped
    }

    /// What is known of a trace; nil for one that never came or was forgotten.
    func knowledge(of id: TraceID) -> Knowledge? {
        if let trace = traces[id] { return .waiting(trace.batch, deadline: trace.deadline) }
        if kept.contains(id) { return .kept }
        return dropped.contains(id) ? .dropped : nil
    }

    /// Traces held.
    var count: Int { traces.count }

    /// A batch for each trace in a batch.
    static func split(_ batch: OTLPBatch) throws -> [(id: TraceID, batch: OTLPBatch, hasRoot: Bool)] {
        let walker = OTLPWalker()
        var places: [TraceID: Int] = [:]
        var parts: [(id: TraceID, assembler: OTLPAssembler, hasRoot: Bool)] = []
        try walker.walk(batch, to: .item) { level in
            guard level == .item else { return .keep }
            let id = TraceID(walker.span.traceID)
            let place: Int
            if let known = places[id] {
                place = known
            } else {
                place = parts.count
                places[id] = place
                parts.append((id, OTLPAssembler(kind: .traces), false))
            }
            parts[place].assembler.append(walker)
            if walker.span.parentSpanID.isEmpty { parts[place].hasRoot = true }
            return .keep
        }
        if parts.count == 1 { return [(parts[0].id, batch, parts[0].hasRoot)] }
        return parts.indices.map { place in
            (parts[place].id, parts[place].assembler.finish(client: batch.client), parts[place].hasRoot)
        }
    }

    /// Whether traces that are not held yet may come without others having to go.
    func hasRoom(for ids: [TraceID], _ settings: TailSamplingSettings) -> Bool {
        traces.count + ids.count { traces[$0] == nil && !kept.contains($0) && !dropped.contains($0) }
            <= settings.traceLimit
    }

    mutating func add(
        _ parts: [(id: TraceID, batch: OTLPBatch, hasRoot: Bool)], _ settings: TailSamplingSettings, now: Int64
    ) -> Taken {
        var taken = Taken()
        for part in parts {
            if kept.contains(part.id) {
                taken.lateKept.append(part.batch)
                continue
            }
            if dropped.contains(part.id) {
                taken.lateDropped += part.batch.itemCount
                continue
            }
            if traces[part.id] == nil {
                while traces.count >= settings.traceLimit, let oldest = evict() {
                    taken.evictedTraces += 1
                    taken.evictedSpans += oldest
                }
                let deadline = now &+ settings.wait.nanoseconds
                traces[part.id] = Trace(batch: OTLPBatch(kind: .traces, client: part.batch.client), deadline: deadline)
                byArrival.append(Deadline(id: part.id, time: deadline))
                bytes += Self.overhead
                taken.newTraces += 1
            }
            traces[part.id]?.batch.append(part.batch)
            bytes += part.batch.byteCount
            items += part.batch.itemCount
            if settings.traceBytes > 0, let trace = traces[part.id], trace.batch.byteCount > settings.traceBytes {
                remove(part.id)
                dropped.insert(part.id, capacity: max(settings.traceLimit, settings.cache.notSampled))
                taken.largeTraces += 1
                taken.largeSpans += trace.batch.itemCount
                continue
            }
            if part.hasRoot, settings.waitAfterRoot > .zero {
                let deadline = now &+ settings.waitAfterRoot.nanoseconds
                if let trace = traces[part.id], deadline < trace.deadline {
                    traces[part.id]?.deadline = deadline
                    byRoot.append(Deadline(id: part.id, time: deadline))
                }
            }
        }
        return taken
    }

    @discardableResult
    private mutating func remove(_ id: TraceID) -> Trace? {
        guard let trace = traces.removeValue(forKey: id) else { return nil }
        bytes -= trace.batch.byteCount + Self.overhead
        items -= trace.batch.itemCount
        return trace
    }

    /// Lets the oldest trace go; the number of its spans.
    private mutating func evict() -> Int? {
        while let oldest = byArrival.popFirst() {
            if let trace = remove(oldest.id) { return trace.batch.itemCount }
        }
        return nil
    }

    /// Takes out a trace whose decision is due.
    mutating func takeDue(before now: Int64) -> Due? {
        while let next = byRoot.first, next.time <= now {
            byRoot.popFirst()
            if let trace = takeOut(next) { return Due(id: next.id, batch: trace.batch) }
        }
        while let next = byArrival.first, next.time <= now {
            byArrival.popFirst()
            if let trace = takeOut(next) { return Due(id: next.id, batch: trace.batch) }
        }
        return nil
    }

    /// The trace of a deadline, unless it was decided by another.
    private mutating func takeOut(_ deadline: Deadline) -> Trace? {
        guard let trace = traces[deadline.id], trace.deadline <= deadline.time else { return nil }
        return remove(deadline.id)
    }

    /// Notes what was decided, for spans that come late.
    mutating func remember(_ id: TraceID, _ isSampled: Bool, _ settings: TailSamplingSettings) {
        if isSampled {
            kept.insert(id, capacity: max(settings.traceLimit, settings.cache.sampled))
        } else {
            dropped.insert(id, capacity: max(settings.traceLimit, settings.cache.notSampled))
        }
    }
}

/// First in, first out, with both ends in constant time.
struct Queue<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var first: Element? { head < elements.count ? elements[head] : nil }

    mutating func append(_ element: Element) { elements.append(element) }

    @discardableResult
    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        if head > 1024, head * 2 > elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }
}

/// The elements inserted last.
struct RecentSet<Element: Hashable> {
    private var members: Set<Element> = []
    private var order = Queue<Element>()

    func contains(_ element: Element) -> Bool { members.contains(element) }

    mutating func insert(_ element: Element, capacity: Int) {
        guard members.insert(element).inserted else { return }
        order.append(element)
        while members.count > capacity, let oldest = order.popFirst() { members.remove(oldest) }
    }
}
