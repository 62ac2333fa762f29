import Synchronization
import TestKit
import TextFormats
import Transport

@testable import LokiComponents

/// A Docker daemon for tests: containers that the test writes logs of, read and followed as the Engine API documents it.
///
/// Frames, times of parts, unfinished lines and terminals were compared with what dockerd 20.10.24 sends.
final class DockerDouble: Sendable {
    private typealias Chunks = AsyncStream<[UInt8]>

    struct Message {
        var stream: DockerStream
        /// Nanoseconds since 1970.
        var time: Int64
        var text: String
    }

    private struct Container {
        var isTerminal = false
        var isRunning = true
        var runs = 1
        var messages: [Message] = []
    }

    private struct State: ~Copyable {
        var containers: [String: Container] = [:]
        var followers: [Int: (container: String, chunks: Chunks.Continuation)] = [:]
        var nextID = 0
        var requests: [String] = []
        /// Answered to requests for logs.
        var refusal: (HTTPStatus, String)?
    }

    private final class Box: Sendable { let state = Mutex(State()) }

    private let box = Box()
    private let server: HTTPServer
    private let loops = EventLoops(threads: 1)
    private let running: Task<Void, Never>

    /// Listens on loopback, or on a unix socket.
    init(socket: String? = nil) async throws {
        let box = box
        var router = HTTPRouter()
        router.otherwise { request in Self.answer(request, box) }
        var settings = HTTPServerSettings(address: socket.map { .unix(path: $0) } ?? .host("127.0.0.1", port: 0))
        settings.shutdownTimeout = .milliseconds(10)
        settings.idleTimeout = nil
        let server = try await HTTPServer.bind(settings, router: router, on: loops)
        self.server = server
        let executor = ThreadExecutor(name: "docker-double")
        running = Task(executorPreference: executor) { await server.run(on: executor) }
    }

    deinit {
        running.cancel()
        closeStreams()
    }

    var host: String { "tcp://\(server.address.text)" }
    var requests: [String] { box.state.withLock { $0.requests } }
    var followerCount: Int { box.state.withLock { $0.followers.count } }

    // MARK: Containers

    func put(_ id: String, isTerminal: Bool = false) {
        box.state.withLock { $0.containers[id] = Container(isTerminal: isTerminal) }
    }

    /// Writes one message; several texts are the parts of a line.
    func write(_ id: String, _ stream: DockerStream = .stdout, at time: Int64, _ texts: String...) {
        box.state.withLock { state in
            for text in texts {
                let message = Message(stream: stream, time: time, text: text)
                state.containers[id]?.messages.append(message)
                guard let isTerminal = state.containers[id]?.isTerminal else { return }
                for follower in state.followers.values where follower.container == id {
                    follower.chunks.yield(Self.bytes(message, isTerminal))
                }
            }
        }
    }

    /// Stops the container, which ends the reading of its log.
    func stop(_ id: String) {
        box.state.withLock { state in
            state.containers[id]?.isRunning = false
            Self.close(&state) { $0 == id }
        }
    }

    func start(_ id: String) {
        box.state.withLock { state in
            state.containers[id]?.isRunning = true
            state.containers[id]?.runs += 1
        }
    }

    func remove(_ id: String) {
        stop(id)
        box.state.withLock { $0.containers[id] = nil }
    }

    /// Ends every connection that a log is read on.
    func closeStreams() { box.state.withLock { Self.close(&$0) { _ in true } } }

    /// Sends bytes that no container wrote.
    func send(_ bytes: [UInt8]) { box.state.withLock { for f in $0.followers.values { f.chunks.yield(bytes) } } }

    func refuseLogs(_ refusal: (HTTPStatus, String)?) { box.state.withLock { $0.refusal = refusal } }

    private static func close(_ state: inout State, where isMeant: (String) -> Bool) {
        for (id, follower) in state.followers where isMeant(follower.container) {
            follower.chunks.finish()
            state.followers[id] = nil
        }
    }

    // MARK: Answers

    static func bytes(_ message: Message, _ isTerminal: Bool) -> [UInt8] {
        let time = GoTimeLayout("2006-01-02T15:04:05.000000000Z07:00").format(unixNanoseconds: message.time)
        return isTerminal
            ? Array("\(time) \(message.text)".utf8)
            : frame(message.stream == .stdout ? 1 : 2, "\(time) \(message.text)")
    }

    static func frame(_ kind: UInt8, _ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return [kind, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (24 - 8 * $0)) } + bytes
    }

    private static func answer(_ request: HTTPServerRequest, _ box: Box) -> HTTPServerResponse {
        let parts = request.path.split(separator: "/").map(String.init)
        guard parts.count == 3, parts[0] == "containers" else { return .text(.notFound, "") }
        let id = parts[1]
        let known = box.state.withLock { state in
            state.requests.append("\(request.path)?\(request.rawQuery)")
            return state.containers[id]
        }
        guard let container = known else { return .json(.notFound, Array(#"{"message":"No such container"}"#.utf8)) }
        if parts[2] == "json" {
            let finished = container.isRunning ? container.runs - 1 : container.runs
            return .json(
                .ok,
                Array(
                    """
                    {"Id":"\(id)","Config":{"Tty":\(container.isTerminal)},"State":{"Running":\(container.isRunning),
                     "StartedAt":"start \(container.runs)","FinishedAt":"finish \(finished)"}}
                    """.utf8))
        }
        if let refusal = box.state.withLock({ $0.refusal }) {
            return .json(refusal.0, Array("{\"message\":\"\(refusal.1)\"}".utf8))
        }
        let since = (request.query["since"].flatMap { Int64($0) } ?? 0) * 1_000_000_000
        let (chunks, continuation) = Chunks.makeStream()
        let follower: Int = box.state.withLock { state in
            let container = state.containers[id] ?? Container()
            for message in container.messages where message.time >= since {
                continuation.yield(bytes(message, container.isTerminal))
            }
            state.nextID += 1
            if container.isRunning {
                state.followers[state.nextID] = (id, continuation)
            } else {
                continuation.finish()
            }
            return state.nextID
        }
        return .stream(.ok, type: "application/octet-stream") { writer in
            defer { box.state.withLock { $0.followers[follower] = nil } }
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await chunk in chunks { do { try await writer.write(chunk) } catch { return } }
                }
                group.addTask { await writer.waitForDisconnection() }
                await group.next()
                group.cancelAll()
            }
        }
    }
}
