package import Telemetry

/// Cuts batches in two: groups are repeated with their header on both sides of the cut, a metric's data points are
/// divided, and all else is copied in large pieces.
package struct OTLPSplitter: ~Copyable {
    private var head = OTLPSegments()
    private var tail = OTLPSegments()
    private var left = 0
    private var kind = OTLPBatch.Kind.logs
    private let resourceGroup = OTLPMessage()
    private let scopeGroup = OTLPMessage()
    private let item = OTLPMessage()
    private let data = OTLPMessage()

    package init() {}

    /// Removes the first `count` items (all, when there are fewer) from `batch` and returns them. Order is kept.
    package mutating func take(_ count: Int, from batch: inout OTLPBatch) throws(ProtobufError) -> OTLPBatch {
        var taken: [OTLPBatch.Chunk] = []
        var rest: [OTLPBatch.Chunk] = []
        left = max(count, 0)
        kind = batch.kind
        for chunk in batch.chunks {
            if chunk.itemCount <= left {
                taken.append(chunk)
                left -= chunk.itemCount
            } else if left == 0 {
                rest.append(chunk)
            } else {
                let wanted = left
                let parts = try split(chunk)
                let count = wanted - left
                taken.append(OTLPBatch.Chunk(bytes: parts.head, itemCount: count))
                rest.append(OTLPBatch.Chunk(bytes: parts.tail, itemCount: chunk.itemCount - count))
                left = 0
            }
        }
        var remainder = OTLPBatch(kind: kind, chunks: rest, client: batch.client)
        remainder.takenBy = batch.takenBy
        var first = OTLPBatch(kind: kind, chunks: taken, client: batch.client)
        first.takenBy = batch.takenBy
        batch = remainder
        return first
    }

    private mutating func split(
        _ chunk: OTLPBatch.Chunk
    ) throws(ProtobufError) -> (head: [UInt8], tail: [UInt8]) {
        head.removeAll()
        tail.removeAll()
        return try chunk.bytes.withRawBytes { request throws(ProtobufError) in
            try split(request)
            return (head.joined(), tail.joined())
        }
    }

    private mutating func split(_ request: UnsafeRawBufferPointer) throws(ProtobufError) {
        guard let base = request.baseAddress else { return }
        var reader = ProtobufReader(request)
        while true {
            let start = reader.position
            guard let tag = try reader.nextTag() else { return }
            guard tag.field == 1, tag.type == .lengthDelimited else {
                try reader.skip(tag)
                head.append(UnsafeRawBufferPointer(start: base + start, count: reader.position - start))
                continue
            }
            let content = try reader.rawBytes()
            let whole = UnsafeRawBufferPointer(start: base + start, count: reader.position - start)
            if !place(whole, OTLPCounter.items(inResourceGroup: content, of: kind)) {
                try splitResource(content)
            }
        }
    }

    /// Puts a field where it belongs as a whole; false when it must be cut.
    private mutating func place(_ whole: UnsafeRawBufferPointer, _ count: Int) -> Bool {
        if left == 0 {
            tail.append(whole)
        } else if count <= left {
            head.append(whole)
            left -= count
        } else {
            return false
        }
        return true
    }

    private mutating func splitResource(_ content: UnsafeRawBufferPointer) throws(ProtobufError) {
        try resourceGroup.load(content, as: .resourceGroup)
        let openings = (head.open(), tail.open())
        for index in 0..<resourceGroup.slotCount where resourceGroup.slots[index].tag == 0x12 {
            let slot = resourceGroup.slots[index]
            let count = OTLPCounter.items(inScopeGroup: slot.content, of: kind)
            if !place(slot.whole, count) { try splitScope(slot.content) }
        }
        head.close(openings.0, tag: 0x0A, with: resourceGroup, except: 2)
        tail.close(openings.1, tag: 0x0A, with: resourceGroup, except: 2)
    }

    private mutating func splitScope(_ content: UnsafeRawBufferPointer) throws(ProtobufError) {
        try scopeGroup.load(content, as: .scopeGroup)
        let openings = (head.open(), tail.open())
        for index in 0..<scopeGroup.slotCount where scopeGroup.slots[index].tag == 0x12 {
            let slot = scopeGroup.slots[index]
            if !place(slot.whole, OTLPCounter.items(inItem: slot.content, of: kind)) { try splitMetric(slot.content) }
        }
        head.close(openings.0, tag: 0x12, with: scopeGroup, except: 2)
        tail.close(openings.1, tag: 0x12, with: scopeGroup, except: 2)
    }

    private mutating func splitMetric(_ content: UnsafeRawBufferPointer) throws(ProtobufError) {
        try item.load(content, as: .metric)
        guard let index = (0..<item.slotCount).last(where: { OTLPMetricKind(rawValue: item.slots[$0].field) != nil })
        else { return }
        let field = item.slots[index].field
        let tag = UInt8(field << 3 | 2)
        try data.load(item.slots[index].content, as: .metricData)
        let metrics = (head.open(), tail.open())
        let contents = (head.open(), tail.open())
        for index in 0..<data.slotCount where data.slots[index].tag == 0x0A {
            _ = place(data.slots[index].whole, 1)
        }
        head.close(contents.0, tag: tag, with: data, except: OTLPField.MetricData.points)
        tail.close(contents.1, tag: tag, with: data, except: OTLPField.MetricData.points)
        head.close(metrics.0, tag: 0x12, with: item, except: field)
        tail.close(metrics.1, tag: 0x12, with: item, except: field)
    }
}

extension OTLPMessage.Slot {
    /// Tag, length and value.
    var whole: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: totalCount) }
}
