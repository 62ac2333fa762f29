import Essentials
import Synchronization
import Transport

/// The event loops all servers of these tests share; they outlive every test.
private let loops = EventLoops(threads: 1)

/// A real HTTP server on a loopback port that answers scrapes with what a test puts there.
final class ScrapeTargetServer: Sendable {
    struct Answer: Sendable {
        var status = 200
        var contentType: String? = "text/plain; version=0.0.4"
        var body = ""
        var encoding: String?
        var bytes: [UInt8]?
        /// Answer only after the test releases it.
        var hangs = false
    }

    struct Seen: Sendable {
        var path: String
        var query: String
        var fields: HTTPFields
    }

    private struct State {
        var answers: [String: Answer] = [:]
        var seen: [Seen] = []
    }

    private let state = Mutex(State())
    private let server = Mutex<HTTPServer?>(nil)
    private let running = Mutex<Task<Void, Never>?>(nil)

    init() async throws {
        var router = HTTPRouter()
        router.otherwise { [weak self] request in
            guard let self else { return HTTPServerResponse(404) }
            return await self.answer(request)
        }
        let server = try await HTTPServer.bind(
            HTTPServerSettings(address: .host("127.0.0.1", port: 0)), router: router, on: loops)
        self.server.withLock { $0 = server }
        running.withLock { $0 = Task { await server.run() } }
    }

    deinit { running.withLock { $0 }?.cancel() }

    /// `127.0.0.1:port`.
    var address: String { server.withLock { $0 }.map { "\($0.address)" } ?? "" }

    var seen: [Seen] { state.withLock { $0.seen } }

    func set(_ body: String, path: String = "/metrics") { set(Answer(body: body), path: path) }
    func set(_ answer: Answer, path: String = "/metrics") { state.withLock { $0.answers[path] = answer } }

    private func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        let answer: Answer? = state.withLock { state in
            state.seen.append(Seen(path: request.path, query: request.rawQuery, fields: request.fields))
            return state.answers[request.path]
        }
        guard let answer else { return HTTPServerResponse(404) }
        if answer.hangs { try? await Task.sleep(for: .seconds(600)) }
        var fields = HTTPFields()
        if let type = answer.contentType { fields["content-type"] = type }
        if let encoding = answer.encoding { fields["content-encoding"] = encoding }
        return HTTPServerResponse(
            HTTPStatus(answer.status), fields: fields, body: .bytes(answer.bytes ?? Array(answer.body.utf8)))
    }
}
