import Compression
import Essentials
import Foundation
import Testing

@testable import Transport

extension TransportTests {
    @Suite("HTTP/1.1 between the client and the server", .timeLimit(.minutes(2)))
    struct HTTPRoundTripTests {
        @Test("A request carries method, path, query, fields and body, and a response comes back")
        func roundTrip() async throws {
            try await withServer { router in
                router.on(.post, "/echo/{name}") { request in
                    let body = try await request.body.collect()
                    let text =
                        "\(request.method) \(request.path) \(request.parameters["name"] ?? "") "
                        + "\(request.query["q"] ?? "") \(request.fields["X-One"] ?? "") \(String(decoding: body, as: UTF8.self))"
                    return .text(.ok, text)
                }
            } _: { server in
                let client = makeClient()
                var request = HTTPClientRequest(.post, server.url("/echo/a%20b?q=c%2Bd+e"), fields: ["x-one": "1"])
                request.body = Array("body".utf8)
                let response = try await client.send(request)
                #expect(response.status == .ok)
                #expect(response.fields["date"] != nil)
                #expect(
                    String(decoding: try await response.collect(), as: UTF8.self) == "POST /echo/a b a b c+d e 1 body")
            }
        }

        @Test("Sequential requests share one connection")
        func keepAlive() async throws {
            let observer = Counting()
            try await withServer(observer: observer) { router in
                router.on(.get, "/") { _ in .text(.ok, "ok") }
            } _: { server in
                let client = makeClient()
                for _ in 0..<50 {
                    let body = try await client.send(.init(.get, server.url("/"))).collect()
                    #expect(body.count == 2)
                }
                #expect(observer.opened.count == 1)
                #expect(client.openConnections == 1)
                client.shutDown()
                #expect(await eventually { server.openConnections == 0 })
            }
            #expect(observer.closed.count == 1)
            #expect(observer.requests.count == 50)
        }

