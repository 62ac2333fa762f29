import Essentials
import Synchronization
import Telemetry
import Wire

/// The series of `otelcol.connector.spanmetrics`: spans in, points out at each flush.
final class SpanAggregator: Sendable {
    /// The series of one resource.
    struct Group {
        let key: [UInt8]
        /// The `Resource` message.
        let resource: [UInt8]
        var calls = SpanSeriesTable()
        var durations = SpanSeriesTable()
        var events = SpanSeriesTable()
        var started: Int64
        var lastSeen: Int64
    }

    private struct State: ~Copyable {
        var groups: [Group] = []
        var places: [UInt64: [Int]] = [:]
        var key: SpanKey
        let walker = OTLPWalker()
        /// Bytes of the memory account.
        var bytes = 0
        var isClosed = false
        /// When the deltas under way began.
        var deltaStart: Int64
    }

    /// Bytes of a series besides its attributes and buckets, with what finds it.
    private static let seriesOverhead = 320

    private let settings: SpanMetricsSettings
    private let memory: MemoryAccount
    private let dimensions: [SpanKey.Dimension]
    private let callsDimensions: [SpanKey.Dimension]
    private let durationDimensions: [SpanKey.Dimension]
    private let eventDimensions: [SpanKey.Dimension]
    private let resourceKeys: [OTLPKey]
    private let scopes: [OTLPKey]
    private let overflow = SpanKey.overflow
    private let histogramBytes: Int
    private let state: Mutex<State>

    init(_ settings: SpanMetricsSettings, _ memory: MemoryAccount, instance: String, now: Int64) {
        self.settings = settings
        self.memory = memory
        dimensions = settings.dimensions.map(SpanKey.Dimension.init)
        callsDimensions = settings.callsDimensions.map(SpanKey.Dimension.init)
        durationDimensions = settings.histogram.dimensions.map(SpanKey.Dimension.init)
        eventDimensions = settings.events.dimensions.map(SpanKey.Dimension.init)
        resourceKeys = settings.resourceKeys.map { OTLPKey($0) }
        scopes = settings.scopes.map { OTLPKey($0) }
        switch settings.histogram.shape {
        case .explicit(let bounds): histogramBytes = 8 * (bounds.count + 1)
        case .exponential(let size): histogramBytes = 8 * size
        case .none: histogramBytes = 0
        }
        let key = SpanKey(
            excluding: settings.excluded, instance: settings.includesInstance ? instance : nil)
        state = Mutex(State(key: key, deltaStart: now))
    }

    /// How many of a batch's spans were counted; the others have no service. Nil once closed.
    func add(_ batch: OTLPBatch, now: Int64) throws -> Int? {
        try state.withLock { state -> Int? in
            if state.isClosed { return nil }
            var counted = 0
            var place = 0
            var isScopeIncluded = false
            let walker = state.walker
            try walker.walk(batch, to: settings.events.isEnabled ? .point : .item) { level in
                switch level {
                case .resource:
                    guard walker.resource.attributes[SpanKey.serviceName] != nil else { return .skip }
                    place = group(&state, walker, now)
                case .scope:
                    let name = OTLPScope(walker.scope).name
                    isScopeIncluded = scopes.contains { OTLPBytes.equal($0.bytes, name) }
                case .item:
                    add(&state, place, walker, isScopeIncluded, now)
                    counted += 1
                case .point: addEvent(&state, place, walker, isScopeIncluded, now)
                }
                return .keep
            }
            return counted
        }
    }

    private func group(_ state: inout State, _ walker: OTLPWalker, _ now: Int64) -> Int {
        state.key.begin(resource: walker.resource.attributes, keys: resourceKeys)
        let bytes = state.key.withBytes { Array($0) }
        let hash = bytes.withUnsafeBytes { ByteHash.hash($0) }
        if let place = state.places[hash]?.first(where: { state.groups[$0].key == bytes }) {
            state.groups[place].lastSeen = now
            return place
        }
        let resource = walker.resource.encoded
        let cost = bytes.count + resource.count + Self.seriesOverhead
        memory.book(cost)
        state.bytes += cost
        state.groups.append(Group(key: bytes, resource: resource, started: now, lastSeen: now))
        state.places[hash, default: []].append(state.groups.count - 1)
        return state.groups.count - 1
    }

    private func add(
        _ state: inout State, _ place: Int, _ walker: OTLPWalker, _ isScopeIncluded: Bool, _ now: Int64
    ) {
        let span = walker.span
        let (start, end) = (span.startTimeUnixNano, span.endTimeUnixNano)
        let duration = end > start ? Double(end - start) / settings.histogram.unit.nanoseconds : 0
        guard let service = walker.resource.attributes[SpanKey.serviceName] else { return }
        state.key.begin(walker, service: service, isScopeIncluded: isScopeIncluded)
        state.key.append(dimensions, walker, isEvent: false)
        if !callsDimensions.isEmpty { state.key.append(callsDimensions, walker, isEvent: false) }
        let exemplar = exemplar(span, duration)
        let call = find(&state, place, \.calls, 0, now)
        state.groups[place].calls.update(call) { series in
            series.count += 1
            note(exemplar, &series, now)
        }
        guard settings.histogram.shape != .none else { return }
        if !callsDimensions.isEmpty || !durationDimensions.isEmpty {
            state.key.begin(walker, service: service, isScopeIncluded: isScopeIncluded)
            state.key.append(dimensions, walker, isEvent: false)
            state.key.append(durationDimensions, walker, isEvent: false)
        }
        let histogram = find(&state, place, \.durations, histogramBytes, now)
        state.groups[place].durations.update(histogram) { series in
            series.observe(duration, settings.histogram.shape)
            note(exemplar, &series, now)
        }
    }

