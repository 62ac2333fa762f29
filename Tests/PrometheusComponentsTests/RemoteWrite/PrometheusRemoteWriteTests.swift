import ComponentKit
import Essentials
import Foundation
import PrometheusComponents
import Storage
import Synchronization
import Telemetry
import TestKit
import Testing
import Transport

@testable import Wire

// One at a time: virtual time goes on while requests are on their way in real time.
@Suite("prometheus.remote_write", .serialized)
struct PrometheusRemoteWriteTests {
    static let now: Int64 = 1_700_000_000_000

    /// A harness with a running component, and its receiver.
    private func start(_ body: String, storage: String? = nil) throws -> (ComponentHarness, Receiver<MetricBatch>) {
        let harness = ComponentHarness(PrometheusRemoteWrite.self, storagePath: storage)
        let problems = harness.start(body)
        try #require(problems == [])
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        try #require(harness.settle(until: { harness.health?.state == .healthy }))
        return (harness, receiver)
    }

    private func endpoint(_ sink: RemoteWriteSink, _ more: String = "") -> String {
        "endpoint {\n url = \"\(sink.url)\"\n \(more)\n}\n"
    }

    /// Moves time on until `condition` holds.
    private func wait(_ harness: ComponentHarness, _ condition: () -> Bool) -> Bool {
        harness.settle(
            until: {
                if condition() { return true }
                harness.advance(by: .milliseconds(250))
                usleep(2000)
                return false
            }, seconds: 60)
    }

    private func send(_ harness: ComponentHarness, _ receiver: Receiver<MetricBatch>, _ batch: MetricBatch) throws {
        try harness.run { try await receiver.consume(batch) }
    }

