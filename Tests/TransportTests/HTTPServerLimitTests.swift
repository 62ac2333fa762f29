import Compression
import Essentials
import Synchronization
import Testing

@testable import Transport

extension TransportTests {
    @Suite("What an HTTP server refuses and how it stops", .timeLimit(.minutes(2)))
    struct HTTPServerLimitTests {
        @Test("Headers above the limit are answered with 431, broken requests with 400")
        func oversizedHeaders() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.maximumHeaderBytes = 4_096
            settings.maximumHeaderCount = 20
            let observer = Counting()
            try await withServer(settings, observer: observer) { router in
                router.on(.get, "/") { _ in .text(.ok, "ok") }
            } _: { server in
                let cases = [
                    ("GET / HTTP/1.1\r\nhost: x\r\nbig: \(String(repeating: "a", count: 5_000))\r\n\r\n", "431"),
                    ("GET / HTTP/1.1\r\nhost: x\r\n" + (0..<30).map { "h\($0): 1\r\n" }.joined() + "\r\n", "431"),
                    ("GET / HTTP/1.1\r\nhost x\r\n\r\n", "400"),
                    ("nonsense\r\n\r\n", "400"),
                    (
                        "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                        "400"
                    ),
                    ("GET / HTTP/1.1\r\nhost: x\r\nok: 1\r\nconnection: close\r\n\r\n", "200"),
                ]
                for (request, status) in cases {
                    let raw = try await RawClient(server.address)
                    try await raw.send(request)
                    let answer = try await raw.rest()
                    #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(request.prefix(60))")
                }
            }
            let failures = observer.failures.withLock { $0 }
            #expect(failures.filter { $0 == .headersTooLarge }.count == 2)
            #expect(failures.filter { $0 == .malformed }.count == 3)
        }

        @Test("Bodies are booked as they come and unpack; without room for more the client is told when to come again")
        func bodiesWithinTheBudget() async throws {
            let budget = MemoryBudget(limit: .mebibytes(1))
            let account = budget.account("bodies")
            let resident = budget.account("what was there before")
            resident.book(100_000)
            try await withServer { router in
                router.otherwise { request in
                    let lease = MemoryLease(account)
                    defer { lease.release() }
                    var body = request.body
                    body.lease = lease
                    let bytes = try await body.collectDecoded()
                    #expect(account.held.bytes >= bytes.count)
                    return .text(.ok, "\(bytes.count)")
                }
            } _: { server in
                var bomb: [UInt8] = []
                try Gzip().compress([UInt8](repeating: 0, count: 4 << 20), into: &bomb)
                let cases: [(body: [UInt8], fields: HTTPFields, status: HTTPStatus)] = [
                    ([UInt8](repeating: 1, count: 400_000), [:], .ok),
                    ([UInt8](repeating: 1, count: 2 << 20), [:], .serviceUnavailable),
                    (bomb, ["content-encoding": "gzip"], .serviceUnavailable),
                    ([UInt8](repeating: 1, count: 500_000), [:], .ok),
                ]
                for (body, fields, status) in cases {
                    let request = HTTPClientRequest.post(server.url("/"), body, type: "a/b", fields: fields)
                    let response = try await makeClient().send(request)
                    #expect(response.status == status)
                    #expect(response.fields["retry-after"] == (status == .ok ? nil : "1"))
                }
            }
            #expect(account.held.bytes == 0)
        }

