import Essentials
import Testing

@testable import Transport

extension TransportTests {
    @Suite("TCP and UDP", .timeLimit(.minutes(1)))
    struct StreamTests {
        /// Runs a listener for the time of `body`.
        func withListener(
            maximumConnections: Int? = nil, idleTimeout: Duration? = nil,
            _ serve: @escaping @Sendable (TCPConnection) async -> Void, _ body: (TCPListener) async throws -> Void
        ) async throws {
            let listener = try await TCPListener.bind(
                loopback, on: loops, maximumConnections: maximumConnections, idleTimeout: idleTimeout)
            let running = Task { await listener.forEachConnection(serve) }
            defer { running.cancel() }
            try await body(listener)
            running.cancel()
            await running.value
            #expect(await eventually { listener.openConnections == 0 })
        }

        @Test("Lines come one by one or in batches, however they were cut on the way")
        func lines() async throws {
            let batches = Inlet<[String]>()
            try await withListener { connection in
                var lines = connection.lines(upTo: .kibibytes(1))
                while let batch = try? await lines.nextBatch(upTo: 3) {
                    batches.push((0..<batch.count).map { String(decoding: batch[$0], as: UTF8.self) })
                }
                batches.finish()
            } _: { listener in
                let connection = try await TCPConnection.connect(to: listener.address, on: loops)
                for piece in ["on", "e\r\ntw", "o\n", "\n", "a\nb\nc\nd\ne\n", "last"] {
                    try await connection.write(Array(piece.utf8))
                }
                connection.close()
                var all: [String] = []
                while let batch = await batches.next() {
                    #expect((1...3).contains(batch.count))
                    all += batch
                }
                #expect(all == ["one", "two", "", "a", "b", "c", "d", "e", "last"])
            }
        }

        @Test("A line above the bound is refused or cut", arguments: [true, false])
        func longLines(isRefused: Bool) async throws {
            let outcome = OneShot<[String]>()
            try await withListener { connection in
                var lines = connection.lines(upTo: ByteCount(bytes: 8), longLines: isRefused ? .refuse : .cut)
                var found: [String] = []
                do throws(TransportError) {
                    while let line = try await lines.next() { found.append(String(decoding: line, as: UTF8.self)) }
                    found.append("cut \(lines.cutLines)")
                } catch {
                    found.append("\(error)")
                }
                outcome.complete(.success(found))
            } _: { listener in
                let connection = try await TCPConnection.connect(to: listener.address, on: loops)
                for piece in [
                    "12345678\n", "123456789abc", String(repeating: "x", count: 500_000), "\nok\n123456789\n",
                ] {
                    try? await connection.write(Array(piece.utf8))
                }
                connection.close()
                let lines = try await outcome.value()
                #expect(
                    lines
                        == (isRefused
                            ? ["12345678", "message larger than 8 bytes"]
                            : ["12345678", "12345678", "ok", "12345678", "cut 2"]))
            }
        }

        @Test("A slow reader stops its peer, and nothing is lost")
        func backPressure() async throws {
            let go = Signal()
            let total = OneShot<Int>()
            try await withListener { connection in
                await go.wait()
                var sum = 0
                while let chunk = try? await connection.next() { sum += chunk.count }
                total.complete(.success(sum))
            } _: { listener in
                let connection = try await TCPConnection.connect(to: listener.address, on: loops)
                let sent = Tally()
                let writer = Task {
                    for _ in 0..<1_000 {
                        try await connection.write([UInt8](repeating: 0, count: 100_000))
                        sent.add()
                    }
                    connection.close()
                }
                var last = -1
                while last != sent.count || last == 0 {
                    last = sent.count
                    for _ in 0..<20_000 { await Task.yield() }
                }
                #expect(sent.count < 300)
                go.fire()
                let sum = try await total.value()
                #expect(sum == 100_000_000)
                _ = await writer.result
            }
        }

        @Test("A silent connection ends with a timeout, a refused one with the system's words")
        func failures() async throws {
            let outcome = OneShot<String>()
            var address = SocketAddress.placeholder
            try await withListener(idleTimeout: .milliseconds(50)) { connection in
                do throws(TransportError) {
                    while try await connection.next() != nil {}
                    outcome.complete(.success("ended"))
                } catch { outcome.complete(.success("\(error)")) }
            } _: { listener in
                address = listener.address
                let connection = try await TCPConnection.connect(to: listener.address, on: loops)
                let text = try await outcome.value()
                #expect(text == "i/o timeout")
                connection.close()
            }
            do {
                _ = try await TCPConnection.connect(to: address, on: loops)
                Issue.record("connected")
            } catch {
                #expect("\(error)" == "dial tcp \(address): connect: connection refused")
            }
        }

        @Test("Datagrams arrive with their sender and are answered")
        func datagrams() async throws {
            let server = try await UDPSocket.bind(loopback, on: loops)
            let client = try await UDPSocket.connect(to: server.address, on: loops)
            for size in [0, 1, 1_400, 60_000] {
                try await client.send([UInt8](repeating: 7, count: size))
                let datagram = try await server.next()
                #expect(datagram.bytes.count == size)
                #expect(datagram.sender == client.address)
                try await server.send([UInt8](repeating: 8, count: size), to: datagram.sender)
                let answer = try await client.next()
                #expect(answer.bytes.count == size)
            }
            let waiting = Task { try await server.next() }
            waiting.cancel()
            let result = await waiting.result
            #expect(throws: TransportError.cancelled) { try result.get() }
            server.close()
            await #expect(throws: TransportError.self) { _ = try await server.next() }
        }

        @Test("A flood waits in the kernel, not in this process")
        func datagramBound() async throws {
            let server = try await UDPSocket.bind(loopback, receiveBuffer: .kibibytes(64), on: loops)
            let client = try await UDPSocket.connect(to: server.address, on: loops)
            for _ in 0..<2_000 { try await client.send([UInt8](repeating: 7, count: 8_000)) }
            var received = 0
            let first = try await server.next()
            #expect(first.bytes.count == 8_000)
            received += 1
            // What the kernel kept is still delivered after the reader catches up; the rest was dropped there.
            let closing = Task {
                for _ in 0..<200_000 { await Task.yield() }
                server.close()
            }
            while (try? await server.next()) != nil { received += 1 }
            await closing.value
            #expect(received > 4)
            #expect(received < 2_000)
        }
    }
}
