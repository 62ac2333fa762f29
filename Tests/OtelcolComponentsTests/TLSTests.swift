import AlloySyntax
import ComponentKit
import Essentials
import Glibc
import Telemetry
import TestKit
import Testing

@testable import OtelcolComponents

/// Receiver and exporters over TLS, with certificates made by the `openssl` program.
@Suite("OTLP over TLS")
struct TLSTests {
    private let folder = ComponentHarness.makeTemporaryDirectory()

    private func openssl(_ arguments: String) -> Bool {
        system("cd \(folder) && openssl \(arguments) >/dev/null 2>&1") == 0
    }

    /// Makes an authority.
    private func makeAuthority(_ name: String) throws {
        try #require(
            openssl(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(name).key -out \(name).crt "
                    + "-days 2 -subj '/CN=\(name) authority' -addext basicConstraints=critical,CA:TRUE"))
    }

    /// Makes a certificate of `authority` for the loopback; other files of the name are replaced at one stroke.
    private func issue(_ name: String, by authority: String) throws {
        try Files.replace(
            "\(folder)/names", with: Array("subjectAltName=IP:127.0.0.1,DNS:localhost\n".utf8))
        try #require(
            openssl(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout new.key -out new.csr -subj /CN=\(name)")
        )
        try #require(
            openssl(
                "x509 -req -in new.csr -CA \(authority).crt -CAkey \(authority).key -CAcreateserial -days 2 "
                    + "-extfile names -out new.crt"))
        for suffix in ["key", "crt"] { rename("\(folder)/new.\(suffix)", "\(folder)/\(name).\(suffix)") }
    }

    private func receiver() throws -> (harness: ComponentHarness, grpc: String, http: String) {
        let harness = ComponentHarness(OtelcolReceiverOTLP.self, label: "in")
        let tls = """
            tls {
                cert_file       = "\(folder)/server.crt"
                key_file        = "\(folder)/server.key"
                client_ca_file  = "\(folder)/good.crt"
                reload_interval = "1ms"
            }
            """
        let problems = harness.start(
            """
            grpc {
                endpoint = "127.0.0.1:0"
                \(tls)
            }
            http {
                endpoint = "127.0.0.1:0"
                \(tls)
            }
            output { logs = [recorder.otlp] }
            """)
        #expect(problems == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        func address(_ name: String) -> String {
            guard case .string(let text)? = harness.instance.debugInfo[name] else { return "" }
            return text
        }
        return (harness, address("grpc_address"), address("http_address"))
    }

    private func exporter(
        _ type: any Component.Type, _ endpoint: String, client: String, authority: String
    ) -> ComponentHarness {
        let harness = ComponentHarness(type, label: "out")
        let problems = harness.start(
            """
            client {
                endpoint = "\(endpoint)"
                tls {
                    ca_file         = "\(folder)/\(authority).crt"
                    cert_file       = "\(folder)/\(client).crt"
                    key_file        = "\(folder)/\(client).key"
                    reload_interval = "1ms"
                }
            }
            retry_on_failure { initial_interval = "1s" }
            """)
        #expect(problems == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        return harness
    }

    private func send(_ line: String, to harness: ComponentHarness) throws {
        let input: Receiver<OTLPBatch> = try #require(harness.export("input"))
        try harness.run { try await input.consume(PipelineTests.logs([line])) }
    }

    private func isDelivered(_ count: Int, _ harness: ComponentHarness, _ receiver: ComponentHarness) -> Bool {
        harness.settle(
            until: {
                receiver.settle()
                harness.advance(by: .milliseconds(100))
                return harness.instance.ledger.statement.outgoing >= count
            }, seconds: 60)
    }

    private func hasFailed(_ harness: ComponentHarness, _ receiver: ComponentHarness) -> Bool {
        harness.settle(
            until: {
                receiver.settle()
                return harness.logSink.lines.contains { $0.contains("Exporting failed. Will retry") }
            }, seconds: 60)
    }

    @Test("Both sides show certificates, and new files are used once they are there", arguments: ["grpc", "http"])
    func mutual(protocolName: String) throws {
        for name in ["good", "bad"] { try makeAuthority(name) }
        try issue("server", by: "good")
        try issue("client", by: "bad")
        let (receiver, grpc, http) = try receiver()
        let type: any Component.Type = protocolName == "grpc" ? OtelcolExporterOTLP.self : OtelcolExporterOTLPHTTP.self
        let endpoint = protocolName == "grpc" ? grpc : "https://\(http)"

        // The client's certificate is of an authority the server does not know, until it is replaced.
        let rotating = exporter(type, endpoint, client: "client", authority: "good")
        try send("a", to: rotating)
        #expect(hasFailed(rotating, receiver))
        #expect(receiver.otlp.itemCount == 0)
        try issue("client", by: "good")
        #expect(isDelivered(1, rotating, receiver))
        #expect(PipelineTests.lines(receiver.otlp.take()) == ["a"])
        #expect(rotating.finish() == [])

        // The server's certificate is replaced under a client that knows only the other authority.
        let other = exporter(type, endpoint, client: "client", authority: "bad")
        try send("b", to: other)
        #expect(hasFailed(other, receiver))
        #expect(receiver.otlp.itemCount == 0)
        try issue("server", by: "bad")
        #expect(isDelivered(1, other, receiver))
        #expect(PipelineTests.lines(receiver.otlp.take()) == ["b"])
        #expect(other.finish() == [])
        #expect(receiver.finish() == [])
    }
}
