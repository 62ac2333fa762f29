import AlloySyntax
import Essentials
import Testing
import Transport

@testable import OtelcolComponents

@Suite("Shared otelcol arguments")
struct SharedArgumentsTests {
    private func decode<B: Block & Sendable>(_ type: B.Type, _ text: String) throws -> (value: B?, problems: [String]) {
        let source = SourceFile(name: "test.alloy", bytes: Array("b {\n\(text)\n}\n".utf8))
        let block = try #require(try Parser.parse(source).body.blocks.first)
        let scope = Scope(standardLibrary: StandardLibrary(minimumStability: .experimental))
        let decoded = BlockDecoder.decode(type, body: block.body, range: block.nameRange, in: scope)
        return (decoded.value, decoded.diagnostics.items.map(\.description))
    }

    @Test("TLS versions are read with and without the word, and contradictions are refused")
    func tls() throws {
        let made = try decode(ClientTLS.self, "min_version = \"1.3\"\nserver_name = \"a\"")
        #expect(made.value?.settings.minimumVersion == .tls13)
        #expect(made.value?.settings.serverName == "a")
        #expect(try decode(ClientTLS.self, "min_version = \"TLS 1.2\"").problems.isEmpty)
        #expect(try !decode(ClientTLS.self, "min_version = \"2\"").problems.isEmpty)
        #expect(try !decode(ClientTLS.self, "min_version = \"1.3\"\nmax_version = \"1.2\"").problems.isEmpty)
        #expect(try !decode(ServerTLS.self, "cert_file = \"a\"").problems.isEmpty)
        #expect(try !decode(ClientTLS.self, "tpm {\nenabled = true\n}").problems.isEmpty)
        #expect(try decode(ClientTLS.self, "tpm { }").problems.isEmpty)
    }

    @Test("A queue's arguments are checked")
    func queue() throws {
        let made = try decode(SendingQueue.self, "sizer = \"items\"\nqueue_size = 5000\nbatch { }")
        #expect(made.problems.isEmpty)
        #expect(made.value?.batching?.minimumSize == 2000)
        #expect(try !decode(SendingQueue.self, "queue_size = 0").problems.isEmpty)
        #expect(try decode(SendingQueue.self, "enabled = false\nqueue_size = 0").problems.isEmpty)
        #expect(try !decode(SendingQueue.self, "sizer = \"miles\"").problems.isEmpty)
        #expect(try !decode(SendingQueue.self, "batch { sizer = \"requests\" }").problems.isEmpty)
    }

    @Test("Waits grow up to the limit and end with the elapsed time")
    func retries() throws {
        let made = try decode(
            RetryOnFailure.self,
            """
            initial_interval = "1s"
            randomization_factor = 0
            multiplier = 2
            max_interval = "4s"
            max_elapsed_time = "20s"
            """)
        var schedule = RetrySchedule(try #require(made.value), now: 0)
        var now: Int64 = 0
        var waits: [Int64] = []
        while let wait = schedule.next(now: now, atLeast: nil) {
            waits.append(wait.nanoseconds / 1_000_000_000)
            now += wait.nanoseconds
        }
        #expect(waits == [1, 2, 4, 4, 4, 4])
        var patient = RetrySchedule(try #require(made.value), now: 0)
        #expect(patient.next(now: 0, atLeast: .seconds(7)) == .seconds(7))
        #expect(patient.next(now: 0, atLeast: .seconds(70)) == nil)
    }
}
