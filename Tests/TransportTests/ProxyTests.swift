import Essentials
import Synchronization
import Testing

@testable import Transport

/// A proxy that tunnels, forwards nothing else, and remembers what it was asked.
final class TestProxy: Sendable {
    let listener: TCPListener
    let heads = Mutex<[String]>([])
    private let running: Task<Void, Never>

    init(_ serve: @escaping @Sendable (TestProxy.Log, TCPConnection) async throws -> Void) async throws {
        let listener = try await TCPListener.bind(loopback, on: loops)
        self.listener = listener
        let log = Log()
        self.log = log
        running = Task { await listener.forEachConnection { try? await serve(log, $0) } }
    }

    final class Log: Sendable {
        let heads = Mutex<[String]>([])
        func note(_ head: String) { heads.withLock { $0.append(head) } }
    }
    let log: Log

    func stop() async {
        running.cancel()
        await running.value
    }

    var port: Int { listener.address.port ?? 0 }

    static func pump(_ one: TCPConnection, _ other: TCPConnection) async {
        await withTaskGroup(of: Void.self) { group in
            for (from, to) in [(one, other), (other, one)] {
                group.addTask {
                    while let bytes = try? await from.next() {
                        guard (try? await to.write(bytes)) != nil else { break }
                    }
                    to.close()
                }
            }
        }
    }

    /// A proxy for CONNECT.
    static func connecting() async throws -> TestProxy {
        try await TestProxy { log, connection in
            let head = try await readHead(connection)
            log.note(head)
            guard head.hasPrefix("CONNECT "), let target = SocketAddress(String(head.split(separator: " ")[1])) else {
                try await connection.write(Array("HTTP/1.1 403 Forbidden\r\n\r\n".utf8))
                return
            }
            let upstream = try await TCPConnection.connect(to: target, on: loops)
            try await connection.write(Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8))
            await pump(connection, upstream)
        }
    }

    /// A SOCKS5 proxy that wants `u` and `p`.
    static func socks() async throws -> TestProxy {
        try await TestProxy { log, connection in
            _ = try await connection.next()
            try await connection.write([5, 2])
            let login = try await connection.next() ?? []
            guard login == [1, 1, 117, 1, 112] else { return try await connection.write([1, 1]) }
            try await connection.write([1, 0])
            let request = try await connection.next() ?? []
            log.note("\(request.prefix(4))")
            let port = Int(request[request.count - 2]) << 8 | Int(request[request.count - 1])
            let upstream = try await TCPConnection.connect(to: .host("127.0.0.1", port: port), on: loops)
            // In pieces, as networks deliver.
            for byte in [5, 0, 0, 1, 127, 0, 0, 1, 0, 80] as [UInt8] { try await connection.write([byte]) }
            await pump(connection, upstream)
        }
    }
}

extension TransportTests {
    @Suite("Proxies", .timeLimit(.minutes(2)))
    struct ProxyTests {
        @Test("HTTPS goes through CONNECT with credentials and extra fields that no error shows")
        func connect() async throws {
            let certificates = try await Certificates()
            let proxy = try await TestProxy.connecting()
            try await withServer(certificates.listening(), routes: TransportTests.TLSTests.routes) { server in
                let client = makeClient {
                    $0.tls.caFile = certificates.ca
                    $0.proxy.url = Secret("http://us%40er:pass@127.0.0.1:\(proxy.port)")
                    $0.proxy.connectFields = [HTTPSecretField("X-Extra", [.inline(Secret("1")), .inline(Secret("2"))])]
                }
                for _ in 0..<2 {
                    let body = try await client.send(.init(.get, server.url("/", scheme: "https", host: "localhost")))
                        .collect()
                    #expect(body == Array("2 true".utf8))
                }
                let heads = proxy.log.heads.withLock { $0 }
                #expect(heads.count == 1)
                #expect(heads[0].contains("CONNECT localhost:\(server.address.port ?? 0) HTTP/1.1"))
                #expect(heads[0].contains("Proxy-Authorization: Basic dXNAZXI6cGFzcw=="))
                #expect(heads[0].contains("X-Extra: 1\r\nX-Extra: 2"))
            }
            await proxy.stop()
        }

        @Test("Plain requests are sent to the proxy whole")
        func absoluteForm() async throws {
            try await withServer { router in
                router.otherwise { request in
                    .text(
                        .ok,
                        "\(request.path) \(request.fields["host"] ?? "") \(request.fields["proxy-authorization"] ?? "")"
                    )
                }
            } _: { server in
                let client = makeClient { $0.proxy.url = Secret("http://u:p@\(server.address)") }
                let body = try await client.send(.init(.get, HTTPURL("http://metrics.example/path")!)).collect()
                #expect(String(decoding: body, as: UTF8.self) == "/path metrics.example Basic dTpw")
            }
        }

