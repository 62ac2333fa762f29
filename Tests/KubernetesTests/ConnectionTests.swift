import Essentials
import TestKit
import Testing
import Transport

@testable import Kubernetes

@Suite("Connections")
struct ConnectionTests {
    private let directory = ComponentHarness.makeTemporaryDirectory()

    private func write(_ name: String, _ text: String) throws -> String {
        let path = directory + "/" + name
        try Files.replace(path, with: Array(text.utf8))
        return path
    }

    @Test("A pod asks with the token of its account")
    func pod() throws {
        _ = try write("token", "abc")
        _ = try write("ca.crt", "pem")
        _ = try write("namespace", "monitoring\n")
        let environment = PodEnvironment(serviceHost: "fd00::1", servicePort: "443", accountDirectory: directory)
        let server = try KubernetesConnection.inCluster.server(in: environment)
        #expect(server.url == HTTPURL("https://[fd00::1]:443"))
        #expect(server.settings.authorisation == .bearer(.file(directory + "/token")))
        #expect(server.settings.tls.caFile == directory + "/ca.crt")
        #expect(server.namespace == "monitoring")
    }

    @Test("Outside of a pod the account is missing, and the error says so")
    func outside() {
        let environment = PodEnvironment(serviceHost: "", servicePort: "")
        #expect(throws: ConnectionError.self) { try environment.server() }
        let missing = PodEnvironment(serviceHost: "10.0.0.1", servicePort: "443", accountDirectory: directory + "/no")
        #expect(throws: ConnectionError("open \(directory)/no/token: no such file or directory")) {
            try missing.server()
        }
    }

    private static let config = """
        apiVersion: v1
        kind: Config
        current-context: b
        contexts:
        - {name: a, context: {cluster: other, user: other}}
        - {name: b, context: {cluster: c, user: u, namespace: ns}}
        clusters:
        - name: c
          cluster: {server: "https://api.example:6443", certificate-authority-data: Y2E=, tls-server-name: inner}
        users:
        - name: u
          user: USER
        """

    @Test("The current context of a kubeconfig file counts")
    func kubeconfig() throws {
        let path = try write(
            "config",
            Self.config.split(separator: "USER", omittingEmptySubsequences: false).joined(
                separator: "{client-certificate: cert.pem, client-key-data: a2V5}"))
        let server = try Kubeconfig.server(path: path)
        #expect(server.url.text == "https://api.example:6443/")
        #expect(server.namespace == "ns")
        #expect(server.settings.tls.caPEM == "ca")
        #expect(server.settings.tls.serverName == "inner")
        #expect(server.settings.tls.certificateFile == directory + "/cert.pem")
        #expect(server.settings.tls.keyPEM == Secret("key"))
    }

    @Test(
        "Tokens and passwords are taken",
        arguments: [
            ("{token: t}", HTTPAuthorisation.bearer(.inline(Secret("t")))),
            ("{tokenFile: /t, token: x}", .bearer(.file("/t"))),
            ("{username: u, password: p}", .basic(username: "u", password: .inline(Secret("p")))),
            ("{}", .none),
        ])
    func users(user: String, expected: HTTPAuthorisation) throws {
        let path = try write(
            "config", Self.config.split(separator: "USER", omittingEmptySubsequences: false).joined(separator: user))
        #expect(try Kubeconfig.server(path: path).settings.authorisation == expected)
    }

    @Test(
        "What is not supported is refused by name",
        arguments: [
            ("{exec: {command: aws}}", "\"exec\""), ("{auth-provider: {name: gcp}}", "\"auth-provider\""),
            ("{as: root}", "\"as\""), ("{client-certificate-data: '%%'}", "not base64"),
            ("{client-certificate: a}", "key_pem or key_file"), ("{client-key: a}", "cert_pem or cert_file"),
        ])
    func refusals(user: String, problem: String) throws {
        let path = try write(
            "config", Self.config.split(separator: "USER", omittingEmptySubsequences: false).joined(separator: user))
        let error = #expect(throws: ConnectionError.self) { try Kubeconfig.server(path: path) }
        #expect(error?.description.contains(problem) == true, "\(error?.description ?? "")")
    }

    @Test(
        "A file that makes no sense is an error",
        arguments: ["", "a: [", "current-context: x", "[]", "current-context: x\ncontexts: 5"])
    func nonsense(text: String) throws {
        let path = try write("config", text)
        #expect(throws: ConnectionError.self) { try Kubeconfig.server(path: path) }
        #expect(throws: ConnectionError.self) { try Kubeconfig.server(path: path + ".missing") }
    }
}
