import Essentials
import Foundation
import Synchronization
import TestKit
import Transport

/// The event loops all tests share.
let loops = EventLoops(threads: 1)

/// A folder that is removed with its last reference.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "platform-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String = "") throws {
        let file = path + "/" + name
        let parent = file[..<(file.lastIndex(of: "/") ?? file.startIndex)]
        try FileManager.default.createDirectory(atPath: String(parent), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }
}

/// A server on loopback that answers with what it was last told and keeps what it was asked.
final class TestServer: Sendable {
    struct Request: Sendable, Equatable {
        var method: String
        var path: String
        var fields: [String: String]
        var body: String
    }

    private struct Answer {
        var status = 200
        var body = ""
        /// Sent instead of the body when there are any, without announcing a length.
        var pieces = 0
        var pieceSize = 0
    }

    private let answer = Mutex(Answer())
    private let seen = Mutex<[Request]>([])
    private let server: HTTPServer
    private let running: Task<Void, Never>

    /// The server runs where the component does: tests that block their thread would starve it elsewhere.
    init(beside harness: ComponentHarness) throws {
        let box = Holder()
        var made = HTTPRouter()
        made.otherwise { request in
            let body = try await request.body.collect()
            var fields: [String: String] = [:]
            for field in request.fields { fields[field.name.lowercased()] = field.value }
            let record = Request(
                method: request.method.name, path: request.path, fields: fields,
                body: String(decoding: body, as: UTF8.self))
            guard let owner = box.value else { return .text(.internalServerError, "gone") }
            owner.seen.withLock { $0.append(record) }
            let answer = owner.answer.withLock { $0 }
            if answer.pieces > 0 {
                let piece = [UInt8](repeating: 0x61, count: answer.pieceSize)
                return .stream(.ok, type: "text/plain") { writer in
                    for _ in 0..<answer.pieces { try await writer.write(piece) }
                }
            }
            return .text(HTTPStatus(answer.status), answer.body)
        }
        let router = made
        let server = try harness.run {
            try await HTTPServer.bind(
                HTTPServerSettings(address: .host("127.0.0.1", port: 0)), router: router, on: loops)
        }
        self.server = server
        running = Task(executorPreference: harness.executor) { await server.run() }
        box.set(self)
    }

    deinit { running.cancel() }

    var url: String { "http://127.0.0.1:\(server.address.port ?? 0)" }
    var requests: [Request] { seen.withLock { $0 } }
    func set(_ status: Int, _ body: String) { answer.withLock { $0 = Answer(status: status, body: body) } }
    func stream(pieces: Int, of size: Int) { answer.withLock { $0 = Answer(pieces: pieces, pieceSize: size) } }

    private final class Holder: Sendable {
        private struct Reference { weak var server: TestServer? }
        private let reference = Mutex(Reference())
        var value: TestServer? { reference.withLock { $0.server } }
        func set(_ server: TestServer) { reference.withLock { $0.server = server } }
    }
}