    @Test("Samples arrive as they were sent, with the headers of 1.0, and the books balance")
    func delivers() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(
            endpoint(
                sink,
                """
                headers = { "X-Scope-OrgID" = "tenant" }
                basic_auth {
                  username = "u"
                  password = "p"
                }
                """))
        let source = BatchSource(10)
        var batch = source.batch(1, at: Self.now)
        batch.append(3, Sample.staleMarker, at: Self.now + 1)
        try send(harness, receiver, batch)
        #expect(wait(harness) { sink.samples.count == 11 })
        #expect(sink.samples.prefix(10) == source.samples(1, at: Self.now)[...])
        #expect(sink.samples.last?.hasSuffix("stale @\(Self.now + 1)") == true)
        let fields = try #require(sink.received.first).fields
        #expect(fields["content-type"] == "application/x-protobuf")
        #expect(fields["content-encoding"] == "snappy")
        #expect(fields["x-prometheus-remote-write-version"] == "0.1.0")
        #expect(fields["x-scope-orgid"] == "tenant")
        #expect(fields["authorization"] == "Basic dTpw")
        #expect(fields["retry-attempt"] == nil)
        #expect(wait(harness) { harness.metric("prometheus_remote_storage_samples_total") == 11 })
        #expect(harness.metric("prometheus_remote_storage_samples_pending") == 0)
        #expect(harness.finish() == [])
        let books = harness.instance.ledger.statement
        #expect(books.incoming == 11 && books.outgoing == 11 && books.heldItems == 0)
    }

    @Test("2.0 carries start times and metadata and is checked against what was written")
    func version2() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(
            endpoint(
                sink, "protobuf_message = \"io.prometheus.write.v2.Request\"\nsend_native_histograms = true"))
        var batch = BatchSource(5).batch(2, at: Self.now)
        var histogram = NativeHistogram()
        histogram.count = 1
        histogram.positiveSpans = [.init(offset: 0, length: 1)]
        histogram.buckets = .deltas(positive: [1], negative: [])
        batch.histograms.append(HistogramSample(series: 0, timestamp: Self.now, histogram: histogram))
        batch.exemplars.append(
            ExemplarSample(series: 1, labels: LabelSet([("trace_id", "t")]), value: 1, timestamp: Self.now))
        batch.metadata.append(MetricMetadata(family: "m", kind: .gauge, help: "Help."))
        try send(harness, receiver, batch)
        #expect(wait(harness) { harness.metric("prometheus_remote_storage_samples_total") == 5 })
        let received = try #require(sink.received.first)
        #expect(received.version == .v2 && received.histograms == 1 && received.exemplars == 1)
        #expect(received.metadata == [MetricMetadata(family: "m", kind: .gauge, help: "Help.")])
        #expect(received.fields["x-prometheus-remote-write-version"] == "2.0.0")
        #expect(harness.metric("prometheus_remote_storage_histograms_total") == 1)
        #expect(harness.metric("prometheus_remote_storage_exemplars_total") == 1)
        // A receiver that confirms nothing has written nothing.
        sink.hideWritten()
        try send(harness, receiver, BatchSource(3).batch(1, at: Self.now))
        #expect(wait(harness) { harness.metric("prometheus_remote_storage_samples_failed_total") == 3 })
        // One that confirms a part wrote that part.
        sink.answer { _, _ in
            HTTPServerResponse(.noContent, fields: ["x-prometheus-remote-write-samples-written": "1"])
        }
        try send(harness, receiver, BatchSource(4).batch(1, at: Self.now))
        #expect(wait(harness) { harness.metric("prometheus_remote_storage_samples_failed_total") == 6 })
        #expect(harness.metric("prometheus_remote_storage_samples_total") == 6)
        #expect(harness.finish() == [])
        let drops = harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" }
        #expect(drops == ["not_confirmed 3", "refused_by_destination 3"])
    }

    @Test(
        "A status is repeated exactly when it may pass",
        arguments: [
            (500, "", true), (503, "", true), (429, "", true), (429, "retry_on_http_429 = false", false),
            (400, "", false), (404, "", false), (415, "", false), (301, "", false),
        ])
    func statuses(_ status: Int, _ queue: String, _ repeats: Bool) async throws {
        let sink = try await RemoteWriteSink()
        sink.answer { number, _ in number <= 2 ? .text(HTTPStatus(status), "no") : nil }
        let (harness, receiver) = try start(endpoint(sink, "queue_config { \n \(queue) \n }"))
        let source = BatchSource(7)
        try send(harness, receiver, source.batch(1, at: Self.now))
        if repeats {
            #expect(wait(harness) { harness.metric("prometheus_remote_storage_samples_total") == 7 })
            #expect(sink.samples == source.samples(1, at: Self.now))
            #expect(sink.received.first?.fields["retry-attempt"] == "2")
            #expect(harness.metric("prometheus_remote_storage_samples_retried_total") == 14)
        } else {
            #expect(wait(harness) { harness.metric("prometheus_remote_storage_samples_failed_total") == 7 })
            #expect(sink.attempts == 1)
        }
        #expect(harness.finish() == [])
        let dropped = harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" }
        #expect(dropped == (repeats ? [] : ["http_status_\(status) 7"]))
    }

    @Test("Retry-After is waited for, in seconds or as a date")
    func retryAfter() async throws {
        for wait in ["30", "Tue, 14 Nov 2023 22:13:55 GMT"] {
            let sink = try await RemoteWriteSink()
            let times = Mutex<[Int64]>([])
            let (harness, receiver) = try start(endpoint(sink))
            let clock = harness.clock
            sink.answer { number, _ in
                times.withLock { $0.append(clock.monotonicNanoseconds) }
                return number == 1
                    ? HTTPServerResponse(.tooManyRequests, fields: ["retry-after": wait]) : nil
            }
            try send(harness, receiver, BatchSource(1).batch(1, at: Self.now))
            #expect(self.wait(harness) { sink.samples.count == 1 })
            let seen = times.withLock { $0 }
            try #require(seen.count == 2)
            let seconds = Double(seen[1] - seen[0]) / 1e9
            #expect(seconds >= 25, "\(wait): \(seconds)")
            #expect(harness.finish() == [])
        }
    }

    @Test("Requests are cut at max_samples_per_send and small ones joined, in order")
    func batching() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(
            endpoint(sink, "queue_config {\n max_samples_per_send = 100\n max_shards = 1\n}"))
        let big = BatchSource(250)
        try send(harness, receiver, big.batch(1, at: Self.now))
        #expect(wait(harness) { sink.samples.count == 250 })
        #expect(sink.received.map(\.samples.count) == [100, 100, 50])
        #expect(sink.samples == big.samples(1, at: Self.now))
        let small = BatchSource(10)
        for time in 1...20 { try send(harness, receiver, small.batch(Double(time), at: Self.now + Int64(time))) }
        #expect(wait(harness) { sink.samples.count == 450 })
        #expect(sink.received.allSatisfy { $0.samples.count <= 100 } && sink.received.count <= 8)
        var expected: [String] = []
        for time in 1...20 { expected += small.samples(Double(time), at: Self.now + Int64(time)) }
        #expect(Array(sink.samples.dropFirst(250)) == expected)
        #expect(harness.finish() == [])
    }

    @Test("A small batch waits for batch_send_deadline and not longer")
    func sendDeadline() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(endpoint(sink, "queue_config {\n batch_send_deadline = \"10s\"\n}"))
        try send(harness, receiver, BatchSource(1).batch(1, at: Self.now))
        harness.settle()
        harness.advance(by: .seconds(8))
        _ = harness.settle(until: { false }, seconds: 0)
        #expect(sink.attempts == 0)
        harness.advance(by: .seconds(2))
        #expect(harness.settle(until: { sink.samples.count == 1 }))
        #expect(harness.finish() == [])
    }

    @Test("External labels are added where missing, then write_relabel rules apply, once per series")
    func relabelling() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(
            """
            external_labels = { cluster = "c1", i = "never" }
            endpoint {
              url = "\(sink.url)"
              write_relabel_config {
                source_labels = ["i"]
                regex = "[1-9]"
                action = "drop"
              }
              write_relabel_config {
                source_labels = ["cluster"]
                target_label = "zone"
                replacement = "z-$1"
              }
            }
            """)
        let source = BatchSource(5)
        for time in 0..<3 { try send(harness, receiver, source.batch(Double(time), at: Self.now + Int64(time))) }
        #expect(wait(harness) { sink.samples.count == 3 })
        #expect(sink.samples.first == #"{__name__="m", cluster="c1", i="0", zone="z-c1"} 0.0 @\#(Self.now)"#)
        #expect(harness.metric("prometheus_remote_storage_samples_dropped_total", ["reason": "dropped_series"]) == 12)
        #expect(harness.finish() == [])
        #expect(harness.instance.ledger.statement.droppedItems == 12)
    }

    @Test("Each endpoint gets everything; one that is down does not hold the other up")
    func fanOut() async throws {
        let first = try await RemoteWriteSink()
        let second = try await RemoteWriteSink()
        second.answer { _, _ in .text(.serviceUnavailable, "down") }
        let (harness, receiver) = try start(
            "endpoint {\n name = \"one\"\n url = \"\(first.url)\"\n}\n"
                + "endpoint {\n name = \"two\"\n url = \"\(second.url)\"\n}")
        let source = BatchSource(20)
        for time in 0..<10 { try send(harness, receiver, source.batch(1, at: Self.now + Int64(time))) }
        #expect(wait(harness) { first.samples.count == 200 })
        #expect(wait(harness) { second.attempts > 0 })
        #expect(second.samples.isEmpty)
        #expect(harness.metric("prometheus_remote_storage_samples_pending", ["remote_name": "two"]) == 200)
        second.answer(with: nil)
        #expect(wait(harness) { second.samples.count == 200 })
        #expect(second.samples == first.samples)
        #expect(harness.finish() == [])
        let books = harness.instance.ledger.statement
        #expect(books.incoming == 200 && books.created == 200 && books.outgoing == 400)
    }

    @Test("What was not confirmed is sent after a restart, what was is not")
    func restart() async throws {
        let storage = ComponentHarness.makeTemporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: storage) }
        // What Alloy left is not touched.
        try Files.makeDirectory(storage + "/prometheus.remote_write.test/wal")
        try Files.replace(storage + "/prometheus.remote_write.test/wal/00000000", with: [1])
        let sink = try await RemoteWriteSink()
        let source = BatchSource(10)
        do {
            let (harness, receiver) = try start(endpoint(sink), storage: storage)
            try send(harness, receiver, source.batch(1, at: Self.now))
            #expect(wait(harness) { sink.samples.count == 10 })
            sink.answer { _, _ in .text(.serviceUnavailable, "down") }
            for time in 1...5 { try send(harness, receiver, source.batch(2, at: Self.now + Int64(time))) }
            #expect(wait(harness) { sink.attempts > 2 })
            #expect(harness.finish() == [])
            #expect(harness.instance.ledger.statement.heldItems == 50)
        }
        sink.answer(with: nil)
        let (harness, receiver) = try start(endpoint(sink), storage: storage)
        try send(harness, receiver, source.batch(3, at: Self.now + 6))
        #expect(wait(harness) { sink.samples.count == 70 })
        var expected: [String] = []
        for time in 1...5 { expected += source.samples(2, at: Self.now + Int64(time)) }
        expected += source.samples(3, at: Self.now + 6)
        #expect(Array(sink.samples.dropFirst(10)) == expected)
        #expect(harness.finish() == [])
        #expect(harness.instance.ledger.statement.outgoing == 60)
        #expect(Files.exists(storage + "/prometheus.remote_write.test/wal/00000000"))
    }

    @Test("Stopping sends what is queued without waiting for the deadline")
    func drain() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(endpoint(sink, "queue_config {\n batch_send_deadline = \"1h\"\n}"))
        let source = BatchSource(30)
        for time in 0..<5 { try send(harness, receiver, source.batch(1, at: Self.now + Int64(time))) }
        #expect(sink.samples.isEmpty)
        #expect(harness.finish() == [])
        #expect(sink.samples.count == 150)
        #expect(harness.instance.ledger.statement.heldItems == 0)
    }

    @Test("Many shards keep the order of each series")
    func shards() async throws {
        let sink = try await RemoteWriteSink()
        let random = Mutex(SystemRandomNumberGenerator())
        sink.answer { _, _ in
            let pause = random.withLock { Int.random(in: 0...3, using: &$0) }
            try? await Task.sleep(for: .milliseconds(pause))
            return nil
        }
        let (harness, receiver) = try start(
            endpoint(sink, "queue_config {\n min_shards = 7\n max_shards = 9\n max_samples_per_send = 20\n}"))
        let source = BatchSource(100)
        for time in 0..<30 { try send(harness, receiver, source.batch(Double(time), at: Self.now + Int64(time))) }
        #expect(wait(harness) { sink.samples.count == 3000 })
        var last: [Substring: Int64] = [:]
        for sample in sink.samples {
            let parts = sample.split(separator: "} ")
            let time = try #require(Int64(sample.split(separator: "@").last ?? ""))
            if let before = last[parts[0]] { #expect(time > before) }
            last[parts[0]] = time
        }
        #expect(last.count == 100)
        #expect(harness.metric("prometheus_remote_storage_shards") == 7)
        #expect(harness.finish() == [])
    }

    @Test("Samples past sample_age_limit are dropped, before and after queueing")
    func ageLimit() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(endpoint(sink, "queue_config {\n sample_age_limit = \"5m\"\n}"))
        let wall = harness.clock.wallMilliseconds
        // Never takes the sample that grows old, be it in a request still on its way when time moves on.
        sink.answer { _, request in
            request.samples.contains { $0.hasSuffix("@\(wall)") } ? .text(.serviceUnavailable, "down") : nil
        }
        var batch = BatchSource(4).batch(1, at: wall - 600_000)
        batch.append(0, 5, at: wall)
        try send(harness, receiver, batch)
        #expect(harness.metric("prometheus_remote_storage_samples_dropped_total", ["reason": "too_old"]) == 4)
        #expect(wait(harness) { sink.attempts > 1 })
        harness.advance(by: .seconds(400))
        try send(harness, receiver, BatchSource(2).batch(2, at: harness.clock.wallMilliseconds))
        #expect(wait(harness) { sink.samples.count == 2 })
        #expect(harness.metric("prometheus_remote_storage_samples_dropped_total", ["reason": "too_old"]) == 5)
        #expect(harness.finish() == [])
    }

    @Test("Metadata goes out at its interval in requests of its own")
    func metadata() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(
            endpoint(sink, "metadata_config {\n send_interval = \"20s\"\n max_samples_per_send = 2\n}"))
        var batch = BatchSource(1).batch(1, at: Self.now)
        let families = ["a", "b", "c"].map { MetricMetadata(family: $0, kind: .counter, help: "Help \($0).") }
        batch.metadata = families
        try send(harness, receiver, batch)
        #expect(wait(harness) { sink.received.flatMap(\.metadata).count == 3 })
        #expect(sink.received.flatMap(\.metadata) == families)
        #expect(wait(harness) { harness.metric("prometheus_remote_storage_metadata_total") == 3 })
        #expect(harness.finish() == [])
    }

    @Test("Native histograms that cannot be sent are counted")
    func histograms() async throws {
        let sink = try await RemoteWriteSink()
        let (harness, receiver) = try start(endpoint(sink, "send_native_histograms = true"))
        var batch = BatchSource(2).batch(1, at: Self.now)
        var custom = NativeHistogram()
        custom.schema = NativeHistogram.customBucketsSchema
        batch.histograms.append(HistogramSample(series: 0, timestamp: Self.now, histogram: custom))
        batch.histograms.append(HistogramSample(series: 1, timestamp: Self.now, histogram: NativeHistogram()))
        try send(harness, receiver, batch)
        #expect(wait(harness) { sink.received.reduce(0) { $0 + $1.histograms } == 1 })
        #expect(
            harness.metric(
                "prometheus_remote_storage_histograms_dropped_total", ["reason": "nhcb_in_rw1_not_supported"]) == 1)
        #expect(harness.finish() == [])
    }

    @Test("An update changes what it names and keeps what is queued")
    func update() async throws {
        let first = try await RemoteWriteSink()
        let second = try await RemoteWriteSink()
        first.answer { _, _ in .text(.serviceUnavailable, "down") }
        let (harness, receiver) = try start("endpoint {\n name = \"e\"\n url = \"\(first.url)\"\n}")
        try send(harness, receiver, BatchSource(5).batch(1, at: Self.now))
        #expect(wait(harness) { first.attempts > 0 })
        // The same endpoint at another place: what is queued follows.
        #expect(harness.update("endpoint {\n name = \"e\"\n url = \"\(second.url)\"\n}") == [])
        #expect(wait(harness) { second.samples.count == 5 })
        // Other times of the WAL: the queue is opened anew.
        first.answer(with: nil)
        #expect(
            harness.update(
                "endpoint {\n name = \"e\"\n url = \"\(second.url)\"\n}\nwal {\n max_keepalive_time = \"1h\"\n}") == [])
        #expect(
            harness.settle(until: { (try? send(harness, receiver, BatchSource(6).batch(2, at: Self.now + 1))) != nil }))
        #expect(wait(harness) { second.samples.count == 11 })
        // No endpoint any more: nobody to send to.
        #expect(harness.update("") == [])
        #expect(
            harness.settle(until: {
                (try? Files.list(harness.services.storagePath + "/prometheus.remote_write.test/queue")) == []
            }))
        try send(harness, receiver, BatchSource(2).batch(3, at: Self.now + 2))
        #expect(harness.finish() == [])
        #expect(harness.instance.ledger.statement.dropped.map { "\($0.reason) \($0.items)" } == ["no_receivers 2"])
    }

    @Test(
        "What is wrong is said with its name",
        arguments: [
            ("endpoint { }", "url"), ("endpoint {\n url = \"not a url\"\n}", "url"),
            (
                "endpoint {\n url = \"http://h\"\n google_iam { }\n azuread {\n sdk {\n tenant_id = \"\"\n}\n}\n}",
                "at most one"
            ),
            ("endpoint {\n url = \"http://h\"\n azuread { }\n}", "needs one of the blocks managed_identity"),
            ("endpoint {\n url = \"http://h\"\n azuread {\n cloud = \"x\"\n}\n}", "AzureGovernment"),
            (
                "endpoint {\n url = \"http://h\"\n azuread {\n managed_identity {\n client_id = \"x\"\n}\n}\n}",
                "must be a UUID"
            ),
            (
                "endpoint {\n url = \"http://h\"\n azuread {\n scope = \"a\\\"b\"\n sdk {\n tenant_id = \"\"\n}\n}\n}",
                "scope"
            ),
            ("endpoint {\n url = \"http://h\"\n protobuf_message = \"x\"\n}", "io.prometheus.write.v2.Request"),
            ("endpoint {\n url = \"http://h\"\n queue_config {\n min_shards = 0\n}\n}", "min_shards"),
            ("endpoint {\n url = \"http://h\"\n sigv4 { }\n bearer_token = \"t\"\n}", "at most one of sigv4"),
            (
                "endpoint {\n name = \"a\"\n url = \"http://h\"\n}\nendpoint {\n name = \"a\"\n url = \"http://i\"\n}",
                "more than once"
            ),
            ("wal {\n truncate_frequency = \"0s\"\n}", "truncate_frequency must not be 0"),
            ("wal {\n max_keepalive_time = \"1m\"\n}", "min_keepalive_time must be smaller"),
        ])
    func problems(_ body: String, _ expected: String) {
        let harness = ComponentHarness(PrometheusRemoteWrite.self)
        let problems = harness.evaluate(body)
        #expect(problems.contains { $0.contains(expected) }, "\(problems)")
    }
}
