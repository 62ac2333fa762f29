import Telemetry
import Testing

@Suite("MetricBatch columns")
struct TimestampColumnTests {
    @Test(
        "Equal times cost nothing, different ones are kept by row",
        arguments: [[5, 5, 5], [5, 6, 5], [1, 1, 2, 3], [7]])
    func times(times: [Int64]) {
        var writer = SeriesTable.Writer()
        let ref = writer.append(["a": "b"])
        var batch = MetricBatch(table: writer.table)
        for (index, time) in times.enumerated() { batch.append(ref, Double(index), at: time) }
        #expect(times.indices.map { batch.timestamps[$0] } == times)
        #expect(batch.timestamps.isUniform == (Set(times).count == 1))
    }
}
