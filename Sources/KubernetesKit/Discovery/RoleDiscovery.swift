import Kubernetes
import Synchronization

/// The objects of one kind in all namespaces of a discovery, and what changed among them.
final class FollowedObjects<Object: KubernetesObject>: Sendable {
    private let caches: [String: ResourceCache<Object>]
    private let subscriptions: [CacheSubscription<Object>]

    /// `namespaces` has the empty one for all; `role` is what events are counted for.
    init(
        _ client: KubernetesClient, _ namespaces: [String], _ selector: DiscoveryRequest.Selector?,
        _ signal: ChangeSignal, _ role: DiscoveryRole?, _ tell: @escaping @Sendable (DiscoveryNews) -> Void
    ) {
        var caches: [String: ResourceCache<Object>] = [:]
        for namespace in namespaces {
            caches[namespace] = client.cache(
                ObjectSelection(
                    namespace: namespace.isEmpty ? nil : namespace, labelSelector: selector?.label ?? "",
                    fieldSelector: selector?.field ?? ""))
        }
        self.caches = caches
        subscriptions = caches.values.map { cache in
            cache.subscribe(signal) { notice in
                switch notice {
                case .changed(let added, let modified, let deleted):
                    guard let role else { return }
                    tell(.counted(role: role, added: added, modified: modified, deleted: deleted))
                case .failed(let error): tell(.failed(error))
                case .listed: break
                }
            }
        }
    }

    var isSynced: Bool { caches.values.allSatisfy(\.isSynced) }
    var isFailing: Bool { caches.values.contains { $0.failure != nil } }
    var servers: [@Sendable () async throws -> Void] { caches.values.map { cache in { try await cache.serve() } } }

    subscript(key: ObjectKey) -> Object? { (caches[""] ?? caches[key.namespace])?[key] }

    /// The keys of what changed since the last call.
    func take() -> Set<ObjectKey> {
        subscriptions.reduce(into: []) { $0.formUnion($1.take()) }
    }
}

/// Makes groups of the objects of one role, and again whenever they or what their labels come from change.
final class RoleDiscovery<Primary: DiscoverableObject>: Sendable {
    /// Groups made before others get a turn.
    private static var chunkSize: Int { 200 }

    private let signal = ChangeSignal()
    private let primary: FollowedObjects<Primary>
    private let services: FollowedObjects<Service>?
    private let pods: FollowedObjects<Pod>?
    private let nodes: FollowedObjects<Node>?
    private let namespaces: FollowedObjects<Namespace>?
    private let dependencies = Dependencies()
    private let tell: @Sendable (DiscoveryNews) -> Void

