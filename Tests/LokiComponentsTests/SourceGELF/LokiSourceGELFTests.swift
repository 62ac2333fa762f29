import AlloySyntax
import ComponentKit
import Compression
import Essentials
import Telemetry
import TestKit
import Testing
import Transport

@testable import LokiComponents

@Suite("loki.source.gelf")
struct LokiSourceGELFTests {
    private static let message =
        #"{"version":"1.1","host":"h","short_message":"s","_b":1,"_a":"x","level":3,"timestamp":1.5,"other":2}"#
    private static let line =
        #"{"version":"1.1","host":"h","short_message":"s","timestamp":1.5,"level":3,"_a":"x","_b":1}"#

    private static func chunks(of bytes: [UInt8], id: UInt8, size: Int) -> [[UInt8]] {
        let count = (bytes.count + size - 1) / size
        return (0..<count).map { number in
            [0x1E, 0x0F] + [UInt8](repeating: id, count: 8) + [UInt8(number), UInt8(count)]
                + bytes[(number * size)..<min(bytes.count, (number + 1) * size)]
        }
    }

    @Test("Messages are plain, gzip, zlib or in chunks in any order")
    func assembles() throws {
        var assembler = GELFAssembler()
        let plain = Array(Self.message.utf8)
        var gzip: [UInt8] = []
        try Gzip().compress(plain, into: &gzip)
        var zlib: [UInt8] = []
        try Deflate(.zlib).compress(plain, into: &zlib)
        for bytes in [plain, gzip, zlib] {
            #expect(try assembler.add(bytes, from: "a", now: 0) == plain)
            let chunks = Self.chunks(of: bytes, id: 7, size: 20)
            var whole: [UInt8]?
            for chunk in chunks.reversed() {
                #expect(whole == nil)
                whole = try assembler.add(chunk, from: "a", now: 0)
            }
            #expect(whole == plain)
            #expect(assembler.heldBytes == 0)
        }
    }

    @Test("Chunks are kept apart by sender, wait five seconds and are bounded")
    func bounds() throws {
        var assembler = GELFAssembler()
        let chunks = Self.chunks(of: Array(Self.message.utf8), id: 1, size: 60)
        #expect(try assembler.add(chunks[0], from: "a", now: 0) == nil)
        #expect(try assembler.add(chunks[1], from: "b", now: 1) == nil)
        #expect(assembler.expire(now: 4_999_999_999) == 0)
        #expect(assembler.expire(now: 5_000_000_000) == 1)
        #expect(try assembler.add(chunks[0], from: "b", now: 2) == Array(Self.message.utf8))
        #expect(assembler.heldBytes == 0)
        for wrong: [UInt8] in [
            [0x1E, 0x0F], [0x1E, 0x0F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0x1E, 0x0F, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 1], [0x1E, 0x0F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 1],
        ] {
            #expect(throws: GELFAssembler.Failure.malformedChunk) { try assembler.add(wrong, from: "a", now: 0) }
        }
        var isRefused = false
        for id in 0..<400 where !isRefused {
            var chunk: [UInt8] = [0x1E, 0x0F, UInt8(id & 255), UInt8(id >> 8), 0, 0, 0, 0, 0, 0, 0, 2]
            chunk += [UInt8](repeating: 1, count: 60_000)
            do throws(GELFAssembler.Failure) {
                _ = try assembler.add(chunk, from: "a", now: 0)
            } catch {
                isRefused = error == .tooManyMessages
            }
        }
        #expect(isRefused)
        #expect(assembler.heldBytes <= GELFAssembler.maximumBytes)
    }

    @Test(
        "What is no message is refused",
        arguments: ["", "[]", "{", "{\"host\":1}", "{\"timestamp\":\"x\"}", "{\"level\":1e300}", "{\"version\":null}"])
    func invalid(text: String) {
        #expect(throws: GELFMessage.Invalid.self) { try GELFMessage(Array(text.utf8)) }
    }

    @Test("Messages become entries with the component's name as their job and what rules keep")
    func entries() throws {
        let rules = RelabelRules(Relabeling([try RelabelRule(action: .labelmap, pattern: "__gelf_message_(.+)")]))
        let harness = ComponentHarness(LokiSourceGELF.self, variables: ["rules": rules.alloyValue])
        let problems = harness.start(
            """
            listen_address         = "127.0.0.1:0"
            use_incoming_timestamp = true
            relabel_rules          = rules
            forward_to             = [recorder.logs]
            """)
        #expect(problems == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        let bound = try #require(harness.health?.message.split(separator: " ").last)
        let address = try #require(SocketAddress(String(bound)))
        let loops = harness.services.eventLoops
        let datagrams = [Array("nonsense".utf8)] + Self.chunks(of: Array(Self.message.utf8), id: 9, size: 50)
        try harness.run {
            let socket = try await UDPSocket.connect(to: address, on: loops)
            for datagram in datagrams { try await socket.send(datagram) }
            socket.close()
        }
        #expect(harness.settle(until: { harness.logs.itemCount == 1 }))
        let batch = try #require(harness.logs.batches.first)
        let entry = try #require(batch.entries.first)
        #expect(batch.line(entry) == Self.line)
        #expect(entry.timestamp == 1_500_000_000)
        #expect(
            batch.streams[Int(entry.stream)] == [
                "job": "loki.source.gelf.test", "level": "error", "host": "h", "version": "1.1",
            ])
        #expect(harness.metric("gelf_target_entries_total") == 1)
        #expect(harness.metric("gelf_target_parsing_errors_total") == 1)
        #expect(harness.finish() == [])
    }

    @Test("An address that is none is refused")
    func refused() {
        let harness = ComponentHarness(LokiSourceGELF.self)
        let problems = harness.evaluate("forward_to = [recorder.logs]\nlisten_address = \"nowhere\"")
        #expect(problems.contains { $0.contains("\"listen_address\" must be `host:port`") }, "\(problems)")
    }
}
