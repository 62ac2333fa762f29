import Synchronization
import Telemetry
import TestKit
import Transport
import Wire

/// A server on loopback that takes pushes as Loki does, or refuses them as told.
final class FakeLoki: Sendable {
    struct Push: Sendable {
        var tenant: String?
        var headers: HTTPFields
        /// `labels timestamp line metadata` of every entry.
        var entries: [String]
        var lines: [String]
        var streams: [LabelSet]
    }

    private struct State: ~Copyable {
        var pushes: [Push] = []
        var attempts = 0
        /// Answers of the next attempts; 204 when there is none.
        var answers: [Int] = []
        var constantAnswer: Int?
    }

    let server: HTTPServer
    let loops: EventLoops
    private let state: Box
    private let running: Task<Void, Never>

    private final class Box: Sendable {
        let state = Mutex(State())
    }

    init() async throws {
        loops = EventLoops(threads: 1)
        let box = Box()
        state = box
        var router = HTTPRouter()
        router.on(.post, "/loki/api/v1/push") { request in
            let body = try await request.body.collect()
            var decoder = LokiPushDecoder()
            let push = try body.withUnsafeBytes {
                try decoder.decode($0, contentType: request.fields["content-type"], encoding: .snappy)
            }
            let batch = push.batch
            let answer = box.state.withLock { state in
                state.attempts += 1
                let answer = state.constantAnswer ?? (state.answers.isEmpty ? 204 : state.answers.removeFirst())
                if answer == 204 {
                    state.pushes.append(
                        Push(
                            tenant: request.fields["x-scope-orgid"], headers: request.fields,
                            entries: batch.entries.map { entry in
                                let labels = batch.streams[Int(entry.stream)]
                                return "\(labels) \(entry.timestamp) \(batch.line(entry)) \(entry.metadata)"
                            },
                            lines: batch.entries.map { batch.line($0) }, streams: batch.streams))
                }
                return answer
            }
            if answer == 204 { return HTTPServerResponse(.noContent) }
            return .text(HTTPStatus(answer), "told to\nsecond line")
        }
        var settings = HTTPServerSettings(address: .host("127.0.0.1", port: 0))
        settings.shutdownTimeout = .milliseconds(10)
        let server = try await HTTPServer.bind(settings, router: router, on: loops)
        self.server = server
        // A thread of its own: harnesses block the shared ones.
        let executor = ThreadExecutor(name: "fake-loki")
        running = Task(executorPreference: executor) { await server.run(on: executor) }
    }

    deinit { running.cancel() }

    var url: String { "http://\(server.address.text)/loki/api/v1/push" }
    var host: String { server.address.text }
    var pushes: [Push] { state.state.withLock { $0.pushes } }
    var attempts: Int { state.state.withLock { $0.attempts } }
    var lines: [String] { pushes.flatMap(\.lines) }

    /// Answers the next attempts with these statuses.
    func answer(_ statuses: [Int]) { state.state.withLock { $0.answers = statuses } }

    /// Answers every attempt with this status; nil accepts again.
    func answerAlways(_ status: Int?) { state.state.withLock { $0.constantAnswer = status } }
}