    private func addEvent(
        _ state: inout State, _ place: Int, _ walker: OTLPWalker, _ isScopeIncluded: Bool, _ now: Int64
    ) {
        guard let service = walker.resource.attributes[SpanKey.serviceName] else { return }
        state.key.begin(walker, service: service, isScopeIncluded: isScopeIncluded)
        state.key.append(dimensions, walker, isEvent: true)
        state.key.append(eventDimensions, walker, isEvent: true)
        let event = find(&state, place, \.events, 0, now)
        let exemplar = exemplar(walker.span, 0)
        state.groups[place].events.update(event) { series in
            series.count += 1
            note(exemplar, &series, now)
        }
    }

    private func exemplar(_ span: OTLPSpan, _ value: Double) -> SpanExemplar? {
        guard settings.exemplars.isEnabled, !span.traceID.isEmpty else { return nil }
        return SpanExemplar(trace: Array(span.traceID), span: Array(span.spanID), value: value)
    }

    private func note(_ exemplar: SpanExemplar?, _ series: inout SpanSeries, _ now: Int64) {
        series.lastSeen = now
        guard let exemplar, series.exemplars.count < settings.exemplars.limit else { return }
        series.exemplars.append(exemplar)
    }

    /// The series of the attributes written, made if there is room.
    private func find(
        _ state: inout State, _ place: Int, _ table: WritableKeyPath<Group, SpanSeriesTable>, _ extra: Int, _ now: Int64
    ) -> Int {
        let (hash, known, count) = state.key.withBytes { bytes in
            let hash = ByteHash.hash(bytes)
            return (hash, state.groups[place][keyPath: table].place(of: bytes, hash: hash), bytes.count)
        }
        if let known { return known }
        let cost = Self.seriesOverhead + count + extra
        let limit = settings.seriesLimit
        let isFull = limit > 0 && state.groups[place][keyPath: table].ownCount >= limit
        guard !isFull, memory.reserve(cost) else {
            return state.groups[place][keyPath: table].overflowPlace(overflow, now: now)
        }
        state.bytes += cost
        let attributes = state.key.withBytes { Array($0) }
        return attributes.withUnsafeBytes { bytes in
            state.groups[place][keyPath: table].add(bytes, hash: hash, now: now)
        }
    }

    // MARK: Flushing

    /// The points of all series now; nil when there are none. Deltas begin anew, what has expired goes. The last flush
    /// takes no span after it and forgets everything.
    func flush(now: Int64, isLast: Bool = false) -> OTLPBatch? {
        state.withLock { state in
            if state.isClosed { return nil }
            var encoder = SpanMetricsEncoder(
                settings, now: now, deltaStart: settings.temporality == .delta ? state.deltaStart : nil)
            for group in state.groups { encoder.append(group) }
            let batch = encoder.finish()
            state.deltaStart = now
            state.isClosed = isLast
            if isLast { release(&state, keeping: []) } else { expire(&state, now) }
            return batch.itemCount > 0 ? batch : nil
        }
    }

    private func expire(_ state: inout State, _ now: Int64) {
        if settings.temporality == .delta {
            release(&state, keeping: [])
            return
        }
        let lifetime = settings.resourceExpiration
        var kept = state.groups.filter { lifetime == .zero || now &- $0.lastSeen < lifetime.nanoseconds }
        if kept.count > settings.resourceLimit {
            kept.sort { $0.lastSeen > $1.lastSeen }
            kept.removeLast(kept.count - settings.resourceLimit)
        }
        if settings.seriesExpiration > .zero {
            let oldest = now &- settings.seriesExpiration.nanoseconds
            for place in kept.indices {
                for table in [\Group.calls, \Group.durations, \Group.events] {
                    let extra = table == \Group.durations ? histogramBytes : 0
                    let freed = kept[place][keyPath: table].filter({ $0.lastSeen > oldest }) {
                        Self.seriesOverhead + $0.attributes.count + extra
                    }
                    memory.release(freed)
                    state.bytes -= freed
                }
            }
        }
        for place in kept.indices {
            kept[place].calls.clearExemplars()
            kept[place].durations.clearExemplars()
            kept[place].events.clearExemplars()
        }
        if kept.count != state.groups.count { release(&state, keeping: kept) } else { replace(&state, kept) }
    }

    /// Gives back the memory of all groups but those kept.
    private func release(_ state: inout State, keeping kept: [Group]) {
        var bytes = 0
        for group in kept {
            bytes += group.key.count + group.resource.count + Self.seriesOverhead
            for (table, extra) in [(group.calls, 0), (group.durations, histogramBytes), (group.events, 0)] {
                for series in table.series where series.hash != 0 || series.attributes != overflow {
                    bytes += Self.seriesOverhead + series.attributes.count + extra
                }
            }
        }
        memory.release(state.bytes - bytes)
        state.bytes = bytes
        replace(&state, kept)
    }

    private func replace(_ state: inout State, _ groups: [Group]) {
        state.groups = groups
        state.places.removeAll(keepingCapacity: true)
        for (place, group) in groups.enumerated() {
            let hash = group.key.withUnsafeBytes { ByteHash.hash($0) }
            state.places[hash, default: []].append(place)
        }
    }
}