        @Test("SOCKS5 tunnels plain and secure requests")
        func socks() async throws {
            let proxy = try await TestProxy.socks()
            try await withServer(routes: TransportTests.TLSTests.routes) { server in
                let client = makeClient { $0.proxy.url = Secret("socks5://u:p@127.0.0.1:\(proxy.port)") }
                let body = try await client.send(.init(.get, server.url("/", host: "some.name"))).collect()
                #expect(body == Array("1 false".utf8))
                let wrong = makeClient { $0.proxy.url = Secret("socks5://u:wrong@127.0.0.1:\(proxy.port)") }
                let error = await failure { _ = try await wrong.send(.init(.get, server.url("/"))) }
                #expect(error == .proxy("username or password refused"))
            }
            await proxy.stop()
        }

        @Test("A proxy that refuses, hangs up or babbles is an error of the proxy")
        func refusals() async throws {
            let replies = ["HTTP/1.1 407 x\r\n\r\n", "", "nonsense\r\n\r\n", String(repeating: "x", count: 20_000)]
            for reply in replies {
                let proxy = try await TestProxy { _, connection in
                    _ = try await readHead(connection)
                    try await connection.write(Array(reply.utf8))
                }
                let client = makeClient { $0.proxy.url = Secret("http://user:s3cret@127.0.0.1:\(proxy.port)") }
                let error = await failure { _ = try await client.send(.init(.get, HTTPURL("https://x.example/")!)) }
                #expect(error?.phase == .proxy, "\(reply.prefix(20)) \(String(describing: error))")
                #expect(error.map { "\($0)".contains("s3cret") } == false)
                await proxy.stop()
            }
        }

        @Test(
            "no_proxy has Go's meaning",
            arguments: [
                ("example.com", "http://example.com/", false), ("example.com", "http://a.example.com/", false),
                ("example.com", "http://notexample.com/", true), (".example.com", "http://example.com/", true),
                (".example.com", "http://a.example.com/", false), ("*.example.com", "http://a.example.com/", false),
                ("example.com:80", "http://example.com/", false), ("example.com:81", "http://example.com/", true),
                ("10.0.0.0/8", "http://10.1.2.3/", false), ("10.0.0.0/8", "http://11.1.2.3/", true),
                ("1.2.3.4", "http://1.2.3.4/", false),
                ("1.2.3.4:80", "https://1.2.3.4/", true), ("fe80::/10", "http://[fe80::1]/", false),
                ("*", "http://any/", false),
                ("a, B.example ", "http://b.example/", false), ("x", "http://localhost/", false),
                ("x", "http://127.9.9.9/", false),
            ])
        func exceptions(noProxy: String, url: String, isProxied: Bool) {
            var settings = ProxySettings()
            settings.url = Secret("http://proxy:1")
            settings.noProxy = noProxy
            #expect((ProxyRule(settings).proxy(for: HTTPURL(url)!) != nil) == isProxied)
        }

        @Test("The environment's variables are read as Go reads them")
        func environment() {
            var settings = ProxySettings()
            settings.usesEnvironment = true
            let variables = ["HTTP_PROXY": "plain:1", "https_proxy": "http://secure:2", "NO_PROXY": "skip.example"]
            let rule = ProxyRule(settings) { variables[$0] }
            #expect(rule.proxy(for: HTTPURL("http://a/")!)?.host == "plain")
            #expect(rule.proxy(for: HTTPURL("https://a/")!)?.host == "secure")
            #expect(rule.proxy(for: HTTPURL("https://skip.example/")!) == nil)
            let cgi = ProxyRule(settings) { $0 == "REQUEST_METHOD" ? "GET" : variables[$0] }
            #expect(cgi.proxy(for: HTTPURL("http://a/")!) == nil)
        }

        @Test("Combinations that make no sense are refused by name")
        func problems() {
            var settings = ProxySettings()
            settings.noProxy = "x"
            #expect(settings.problem?.argument == "no_proxy")
            settings.url = Secret("ftp://x")
            #expect(settings.problem?.argument == "proxy_url")
            settings.url = Secret("http://x")
            #expect(settings.problem == nil)
            settings.usesEnvironment = true
            #expect(settings.problem?.argument == "proxy_from_environment")
        }
    }
}
