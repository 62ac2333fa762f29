import Essentials
import Synchronization
import Testing

@testable import Transport

extension TransportTests {
    @Suite("TLS and HTTP/2", .timeLimit(.minutes(2)))
    struct TLSTests {
        static let routes: @Sendable (inout HTTPRouter) -> Void = { router in
            router.on(.get, "/") { request in .text(.ok, "\(request.majorVersion) \(request.isSecure)") }
            router.on(.post, "/") { request in .text(.ok, "\(try await request.body.collect().count)") }
            router.on(.get, "/big") { _ in
                .stream(.ok, type: "a/b") { writer in
                    for _ in 0..<200 { try await writer.write([UInt8](repeating: 1, count: 50_000)) }
                    writer.setTrailers(["grpc-status": "0"])
                }
            }
        }

        func client(_ certificates: Certificates, _ change: (inout HTTPClientSettings) -> Void = { _ in }) -> HTTPClient
        {
            makeClient {
                $0.tls.caFile = certificates.ca
                change(&$0)
            }
        }

        func text(_ client: HTTPClient, _ url: HTTPURL) async throws -> String {
            String(decoding: try await client.send(.init(.get, url)).collect(), as: UTF8.self)
        }

        @Test("HTTP/2 is used when both sides want it, over TLS or by prior knowledge", arguments: [true, false])
        func negotiation(isHTTP2: Bool) async throws {
            let certificates = try await Certificates()
            try await withServer(certificates.listening(), routes: Self.routes) { server in
                let client = client(certificates) { $0.isHTTP2Enabled = isHTTP2 }
                let expected = isHTTP2 ? "2 true" : "1 true"
                for host in ["127.0.0.1", "localhost"] {
                    let answer1 = try await text(client, server.url("/", scheme: "https", host: host))
                    #expect(answer1 == expected)
                }
                let curl = try await run(
                    "curl",
                    [
                        "-s", isHTTP2 ? "--http2" : "--http1.1", "--cacert", certificates.ca,
                        server.url("/", scheme: "https").text,
                    ])
                #expect(curl == expected)
            }
            try await withServer(routes: Self.routes) { server in
                let client = makeClient { $0.usesHTTP2PriorKnowledge = isHTTP2 }
                let answer2 = try await text(client, server.url("/"))
                #expect(answer2 == (isHTTP2 ? "2 false" : "1 false"))
                let curl = try await run(
                    "curl", ["-s", isHTTP2 ? "--http2-prior-knowledge" : "--http1.1", server.url("/").text])
                #expect(curl == (isHTTP2 ? "2 false" : "1 false"))
            }
        }

        @Test("Many HTTP/2 requests at once share one connection, within the server's limit of streams")
        func multiplexing() async throws {
            let certificates = try await Certificates()
            var settings = certificates.listening()
            settings.maximumConcurrentStreams = 500
            let observer = Counting()
            try await withServer(settings, observer: observer, routes: Self.routes) { server in
                let client = client(certificates)
                let url = server.url("/", scheme: "https")
                _ = try await text(client, url)
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<400 {
                        group.addTask {
                            let request = HTTPClientRequest.post(url, [UInt8](repeating: 1, count: 10_000), type: "a/b")
                            return String(decoding: try await client.send(request).collect(), as: UTF8.self) == "10000"
                                ? 1 : 0
                        }
                    }
                    var good = 0
                    for try await one in group { good += one }
                    #expect(good == 400)
                }
                #expect(observer.opened.count == 1)
            }
        }

        @Test("Large bodies and trailers cross HTTP/2 under flow control")
        func largeBodies() async throws {
            let certificates = try await Certificates()
            try await withServer(certificates.listening(), routes: Self.routes) { server in
                let client = client(certificates)
                let response = try await client.send(.init(.get, server.url("/big", scheme: "https")))
                #expect(response.majorVersion == 2)
                var total = 0
                while let chunk = try await response.body.next() { total += chunk.count }
                #expect(total == 10_000_000)
                #expect(response.body.trailers?["grpc-status"] == "0")
                let upload = HTTPClientRequest.post(
                    server.url("/", scheme: "https"), [UInt8](repeating: 1, count: 5_000_000), type: "a/b")
                let answer = try await client.send(upload).collect()
                #expect(answer == Array("5000000".utf8))
                let folder = TemporaryFolder()
                try folder.write("b", String(repeating: "x", count: 3_000_000))
                let curl = try await run(
                    "curl",
                    [
                        "-s", "--http2", "--cacert", certificates.ca, "--data-binary", "@\(folder.path)/b",
                        server.url("/", scheme: "https").text,
                    ])
                #expect(curl == "3000000")
            }
        }

