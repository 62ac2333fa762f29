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
