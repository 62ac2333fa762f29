import Essentials
import Synchronization
import Testing

@testable import Transport

/// A server that answers every connection with a script.
func withRawServer(
    _ serve: @escaping @Sendable (TCPConnection) async throws -> Void, _ body: (TCPListener) async throws -> Void
) async throws {
    let listener = try await TCPListener.bind(loopback, on: loops)
    let running = Task { await listener.forEachConnection { try? await serve($0) } }
    defer { running.cancel() }
    try await body(listener)
    running.cancel()
    await running.value
}

/// Reads one request's head.
func readHead(_ connection: TCPConnection) async throws -> String {
    var bytes: [UInt8] = []
    while !String(decoding: bytes, as: UTF8.self).contains("\r\n\r\n") {
        guard try await connection.read(into: &bytes) else { break }
    }
    return String(decoding: bytes, as: UTF8.self)
}

extension TransportTests {
    @Suite("How an HTTP client fails", .timeLimit(.minutes(2)))
    struct HTTPClientFailureTests {
        func url(_ listener: TCPListener) -> HTTPURL { HTTPURL("http://127.0.0.1:\(listener.address.port ?? 0)/")! }

        @Test(
            "A bad response has its own error",
            arguments: [
                (
                    "HTTP/1.1 200 OK\r\nbig: \(String(repeating: "x", count: 70_000))\r\n\r\n",
                    HTTPClientError.headersTooLarge(limit: 65_536)
                ),
                ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", .connectionClosed(.body)),
                ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc", .connectionClosed(.body)),
                ("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", .bodyTooLarge(limit: 1_000)),
                ("HTTP/1.1 200 OK\r\n\r\n\(String(repeating: "x", count: 2_000))", .bodyTooLarge(limit: 1_000)),
                ("HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\nx", .decoding("content encoding br is not supported")),
                ("", .connectionClosed(.head)),
            ])
        func badResponses(response: String, expected: HTTPClientError) async throws {
            try await withRawServer { connection in
                _ = try await readHead(connection)
                try await connection.write(Array(response.utf8))
            } _: { listener in
                let client = makeClient {
                    $0.maximumHeaderBytes = 65_536
                    $0.maximumBodyBytes = ByteCount(bytes: 1_000)
                }
                let error = await failure { _ = try await client.send(.init(.get, url(listener))).collect() }
                #expect(error == expected)
                #expect(await eventually { client.openConnections == 0 })
            }
        }

        @Test("Garbage instead of a response is malformed")
        func garbage() async throws {
            try await withRawServer { connection in
                _ = try await readHead(connection)
                try await connection.write(Array("SSH-2.0-OpenSSH\r\n\r\n".utf8))
            } _: { listener in
                let error = await failure { _ = try await makeClient().send(.init(.get, url(listener))) }
                if case .malformedResponse? = error {} else { Issue.record("\(String(describing: error))") }
            }
        }

        @Test("The deadline covers head and body and says which", arguments: [true, false])
        func deadline(inBody: Bool) async throws {
            let hang = Signal()
            try await withRawServer { connection in
                _ = try await readHead(connection)
                if inBody { try await connection.write(Array("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab".utf8)) }
                await hang.wait()
            } _: { listener in
                let client = makeClient { $0.requestTimeout = inBody ? .seconds(2) : .milliseconds(150) }
                let error = await failure { _ = try await client.send(.init(.get, url(listener))).collect() }
                #expect(error == .deadlineExceeded(inBody ? .body : .head))
                #expect(error?.description == "context deadline exceeded")
                #expect(await eventually { client.openConnections == 0 })
                hang.fire()
            }
        }

        @Test("Cancellation ends a request at once and leaves no connection behind", arguments: [true, false])
        func cancellation(inBody: Bool) async throws {
            let hang = Signal()
            let reached = Signal()
            try await withRawServer { connection in
                _ = try await readHead(connection)
                if inBody { try await connection.write(Array("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab".utf8)) }
                reached.fire()
                await hang.wait()
            } _: { listener in
                let client = makeClient()
                let target = url(listener)
                let task = Task { await failure { _ = try await client.send(.init(.get, target)).collect() } }
                await reached.wait()
                task.cancel()
                #expect(await task.value == .cancelled)
                #expect(await eventually { client.openConnections == 0 })
                hang.fire()
            }
        }