        @Test("A cancelled HTTP/2 request ends its stream and not the connection")
        func cancelledStream() async throws {
            let certificates = try await Certificates()
            let entered = Signal()
            let left = Signal()
            try await withServer(certificates.listening()) { router in
                Self.routes(&router)
                router.on(.get, "/hang") { _ in
                    .stream(.ok, type: "a/b") { writer in
                        entered.fire()
                        await writer.waitForDisconnection()
                        left.fire()
                    }
                }
            } _: { server in
                let client = client(certificates)
                let url = server.url("/hang", scheme: "https")
                let task = Task { await failure { _ = try await client.send(.init(.get, url)).collect() } }
                await entered.wait()
                task.cancel()
                #expect(await task.value == .cancelled)
                await left.wait()
                let answer3 = try await text(client, server.url("/", scheme: "https"))
                #expect(answer3 == "2 true")
                #expect(client.openConnections == 1)
            }
        }

        @Test("An HTTP/2 server that stops lets streams finish")
        func gracefulShutdown() async throws {
            let certificates = try await Certificates()
            let entered = Signal()
            let proceed = Signal()
            var router = HTTPRouter()
            router.on(.get, "/slow") { _ in
                entered.fire()
                await proceed.wait()
                return .text(.ok, "done")
            }
            let server = try await HTTPServer.bind(certificates.listening(), router: router, on: loops)
            let running = Task { await server.run() }
            let client = client(certificates)
            async let answer = client.send(.init(.get, server.url("/slow", scheme: "https"))).collect()
            await entered.wait()
            running.cancel()
            proceed.fire()
            let answer4 = try await answer
            #expect(answer4 == Array("done".utf8))
            await running.value
            #expect(server.openConnections == 0)
        }

        @Test("An idle HTTP/2 connection is closed, used or not, and so is one that never finishes its handshake")
        func idleConnections() async throws {
            let certificates = try await Certificates()
            var settings = certificates.listening()
            settings.idleTimeout = .milliseconds(100)
            settings.readTimeout = .milliseconds(500)
            try await withServer(settings, routes: Self.routes) { server in
                let client = client(certificates)
                let used = try await text(client, server.url("/", scheme: "https"))
                #expect(used == "2 true")
                #expect(await eventually { server.openConnections == 0 })
                let silent = try await RawClient(server.address)
                _ = try await silent.rest()
                #expect(await eventually { server.openConnections == 0 })
            }
            settings.tls = nil
            try await withServer(settings, routes: Self.routes) { server in
                let preface = try await RawClient(server.address)
                try await preface.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0")
                _ = try await preface.rest()
                #expect(await eventually { server.openConnections == 0 })
            }
        }

        @Test("HTTP/2 headers above the limit do not reach a route")
        func oversizedHeaders() async throws {
            let certificates = try await Certificates()
            var settings = certificates.listening()
            settings.maximumHeaderBytes = 8_192
            let reached = Tally()
            try await withServer(settings) { router in
                router.on(.get, "/") { _ in
                    reached.add()
                    return .text(.ok, "ok")
                }
            } _: { server in
                let client = client(certificates)
                var request = HTTPClientRequest(.get, server.url("/", scheme: "https"))
                request.fields["big"] = String(repeating: "x", count: 20_000)
                let big = request
                let error = await failure { _ = try await client.send(big).collect() }
                #expect(error != nil)
                #expect(reached.count == 0)
                let small = try await text(client, server.url("/", scheme: "https"))
                #expect(small == "ok")
            }
        }

        @Test("An unknown authority or a wrong name is refused, unless verification is off or the name is set")
        func verification() async throws {
            let certificates = try await Certificates()
            try await certificates.issue("server", names: "DNS:other.example")
            try await withServer(certificates.listening(), routes: Self.routes) { server in
                let url = server.url("/", scheme: "https", host: "localhost")
                let unknown = await failure { _ = try await makeClient().send(.init(.get, url)) }
                #expect(unknown == .tls("failed to verify certificate: unknown or expired issuer"))
                let wrong = await failure { _ = try await client(certificates).send(.init(.get, url)) }
                #expect(wrong?.phase == .tls)
                let answer5 = try await text(client(certificates) { $0.tls.serverName = "other.example" }, url)
                #expect(answer5 == "2 true")
                let answer6 = try await text(makeClient { $0.tls.skipsVerification = true }, url)
                #expect(answer6 == "2 true")
                let plain = await failure { _ = try await makeClient().send(.init(.get, server.url("/"))) }
                #expect(plain != nil)
            }
            try await withServer(routes: Self.routes) { server in
                let error = await failure {
                    _ = try await makeClient().send(.init(.get, server.url("/", scheme: "https")))
                }
                #expect(error?.phase == .tls)
            }
        }

