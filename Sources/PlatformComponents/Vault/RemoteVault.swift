package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Transport

/// Exports a secret of a HashiCorp Vault server.
///
/// Agrees with grafana/alloy `remote.vault`: version 2 key-value stores, tokens renewed before they expire. While Vault
/// cannot be asked, what it gave before goes on. Deviation: every login to an EC2 role by one run of the component
/// shows the same nonce, as Vault wants of an instance that comes again.
package final class RemoteVault: Component {
    package static let spec = ComponentSpec(
        "remote.vault", .generallyAvailable, "Exports a secret of a HashiCorp Vault server.")

    package struct Arguments: Block, Sendable, Equatable {
        let client: VaultClient.Settings?
        let mount: String
        let path: String
        let rereadFrequency: Duration
        let login: VaultLogin

        package init(from block: inout BlockReader) {
            let server: String = block.required("server", "URL of the Vault server.")
            let namespace = block.optional("namespace", "Namespace of Vault that is asked.") ?? ""
            let place: String = block.required(
                "path", "Where the secret is: store and secret, or the store alone where `key` names the secret.")
            let key = block.optional("key", "The secret within the store.") ?? ""
            rereadFrequency = block.optional(
                "reread_frequency", default: .zero, "How often the secret is read again; 0 is only when its lease ends."
            )
            let options: ClientOptions = block.block("client_options", "Retries and timeout of requests.")
            let logins: [VaultLogin] = block.variants(
                "auth", "How the component authenticates; exactly one.", VaultLogin.variants())
            login = logins.first ?? .none
            if logins.count != 1 {
                let found = logins.isEmpty ? "none" : "\(logins.count)"
                block.reject("exactly one auth.* block must be specified; found \(found)")
            }
            if key.isEmpty {
                let parts = place.split(separator: "/", maxSplits: 1).map(String.init)
                mount = parts.first ?? ""
                path = parts.count > 1 ? parts[1] : ""
                if parts.count < 2, block.isSet("path") { block.reject("path", "misses the path of the store") }
            } else {
                mount = place
                path = key
                if place.isEmpty, block.isSet("path") { block.reject("path", "must not be empty") }
            }
            if rereadFrequency < .zero { block.reject("reread_frequency", "must not be negative") }
            if let url = HTTPURL(server), url.scheme == "http" || url.scheme == "https" {
                client = VaultClient.Settings(
                    server: url, namespace: namespace, minimumWait: options.minimumWait,
                    maximumWait: options.maximumWait, retries: options.retries, timeout: options.timeout)
            } else {
                client = nil
                if block.isSet("server") { block.reject("server", "must be an absolute http or https URL") }
            }
        }
    }

    /// The `client_options` block.
    struct ClientOptions: Block, Sendable {
        let minimumWait: Duration
        let maximumWait: Duration
        let retries: Int
        let timeout: Duration

        init(from block: inout BlockReader) {
            minimumWait = block.optional(
                "min_retry_wait", default: .milliseconds(1_000), "Wait before the first retry.")
            maximumWait = block.optional("max_retry_wait", default: .milliseconds(1_500), "Longest wait.")
            retries = block.optional("max_retries", default: 2, "Retries after a failure of the server.")
            timeout = block.optional("timeout", default: .seconds(60), "How long a request may take.")
            if timeout <= .zero { block.reject("timeout", "must be greater than 0") }
            if minimumWait < .zero { block.reject("min_retry_wait", "must not be negative") }
            if maximumWait < minimumWait { block.reject("max_retry_wait", "must not be less than min_retry_wait") }
            if retries < 0 { block.reject("max_retries", "must not be negative") }
        }
    }

    package struct Exports: WritableBlock {
        var data: [String: Secret<String>]
        package static let placeholder = Exports(data: [:])
        package func write(to block: inout BlockWriter) {
            block.attribute("data", data, "The fields of the secret.")
        }
    }

    /// The wait after a failure, when nothing else says when to try again.
    private static let retryAfterFailure = Duration.seconds(30)

    private struct State {
        var client: VaultClient?
        var login: VaultLogin?
        /// When the token must be renewed, and whether it can be, on the monotonic clock.
        var renewal: (due: Int64, isRenewable: Bool)?
        /// When the secret is to be read again.
        var reread: Int64?
        /// Whether that is because a lease ends.
        var isLease = false
        var version: UInt64?
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let state = Mutex(State())
    private let logins: Counter
    private let reads: Counter
    private let tokenRenewals: Counter
    private let secretRenewals: Counter

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        logins = context.metrics.counter(
            "remote_vault_auth_total", "Total number of times this component authenticated to Vault.")
        reads = context.metrics.counter(
            "remote_vault_secret_reads_total", "Total number of times the secret was read from Vault.")
        tokenRenewals = context.metrics.counter(
            "remote_vault_auth_lease_renewal_total",
            "Total number of times this component renewed its auth token lease.")
        secretRenewals = context.metrics.counter(
            "remote_vault_secret_lease_renewal_total",
            "Total number of times this component renewed its secret lease.")
        context.report(Health(.unknown, "component started"))
    }

    package func prepare() async { await refresh() }

    package func run() async throws {
        if state.withLock({ $0.version }) == nil { await refresh() }
        while true {
            try Task.checkCancellation()
            let (version, due) = state.withLock { state in
                (state.version ?? 0, [state.renewal?.due, state.reread].compactMap { $0 }.min())
            }
            try await wait(until: due, orChangeAfter: version)
            await refresh()
        }
    }

    private func wait(until due: Int64?, orChangeAfter version: UInt64) async throws {
        guard let due else { return try await arguments.change(after: version) }
        try await withThrowingTaskGroup(of: Void.self) { [arguments, context] group in
            group.addTask { try await context.clock.sleep(untilMonotonic: due) }
            group.addTask { try await arguments.change(after: version) }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Does what is due. After a failure the last good secret stays exported and the health says why.
    private func refresh() async {
        let (settings, version) = arguments.snapshot
        let isNew = state.withLock { state in
            defer { state.version = version }
            return state.version != version
        }
        do {
            let client = try await authenticated(settings)
            let now = context.clock.monotonicNanoseconds
            if isNew || state.withLock({ $0.reread.map { $0 <= now } ?? false }) { try await read(settings, client) }
            context.report(.healthy("retrieved secret"))
        } catch {
            if Task.isCancelled { return }
            context.log.error("Failed to get secret", error)
            context.report(.unhealthy("failed to retrieve secret: \(error)"))
            let due = context.clock.monotonicNanoseconds &+ Self.retryAfterFailure.nanoseconds
            state.withLock { state in
                // Whatever failed, log in anew the next time.
                state.login = nil
                state.renewal = nil
                state.reread = due
            }
        }
    }

    /// The client with a token that is good: kept, renewed or new.
    private func authenticated(_ settings: Arguments) async throws -> VaultClient {
        guard let wanted = settings.client else { throw VaultError(description: "no usable server") }
        let now = context.clock.monotonicNanoseconds
        let (kept, login, renewal) = state.withLock { ($0.client, $0.login, $0.renewal) }
        let client: VaultClient
        if let kept, kept.settings == wanted {
            client = kept
            if login == settings.login {
                guard let renewal, renewal.due <= now else { return client }
                if renewal.isRenewable, let lease = try? await client.renewToken(), lease.duration > .zero {
                    tokenRenewals.add()
                    keep(client, settings.login, lease)
                    return client
                }
            }
        } else {
            client = VaultClient(wanted, on: context.services.eventLoops, clock: context.clock)
        }
        let lease = try await client.logIn(settings.login, blocking: context.services.blocking)
        logins.add()
        keep(client, settings.login, lease)
        return client
    }

    private func keep(_ client: VaultClient, _ login: VaultLogin, _ lease: VaultLease?) {
        let now = context.clock.monotonicNanoseconds
        state.withLock { state in
            state.client = client
            state.login = login
            state.renewal = lease.flatMap { lease in
                lease.renewal.map { (now &+ $0.nanoseconds, lease.isRenewable) }
            }
        }
    }

    private func read(_ settings: Arguments, _ client: VaultClient) async throws {
        let (data, others, lease) = try await client.read(mount: settings.mount, path: settings.path)
        reads.add()
        let now = context.clock.monotonicNanoseconds
        let wait = [settings.rereadFrequency > .zero ? settings.rereadFrequency : nil, lease.renewal]
            .compactMap { $0 }.min()
        state.withLock { state in
            if state.isLease { secretRenewals.add() }
            state.isLease = wait != nil && wait == lease.renewal
            state.reread = wait.map { now &+ $0.nanoseconds }
        }
        for key in others.sorted() {
            context.log.warn("Found a field in the secret that is no text", nil, ["key": key])
        }
        context.export(Exports(data: data))
    }
}
