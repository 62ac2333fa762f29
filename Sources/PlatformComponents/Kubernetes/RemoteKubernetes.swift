package import AlloySyntax
package import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Synchronization
import TextFormats

/// The arguments of components that export the data of one object.
package struct RemoteKubernetesArguments: Block, Sendable {
    let namespace: String
    let name: String
    let pollFrequency: Duration
    let pollTimeout: Duration
    let connection: KubernetesConnection

    package init(from block: inout BlockReader) {
        namespace = block.required("namespace", "Namespace of the object.")
        name = block.required("name", "Name of the object.")
        pollFrequency = block.optional("poll_frequency", default: .seconds(60), "How often the object is read.")
        pollTimeout = block.optional("poll_timeout", default: .seconds(15), "How long reading may take.")
        let client: KubernetesClientArguments = block.block("client", "How the Kubernetes API is reached.")
        connection = client.connection
        if pollFrequency <= .zero { block.reject("poll_frequency", "must be greater than 0") }
        if pollTimeout <= .zero { block.reject("poll_timeout", "must be greater than 0") }
        for (argument, text) in [("namespace", namespace), ("name", name)]
        where text.isEmpty && block.isSet(argument) {
            block.reject(argument, "must not be empty")
        }
    }
}

/// The data of an object, by key.
package struct RemoteKubernetesExports: WritableBlock {
    var data: [String: OptionalSecret]

    package static let placeholder = RemoteKubernetesExports(data: [:])

    package func write(to block: inout BlockWriter) {
        block.attribute("data", data, "The object's data, by key.")
    }
}

/// Reads one object again and again and exports its data.
final class ObjectPoller: Sendable {
    enum Kind: Sendable {
        case secret, configMap

        var resource: KubernetesResource {
            KubernetesResource(plural: self == .secret ? "secrets" : "configmaps")
        }
        var word: String { self == .secret ? "secret" : "configmap" }
    }

    /// Bytes of the object's JSON: the API stores up to one MiB, base64 and JSON make it larger.
    private static let maximumSize = ByteCount.mebibytes(8)

    private let kind: Kind
    private let arguments: Live<RemoteKubernetesArguments>
    private let context: Context<RemoteKubernetesExports>
    /// The version of the arguments that were last used.
    private let polled = Mutex<UInt64?>(nil)
    /// Keeps the client, and with it its connection, from one time to the next.
    private let client = Mutex<KubernetesClient?>(nil)

    init(
        _ kind: Kind, _ arguments: Live<RemoteKubernetesArguments>, _ context: Context<RemoteKubernetesExports>
    ) {
        self.kind = kind
        self.arguments = arguments
        self.context = context
        context.report(Health(.unknown, "component started"))
    }

    /// Reads once; while the object cannot be read, what it had before stays exported and the health says why.
    func poll() async {
        let (settings, version) = arguments.snapshot
        polled.withLock { $0 = version }
        do {
            let client = try await context.services.kubernetes.client(for: settings.connection)
            self.client.withLock { $0 = client }
            let bytes = try await client.get(
                kind.resource.path(namespace: settings.namespace, name: settings.name),
                timeout: settings.pollTimeout, limit: Self.maximumSize)
            context.export(RemoteKubernetesExports(data: try Self.data(in: bytes, of: kind)))
            context.report(.healthy("got \(kind.word)"))
        } catch {
            if error is CancellationError || (error as? KubernetesError)?.isCancellation == true { return }
            context.log.error("Failed to read object", error, ["kind": kind.word, "name": settings.name])
            context.report(.unhealthy("polling failed: \(error)"))
        }
    }

    func run() async throws {
        // What was read before the dependents were evaluated counts as the first time.
        if polled.withLock({ $0 }) == nil { await poll() }
        while true {
            try Task.checkCancellation()
            let version = polled.withLock { $0 } ?? 0
            try await waitForNext(after: version, arguments.current.pollFrequency)
            await poll()
        }
    }

    /// The next time is after `period`, or as soon as there are new arguments.
    private func waitForNext(after version: UInt64, _ period: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { [arguments, context] group in
            group.addTask { try await context.clock.sleep(for: period) }
            group.addTask { try await arguments.change(after: version) }
            try await group.next()
            group.cancelAll()
        }
    }

    /// The data of a Secret (base64 in JSON) or a ConfigMap (plain text).
    static func data(in bytes: [UInt8], of kind: Kind) throws -> [String: OptionalSecret] {
        let document: JSONValue
        do {
            document = try JSONValue(parsing: bytes)
        } catch {
            // The parser's words may quote the content.
            throw ContentError(reason: "the answer is not JSON")
        }
        var data: [String: OptionalSecret] = [:]
        for (key, value) in document["data"]?.objectValue ?? JSONObject() {
            guard let text = value.stringValue else { continue }
            switch kind {
            case .configMap: data[key] = .plain(text)
            case .secret:
                guard let plain = Base64.decode(text.utf8) else {
                    throw ContentError(reason: "the value of \"\(key)\" is not base64")
                }
                data[key] = .secret(Secret(String(decoding: plain, as: UTF8.self)))
            }
        }
        return data
    }
}

/// Exports the data of a Secret; its values are secrets.
package final class RemoteKubernetesSecret: Component {
    package static let spec = ComponentSpec(
        "remote.kubernetes.secret", .generallyAvailable, "Exports the data of a Kubernetes Secret, read at intervals.")

    package typealias Arguments = RemoteKubernetesArguments
    package typealias Exports = RemoteKubernetesExports

    private let poller: ObjectPoller

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        poller = ObjectPoller(.secret, arguments, context)
    }

    package func prepare() async { await poller.poll() }
    package func run() async throws { try await poller.run() }
}

/// Exports the data of a ConfigMap.
package final class RemoteKubernetesConfigMap: Component {
    package static let spec = ComponentSpec(
        "remote.kubernetes.configmap", .generallyAvailable,
        "Exports the data of a Kubernetes ConfigMap, read at intervals.")

    package typealias Arguments = RemoteKubernetesArguments
    package typealias Exports = RemoteKubernetesExports

    private let poller: ObjectPoller

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        poller = ObjectPoller(.configMap, arguments, context)
    }

    package func prepare() async { await poller.poll() }
    package func run() async throws { try await poller.run() }
}