        @Test("Versions that do not meet end the handshake")
        func versions() async throws {
            let certificates = try await Certificates()
            try await withServer(certificates.listening { $0.maximumVersion = .tls12 }, routes: Self.routes) { server in
                let url = server.url("/", scheme: "https")
                let error = await failure {
                    _ = try await client(certificates) { $0.tls.minimumVersion = .tls13 }.send(.init(.get, url))
                }
                #expect(error?.phase == .tls)
                let answer7 = try await text(client(certificates), url)
                #expect(answer7 == "2 true")
            }
        }

        @Test(
            "Client certificates are asked for and verified as the mode says",
            arguments: TLSClientAuthentication.allCases)
        func clientCertificates(mode: TLSClientAuthentication) async throws {
            let certificates = try await Certificates()
            let foreign = try await Certificates()
            try await withServer(
                certificates.listening {
                    $0.clientAuthentication = mode
                    if mode == .verifyIfGiven || mode == .requireAndVerify { $0.clientCAFile = certificates.ca }
                }, routes: Self.routes
            ) { server in
                let url = server.url("/", scheme: "https")
                func isAccepted(_ owner: Certificates?) async -> Bool {
                    let client = client(certificates) {
                        $0.tls.certificateFile = owner?.certificate("client")
                        $0.tls.keyFile = owner?.key("client")
                    }
                    return await failure { _ = try await client.send(.init(.get, url)).collect() } == nil
                }
                let none = await isAccepted(nil)
                let good = await isAccepted(certificates)
                let bad = await isAccepted(foreign)
                switch mode {
                case .none, .request: #expect((none, good, bad) == (true, true, true))
                case .requireAny: #expect((none, good, bad) == (false, true, true))
                case .verifyIfGiven: #expect((none, good, bad) == (true, true, false))
                case .requireAndVerify: #expect((none, good, bad) == (false, true, false))
                }
            }
        }

        @Test("Rotated certificate files are used from the next connection on, by servers and clients")
        func rotation() async throws {
            let certificates = try await Certificates()
            let next = try await Certificates()
            let observer = Counting()
            try await withServer(certificates.listening(), observer: observer, routes: Self.routes) { server in
                let url = server.url("/", scheme: "https")
                let kept = client(certificates)
                let answer8 = try await text(kept, url)
                #expect(answer8 == "2 true")
                // A key that does not fit its certificate yet: the old pair stays in use.
                try Files.replace(certificates.key("server"), with: Files.read(next.key("server")))
                let answer9 = try await text(client(certificates), url)
                #expect(answer9 == "2 true")
                #expect(observer.failures.withLock { $0.contains(.certificateReload) })
                try Files.replace(certificates.certificate("server"), with: Files.read(next.certificate("server")))
                let refused = await failure { _ = try await client(certificates).send(.init(.get, url)) }
                #expect(refused?.phase == .tls)
                let answer10 = try await text(client(next), url)
                #expect(answer10 == "2 true")
                // The client's own file of authorities changes under it: the old connection is given up.
                try Files.replace(certificates.ca, with: Files.read(next.ca))
                let answer11 = try await text(kept, url)
                #expect(answer11 == "2 true")
                #expect(await eventually { kept.openConnections == 1 })
            }
        }

        @Test("Broken certificates are named by argument or file")
        func brokenSettings() async throws {
            let certificates = try await Certificates()
            var settings = certificates.listening { $0.certificateFile = "/nowhere/x.crt" }
            func problem() async -> String {
                do {
                    _ = try await HTTPServer.bind(settings, router: HTTPRouter(), on: loops)
                    return "none"
                } catch { return "\(error)" }
            }
            #expect(await problem() == "tls: open /nowhere/x.crt: no such file or directory")
            settings = certificates.listening { $0.certificateFile = certificates.key("server") }
            #expect(await problem() == "tls: cert_file \(certificates.key("server")): no usable certificate found")
            settings = certificates.listening { $0.cipherSuites = ["TLS_NULL"] }
            #expect(await problem() == "tls: cipher_suites: cipher suite \"TLS_NULL\" is not supported")
        }

        @Test("TLS works for plain streams too, both ways")
        func streams() async throws {
            let certificates = try await Certificates()
            let listener = try await TCPListener.bind(loopback, on: loops, tls: certificates.server)
            let running = Task {
                await listener.forEachConnection { connection in
                    var lines = connection.lines(upTo: .kibibytes(1))
                    while let line = try? await lines.next() { try? await connection.write(Array("<".utf8) + line) }
                }
            }
            var tls = TLSClientSettings()
            tls.caFile = certificates.ca
            let connection = try await TCPConnection.connect(to: listener.address, tls: tls, on: loops)
            try await connection.write(Array("hello\n".utf8))
            let answer12 = try await connection.next()
            #expect(answer12 == Array("<hello".utf8))
            connection.close()
            running.cancel()
            await running.value
        }
    }
}
