import Essentials
import Kubernetes
import Synchronization
import TextFormats
import Transport

/// Why Vault did not give what was asked for. Never quotes what was sent.
struct VaultError: Error, CustomStringConvertible {
    let description: String
    /// The status of HTTP; nil when no answer came.
    var code: Int?
}

/// A lease as Vault states it: for how long something is good, and whether it can be renewed.
struct VaultLease: Sendable, Equatable {
    var duration: Duration
    var isRenewable: Bool

    init(_ object: JSONValue?) {
        let seconds = object?["lease_duration"]?.intValue ?? 0
        duration = .seconds(min(max(seconds, 0), 10 * 365 * 86_400))
        isRenewable = object?["renewable"]?.boolValue ?? false
    }

    /// When to renew, from now: after two thirds of the time.
    var renewal: Duration? { duration > .zero ? duration * 2 / 3 : nil }
}

/// Talks to one Vault server (Vault documentation, "HTTP API", "KV secrets engine, version 2").
final class VaultClient: Sendable {
    struct Settings: Sendable, Equatable {
        var server: HTTPURL
        var namespace: String
        var minimumWait: Duration
        var maximumWait: Duration
        var retries: Int
        var timeout: Duration
    }

    private static let maximumAnswer = ByteCount.mebibytes(8)

    let settings: Settings
    private let http: HTTPClient
    private let clock: EngineClock
    private let token = Mutex<Secret<String>?>(nil)
    private let identity: VaultCloudIdentity

    init(_ settings: Settings, on loops: EventLoops, clock: EngineClock, identity: VaultCloudIdentity? = nil) {
        self.settings = settings
        self.clock = clock
        self.identity = identity ?? VaultCloudIdentity(on: loops, clock: clock)
        var client = HTTPClientSettings()
        // As Vault's own client, the environment may name other roots.
        if let file = ProcessVariables["VAULT_CACERT"], !file.isEmpty { client.tls.caFile = file }
        client.tls.skipsVerification = ["1", "true", "TRUE", "True", "t", "T"]
            .contains(ProcessVariables["VAULT_SKIP_VERIFY"] ?? "")
        http = HTTPClient(client, on: loops, clock: clock)
    }

    deinit { http.shutDown() }

    /// Logs in and keeps the token; returns its lease, nil for a token that was given.
    func logIn(_ login: VaultLogin, blocking: BlockingPool) async throws -> VaultLease? {
        switch login {
        case .none: throw VaultError(description: "no way to authenticate")
        case .token(let given):
            token.withLock { $0 = given }
            return nil
        case .request(let path, let fields, let namespace): return try await logIn(path, fields, namespace)
        case .appRole(let mount, let role, let secret, let isWrapped):
            let identifier = isWrapped ? try await unwrap(secret) : secret
            return try await logIn(
                "auth/\(mount)/login", ["role_id": Secret(role), "secret_id": identifier], nil)
        case .kubernetes(let mount, let role, let file):
            let account = try await blocking.run { Secret(try Files.readText(file, limit: .kibibytes(64))) }
            return try await logIn("auth/\(mount)/login", ["role": Secret(role), "jwt": account], nil)
        case .cloud(let cloud, let mount, let role):
            var fields = try await identity.fields(of: cloud, at: settings.server)
            if !role.isEmpty { fields["role"] = Secret(role) }
            return try await logIn("auth/\(mount)/login", fields, nil)
        }
    }

    private func logIn(_ path: String, _ fields: [String: Secret<String>], _ namespace: String?) async throws
        -> VaultLease
    {
        let answer = try await send(.post, path, fields: fields, namespace: namespace, token: nil)
        guard let auth = answer["auth"], let made = auth["client_token"]?.stringValue, !made.isEmpty else {
            throw VaultError(description: "the login gave no token")
        }
        token.withLock { $0 = Secret(made) }
        return VaultLease(auth)
    }

