import Essentials
import Telemetry
import Testing

@Suite("SeriesMapper")
struct SeriesMapperTests {
    private func mapper() -> SeriesMapper {
        SeriesMapper { labels, scratch in
            if labels["drop"] != nil { return nil }
            scratch.reset(to: labels)
            scratch.set("added", to: "1")
            return scratch.finish()
        }
    }

    private func text(_ batch: MetricBatch) -> [String] {
        batch.series.indices.map { "\(batch.table[batch.series[$0]]) \(batch.values[$0]) \(batch.timestamps[$0])" }
    }

    @Test("Each series is transformed once; growth of the table is followed; dropped rows vanish from every column")
    func mapsOnce() {
        let mapper = mapper()
        var writer = SeriesTable.Writer()
        let first = writer.append(LabelSet([("a", "1")]))
        let gone = writer.append(LabelSet([("drop", "1")]))
        var batch = MetricBatch(table: writer.table)
        batch.append(first, 1, at: 10)
        batch.append(gone, 2, at: 10)
        batch.exemplars = [ExemplarSample(series: gone, labels: .empty, value: 1, timestamp: nil)]
        let dropped = mapper.apply(to: &batch)
        #expect(dropped == 1)
        #expect(text(batch) == [#"{a="1", added="1"} 1.0 10"#])
        #expect(batch.exemplars.isEmpty)
        #expect(mapper.mappedCount == 2)

        let second = writer.append(LabelSet([("b", "2")]))
        var next = MetricBatch(table: writer.table)
        next.append(second, 3, at: 20)
        next.append(gone, 4, at: 21)
        next.append(first, 5, at: 22)
        let droppedNext = mapper.apply(to: &next)
        #expect(droppedNext == 1)
        #expect(text(next) == [#"{added="1", b="2"} 3.0 20"#, #"{a="1", added="1"} 5.0 22"#])
        #expect(mapper.mappedCount == 3)
    }

    @Test("Without drops the columns are shared; what is remembered is booked until its source starts over or is gone")
    func sharingAndBooks() {
        let budget = MemoryBudget(limit: .mebibytes(1))
        let account = budget.account("relabel")
        let mapper = SeriesMapper(account: account) { labels, scratch in
            scratch.reset(to: labels)
            scratch.set("added", to: "1")
            return scratch.finish()
        }
        var writer = SeriesTable.Writer()
        let refs = (0..<10).map { writer.append(LabelSet([("a", "\($0)")])) }
        let incoming = MetricBatch(table: writer.table, refs: refs)
        var batch = incoming
        #expect(mapper.apply(to: &batch) == 0)
        #expect(text(batch)[3] == #"{a="3", added="1"} 3.0 5"#)
        let addresses = [incoming, batch].map { one in one.values.withUnsafeBufferPointer { $0.baseAddress } }
        #expect(addresses[0] == addresses[1])
        let bytes = (0..<10).reduce(0) { $0 + batch.table[SeriesRef($1)].encodedByteCount }
        #expect(account.held.bytes > bytes && account.held.bytes < bytes + 10 * 64)
        var repeated = incoming
        let before = account.held.bytes
        _ = mapper.apply(to: &repeated)
        #expect(account.held.bytes == before)

        writer.startEpoch()
        var next = MetricBatch(table: writer.table, refs: [writer.append(LabelSet([("b", "1")]))])
        next.move(to: writer.table)
        _ = mapper.apply(to: &next, at: 1)
        #expect(account.held.bytes < before)
        mapper.forget(usedBefore: 2, untilAtMost: 0)
        #expect(account.held.bytes == 0)
    }

    @Test("A new epoch starts over, views of the old one stay valid")
    func epochs() {
        let mapper = mapper()
        var writer = SeriesTable.Writer()
        let ref = writer.append(LabelSet([("a", "1")]))
        var old = MetricBatch(table: writer.table)
        old.append(ref, 1, at: 1)
        _ = mapper.apply(to: &old)
        writer.startEpoch()
        let other = writer.append(LabelSet([("b", "2")]))
        var new = MetricBatch(table: writer.table)
        new.append(other, 2, at: 2)
        _ = mapper.apply(to: &new)
        #expect(text(old) == [#"{a="1", added="1"} 1.0 1"#])
        #expect(text(new) == [#"{added="1", b="2"} 2.0 2"#])
    }

    @Test("Sources that are gone, or silent when there are too many series, are forgotten")
    func forgets() {
        let mapper = mapper()
        func send(_ writer: inout SeriesTable.Writer, at time: Int64) {
            let ref = writer.append(LabelSet([("t", "\(time)")]))
            var batch = MetricBatch(table: writer.table)
            batch.append(ref, 1, at: 0)
            _ = mapper.apply(to: &batch, at: time)
        }
        var kept = SeriesTable.Writer()
        // Made before another one goes, whose address it could get.
        var late = SeriesTable.Writer()
        send(&kept, at: 1)
        do {
            var temporary = SeriesTable.Writer()
            send(&temporary, at: 2)
        }
        send(&late, at: 9)
        #expect(mapper.seriesCount == 3)
        #expect(mapper.forget(usedBefore: 5, untilAtMost: 100) == 1)
        #expect(mapper.forget(usedBefore: 5, untilAtMost: 1) == 1)
        #expect(mapper.forget(usedBefore: 5, untilAtMost: 0) == 0)
        withExtendedLifetime((kept, late)) {}
    }
}

extension MetricBatch {
    /// One sample for each of `refs`, valued by its place, at 5 ms.
    fileprivate init(table: SeriesTable, refs: [SeriesRef]) {
        self.init(table: table)
        for (index, ref) in refs.enumerated() { append(ref, Double(index), at: 5) }
    }
}
