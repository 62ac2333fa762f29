import ComponentKit
import Telemetry
import Testing

@testable import Console

@Suite("LiveText")
struct LiveTextTests {
    private func items(_ batch: any Batch, _ passage: EdgeSight.Passage = .incoming) -> [(text: String, count: Int)] {
        var items: [(String, Int)] = []
        let sight = EdgeSight(passage: passage, count: batch.itemCount, batch: batch, problem: nil)
        LiveText.forEachItem(of: sight) { items.append(($0, $1)) }
        return items
    }

    @Test("Samples, entries and profiles are told as they are, on their way in or out")
    func kinds() {
        var writer = SeriesTable.Writer()
        let ref = writer.append(LabelSet([("__name__", "up")]))
        var metrics = MetricBatch(table: writer.table)
        metrics.append(ref, 1, at: 5)
        metrics.append(ref, Sample.staleMarker, at: 6)
        #expect(
            items(metrics, .outgoing).map(\.text) == [
                #"[OUT]: sample: ts=5, labels={__name__="up"}, value=1.0"#,
                #"[OUT]: sample: ts=6, labels={__name__="up"}, value=stale"#,
            ])
        var logs = LogBatch()
        logs.append("<b>", labels: ["a": "b"], timestamp: 1_000_000_000, metadata: ["c": "d"])
        #expect(
            items(logs).map(\.text) == [
                #"[IN]: timestamp: 1970-01-01T00:00:01Z, entry: <b>, labels: {a="b"}, structured_metadata: {c="d"}"#
            ])
        let profiles = ProfileBatch(labels: ["service": "s"], profiles: [[1, 2, 3]])
        #expect(items(profiles).map(\.text) == [#"[IN]: profile: labels={service="s"}, 3 bytes"#])
    }

    @Test("A large batch costs no more than a hundred items, each cut, and the count stays true")
    func bounds() {
        var logs = LogBatch()
        for _ in 0..<250 { logs.append(String(repeating: "x", count: 50_000), labels: ["a": "b"], timestamp: 1) }
        let items = items(logs)
        #expect(items.count == 101 && items.reduce(0) { $0 + $1.count } == 250)
        #expect(items.allSatisfy { $0.text.utf8.count < 4_200 })
        #expect(items.last?.text == "[IN]: 150 more of the same batch are not shown")
    }

    @Test("What was not taken is told with the reason and counts as nothing")
    func refusals() {
        var texts: [String] = []
        let sight = EdgeSight(
            passage: .outgoing, count: 3, batch: nil, problem: .retry("loki.write.w is not running"))
        LiveText.forEachItem(of: sight) { text, count in texts.append("\(text) \(count)") }
        #expect(texts == ["[OUT]: 3 items were not taken: loki.write.w is not running 0"])
    }
}
