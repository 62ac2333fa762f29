package import Essentials
package import Kubernetes
import Telemetry

/// Finds targets by watching objects of Kubernetes.
///
/// What is found first is told as a whole; from then on each change of an object, or of one its targets' labels come
/// from, tells the group of that object again.
package struct KubernetesDiscovery: Sendable {
    private let request: DiscoveryRequest
    private let hub: KubernetesHub
    private let clock: EngineClock

    package init(_ request: DiscoveryRequest, _ hub: KubernetesHub, clock: EngineClock) {
        self.request = request
        self.hub = hub
        self.clock = clock
    }

    /// Discovers until cancelled. `tell` is called by one task at a time for groups, by any for the rest.
    package func run(_ tell: @escaping @Sendable (DiscoveryNews) -> Void) async throws {
        let (client, namespaces) = try await connect(tell)
        switch request.role {
        case .node: try await RoleDiscovery<Node>(request, client, [""], tell).run()
        case .pod: try await RoleDiscovery<Pod>(request, client, namespaces, tell).run()
        case .service: try await RoleDiscovery<Service>(request, client, namespaces, tell).run()
        case .endpoints: try await RoleDiscovery<Endpoints>(request, client, namespaces, tell).run()
        case .endpointslice: try await RoleDiscovery<EndpointSlice>(request, client, namespaces, tell).run()
        case .ingress: try await RoleDiscovery<Ingress>(request, client, namespaces, tell).run()
        }
    }

    /// The client and the namespaces, the empty one for all. What they are read from may come later.
    private func connect(
        _ tell: @Sendable (DiscoveryNews) -> Void
    ) async throws -> (KubernetesClient, [String]) {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(60))
        while true {
            do {
                let client = try await hub.client(for: request.connection)
                var namespaces = request.namespaces
                if request.includesOwnNamespace { namespaces.append(try await hub.ownNamespace()) }
                return (client, namespaces.isEmpty ? [""] : Array(Set(namespaces)).sorted())
            } catch {
                try Task.checkCancellation()
                tell(.failed(error))
                try await clock.sleep(for: backoff.next())
            }
        }
    }
}

/// An object that targets are made of.
protocol DiscoverableObject: KubernetesObject {
    static var role: DiscoveryRole { get }
    /// What the sources of groups begin with.
    static var sourcePrefix: String { get }
    /// Whether labels of services and of pods are added to the targets.
    static var needsServices: Bool { get }
    static var needsPods: Bool { get }
    func group(_ builder: inout TargetBuilder) -> DiscoveredGroup
}

extension DiscoverableObject {
    static var sourcePrefix: String { role.rawValue }
    static var needsServices: Bool { false }
    static var needsPods: Bool { false }
}

extension Node: DiscoverableObject {
    static var role: DiscoveryRole { .node }
    func group(_ builder: inout TargetBuilder) -> DiscoveredGroup { builder.group(self) }
}

extension Pod: DiscoverableObject {
    static var role: DiscoveryRole { .pod }
    func group(_ builder: inout TargetBuilder) -> DiscoveredGroup { builder.group(self) }
}

extension Service: DiscoverableObject {
    static var role: DiscoveryRole { .service }
    static var sourcePrefix: String { "svc" }
    func group(_ builder: inout TargetBuilder) -> DiscoveredGroup { builder.group(self) }
}

extension Ingress: DiscoverableObject {
    static var role: DiscoveryRole { .ingress }
    func group(_ builder: inout TargetBuilder) -> DiscoveredGroup { builder.group(self) }
}

extension Endpoints: DiscoverableObject {
    static var role: DiscoveryRole { .endpoints }
    static var needsServices: Bool { true }
    static var needsPods: Bool { true }
    func group(_ builder: inout TargetBuilder) -> DiscoveredGroup { builder.group(self) }
}

extension EndpointSlice: DiscoverableObject {
    static var role: DiscoveryRole { .endpointslice }
    static var needsServices: Bool { true }
    static var needsPods: Bool { true }
    func group(_ builder: inout TargetBuilder) -> DiscoveredGroup { builder.group(self) }
}
