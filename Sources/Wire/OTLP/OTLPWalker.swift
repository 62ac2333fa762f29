package import Telemetry

/// Visits what is in a batch from the outside in, with the resource and the scope at hand, and writes back what changed.
///
/// One walk calls `visit` with the level reached: `.resource` for each resource group, then `.scope` for each scope group
/// in it, then `.item` for each span, metric or log record, then `.point` for each data point of a metric or event of a
/// span. At each call the messages of that level and of those outside of it are loaded. The messages belong to the walker
/// and are reused: what they hand out is valid until the next message of their level.
///
/// ``edit(_:to:_:)`` gives the batch as changed: whatever was not touched is copied as it came, in large pieces, and a
/// batch nothing was changed in is returned as it is. A group whose last item was dropped goes too. An outer message may
/// be changed while its inner ones are visited.
///
///     let walker = OTLPWalker()
///     let result = try walker.edit(batch, to: .item) { level in
///         guard level == .item else { return .keep }
///         if walker.item.attributes[healthCheck] != nil { return .drop }
///         walker.item.attributes.set(environment, to: "production")
///         return .keep
///     }
///     context.ledger.drop(batch.itemCount - result.itemCount, .rule)
///
/// A walker is cheap to make (a few allocations), reusable, and not for use by several tasks at once.
package final class OTLPWalker {
    package enum Level: Int, Sendable, Comparable {
        case resource, scope, item, point

        package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    package enum Verdict: Sendable {
        /// Goes on, deeper where there is something.
        case keep
        /// Keeps this with all that is in it and does not look inside.
        case skip
        /// Removes this with all that is in it.
        case drop
    }

    /// The kind of the batch being walked.
    package private(set) var kind = OTLPBatch.Kind.logs
    /// `ResourceSpans` and its like, without its scopes: for `schema_url`.
    package let resourceGroup = OTLPMessage()
    package let resource = OTLPMessage()
    /// `ScopeSpans` and its like, without its items: for `schema_url`.
    package let scopeGroup = OTLPMessage()
    package let scope = OTLPMessage()
    /// The span, log record or metric.
    package let item = OTLPMessage()
    /// A metric's `Gauge`, `Sum`, `Histogram`, ...: aggregation temporality, monotony. Loaded with each metric.
    package let data = OTLPMessage()
    /// The data point or span event.
    package let point = OTLPMessage()
    /// What the metric is; nil when it has no data. Setting it changes the metric's kind, not its points.
    package var metricKind: OTLPMetricKind? {
        didSet { isMetricKindChanged = true }
    }

    /// A number that differs whenever the resource group differs; within one walk.
    package private(set) var resourceOrdinal = 0
    /// A number that differs whenever the scope group differs; within one walk.
    package private(set) var scopeOrdinal = 0

    private var isMetricKindChanged = false
    private var isWriting = false
    private var deepest = Level.item
    private var output = OTLPSegments()
    /// Items removed so far, less items added.
    private var removed = 0
    private var isChanged = false

    package init() {}

    /// Visits every message down to `level` without changing anything; `.drop` means the same as `.skip`.
    package func walk(_ batch: OTLPBatch, to level: Level, _ visit: (Level) throws -> Verdict) throws {
        kind = batch.kind
        isWriting = false
        deepest = level
        for chunk in batch.chunks {
            try chunk.bytes.withRawBytes { request in try walkRequest(request, visit) }
        }
    }

    /// Visits every message down to `level`; the result is the batch with what `visit` changed and without what it dropped.
    ///
    /// When `visit` throws, nothing is changed: the batch given is still what it was.
    package func edit(_ batch: OTLPBatch, to level: Level, _ visit: (Level) throws -> Verdict) throws -> OTLPBatch {
        kind = batch.kind
        isWriting = true
        deepest = level
        defer { output.removeAll() }
        var chunks: [OTLPBatch.Chunk] = []
        var hasChanges = false
        for chunk in batch.chunks {
            output.removeAll()
            removed = 0
            isChanged = false
            try chunk.bytes.withRawBytes { request in
                try walkRequest(request, visit)
                guard isChanged else { return chunks.append(chunk) }
                hasChanges = true
                guard output.count > 0 else { return }
                chunks.append(OTLPBatch.Chunk(bytes: output.joined(), itemCount: chunk.itemCount - removed))
            }
        }
        guard hasChanges else { return batch }
        return OTLPBatch(kind: batch.kind, chunks: chunks, client: batch.client)
    }

    /// Adds an item of the batch's kind (the content of a `Span`, `Metric` or `LogRecord`) behind the item being visited.
    ///
    /// For visits of level `.item` or `.point` in ``edit(_:to:_:)``. It is not visited itself.
    package func insert(_ content: UnsafeRawBufferPointer) {
        guard isWriting else { return }
        insertions.append(Array(content))
    }

    private var insertions: [[UInt8]] = []

    // MARK: Groups

    private func walkRequest(_ request: UnsafeRawBufferPointer, _ visit: (Level) throws -> Verdict) throws {
        guard let base = request.baseAddress else { return }
        var reader = ProtobufReader(request)
        while true {
            let start = reader.position
            guard let tag = try reader.nextTag() else { return }
            guard tag.field == 1, tag.type == .lengthDelimited else {
                try reader.skip(tag)
                output.append(UnsafeRawBufferPointer(start: base + start, count: reader.position - start))
                continue
            }
            let content = try reader.rawBytes()
            try walkResource(
                UnsafeRawBufferPointer(start: base + start, count: reader.position - start), content, visit)
        }
    }

    private func walkResource(
        _ field: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer, _ visit: (Level) throws -> Verdict
    ) throws {
        try resourceGroup.load(content, as: .resourceGroup)
        try resource.load(from: resourceGroup, OTLPField.ResourceGroup.resource, as: .resource)
        resourceOrdinal &+= 1
        scopeOrdinal &+= 1
        let verdict = try visit(.resource)
        if verdict == .drop {
            isChanged = true
            removed += OTLPCounter.items(inResourceGroup: content, of: kind)
            return
        }
        let opening = output.open()
        let isWalkedInto = verdict == .keep && deepest > .resource
        var changes = GroupChanges()
        for index in 0..<resourceGroup.slotCount where resourceGroup.slots[index].field == 2 {
            let slot = resourceGroup.slots[index]
            let whole = UnsafeRawBufferPointer(start: slot.start, count: slot.totalCount)
            if isWalkedInto, slot.isDelimited {
                changes.note(try walkScope(whole, slot.content, visit))
            } else {
                changes.kept += 1
                output.append(whole)
            }
        }
        guard isWriting else { return }
        let isEdited = resource.isEdited || resourceGroup.isEdited
        switch changes.fate(isEdited: isEdited) {
        case .asItCame: output.abandon(opening, for: field)
        case .gone:
            isChanged = true
            output.abandon(opening)
        case .changed:
            isChanged = true
            if resource.isEdited { resourceGroup.replace(OTLPField.ResourceGroup.resource, with: resource) }
            output.close(opening, tag: 0x0A, with: resourceGroup, except: OTLPField.ResourceGroup.scopes)
        }
    }

    private func walkScope(
        _ field: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer, _ visit: (Level) throws -> Verdict
    ) throws -> Fate {
        try scopeGroup.load(content, as: .scopeGroup)
        try scope.load(from: scopeGroup, OTLPField.ScopeGroup.scope, as: .scope)
        scopeOrdinal &+= 1
        let verdict = try visit(.scope)
        if verdict == .drop {
            removed += OTLPCounter.items(inScopeGroup: content, of: kind)
            return .gone
        }
        let opening = output.open()
        let isWalkedInto = verdict == .keep && deepest > .scope
        var changes = GroupChanges()
        for index in 0..<scopeGroup.slotCount where scopeGroup.slots[index].field == 2 {
            let slot = scopeGroup.slots[index]
            let whole = UnsafeRawBufferPointer(start: slot.start, count: slot.totalCount)
            if isWalkedInto, slot.isDelimited {
                changes.note(try walkItem(whole, slot.content, visit))
                if !insertions.isEmpty {
                    changes.note(.changed)
                    flushInsertions()
                }
            } else {
                changes.kept += 1
                output.append(whole)
            }
        }
        guard isWriting else { return .asItCame }
        let fate = changes.fate(isEdited: scope.isEdited || scopeGroup.isEdited)
        switch fate {
        case .asItCame: output.abandon(opening, for: field)
        case .gone: output.abandon(opening)
        case .changed:
            if scope.isEdited { scopeGroup.replace(OTLPField.ScopeGroup.scope, with: scope) }
            output.close(opening, tag: 0x12, with: scopeGroup, except: OTLPField.ScopeGroup.items)
        }
        return fate
    }

    private func flushInsertions() {
        for content in insertions {
            content.withRawBytes { bytes in
                removed -= OTLPCounter.items(inItem: bytes, of: kind)
                output.appendField(0x12, bytes)
            }
        }
        insertions.removeAll()
    }

    // MARK: Items and points

    private func walkItem(
        _ field: UnsafeRawBufferPointer, _ content: UnsafeRawBufferPointer, _ visit: (Level) throws -> Verdict
    ) throws -> Fate {
        try item.load(content, as: kind.itemShape)
        if kind == .metrics { try loadData() }
        var verdict = try visit(.item)
        if verdict == .keep, deepest == .point { verdict = try walkPoints(visit) }
        guard isWriting else { return .asItCame }
        if verdict == .drop {
            removed += OTLPCounter.items(inItem: content, of: kind)
            return .gone
        }
        if kind == .metrics { storeData() }
        guard item.isEdited else {
            output.append(field)
            return .asItCame
        }
        let new = output.appendField(0x12, item)
        if kind == .metrics {
            removed += OTLPCounter.items(inItem: content, of: kind) - OTLPCounter.items(inItem: new, of: kind)
        }
        return .changed
    }

    private func loadData() throws {
        metricKind = nil
        data.clear(as: .metricData)
        var index = item.slotCount
        while index > 0 {
            index -= 1
            if let kind = OTLPMetricKind(rawValue: item.slots[index].field), item.slots[index].isDelimited {
                try data.load(item.slots[index].content, as: .metricData)
                metricKind = kind
                break
            }
        }
        isMetricKindChanged = false
    }

    private func storeData() {
        guard data.isEdited || isMetricKindChanged else { return }
        for kind in OTLPMetricKind.allCases { item.remove(kind.rawValue) }
        if let metricKind { item.replace(metricKind.rawValue, with: data) }
    }

    private func walkPoints(_ visit: (Level) throws -> Verdict) throws -> Verdict {
        switch kind {
        case .logs: return .keep
        case .traces:
            _ = try walkPoints(of: item, OTLPField.Span.events, as: .event, visit)
            return .keep
        case .metrics:
            guard let metricKind else { return .keep }
            let changes = try walkPoints(of: data, OTLPField.MetricData.points, as: metricKind.pointShape, visit)
            return changes.hasLost && changes.kept == 0 ? .drop : .keep
        }
    }

    private func walkPoints(
        of parent: OTLPMessage, _ field: Int, as shape: OTLPShape, _ visit: (Level) throws -> Verdict
    ) throws -> GroupChanges {
        var changes = GroupChanges()
        let tag = UInt32(field << 3 | 2)
        // Points that `visit` adds to the parent lie behind this count and are not visited.
        let count = parent.slotCount
        for index in 0..<count where parent.slots[index].tag == tag {
            try point.load(parent.slots[index].content, as: shape)
            let verdict = try visit(.point)
            guard isWriting else { continue }
            if verdict == .drop {
                parent.removeSlot(index)
                changes.note(.gone)
            } else if point.isEdited {
                parent.place(point, field: field, at: index)
                changes.note(.changed)
            } else {
                changes.note(.asItCame)
            }
        }
        return changes
    }
}

/// What became of a message.
private enum Fate {
    case asItCame, changed, gone
}

/// What became of the messages in a group.
private struct GroupChanges {
    var kept = 0
    var hasLost = false
    private var hasChanged = false

    mutating func note(_ fate: Fate) {
        switch fate {
        case .asItCame: kept += 1
        case .changed:
            kept += 1
            hasChanged = true
        case .gone: hasLost = true
        }
    }

    /// What becomes of the group itself.
    func fate(isEdited: Bool) -> Fate {
        if hasLost, kept == 0 { return .gone }
        return hasLost || hasChanged || isEdited ? .changed : .asItCame
    }
}

extension OTLPBatch.Kind {
    /// The message of an item.
    package var itemShape: OTLPShape {
        switch self {
        case .traces: .span
        case .metrics: .metric
        case .logs: .logRecord
        }
    }
}
