import Essentials
import Testing

@testable import Transport

extension TransportTests {
    @Suite("DNS", .timeLimit(.minutes(1)))
    struct DNSTests {
        /// An answer to the query in `bytes` with the records in `answers`, which follow the question uncompressed.
        static func reply(_ query: [UInt8], code: UInt8 = 0, isTruncated: Bool = false, _ answers: [[UInt8]] = [])
            -> [UInt8]
        {
            var end = 12
            while query[end] != 0 { end += Int(query[end]) + 1 }
            let question = query[12..<(end + 5)]
            var bytes = Array(query[0..<2])
            bytes += [isTruncated ? 0x83 : 0x81, 0x80 | code, 0, 1, 0, UInt8(answers.count), 0, 0, 0, 0]
            return bytes + question + answers.flatMap { $0 }
        }

        /// A record whose owner is a pointer to the question.
        static func record(_ type: UInt8, _ data: [UInt8], timeToLive: UInt8 = 60) -> [UInt8] {
            [
                0xC0, 12, 0, type, 0, 1, 0, 0, 0, timeToLive, UInt8(data.count >> 8),
                UInt8(truncatingIfNeeded: data.count),
            ] + data
        }

        static func name(_ text: String) -> [UInt8] {
            var bytes: [UInt8] = []
            try? DNSMessage.append(text, to: &bytes)
            return bytes
        }

        static func question(_ query: [UInt8]) -> (name: String, type: UInt16)? {
            (try? DNSMessage(decoding: query)).map { ($0.questionName, $0.questionType.rawValue) }
        }

        /// Runs a server on one port for UDP and TCP; nil is silence.
        func withServer(
            udp: @escaping @Sendable ([UInt8]) -> [UInt8]?,
            tcp: @escaping @Sendable ([UInt8]) -> [UInt8]? = { _ in nil },
            _ body: (SocketAddress) async throws -> Void
        ) async throws {
            let listener = try await TCPListener.bind(loopback, on: loops)
            let socket = try await UDPSocket.bind(listener.address, on: loops)
            let streams = Task {
                await listener.forEachConnection { connection in
                    var bytes: [UInt8] = []
                    while bytes.count < 2 || bytes.count < 2 + Int(bytes[0]) << 8 + Int(bytes[1]) {
                        guard (try? await connection.read(into: &bytes)) == true else { return }
                    }
                    guard let answer = tcp(Array(bytes[2...])) else { return }
                    try? await connection.write([UInt8(answer.count >> 8), UInt8(truncatingIfNeeded: answer.count)])
                    try? await connection.write(answer)
                    _ = try? await connection.next()
                }
            }
            let datagrams = Task {
                while let datagram = try? await socket.next() {
                    if let answer = udp(datagram.bytes) { try? await socket.send(answer, to: datagram.sender) }
                }
            }
            do {
                try await body(listener.address)
            } catch {
                streams.cancel()
                datagrams.cancel()
                throw error
            }
            streams.cancel()
            datagrams.cancel()
            await streams.value
            await datagrams.value
        }

        func resolver(
            _ servers: [SocketAddress], search: [String] = [], dots: Int = 1, timeout: Duration = .seconds(10)
        ) -> DNSResolver {
            DNSResolver(
                ResolverConfiguration(servers: servers, search: search, dots: dots, timeout: timeout, attempts: 1),
                on: loops)
        }

        @Test("Records of every type are decoded")
        func types() async throws {
            try await withServer { query in
                guard let question = Self.question(query) else { return nil }
                switch question.type {
                case 1:
                    return Self.reply(
                        query,
                        [
                            Self.record(5, Self.name("real.example.")), Self.record(1, [10, 0, 0, 1]),
                            Self.record(1, [10, 0, 0, 2]),
                        ])
                case 28:
                    return Self.reply(query, [Self.record(28, [0x20, 1] + [UInt8](repeating: 0, count: 13) + [1])])
                case 15: return Self.reply(query, [Self.record(15, [0, 10] + Self.name("mx.example."))])
                case 2: return Self.reply(query, [Self.record(2, [2, 110, 115, 0xC0, 12])])
                case 33:
                    return Self.reply(query, [Self.record(33, [0, 1, 0, 2, 0x1F, 0x90] + Self.name("host.example."))])
                default: return nil
                }
            } _: { address in
                let resolver = resolver([address])
                let a = try await resolver.records("x.example", .a)
                #expect(a.map(\.content) == [.address("10.0.0.1"), .address("10.0.0.2")])
                #expect(a.first?.timeToLive == 60)
                #expect(a.first?.name == "x.example.")
                let aaaa = try await resolver.records("x.example", .aaaa)
                #expect(aaaa.map(\.content) == [.address("2001::1")])
                let mx = try await resolver.records("x.example.", .mx)
                #expect(mx.map(\.content) == [.mailExchanger(preference: 10, host: "mx.example.")])
                let ns = try await resolver.records("x.example", .ns)
                #expect(ns.map(\.content) == [.host("ns.x.example.")])
                let srv = try await resolver.records("_http._tcp.x.example", .srv)
                #expect(srv.map(\.content) == [.service(priority: 1, weight: 2, port: 8080, host: "host.example.")])
            }
        }

        @Test("A truncated answer is asked for again over TCP")
        func truncation() async throws {
            try await withServer { query in
                Self.reply(query, isTruncated: true, [Self.record(1, [1, 1, 1, 1])])
            } tcp: { query in
                Self.reply(query, (0..<200).map { Self.record(1, [10, 0, 0, UInt8($0)]) })
            } _: { address in
                let records = try await resolver([address]).records("many.example", .a)
                #expect(records.count == 200)
            }
        }

