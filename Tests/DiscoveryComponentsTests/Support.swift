import ComponentKit
import Essentials
import Foundation
import Synchronization
import Telemetry
import TestKit
import Transport

/// The targets a discovery exports, one line each.
func targets(_ harness: ComponentHarness) -> [String] {
    (harness.export("targets", as: [Target].self) ?? []).map { "\($0.labels)" }
}

/// A directory for one test's files, removed with it.
final class TemporaryDirectory {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "invar-discovery-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    subscript(name: String) -> String { path + "/" + name }

    /// Replaces a file, so that nobody reads a part of it.
    func write(_ text: String, to name: String) throws { try Files.replace(self[name], with: Array(text.utf8)) }

    func remove(_ name: String) { try? FileManager.default.removeItem(atPath: self[name]) }
}

/// An HTTP server that answers every connection with what the test says, running on the harness's executor.
final class ScriptedServer: Sendable {
    struct Answer: Sendable {
        var status = "200 OK"
        var type = "application/json"
        var body = "[]"
    }

    private struct State {
        var answer = Answer()
        var requests: [String] = []
    }

    /// What the connections share with the test.
    private final class Script: Sendable {
        let state = Mutex(State())
    }

    private let listener: TCPListener
    private let script = Script()
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ harness: ComponentHarness) throws {
        let loops = harness.services.eventLoops
        listener = try harness.run { try await TCPListener.bind(.host("127.0.0.1", port: 0), on: loops) }
        let running = Task(executorPreference: harness.executor) { [script, listener] in
            await listener.forEachConnection { connection in
                var bytes: [UInt8] = []
                while !String(decoding: bytes, as: UTF8.self).contains("\r\n\r\n") {
                    guard (try? await connection.read(into: &bytes)) == true else { return }
                }
                let request = String(decoding: bytes, as: UTF8.self)
                let answer = script.state.withLock { state in
                    state.requests.append(request)
                    return state.answer
                }
                let head =
                    "HTTP/1.1 \(answer.status)\r\ncontent-type: \(answer.type)\r\n"
                    + "content-length: \(answer.body.utf8.count)\r\nconnection: close\r\n\r\n"
                try? await connection.write(Array((head + answer.body).utf8))
                connection.close()
            }
        }
        task.withLock { $0 = running }
    }

    deinit { task.withLock { $0?.cancel() } }

    var url: String { "http://\(listener.address.text)/sd?a=b" }

    /// The heads received so far, in lower case.
    var requests: [String] { script.state.withLock { $0.requests.map { $0.lowercased() } } }

    func answer(_ body: String, status: String = "200 OK", type: String = "application/json") {
        script.state.withLock { $0.answer = Answer(status: status, type: type, body: body) }
    }
}