    private func unwrap(_ wrapping: Secret<String>) async throws -> Secret<String> {
        let answer = try await send(.post, "sys/wrapping/unwrap", token: wrapping)
        guard let identifier = answer["data"]?["secret_id"]?.stringValue else {
            throw VaultError(description: "the wrapping token holds no secret_id")
        }
        return Secret(identifier)
    }

    /// Renews the token in use and returns its new lease.
    func renewToken() async throws -> VaultLease {
        let answer = try await send(.post, "auth/token/renew-self", fields: [:], token: token.withLock { $0 })
        return VaultLease(answer["auth"])
    }

    /// The fields of a secret in a version 2 key-value store that are text, the names of the others, and the lease.
    func read(mount: String, path: String) async throws -> (
        data: [String: Secret<String>], others: [String], VaultLease
    ) {
        let place = (mount.split(separator: "/") + ["data"] + path.split(separator: "/")).map {
            APIPath.segment(String($0))
        }
        let answer = try await send(.get, place.joined(separator: "/"), token: token.withLock { $0 })
        guard let fields = answer["data"]?["data"]?.objectValue else {
            throw VaultError(description: "no secret of a version 2 store at \(mount)/\(path)")
        }
        var data: [String: Secret<String>] = [:]
        var others: [String] = []
        for (key, value) in fields {
            if let text = value.stringValue { data[key] = Secret(text) } else { others.append(key) }
        }
        return (data, others, VaultLease(answer))
    }

    // MARK: Requests

    private func send(
        _ method: HTTPMethod, _ path: String, fields: [String: Secret<String>]? = nil, namespace: String? = nil,
        token: Secret<String>?
    ) async throws -> JSONValue {
        var attempt = 0
        while true {
            do throws(VaultError) {
                return try await sendOnce(method, path, fields, namespace, token)
            } catch {
                try Task.checkCancellation()
                let mayHelp = error.code.map { $0 >= 500 && $0 != 501 || $0 == 412 || $0 == 429 } ?? true
                attempt += 1
                guard mayHelp, attempt <= settings.retries else { throw error }
                let growing = settings.minimumWait * (1 << min(attempt - 1, 16))
                try await clock.sleep(for: min(growing, settings.maximumWait))
            }
        }
    }

    private func sendOnce(
        _ method: HTTPMethod, _ path: String, _ fields: [String: Secret<String>]?, _ namespace: String?,
        _ token: Secret<String>?
    ) async throws(VaultError) -> JSONValue {
        let base = settings.server.path.hasSuffix("/") ? settings.server.path : settings.server.path + "/"
        var request = HTTPClientRequest(method, settings.server.replacing(path: base + "v1/" + path, query: nil))
        request.timeout = settings.timeout
        request.maximumBodyBytes = Self.maximumAnswer
        request.fields["x-vault-request"] = "true"
        let space = namespace ?? settings.namespace
        if !space.isEmpty { request.fields["x-vault-namespace"] = space }
        if let token {
            let value = token.reveal { $0 }
            guard HTTPFields.isValid(name: "x-vault-token", value: value) else {
                throw VaultError(description: "the token cannot be sent")
            }
            request.fields["x-vault-token"] = value
        }
        if let fields {
            var object = JSONObject()
            for (key, value) in fields { value.reveal { object[key] = .string($0) } }
            request.fields["content-type"] = "application/json"
            request.body = Array(JSONWriter(sortsKeys: true).text(.object(object)).utf8)
        }
        let bytes: [UInt8]
        let status: HTTPStatus
        do throws(HTTPClientError) {
            let response = try await http.send(request)
            status = response.status
            bytes = try await response.collect()
        } catch {
            throw VaultError(description: "\(error)")
        }
        let document = try? JSONValue(parsing: bytes)
        guard status.isSuccess else {
            let reasons = (document?["errors"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: "; ")
            throw VaultError(
                description: "\(path): \(status)" + (reasons.isEmpty ? "" : ": \(reasons.prefix(300))"),
                code: status.code)
        }
        guard let document else { throw VaultError(description: "\(path): the answer is not JSON", code: status.code) }
        return document
    }
}
