import Essentials
import Foundation
import Synchronization
import Testing

@testable import Transport

/// The event loops all tests share.
let loops = EventLoops(threads: 2)

let loopback = SocketAddress.host("127.0.0.1", port: 0)

/// Runs a server for the time of `body`.
func withServer(
    _ settings: HTTPServerSettings = HTTPServerSettings(address: loopback),
    observer: any TransportObserver = SilentObserver(),
    routes: (inout HTTPRouter) -> Void, _ body: (HTTPServer) async throws -> Void
) async throws {
    var router = HTTPRouter()
    routes(&router)
    let server = try await HTTPServer.bind(settings, router: router, on: loops, observer: observer)
    let running = Task { await server.run() }
    do {
        try await body(server)
    } catch {
        running.cancel()
        await running.value
        throw error
    }
    running.cancel()
    await running.value
}

extension HTTPServer {
    func url(_ target: String, scheme: String = "http", host: String = "127.0.0.1") -> HTTPURL {
        HTTPURL("\(scheme)://\(host):\(address.port ?? 0)\(target)")!
    }
}

func makeClient(
    _ change: (inout HTTPClientSettings) -> Void = { _ in }, observer: any TransportObserver = SilentObserver()
)
    -> HTTPClient
{
    var settings = HTTPClientSettings()
    change(&settings)
    return HTTPClient(settings, on: loops, observer: observer)
}

/// The error an expression throws.
func failure(_ body: () async throws -> Void) async -> HTTPClientError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? HTTPClientError
    }
}

/// A number shared by concurrent closures.
final class Tally: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    @discardableResult func add(_ amount: Int = 1) -> Int {
        value.withLock {
            $0 += amount
            return $0
        }
    }
}

/// An event one side waits for and the other announces, without a clock.
final class Signal: Sendable {
    private let shot = OneShot<Void>()
    func fire() { shot.complete(.success(())) }
    func wait() async { try? await shot.value() }
}

/// Waits for a condition that another thread brings about, giving way between looks.
func eventually(_ condition: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
        if condition() { return true }
        await Task.yield()
    }
    return condition()
}

/// Counts what a server or client reports.
final class Counting: TransportObserver {
    let opened = Tally()
    let closed = Tally()
    let requests = Tally()
    let failures = Mutex<[TransportFailure]>([])
    func connectionOpened() { opened.add() }
    func connectionClosed() { closed.add() }
    func connectionFailed(_ reason: TransportFailure) { failures.withLock { $0.append(reason) } }
    func requestFinished(_ outcome: RequestOutcome) { requests.add() }
}

/// A folder that is removed with its last reference.
final class TemporaryFolder: Sendable {
    let path: String
    init() {
        path =
            FileManager.default.temporaryDirectory.appendingPathComponent("transport-\(UUID().uuidString.prefix(8))")
            .path
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func write(_ name: String, _ text: String) throws {
        try Files.replace("\(path)/\(name)", with: Array(text.utf8))
    }
}

struct ToolFailure: Error { let text: String }

/// Runs a program on a thread of its own and returns what it printed.
@discardableResult
func run(_ program: String, _ arguments: [String], input: String? = nil) async throws -> String {
    try await loops.runBlocking {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        if let input {
            let pipe = Pipe()
            process.standardInput = pipe
            try process.run()
            pipe.fileHandleForWriting.write(Data(input.utf8))
            try pipe.fileHandleForWriting.close()
        } else {
            process.standardInput = FileHandle.nullDevice
            try process.run()
        }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw ToolFailure(text: "\(program): \(complaint) \(text)") }
        return text
    }
}