        @Test("A client that never finishes its headers is cut off, whatever it trickles")
        func slowHeaders() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.readTimeout = .milliseconds(200)
            let observer = Counting()
            try await withServer(settings, observer: observer) { router in
                router.on(.get, "/") { _ in .text(.ok, "ok") }
            } _: { server in
                let silent = try await RawClient(server.address)
                let trickling = try await RawClient(server.address)
                try await trickling.send("GET / HTTP/1.1\r\n")
                let writer = Task {
                    while true {
                        try await trickling.send("x: y\r\n")
                        for _ in 0..<1_000 { await Task.yield() }
                    }
                }
                _ = try await silent.rest()
                let answer = try await trickling.rest()
                #expect(!answer.contains("200"))
                writer.cancel()
                _ = await writer.result
                #expect(await eventually { server.openConnections == 0 })
            }
            #expect(observer.failures.withLock { $0.contains(.headerTimeout) })
        }

        @Test("A client that stalls in its body, or does not read its response, is cut off")
        func slowBody() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.readTimeout = .milliseconds(300)
            settings.writeTimeout = .milliseconds(300)
            let observer = Counting()
            let ended = Signal()
            try await withServer(settings, observer: observer) { router in
                router.on(.post, "/") { request in .text(.ok, "\(try await request.body.collect().count)") }
                router.on(.get, "/endless") { _ in
                    .stream(.ok, type: "text/plain") { writer in
                        defer { ended.fire() }
                        while true { try await writer.write([UInt8](repeating: 0, count: 1 << 20)) }
                    }
                }
            } _: { server in
                let stalling = try await RawClient(server.address)
                try await stalling.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123")
                #expect(!(try await stalling.rest()).contains("200"))
                let idle = try await RawClient(server.address)
                try await idle.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
                await ended.wait()
                idle.connection.close()
            }
            let failures = observer.failures.withLock { $0 }
            #expect(failures.contains(.readTimeout))
            #expect(failures.contains(.writeTimeout))
        }

        @Test("Idle connections are closed after the idle timeout")
        func idleTimeout() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.idleTimeout = .milliseconds(100)
            try await withServer(settings) { router in
                router.on(.get, "/") { _ in .text(.ok, "ok") }
            } _: { server in
                let client = makeClient()
                _ = try await client.send(.init(.get, server.url("/"))).collect()
                #expect(await eventually { server.openConnections == 0 })
                #expect(await eventually { client.openConnections == 0 })
                // A request on a connection that was closed meanwhile goes to a new one.
                _ = try await client.send(.init(.get, server.url("/"))).collect()
            }
        }

        @Test("Pipelined requests are answered in order, one at a time")
        func pipelining() async throws {
            let running = Tally()
            try await withServer { router in
                router.on(.get, "/{n}") { request in
                    let now = running.add()
                    for _ in 0..<50 { await Task.yield() }
                    running.add(-1)
                    return .text(now == 1 ? .ok : .internalServerError, "<\(request.parameters["n"] ?? "")>")
                }
                router.on(.post, "/{n}") { request in .text(.ok, "<\(try await request.body.collect().count)>") }
            } _: { server in
                let raw = try await RawClient(server.address)
                var text = ""
                for index in 0..<20 { text += "GET /\(index) HTTP/1.1\r\nhost: x\r\n\r\n" }
                text +=
                    "POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                text += "GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
                try await raw.send(text)
                let answer = try await raw.rest()
                let bodies = answer.split(separator: "<").dropFirst().map { $0.prefix { $0 != ">" } }
                #expect(bodies == (0..<20).map { "\($0)" } + ["5", "last"])
                #expect(!answer.contains("500"))
            }
        }

        @Test("A client of HTTP/1.0 gets a body without chunks that ends with the connection")
        func http10() async throws {
            try await withServer { router in
                router.on(.get, "/stream") { _ in .stream(.ok, type: "a/b") { try await $0.write("streamed") } }
                router.on(.get, "/") { _ in .text(.ok, "whole") }
            } _: { server in
                for (path, body) in [("/stream", "streamed"), ("/", "whole")] {
                    let raw = try await RawClient(server.address)
                    try await raw.send("GET \(path) HTTP/1.0\r\n\r\n")
                    let answer = try await raw.rest()
                    #expect(answer.hasPrefix("HTTP/1.0 200 OK"))
                    #expect(!answer.lowercased().contains("chunked"))
                    #expect(answer.hasSuffix("\r\n\r\n\(body)"))
                }
            }
        }

        @Test("At the connection limit further clients wait until one leaves")
        func connectionLimit() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.maximumConnections = 2
            try await withServer(settings) { router in
                router.on(.get, "/") { _ in .text(.ok, "ok") }
            } _: { server in
                let first = try await RawClient(server.address)
                let second = try await RawClient(server.address)
                #expect(await eventually { server.openConnections == 2 })
                let third = try await RawClient(server.address)
                try await third.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                for _ in 0..<20_000 { await Task.yield() }
                #expect(server.openConnections == 2)
                first.connection.close()
                #expect(try await third.rest().contains("200 OK"))
                second.connection.close()
            }
        }

        @Test("Stopping lets the request under way finish, refuses new ones and closes idle connections")
        func gracefulShutdown() async throws {
            let entered = Signal()
            let proceed = Signal()
            var router = HTTPRouter()
            router.on(.get, "/slow") { _ in
                entered.fire()
                await proceed.wait()
                return .text(.ok, "done")
            }
            let server = try await HTTPServer.bind(HTTPServerSettings(address: loopback), router: router, on: loops)
            let running = Task { await server.run() }
            let idle = try await RawClient(server.address)
            let client = makeClient()
            async let answer = client.send(.init(.get, server.url("/slow"))).collect()
            await entered.wait()
            running.cancel()
            _ = try await idle.rest()
            #expect(await eventually { server.openConnections == 1 })
            let late = await failure { _ = try await makeClient().send(.init(.get, server.url("/slow"))) }
            #expect(late == .connect(address: server.address.text, reason: "connection refused"))
            #expect(late?.description == "dial tcp \(server.address): connect: connection refused")
            proceed.fire()
            #expect(try await answer == Array("done".utf8))
            await running.value
            #expect(server.openConnections == 0)
        }

        @Test("A request that outlasts the shutdown deadline is cancelled")
        func shutdownDeadline() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.shutdownTimeout = .milliseconds(50)
            let entered = Signal()
            var router = HTTPRouter()
            router.on(.get, "/stuck") { _ in
                .stream(.ok, type: "text/event-stream") { writer in
                    try await writer.write("data: 1\n\n")
                    entered.fire()
                    await writer.waitForDisconnection()
                }
            }
            let server = try await HTTPServer.bind(settings, router: router, on: loops)
            let running = Task { await server.run() }
            let client = makeClient()
            let response = try await client.send(.init(.get, server.url("/stuck")))
            #expect(try await response.body.next() == Array("data: 1\n\n".utf8))
            await entered.wait()
            running.cancel()
            await running.value
            let error = await failure { _ = try await response.body.next() }
            #expect(error == .connectionClosed(.body))
        }

        @Test("A route that does not notice that its client is gone is cancelled at the deadline")
        func stuckWithoutClient() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.shutdownTimeout = .milliseconds(50)
            let entered = Signal()
            var router = HTTPRouter()
            router.on(.get, "/stuck") { _ in
                .stream(.ok, type: "text/event-stream") { writer in
                    try await writer.write("data: 1\n\n")
                    entered.fire()
                    let (nothing, _) = AsyncStream<Int>.makeStream()
                    for await _ in nothing {}
                }
            }
            let server = try await HTTPServer.bind(settings, router: router, on: loops)
            let running = Task { await server.run() }
            let response = try await makeClient().send(.init(.get, server.url("/stuck")))
            await entered.wait()
            response.body.cancel()
            #expect(await eventually { server.openConnections == 0 })
            running.cancel()
            await running.value
        }

        @Test("An event stream notices that its client has gone")
        func disconnection() async throws {
            let ended = Signal()
            try await withServer { router in
                router.on(.get, "/events") { _ in
                    .stream(.ok, type: "text/event-stream") { writer in
                        try await writer.write("data: 1\n\n")
                        await writer.waitForDisconnection()
                        ended.fire()
                    }
                }
            } _: { server in
                let raw = try await RawClient(server.address)
                try await raw.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
                #expect(try await raw.read(until: "data: 1").contains("text/event-stream"))
                raw.connection.close()
                await ended.wait()
            }
        }

        @Test("The rest of a refused body is thrown away and the connection goes on, unless it is large")
        func unreadBody() async throws {
            try await withServer { router in
                router.on(.post, "/") { _ in .text(.tooManyRequests, "later") }
            } _: { server in
                let client = makeClient()
                for _ in 0..<5 {
                    let response = try await client.send(
                        .post(server.url("/"), [UInt8](repeating: 0, count: 100_000), type: "a/b"))
                    #expect(response.status == .tooManyRequests)
                    _ = try await response.collect()
                }
            }
        }

        @Test("Basic authentication guards the paths of its filter")
        func authentication() async throws {
            var settings = HTTPServerSettings(address: loopback)
            settings.authentication = HTTPServerAuthentication(
                username: "u", password: Secret("p"), paths: ["/metrics"], authenticatesMatchingPaths: false)
            try await withServer(settings) { router in
                router.on(.get, "/metrics") { _ in .text(.ok, "m") }
                router.on(.get, "/api") { _ in .text(.ok, "a") }
            } _: { server in
                let bare = makeClient()
                #expect(try await bare.send(.init(.get, server.url("/metrics"))).status == .ok)
                let refused = try await bare.send(.init(.get, server.url("/api")))
                #expect(refused.status == .unauthorized)
                #expect(refused.fields["www-authenticate"]?.hasPrefix("Basic") == true)
                for (password, status) in [("p", HTTPStatus.ok), ("q", .unauthorized), ("", .unauthorized)] {
                    let client = makeClient {
                        $0.authorisation = .basic(username: "u", password: .inline(Secret(password)))
                    }
                    #expect(try await client.send(.init(.get, server.url("/api"))).status == status)
                }
                server.replaceAuthentication(nil)
                #expect(try await bare.send(.init(.get, server.url("/api"))).status == .ok)
            }
        }

        @Test("The router prefers literals, decodes parameters and names the allowed methods")
        func routing() async throws {
            try await withServer { router in
                for pattern in ["/a/{x}", "/a/b", "/files/{path...}", "/a/{x}/c"] {
                    router.on(.get, pattern) { request in
                        .text(
                            .ok,
                            pattern + " "
                                + request.parameters.sorted { $0.key < $1.key }.map(\.value).joined(separator: "|"))
                    }
                }
                router.onPrefix(nil, "/ui") { request in .text(.ok, "ui " + (request.parameters["rest"] ?? "")) }
                router.on(.get, "/throws") { _ in throw CocoaFailure() }
            } _: { server in
                let client = makeClient()
                let cases = [
                    ("/a/b", "/a/b "), ("/a/z", "/a/{x} z"), ("/a/%2F", "/a/{x} /"),
                    ("/files/x/y", "/files/{path...} x/y"),
                    ("/files", "/files/{path...} "), ("/a/1/c", "/a/{x}/c 1"), ("/ui", "ui "),
                    ("/ui/a/b?x=1", "ui a/b"),
                ]
                for (path, expected) in cases {
                    let body = try await client.send(.init(.get, server.url(path))).collect()
                    #expect(String(decoding: body, as: UTF8.self) == expected, "\(path)")
                }
                #expect(try await client.send(.init(.get, server.url("/nowhere"))).status == .notFound)
                let wrong = try await client.send(.init(.delete, server.url("/a/b")))
                #expect(wrong.status == .methodNotAllowed)
                #expect(wrong.fields["allow"] == "GET")
                #expect(try await client.send(.init(.get, server.url("/throws"))).status == .internalServerError)
            }
        }

        @Test("An address in use is named in the error")
        func addressInUse() async throws {
            try await withServer { _ in
            } _: { server in
                do {
                    _ = try await HTTPServer.bind(
                        HTTPServerSettings(address: server.address), router: HTTPRouter(), on: loops)
                    Issue.record("bound twice")
                } catch let error as TransportError {
                    #expect(error == .bind(address: server.address.text, reason: "address already in use"))
                }
            }
        }
    }
}

struct CocoaFailure: Error {}
