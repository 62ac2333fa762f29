import Essentials
import Kubernetes
import Synchronization
import TextFormats

/// Reads values of Secrets and ConfigMaps that objects refer to, and keeps them for a minute at most.
final class ReferencedValues: Sendable {
    /// How long a value is used before it is read again.
    static let lifetime = Duration.seconds(60)

    private enum Kind: String, Sendable { case secrets, configmaps }

    private struct Reference: Hashable {
        var kind: Kind
        var key: ObjectKey
    }

    private struct Kept {
        var data: [String: Secret<String>]
        /// On the monotonic clock; nil to be read again before it is used.
        var readAt: Int64?
    }

    private let client: KubernetesClient
    private let clock: EngineClock
    private let kept = Mutex<[Reference: Kept]>([:])

    init(_ client: KubernetesClient, clock: EngineClock) {
        self.client = client
        self.clock = clock
    }

    /// Has everything be read again before it is used; false when nothing was ever asked for.
    func forgetAges() -> Bool {
        kept.withLock { kept in
            for reference in kept.keys { kept[reference]?.readAt = nil }
            return !kept.isEmpty
        }
    }

    /// The value a selector `{name, key}` names in a Secret.
    func secret(_ namespace: String, _ selector: JSONValue?) async throws -> Secret<String> {
        try await value(.secrets, namespace, selector)
    }

    /// The value of a `{secret: {...}}` or `{configMap: {...}}`; nil when neither is given.
    func secretOrConfigMap(_ namespace: String, _ choice: JSONValue?) async throws -> Secret<String>? {
        if let selector = choice?["secret"], selector.objectValue != nil {
            return try await value(.secrets, namespace, selector)
        }
        if let selector = choice?["configMap"], selector.objectValue != nil {
            return try await value(.configmaps, namespace, selector)
        }
        return nil
    }

    private func value(_ kind: Kind, _ namespace: String, _ selector: JSONValue?) async throws -> Secret<String> {
        guard let name = selector?["name"]?.stringValue, let key = selector?["key"]?.stringValue else {
            throw MonitorError("a reference to \(kind.rawValue) has no name or key")
        }
        let reference = Reference(kind: kind, key: ObjectKey(namespace: namespace, name: name))
        let data = try await data(of: reference)
        guard let value = data[key] else {
            throw MonitorError("\(kind.rawValue) \(namespace)/\(name) has no key \"\(key)\"")
        }
        return value
    }

    private func data(of reference: Reference) async throws -> [String: Secret<String>] {
        let now = clock.monotonicNanoseconds
        if let known = kept.withLock({ $0[reference] }), let readAt = known.readAt,
            now - readAt < Self.lifetime.nanoseconds
        {
            return known.data
        }
        let resource = KubernetesResource(plural: reference.kind.rawValue)
        let bytes: [UInt8]
        do {
            bytes = try await client.get(
                resource.path(namespace: reference.key.namespace, name: reference.key.name), limit: .mebibytes(8))
        } catch {
            throw MonitorError("\(reference.kind.rawValue) \(reference.key): \(error)")
        }
        guard let document = try? JSONValue(parsing: bytes) else {
            throw MonitorError("\(reference.kind.rawValue) \(reference.key) is not JSON")
        }
        var data: [String: Secret<String>] = [:]
        for (key, value) in document["data"]?.objectValue ?? JSONObject() {
            guard let text = value.stringValue else { continue }
            if reference.kind == .configmaps {
                data[key] = Secret(text)
            } else if let plain = Base64.decode(text.utf8) {
                data[key] = Secret(String(decoding: plain, as: UTF8.self))
            }
        }
        kept.withLock { [data] kept in kept[reference] = Kept(data: data, readAt: now) }
        return data
    }
}
