import AlloySyntax
import ComponentKit
import Essentials
import Synchronization
import TestKit
import Testing
import TextFormats
import Transport

@testable import PlatformComponents

/// A server that answers as Vault does, as far as the component asks.
final class VaultDouble: Sendable {
    private struct State {
        var secret = #"{"user":"u1","number":5}"#
        var status = 200
        var lease = 0
        var isRenewable = true
        var requests: [String] = []
    }

    private final class Box: Sendable {
        let state = Mutex(State())
    }

    private let box = Box()
    private let server: HTTPServer
    private let running: Task<Void, Never>

    init() async throws {
        var router = HTTPRouter()
        let box = box
        router.otherwise { request in
            let body = String(decoding: try await request.body.collect(), as: UTF8.self)
            return box.state.withLock { state in
                let token = request.fields["x-vault-token"] ?? ""
                let namespace = request.fields["x-vault-namespace"] ?? ""
                state.requests.append("\(request.method) \(request.rawPath) \(token) \(namespace) \(body)")
                if state.status != 200 {
                    return .json(HTTPStatus(state.status), Array(#"{"errors":["told to"]}"#.utf8))
                }
                let answer: String
                switch request.path {
                case "/v1/sys/wrapping/unwrap": answer = #"{"data":{"secret_id":"unwrapped"}}"#
                case "/v1/kv/data/a/b", "/v1/deep/kv/data/a/b":
                    guard token == "made" || token == "given" else {
                        return .json(403, Array(#"{"errors":["permission denied"]}"#.utf8))
                    }
                    answer = #"{"lease_duration":0,"data":{"data":\#(state.secret),"metadata":{}}}"#
                default:
                    answer = #"""
                        {"auth":{"client_token":"made","lease_duration":\#(state.lease),"renewable":\#(state.isRenewable)}}
                        """#
                }
                return .json(.ok, Array(answer.utf8))
            }
        }
        var settings = HTTPServerSettings(address: .host("127.0.0.1", port: 0))
        settings.shutdownTimeout = .milliseconds(10)
        let server = try await HTTPServer.bind(settings, router: router, on: loops)
        self.server = server
        let executor = ThreadExecutor(name: "vault-double")
        running = Task(executorPreference: executor) { await server.run(on: executor) }
    }

    deinit { running.cancel() }

    var url: String { "http://\(server.address.text)" }
    var requests: [String] { box.state.withLock { $0.requests } }
    func answer(status: Int) { box.state.withLock { $0.status = status } }
    func put(_ secret: String) { box.state.withLock { $0.secret = secret } }
    func lease(_ seconds: Int, isRenewable: Bool) {
        box.state.withLock { state in
            state.lease = seconds
            state.isRenewable = isRenewable
        }
    }
}

@Suite("remote.vault", .serialized)
struct RemoteVaultTests {
    private func body(_ vault: VaultDouble, _ more: String, path: String = "kv/a/b") -> String {
        "server = \"\(vault.url)\"\npath = \"\(path)\"\n\(more)"
    }

    private func data(_ harness: ComponentHarness) -> [String: String] {
        let data: [String: Secret<String>] = harness.export("data") ?? [:]
        return data.mapValues { $0.reveal { $0 } }
    }

    private func settle(_ harness: ComponentHarness, until condition: () -> Bool) -> Bool {
        harness.settle(until: {
            if condition() { return true }
            harness.advance(by: .seconds(1))
            return condition()
        })
    }

    @Test("A secret is read with a given token; fields that are no text are left out")
    func token() async throws {
        let vault = try await VaultDouble()
        let harness = ComponentHarness(RemoteVault.self)
        #expect(harness.start(body(vault, "namespace = \"n\"\nauth.token { token = \"given\" }")) == [])
        #expect(harness.settle(until: { data(harness) == ["user": "u1"] }))
        #expect(vault.requests == ["GET /v1/kv/data/a/b given n "])
        #expect(harness.metric("remote_vault_auth_total") == 1)
        #expect(harness.metric("remote_vault_secret_reads_total") == 1)
        #expect(harness.health?.state == .healthy)
        #expect(!harness.logSink.lines.contains { $0.contains("given") || $0.contains("u1") })
        #expect(harness.finish() == [])
    }

    @Test(
        "Each way to log in sends what Vault asks for",
        arguments: [
            (
                "auth.userpass {\n username = \"a b\"\n password = \"p\"\n}",
                #"POST /v1/auth/userpass/login/a%20b   {"password":"p"}"#
            ),
            (
                "auth.ldap {\n username = \"u\"\n password = \"p\"\n mount_path = \"dir\"\n}",
                #"POST /v1/auth/dir/login/u   {"password":"p"}"#
            ),
            (
                "auth.approle {\n role_id = \"r\"\n secret = \"s\"\n}",
                #"POST /v1/auth/approle/login   {"role_id":"r","secret_id":"s"}"#
            ),
            (
                "auth.custom {\n path = \"auth/x/login\"\n data = {a = \"b\"}\n namespace = \"other\"\n}",
                #"POST /v1/auth/x/login  other {"a":"b"}"#
            ),
        ])
    func logins(block: String, expected: String) async throws {
        let vault = try await VaultDouble()
        let harness = ComponentHarness(RemoteVault.self)
        #expect(harness.start(body(vault, block + "\nkey = \"a/b\"", path: "deep/kv")) == [])
        #expect(harness.settle(until: { data(harness) == ["user": "u1"] }))
        #expect(vault.requests == [expected, "GET /v1/deep/kv/data/a/b made  "])
        #expect(harness.finish() == [])
    }

    @Test("A wrapped secret is unwrapped, and a service account's token is read from its file")
    func filesAndWrapping() async throws {
        let vault = try await VaultDouble()
        let folder = try TemporaryFolder()
        try folder.write("token", "jwt")
        let wrapped = ComponentHarness(RemoteVault.self)
        wrapped.start(
            body(vault, "auth.approle {\n role_id = \"r\"\n secret = \"w\"\n wrapping_token = true\n}"))
        #expect(wrapped.settle(until: { data(wrapped) == ["user": "u1"] }))
        #expect(vault.requests.first?.hasPrefix("POST /v1/sys/wrapping/unwrap w ") == true)
        #expect(vault.requests.contains { $0.contains(#""secret_id":"unwrapped""#) })
        #expect(wrapped.finish() == [])
        let account = ComponentHarness(RemoteVault.self)
        account.start(
            body(vault, "auth.kubernetes {\n role = \"r\"\n service_account_file = \"\(folder.path)/token\"\n}"))
        #expect(account.settle(until: { data(account) == ["user": "u1"] }))
        #expect(vault.requests.contains { $0.contains(#"{"jwt":"jwt","role":"r"}"#) })
        #expect(account.finish() == [])
    }

    @Test("The secret is read again at its interval, and stays while Vault is away")
    func rereading() async throws {
        let vault = try await VaultDouble()
        let harness = ComponentHarness(RemoteVault.self)
        harness.start(
            body(
                vault,
                """
                reread_frequency = "10s"
                client_options { max_retries = 0 }
                auth.userpass {
                    username = "u"
                    password = "p"
                }
                """))
        #expect(harness.settle(until: { data(harness) == ["user": "u1"] }))
        vault.put(#"{"user":"u2"}"#)
        #expect(settle(harness) { data(harness) == ["user": "u2"] })
        vault.answer(status: 503)
        #expect(settle(harness) { harness.health?.state == .unhealthy })
        #expect(harness.health?.message.contains("told to") == true)
        #expect(data(harness) == ["user": "u2"])
        vault.put(#"{"user":"u3"}"#)
        vault.answer(status: 200)
        #expect(settle(harness) { data(harness) == ["user": "u3"] && harness.health?.state == .healthy })
        #expect(harness.finish() == [])
    }

    @Test("A token is renewed before it ends; one that cannot be renewed is made anew", arguments: [true, false])
    func renewal(isRenewable: Bool) async throws {
        let vault = try await VaultDouble()
        vault.lease(90, isRenewable: isRenewable)
        let harness = ComponentHarness(RemoteVault.self)
        harness.start(body(vault, "auth.userpass {\n username = \"u\"\n password = \"p\"\n}"))
        #expect(harness.settle(until: { data(harness) == ["user": "u1"] }))
        let asked = vault.requests.count
        harness.advance(by: .seconds(59))
        #expect(vault.requests.count == asked)
        harness.advance(by: .seconds(1))
        #expect(harness.settle(until: { vault.requests.count > asked }))
        let expected = isRenewable ? "POST /v1/auth/token/renew-self made" : "POST /v1/auth/userpass/login/u "
        #expect(vault.requests.last?.hasPrefix(expected) == true, "\(vault.requests)")
        #expect(settle(harness) { harness.metric("remote_vault_auth_lease_renewal_total") == (isRenewable ? 1 : 0) })
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused",
        arguments: [
            ("", "exactly one auth.* block must be specified; found none"),
            ("auth.token { token = \"a\" }\nauth.token { token = \"b\" }", "found 2"),
            ("auth.aws { type = \"sts\" }", "\"type\" must be iam or ec2"),
            ("auth.aws {\n type = \"ec2\"\n ec2_signature_type = \"x\"\n}", "must be pkcs7 or identity"),
            ("auth.aws {\n type = \"iam\"\n iam_server_id_header = \"a\\n\"\n}", "cannot be sent"),
            ("auth.gcp {\n role = \"r\"\n type = \"x\"\n}", "\"type\" must be gce or iam"),
            ("auth.gcp {\n role = \"r\"\n type = \"iam\"\n}", "must be set when type is iam"),
            ("auth.azure { }", "role"),
            ("auth.token { token = \"a\" }\nclient_options { timeout = \"0s\" }", "\"timeout\" must be greater than 0"),
        ])
    func arguments(more: String, problem: String) {
        let harness = ComponentHarness(RemoteVault.self)
        let problems = harness.evaluate("server = \"http://localhost:8200\"\npath = \"kv/a\"\n\(more)")
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