        @Test("A thousand requests at once are all answered")
        func parallel() async throws {
            try await withServer { router in
                router.on(.get, "/n/{n}") { request in
                    .text(.ok, String(repeating: request.parameters["n"] ?? "", count: 100))
                }
            } _: { server in
                let client = makeClient()
                let good = Tally()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<1_000 {
                        group.addTask {
                            let bytes = try await client.send(.init(.get, server.url("/n/\(index)"))).collect()
                            if bytes == Array(String(repeating: "\(index)", count: 100).utf8) { good.add() }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(good.count == 1_000)
            }
        }

        @Test("A streamed response arrives in chunks, with back-pressure on a reader that waits")
        func streaming() async throws {
            let written = Tally()
            let chunk = [UInt8](repeating: 7, count: 64 * 1024)
            let count = 1_600
            try await withServer { router in
                router.on(.get, "/big") { _ in
                    .stream(.ok, type: "application/octet-stream") { writer in
                        for _ in 0..<count {
                            try await writer.write(chunk)
                            written.add(chunk.count)
                        }
                    }
                }
            } _: { server in
                let client = makeClient()
                let response = try await client.send(.init(.get, server.url("/big")))
                #expect(response.fields["transfer-encoding"] == "chunked")
                var received = try await response.body.next()?.count ?? 0
                // The writer stops when socket buffers and one pipe are full, far below the hundred megabytes of the body.
                var last = -1
                while last != written.count {
                    last = written.count
                    for _ in 0..<20_000 { await Task.yield() }
                }
                #expect(written.count < 32 << 20)
                var largest = 0
                while let bytes = try await response.body.next() {
                    received += bytes.count
                    largest = max(largest, bytes.count)
                }
                #expect(received == count * chunk.count)
                #expect(largest <= 1 << 20)
                #expect(client.openConnections == 1)
            }
        }

        @Test("An upload is read no faster than the route takes it")
        func upload() async throws {
            let size = 48 << 20
            try await withServer { router in
                router.on(.put, "/up") { request in
                    var total = 0
                    for try await bytes in request.body { total += bytes.count }
                    return .text(.ok, "\(total)")
                }
            } _: { server in
                var request = HTTPClientRequest(.put, server.url("/up"))
                request.body = [UInt8](repeating: 1, count: size)
                let response = try await makeClient().send(request)
                #expect(String(decoding: try await response.collect(), as: UTF8.self) == "\(size)")
            }
        }

        @Test("A body above the limit of the route is answered with 413", arguments: [true, false])
        func bodyLimit(chunked: Bool) async throws {
            try await withServer { router in
                router.on(.post, "/") { request in
                    _ = try await request.body.collect(upTo: 1_000)
                    return .text(.ok, "ok")
                }
            } _: { server in
                let file = TemporaryFolder()
                try file.write("body", String(repeating: "x", count: 200_000))
                var arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@\(file.path)/body"]
                if chunked { arguments += ["-H", "Transfer-Encoding: chunked"] }
                #expect(try await run("curl", arguments + [server.url("/").text]) == "413")
                #expect(try await run("curl", ["-s", "-d", "few", server.url("/").text]) == "ok")
            }
        }

        @Test("A client that waits for 100-continue is told to go on, and is not when the body is refused")
        func expectContinue() async throws {
            try await withServer { router in
                router.on(.post, "/take") { request in .text(.ok, "\(try await request.body.collect().count)") }
                router.on(.post, "/refuse") { _ in .text(.forbidden, "no") }
            } _: { server in
                let folder = TemporaryFolder()
                try folder.write("body", String(repeating: "x", count: 2_000_000))
                let arguments = [
                    "-sv", "--expect100-timeout", "30", "-H", "Expect: 100-continue", "--data-binary",
                    "@\(folder.path)/body", "--stderr", "-",
                ]
                let taken = try await run("curl", arguments + [server.url("/take").text])
                #expect(taken.contains("100 Continue"))
                #expect(taken.contains("2000000"))
                let refused = try await run("curl", arguments + [server.url("/refuse").text])
                #expect(refused.contains("403 Forbidden"))
                #expect(!refused.contains("100 Continue"))
            }
        }

        @Test("Compressed responses are undone, and a bomb ends at the limit", arguments: ["gzip", "zstd", "deflate"])
        func decompression(encoding: String) async throws {
            let plain = [UInt8](repeating: 65, count: 20 << 20)
            var packed: [UInt8] = []
            switch encoding {
            case "gzip": try Gzip().compress(plain, into: &packed)
            case "zstd": try Zstandard().compress(plain, into: &packed)
            default: try Deflate().compress(plain, into: &packed)
            }
            #expect(packed.count < 1 << 17)
            let body = packed
            try await withServer { router in
                router.on(.get, "/") { _ in .init(.ok, fields: ["content-encoding": encoding], body: .bytes(body)) }
                router.on(.get, "/cut") { _ in
                    .init(.ok, fields: ["content-encoding": encoding], body: .bytes(Array(body.prefix(body.count / 2))))
                }
            } _: { server in
                let client = makeClient()
                var request = HTTPClientRequest(.get, server.url("/"))
                #expect(try await client.send(request).collect() == plain)
                let response = try await client.send(request)
                var largest = 0
                while let chunk = try await response.body.next() { largest = max(largest, chunk.count) }
                #expect(largest <= 64 * 1024)
                request.maximumBodyBytes = .mebibytes(1)
                let limited = request
                let bomb = await failure { _ = try await client.send(limited).collect() }
                #expect(bomb == .bodyTooLarge(limit: 1 << 20))
                let cut = await failure { _ = try await client.send(.init(.get, server.url("/cut"))).collect() }
                #expect(cut == .decoding("unexpected end of compressed data"))
            }
        }

        @Test("A compressed upload is undone with a limit on what comes out")
        func compressedUpload() async throws {
            try await withServer { router in
                router.on(.post, "/") { request in
                    .text(.ok, "\(try await request.body.collectDecoded(upTo: 1 << 20).count)")
                }
            } _: { server in
                let client = makeClient()
                for (size, status) in [(1 << 20, HTTPStatus.ok), (1 << 24, .contentTooLarge)] {
                    var packed: [UInt8] = []
                    try Gzip().compress([UInt8](repeating: 9, count: size), into: &packed)
                    var request = HTTPClientRequest.post(server.url("/"), packed, type: "text/plain")
                    request.fields["content-encoding"] = "gzip"
                    #expect(try await client.send(request).status == status)
                }
                var request = HTTPClientRequest.post(server.url("/"), [1, 2, 3], type: "text/plain")
                request.fields["content-encoding"] = "br"
                #expect(try await client.send(request).status == .unsupportedMediaType)
                request.fields["content-encoding"] = "gzip"
                #expect(try await client.send(request).status == .badRequest)
            }
        }

        @Test("Redirects change the method as Go does and stop after ten")
        func redirects() async throws {
            try await withServer { router in
                for status in [301, 302, 303, 307, 308] {
                    router.on(nil, "/\(status)") { _ in .redirect(HTTPStatus(status), to: "/end?from=\(status)") }
                }
                router.on(nil, "/loop") { _ in .redirect(302, to: "loop") }
                router.on(nil, "/end") { request in
                    .text(.ok, "\(request.method) \(request.rawQuery) \(try await request.body.collect().count)")
                }
            } _: { server in
                let client = makeClient()
                for (status, expected) in [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")] {
                    let response = try await client.send(.post(server.url("/\(status)"), [1, 2], type: "text/plain"))
                    let text = String(decoding: try await response.collect(), as: UTF8.self)
                    #expect(text == "\(expected) from=\(status) \(expected == "GET" ? 0 : 2)")
                }
                let loop = await failure { _ = try await client.send(.init(.get, server.url("/loop"))) }
                #expect(loop == .tooManyRedirects(10))
                let still = makeClient { $0.followsRedirects = false }
                #expect(try await still.send(.init(.get, server.url("/302"))).status == 302)
            }
        }

        @Test("Credentials do not follow a redirect to another host")
        func redirectCredentials() async throws {
            try await withServer { router in
                router.on(.get, "/show") { request in .text(.ok, request.fields["authorization"] ?? "none") }
            } _: { other in
                try await withServer { router in
                    router.on(.get, "/away") { _ in
                        .redirect(302, to: "http://localhost:\(other.address.port ?? 0)/show")
                    }
                    router.on(.get, "/here") { _ in .redirect(302, to: "/show") }
                    router.on(.get, "/show") { request in .text(.ok, request.fields["authorization"] ?? "none") }
                } _: { server in
                    let client = makeClient { $0.authorisation = .bearer(.inline(Secret("t0ken"))) }
                    let here = try await client.send(.init(.get, server.url("/here"))).collect()
                    #expect(String(decoding: here, as: UTF8.self) == "Bearer t0ken")
                    let away = try await client.send(.init(.get, server.url("/away"))).collect()
                    #expect(String(decoding: away, as: UTF8.self) == "none")
                }
            }
        }

        @Test("HEAD gets the length without the body, and the connection goes on")
        func head() async throws {
            try await withServer { router in
                router.on(.get, "/") { _ in .text(.ok, "12345") }
            } _: { server in
                let client = makeClient()
                for _ in 0..<3 {
                    let response = try await client.send(.init(.head, server.url("/")))
                    #expect(response.fields["content-length"] == "5")
                    #expect(try await response.collect().isEmpty)
                }
                #expect(client.openConnections == 1)
            }
        }

        @Test("A unix socket serves and is reached")
        func unixSocket() async throws {
            let folder = TemporaryFolder()
            let path = "\(folder.path)/s"
            try await withServer(HTTPServerSettings(address: .unix(path: path))) { router in
                router.on(.get, "/v1") { _ in .text(.ok, "unix") }
            } _: { server in
                var request = HTTPClientRequest(.get, HTTPURL("http://docker/v1")!)
                request.unixSocketPath = path
                let body = try await makeClient().send(request).collect()
                #expect(body == Array("unix".utf8))
                let curl = try await run("curl", ["-s", "--unix-socket", path, "http://x/v1"])
                #expect(curl == "unix")
            }
        }
    }
}