    init(
        _ request: DiscoveryRequest, _ client: KubernetesClient, _ names: [String],
        _ tell: @escaping @Sendable (DiscoveryNews) -> Void
    ) {
        self.tell = tell
        let signal = signal
        primary = FollowedObjects(client, names, request.selectors[Primary.role], signal, Primary.role, tell)
        services =
            Primary.needsServices
            ? FollowedObjects(client, names, request.selectors[.service], signal, .service, tell) : nil
        pods =
            Primary.needsPods ? FollowedObjects(client, names, request.selectors[.pod], signal, .pod, tell) : nil
        let attachesNode = request.attachesNode && (Primary.needsPods || Primary.role == .pod)
        nodes = attachesNode ? FollowedObjects(client, [""], request.selectors[.node], signal, nil, tell) : nil
        let attachesNamespace = request.attachesNamespace && Primary.role != .node
        namespaces = attachesNamespace ? FollowedObjects(client, [""], nil, signal, nil, tell) : nil
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var servers = primary.servers + (services?.servers ?? []) + (pods?.servers ?? [])
            servers += (nodes?.servers ?? []) + (namespaces?.servers ?? [])
            for serve in servers { group.addTask { try await serve() } }
            group.addTask { [self] in try await follow() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private var isSynced: Bool {
        primary.isSynced && services?.isSynced ?? true && pods?.isSynced ?? true && nodes?.isSynced ?? true
            && namespaces?.isSynced ?? true
    }

    private var isFailing: Bool {
        let parts = [primary.isFailing, services?.isFailing, pods?.isFailing, nodes?.isFailing, namespaces?.isFailing]
        return parts.contains(true)
    }

    private func follow() async throws {
        let dependencies = dependencies
        let needsNode = nodes != nil
        let needsNamespace = namespaces != nil
        var builder = TargetBuilder(
            TargetBuilder.Lookup(
                pod: { [pods] key in
                    dependencies.note(.pod(key))
                    return pods?[key]
                },
                service: { [services] key in
                    dependencies.note(.service(key))
                    return services?[key]
                },
                node: needsNode
                    ? { [nodes] name in
                        dependencies.note(.node(name))
                        return nodes?[ObjectKey(name: name)]
                    } : nil,
                namespace: needsNamespace
                    ? { [namespaces] name in
                        dependencies.note(.namespace(name))
                        return namespaces?[ObjectKey(name: name)]
                    } : nil))
        var isFirst = true
        var wasFailing = false
        while true {
            try await signal.wait()
            guard isSynced else { continue }
            var due = primary.take()
            for key in services?.take() ?? [] { due.formUnion(dependencies.dependants(of: .service(key))) }
            for key in pods?.take() ?? [] { due.formUnion(dependencies.dependants(of: .pod(key))) }
            for key in nodes?.take() ?? [] { due.formUnion(dependencies.dependants(of: .node(key.name))) }
            for key in namespaces?.take() ?? [] { due.formUnion(dependencies.dependants(of: .namespace(key.name))) }
            let groups = try await makeGroups(of: due, &builder)
            if !groups.isEmpty || isFirst { tell(.groups(groups)) }
            let isFailing = isFailing
            if isFirst || (wasFailing && !isFailing) { tell(.complete) }
            wasFailing = isFailing
            isFirst = false
        }
    }

    private func makeGroups(
        of keys: Set<ObjectKey>, _ builder: inout TargetBuilder
    ) async throws -> [String: DiscoveredGroup] {
        var groups: [String: DiscoveredGroup] = [:]
        groups.reserveCapacity(keys.count)
        for (index, key) in keys.enumerated() {
            if index % Self.chunkSize == Self.chunkSize - 1 {
                await Task.yield()
                try Task.checkCancellation()
            }
            let source = "\(Primary.sourcePrefix)/\(key)"
            dependencies.begin(key)
            groups[source] = primary[key]?.group(&builder) ?? DiscoveredGroup()
            dependencies.end()
        }
        return groups
    }
}

/// Which groups have labels of which other objects.
private final class Dependencies: Sendable {
    enum Source: Hashable {
        case pod(ObjectKey)
        case service(ObjectKey)
        case node(String)
        case namespace(String)
    }

    private struct State: ~Copyable {
        var dependants: [Source: Set<ObjectKey>] = [:]
        var sources: [ObjectKey: Set<Source>] = [:]
        var current: ObjectKey?
        var noted: Set<Source> = []
    }

    private let state = Mutex(State())

    /// A group is made; what is noted from now on belongs to it.
    func begin(_ key: ObjectKey) {
        state.withLock { state in
            state.current = key
            state.noted.removeAll(keepingCapacity: true)
        }
    }

    func note(_ source: Source) { state.withLock { _ = $0.noted.insert(source) } }

    func end() {
        state.withLock { state in
            guard let key = state.current else { return }
            let before = state.sources[key] ?? []
            for gone in before.subtracting(state.noted) {
                state.dependants[gone]?.remove(key)
                if state.dependants[gone]?.isEmpty == true { state.dependants[gone] = nil }
            }
            for new in state.noted.subtracting(before) { state.dependants[new, default: []].insert(key) }
            state.sources[key] = state.noted.isEmpty ? nil : state.noted
            state.current = nil
        }
    }

    func dependants(of source: Source) -> Set<ObjectKey> { state.withLock { $0.dependants[source] ?? [] } }
}