        @Test("A body that is dropped unread gives its connection up")
        func droppedBody() async throws {
            try await withServer { router in
                router.on(.get, "/") { _ in
                    .stream(.ok, type: "a/b") { writer in
                        while true { try await writer.write([UInt8](repeating: 0, count: 4_096)) }
                    }
                }
            } _: { server in
                let client = makeClient()
                var response: HTTPClientResponse? = try await client.send(.init(.get, server.url("/")))
                #expect(response?.status == .ok)
                response = nil
                #expect(await eventually { client.openConnections == 0 && server.openConnections == 0 })
            }
        }

        @Test("A request on a kept connection that the server closed is sent again, once, if that is safe")
        func staleConnections() async throws {
            let requests = Tally()
            try await withRawServer { connection in
                // Answers one request and closes when the second comes.
                _ = try await readHead(connection)
                requests.add()
                try await connection.write(Array("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".utf8))
                _ = try await readHead(connection)
                requests.add()
            } _: { listener in
                let client = makeClient()
                for _ in 0..<4 {
                    let body = try await client.send(.init(.get, url(listener))).collect()
                    #expect(body.isEmpty)
                }
                #expect(requests.count == 7)
                let error = await failure { _ = try await client.send(.post(url(listener), [1], type: "a/b")) }
                #expect(error == .connectionClosed(.head))
            }
        }

        @Test("A refused connection, an unknown host and an endless handshake are told apart")
        func connecting() async throws {
            let listener = try await TCPListener.bind(loopback, on: loops)
            let port = listener.address.port ?? 0
            let gone = Task { await listener.forEachConnection { _ in } }
            gone.cancel()
            await gone.value
            let client = makeClient()
            #expect(await eventually { true })
            let refused = await failure {
                _ = try await client.send(.init(.get, HTTPURL("http://127.0.0.1:\(port)/")!))
            }
            #expect(refused?.description == "dial tcp 127.0.0.1:\(port): connect: connection refused")
            #expect(refused?.phase == .connect)
            let unknown = await failure {
                _ = try await client.send(.init(.get, HTTPURL("http://no-such-host.invalid/")!))
            }
            #expect(unknown?.phase == .resolve)
            #expect(unknown?.description.hasPrefix("lookup no-such-host.invalid: ") == true)
            let hang = Signal()
            try await withRawServer { _ in
                await hang.wait()
            } _: { listener in
                let slow = makeClient { $0.connectTimeout = .milliseconds(100) }
                let target = HTTPURL("https://127.0.0.1:\(listener.address.port ?? 0)/")!
                let error = await failure { _ = try await slow.send(.init(.get, target)) }
                #expect(error?.phase == .connect)
                hang.fire()
            }
        }

        @Test("Fields that would split a message are refused")
        func injection() async throws {
            try await withServer { _ in
            } _: { server in
                for (name, value) in [("a", "b\r\nc: d"), ("a b", "c"), ("", "c"), ("a", "b\0")] {
                    let request = HTTPClientRequest(.get, server.url("/"), fields: HTTPFields([(name, value)]))
                    let error = await failure { _ = try await makeClient().send(request) }
                    #expect(error?.phase == .request)
                }
            }
        }

        @Test("A shut down client refuses requests")
        func shutDown() async throws {
            try await withServer { router in
                router.on(.get, "/") { _ in .text(.ok, "ok") }
            } _: { server in
                let client = makeClient()
                _ = try await client.send(.init(.get, server.url("/"))).collect()
                client.shutDown()
                let error = await failure { _ = try await client.send(.init(.get, server.url("/"))) }
                #expect(error == .shutDown)
                #expect(await eventually { server.openConnections == 0 })
            }
        }

        @Test("Unused connections are closed after the idle timeout of the client")
        func idle() async throws {
            try await withServer { router in
                router.on(.get, "/") { _ in .text(.ok, "ok") }
            } _: { server in
                let client = makeClient { $0.idleTimeout = .milliseconds(60) }
                _ = try await client.send(.init(.get, server.url("/"))).collect()
                #expect(await eventually { server.openConnections == 0 })
            }
        }
    }
}
