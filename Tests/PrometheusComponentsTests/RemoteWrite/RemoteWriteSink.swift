import Compression
import Essentials
import Synchronization
import Telemetry
import TestKit
import Transport
import Wire

/// A remote-write receiver on loopback that decodes and keeps what it gets, and answers as told.
final class RemoteWriteSink: Sendable {
    /// A request as it came.
    struct Received: Sendable {
        var version: RemoteWriteVersion
        var fields: HTTPFields
        var counts: RemoteWriteCounts
        /// `{labels} value @milliseconds`.
        var samples: [String]
        var histograms: Int
        var exemplars: Int
        var metadata: [MetricMetadata]
    }

    typealias Policy = @Sendable (_ number: Int, _ request: Received) async -> HTTPServerResponse?

    private struct State {
        var received: [Received] = []
        var attempts = 0
        var policy: Policy?
        var isSilentAboutWritten = false
    }

    private let state = Mutex(State())
    private let loops = EventLoops(threads: 1)
    private let server: Mutex<(HTTPServer, Task<Void, Never>)?> = Mutex(nil)
    let port: Int

    private final class Box: Sendable {
        struct Reference { weak var sink: RemoteWriteSink? }
        let reference = Mutex(Reference())
    }

    /// Listens; on a given port to take the place of one that was stopped.
    init(port: Int = 0) async throws {
        let box = Box()
        var router = HTTPRouter()
        router.on(.post, "/api/v1/write") { request in
            guard let sink = box.reference.withLock({ $0.sink }) else { return .text(.serviceUnavailable, "gone") }
            return await sink.answer(request)
        }
        guard let address = SocketAddress("127.0.0.1:\(port)") else { throw ProtobufError.invalid("address") }
        let bound = try await HTTPServer.bind(HTTPServerSettings(address: address), router: router, on: loops)
        self.port = Int(bound.address.description.split(separator: ":").last ?? "") ?? 0
        // A thread of its own: harnesses block the shared ones.
        let executor = ThreadExecutor(name: "sink")
        let running = Task(executorPreference: executor) { await bound.run(on: executor) }
        server.withLock { $0 = (bound, running) }
        box.reference.withLock { $0.sink = self }
    }

    deinit { server.withLock { $0?.1.cancel() } }

    func stop() async {
        let running = server.withLock { $0 }
        running?.1.cancel()
        await running?.1.value
        server.withLock { $0 = nil }
    }

    var url: String { "http://127.0.0.1:\(port)/api/v1/write" }
    var received: [Received] { state.withLock { $0.received } }
    var attempts: Int { state.withLock { $0.attempts } }
    var samples: [String] { received.flatMap(\.samples) }

    /// From now on answers with what `policy` returns; nil accepts.
    func answer(with policy: Policy?) { state.withLock { $0.policy = policy } }

    /// Leaves 2.0's response fields out.
    func hideWritten() { state.withLock { $0.isSilentAboutWritten = true } }

    private func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        do {
            guard let version = RemoteWriteVersion(contentType: request.fields["content-type"] ?? "") else {
                return .text(.unsupportedMediaType, "unknown")
            }
            let compressed = try await request.body.collect()
            let bytes = try compressed.withUnsafeBytes { try Snappy.decompress($0, limit: 1 << 26) }
            var decoder = RemoteWriteDecoder()
            let decoded = try decoder.decode(bytes, as: version)
            let batch = decoded.batch
            let received = Received(
                version: version, fields: request.fields, counts: decoded.counts,
                samples: batch.series.indices.map { row in
                    let value = batch.values[row]
                    return
                        "\(batch.table[batch.series[row]]) \(Sample.isStale(value) ? "stale" : "\(value)") @\(batch.timestamps[row])"
                },
                histograms: batch.histograms.count, exemplars: batch.exemplars.count, metadata: batch.metadata)
            let (number, policy, isSilent) = state.withLock { state in
                state.attempts += 1
                return (state.attempts, state.policy, state.isSilentAboutWritten)
            }
            if let response = await policy?(number, received) { return response }
            state.withLock { $0.received.append(received) }
            var fields: HTTPFields = [:]
            if version == .v2, !isSilent {
                fields["x-prometheus-remote-write-samples-written"] = "\(decoded.counts.samples)"
                fields["x-prometheus-remote-write-histograms-written"] = "\(decoded.counts.histograms)"
                fields["x-prometheus-remote-write-exemplars-written"] = "\(decoded.counts.exemplars)"
            }
            return HTTPServerResponse(.noContent, fields: fields)
        } catch {
            return .text(.badRequest, "\(error)")
        }
    }
}

/// A source of batches: one table of series named `m{i="0"}`, `m{i="1"}` and so on.
struct BatchSource {
    private var writer = SeriesTable.Writer()
    private let count: Int
    private let name: String

    init(_ count: Int, name: String = "m") {
        self.count = count
        self.name = name
        for index in 0..<count { _ = writer.append(LabelSet([("__name__", name), ("i", "\(index)")])) }
    }

    func batch(_ value: Double, at milliseconds: Int64) -> MetricBatch {
        var batch = MetricBatch(table: writer.table)
        for index in 0..<count { batch.append(SeriesRef(index), value, at: milliseconds) }
        return batch
    }

    func samples(_ value: Double, at milliseconds: Int64) -> [String] {
        (0..<count).map { "{__name__=\"\(name)\", i=\"\($0)\"} \(value) @\(milliseconds)" }
    }
}
