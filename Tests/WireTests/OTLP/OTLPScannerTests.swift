import Telemetry
import Testing
import Wire

@Suite("OTLPScanner")
struct OTLPScannerTests {
    private func count(_ bytes: [UInt8], _ kind: OTLPBatch.Kind) -> Int? {
        try? bytes.withUnsafeBytes { bytes in try OTLPScanner.scan(bytes, as: kind) }
    }

    @Test("Items are counted: spans, data points, log records")
    func counts() {
        #expect(count(Samples.spans(), .traces) == 6)
        #expect(count(Samples.metrics(), .metrics) == 12)
        #expect(count(Samples.logs(), .logs) == 6)
        for kind in OTLPBatch.Kind.allCases { #expect(count([], kind) == 0) }
    }

    @Test("IDs of a wrong length, wrong wire types and lengths beyond the end are refused")
    func malformed() {
        func span(_ build: @escaping (inout Message) -> Void) -> [UInt8] {
            Message { request in
                request.message(1) { group in group.message(2) { scope in scope.message(2, build) } }
            }.bytes
        }
        #expect(count(span { $0.bytes(1, [UInt8](repeating: 1, count: 16)) }, .traces) == 1)
        #expect(count(span { $0.bytes(1, []) }, .traces) == 1)
        #expect(count(span { $0.bytes(1, [1, 2, 3]) }, .traces) == nil)
        #expect(count(span { $0.bytes(2, [1, 2, 3]) }, .traces) == nil)
        #expect(count(span { $0.bytes(4, [1]) }, .traces) == nil)
        #expect(count(span { $0.number(5, 1) }, .traces) == nil)
        #expect(count(span { $0.number(7, 1) }, .traces) == nil)
        #expect(count(span { $0.text(300, "anything") }, .traces) == 1)
        #expect(count([0x0A, 0x05, 0x12], .traces) == nil)
        #expect(count([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], .logs) == nil)
        #expect(count([0x00], .logs) == nil)
        #expect(count([0x0F, 0x01], .logs) == nil)
    }

    @Test("Deep nesting is refused without recursion running away")
    func depth() {
        func nested(_ depth: Int) -> [UInt8] {
            var value = Message { $0.number(3, 1) }.bytes
            for _ in 0..<depth {
                let inner = value
                value = Message { outer in outer.message(5) { $0.bytes(1, inner) } }.bytes
            }
            return Message { request in
                request.message(1) { group in
                    group.message(2) { scope in scope.message(2) { record in record.bytes(5, value) } }
                }
            }.bytes
        }
        #expect(count(nested(20), .logs) == 1)
        #expect(count(nested(1000), .logs) == nil)
        // Bytes that would be deep if read as another signal must not crash anything either.
        _ = count(nested(1000), .metrics)
    }

    @Test("No truncation or flipped byte makes the scanner or a walk of what it accepts misbehave")
    func hostile() throws {
        var seed: UInt64 = 42
        func random() -> UInt64 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return seed >> 33
        }
        for (kind, sample) in [
            (OTLPBatch.Kind.traces, Samples.spans()), (.metrics, Samples.metrics()), (.logs, Samples.logs()),
        ] {
            for cut in 0..<sample.count { _ = count(Array(sample[..<cut]), kind) }
            var accepted = 0
            for _ in 0..<3000 {
                var bytes = sample
                for _ in 0...(random() % 3) {
                    bytes[Int(random()) % bytes.count] = UInt8(truncatingIfNeeded: random())
                }
                guard let items = count(bytes, kind) else { continue }
                accepted += 1
                let batch = OTLPBatch(kind: kind, bytes: bytes, itemCount: items)
                let walker = OTLPWalker()
                let edited = try walker.edit(batch, to: .point) { level in
                    let message = level == .resource ? walker.resource : level == .item ? walker.item : walker.point
                    if level != .scope { message.attributes.set("added" as OTLPKey, to: "value") }
                    return random() % 7 == 0 ? .drop : .keep
                }
                #expect(count(edited.requestBytes, kind) == edited.itemCount)
                var rest = batch
                var splitter = OTLPSplitter()
                let half = try splitter.take(items / 2, from: &rest)
                #expect(count(half.requestBytes, kind) == half.itemCount)
                #expect(count(rest.requestBytes, kind) == rest.itemCount)
                #expect(half.itemCount + rest.itemCount == items)
            }
            #expect(accepted > 100)
        }
    }
}
