import ComponentKit
import Essentials
import Foundation
import PrometheusComponents
import Telemetry
import TestKit
import Testing
import Transport

/// A Prometheus server on loopback that takes remote write.
private final class PrometheusProcess {
    static let path = "/usr/bin/prometheus"
    let port: Int
    private let process = Process()
    private let directory: URL

    init() throws {
        port = try Self.freePort()
        directory = FileManager.default.temporaryDirectory.appending(path: "prometheus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let configuration = directory.appending(path: "prometheus.yml")
        try Data("global: {scrape_interval: 1h}\n".utf8).write(to: configuration)
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = [
            "--config.file=\(configuration.path)", "--storage.tsdb.path=\(directory.path)/data",
            "--web.listen-address=127.0.0.1:\(port)", "--web.enable-remote-write-receiver",
            "--enable-feature=native-histograms,exemplar-storage",
        ]
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: directory)
    }

    /// A port that nobody listened on a moment ago.
    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port: UInt16? = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                guard bind(descriptor, raw, length) == 0, getsockname(descriptor, raw, &length) == 0 else { return nil }
                return UInt16(bigEndian: pointer.pointee.sin_port)
            }
        }
        return Int(try #require(port))
    }
}

@Suite(
    "prometheus.remote_write against Prometheus",
    .enabled(if: FileManager.default.fileExists(atPath: PrometheusProcess.path)))
struct RealPrometheusTests {
    /// The body of an answer, nil while there is none.
    private func get(_ harness: ComponentHarness, _ url: String) -> String? {
        let loops = harness.services.eventLoops
        return try? harness.run {
            guard let url = HTTPURL(url) else { return nil }
            let response = try await HTTPClient(on: loops).send(HTTPClientRequest(.get, url))
            return response.status.isSuccess ? String(decoding: try await response.collect(), as: UTF8.self) : nil
        }
    }

    @Test("Samples, histograms, exemplars and metadata written with 1.0 can be queried")
    func writes() throws {
        let prometheus = try PrometheusProcess()
        let base = "http://127.0.0.1:\(prometheus.port)"
        let now = Int64(Date.now.timeIntervalSince1970 * 1000)
        let harness = ComponentHarness(PrometheusRemoteWrite.self, wallNanoseconds: now * 1_000_000)
        try #require(harness.settle(until: { get(harness, base + "/-/ready") != nil }))
        try #require(
            harness.start(
                """
                external_labels = { cluster = "c1" }
                endpoint {
                  url = "\(base)/api/v1/write"
                  send_native_histograms = true
                  queue_config {
                    min_shards = 3
                    max_samples_per_send = 100
                  }
                }
                """) == [])
        let receiver: Receiver<MetricBatch> = try #require(harness.export("receiver"))
        try #require(harness.settle(until: { harness.health?.state == .healthy }))
        let source = BatchSource(50, name: "real_total")
        for step in 0..<40 {
            var batch = source.batch(Double(step), at: now - Int64(40 - step) * 1000)
            var histogram = NativeHistogram()
            histogram.count = Double(step + 1)
            histogram.sum = 2
            histogram.positiveSpans = [.init(offset: 1, length: 1)]
            histogram.buckets = .deltas(positive: [Int64(step + 1)], negative: [])
            var writer = SeriesTable.Writer()
            let ref = writer.append(LabelSet([("__name__", "real_hist")]))
            var histograms = MetricBatch(table: writer.table)
            histograms.histograms.append(
                HistogramSample(series: ref, timestamp: now - Int64(40 - step) * 1000, histogram: histogram))
            batch.exemplars.append(
                ExemplarSample(
                    series: 7, labels: LabelSet([("trace_id", "t\(step)")]), value: 1,
                    timestamp: now - Int64(40 - step) * 1000))
            let (samples, others) = (batch, histograms)
            try harness.run {
                try await receiver.consume(samples)
                try await receiver.consume(others)
            }
        }
        #expect(
            harness.settle(until: {
                harness.advance(by: .milliseconds(500))
                return harness.metric("prometheus_remote_storage_samples_total") == 2000
                    && harness.metric("prometheus_remote_storage_histograms_total") == 40
            }))
        #expect(harness.metric("prometheus_remote_storage_samples_failed_total") == 0)
        let time = "&time=\(now / 1000)"
        let count = get(
            harness, base + "/api/v1/query?query=sum(count_over_time(real_total%7Bcluster=%22c1%22%7D%5B5m%5D))" + time)
        #expect(count?.contains("\"2000\"") == true, "\(count ?? "")")
        let last = get(harness, base + "/api/v1/query?query=sum(last_over_time(real_total%5B5m%5D))" + time)
        #expect(last?.contains("\"1950\"") == true, "\(last ?? "")")
        let histogram = get(
            harness, base + "/api/v1/query?query=histogram_count(real_hist)" + time)
        #expect(histogram?.contains("\"40\"") == true, "\(histogram ?? "")")
        let exemplars = get(
            harness, base + "/api/v1/query_exemplars?query=real_total&start=\(now / 1000 - 300)&end=\(now / 1000 + 10)")
        #expect(exemplars?.contains("\"t39\"") == true, "\(exemplars ?? "")")
        #expect(harness.finish() == [])
        #expect(harness.instance.ledger.statement.outgoing == 2040)
    }
}