        @Test("The search list is gone through, an unknown name is empty, a failing server is an error")
        func search() async throws {
            let asked = Inlet<String>()
            try await withServer { query in
                guard let question = Self.question(query) else { return nil }
                asked.push(question.name)
                switch question.name {
                case "web.b.example.": return Self.reply(query, [Self.record(1, [1, 2, 3, 4])])
                case "broken.": return Self.reply(query, code: 2)
                default: return Self.reply(query, code: 3)
                }
            } _: { address in
                let resolver = resolver([address], search: ["a.example", "b.example"])
                let found = try await resolver.records("web", .a)
                #expect(found.map(\.name) == ["web.b.example."])
                for expected in ["web.a.example.", "web.b.example."] { #expect(await asked.next() == expected) }
                let absent = try await resolver.records("no.such.name", .a)
                #expect(absent.isEmpty)
                for expected in ["no.such.name.", "no.such.name.a.example.", "no.such.name.b.example."] {
                    #expect(await asked.next() == expected)
                }
                await #expect(
                    throws: DNSError.unanswered(name: "broken.", reason: "server \(address) answered with code 2")
                ) { _ = try await resolver.records("broken.", .a) }
                await #expect(throws: DNSError.self) {
                    _ = try await resolver.records(String(repeating: "x", count: 64), .a)
                }
            }
        }

        @Test("A silent server is given up for the next; forged answers are ignored")
        func failover() async throws {
            try await withServer { _ in
                nil
            } _: { silent in
                try await withServer { query in
                    var forged = Self.reply(query, [Self.record(1, [6, 6, 6, 6])])
                    forged[0] ^= 1
                    return query.isEmpty ? forged : Self.reply(query, [Self.record(1, [1, 2, 3, 4])])
                } _: { good in
                    let resolver = resolver([silent, good], timeout: .milliseconds(100))
                    let records = try await resolver.records("x.", .a)
                    #expect(records.map(\.content) == [.address("1.2.3.4")])
                }
                let error = await #expect(throws: DNSError.self) {
                    _ = try await resolver([silent], timeout: .milliseconds(50)).records("x.", .a)
                }
                #expect(error == .unanswered(name: "x.", reason: "server \(silent): i/o timeout"))
            }
            try await withServer { query in
                var forged = Self.reply(query, [Self.record(1, [6, 6, 6, 6])])
                forged[0] ^= 1
                return forged
            } _: { address in
                await #expect(throws: DNSError.self) {
                    _ = try await resolver([address], timeout: .milliseconds(100)).records("x.", .a)
                }
            }
        }

        @Test("A lookup is cancelled at once")
        func cancellation() async throws {
            let reached = Signal()
            try await withServer { _ in
                reached.fire()
                return nil
            } _: { address in
                let resolver = resolver([address])
                let task = Task { try await resolver.records("x.", .a) }
                await reached.wait()
                task.cancel()
                let result = await task.result
                #expect(throws: DNSError.cancelled) { try result.get() }
            }
        }

        @Test("Hostile messages are refused without a trap, at every length and with every byte changed")
        func hostility() throws {
            let query = try DNSMessage.query("a.example", .a, id: 7)
            let good = Self.reply(
                query,
                [
                    Self.record(1, [1, 2, 3, 4]), Self.record(33, [0, 1, 0, 2, 0, 80, 1, 104, 0xC0, 12]),
                    Self.record(15, [0, 1, 0xC0, 12]),
                ])
            #expect(try DNSMessage(decoding: good).answers.count == 3)
            for length in 0..<good.count {
                #expect(throws: DNSFormatError.self) { try DNSMessage(decoding: Array(good.prefix(length))) }
            }
            for index in good.indices {
                for value in [0, 1, 63, 64, 0xC0, 0xFF] as [UInt8] {
                    var changed = good
                    changed[index] = value
                    _ = try? DNSMessage(decoding: changed)
                }
            }
            let header: [UInt8] = [0, 0, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]
            let loops: [[UInt8]] = [[0xC0, 12], [1, 97, 0xC0, 12], [0xC0, 14, 0xC0, 12], [0xC0, 200], [0x40, 1]]
            for name in loops {
                #expect(throws: DNSFormatError.self) { try DNSMessage(decoding: header + name + [0, 1, 0, 1]) }
            }
            let label: [UInt8] = [7] + Array("abcdefg".utf8)
            let long: [UInt8] = Array(repeatElement(label, count: 40).joined()) + [0, 0, 1, 0, 1]
            #expect(throws: DNSFormatError.self) { try DNSMessage(decoding: header + long) }
            let odd = try DNSMessage(decoding: header + [3, 97, 46, 0, 0, 0, 1, 0, 1])
            #expect(odd.questionName == "a\\.\\000.")
        }

        @Test("resolv.conf is read with its options, comments and limits")
        func configuration() {
            let text = """
                # comment
                ; other
                nameserver 10.0.0.1
                nameserver fe80::1%eth0
                nameserver nonsense
                domain old.example
                search a.example. b.example
                options ndots:5 timeout:2 attempts:9 rotate
                """
            let configuration = ResolverConfiguration(parsing: text)
            #expect(configuration.servers.map(\.text) == ["10.0.0.1:53", "[fe80::1%eth0]:53"])
            #expect(configuration.search == ["a.example", "b.example"])
            #expect(configuration.dots == 5)
            #expect(configuration.timeout == .seconds(2))
            #expect(configuration.attempts == 5)
            #expect(configuration.candidates(for: "a.b") == ["a.b.a.example.", "a.b.b.example.", "a.b."])
            #expect(configuration.candidates(for: "a.b.") == ["a.b."])
            #expect(ResolverConfiguration(parsing: "").servers == [.host("127.0.0.1", port: 53)])
        }
    }
}
