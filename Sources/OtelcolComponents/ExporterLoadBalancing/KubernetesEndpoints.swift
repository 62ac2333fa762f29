import AlloySyntax
import ComponentKit
import Essentials
import Glibc
import Kubernetes
import KubernetesKit

struct KubernetesResolverArguments: Block, Sendable, Equatable {
    let service: String
    let ports: [UInt16]
    let timeout: Duration
    let returnsHostnames: Bool

    init(from block: inout BlockReader) {
        service = block.required("service", "The service, as `name` or `name.namespace`.")
        let numbers = block.optional("ports", default: [4317], "Ports of the endpoints, each of every address.")
        let timeout = block.optional(
            "timeout", default: Duration.seconds(60), "Time the first list of endpoints may take before it is reported."
        )
        returnsHostnames = block.optional(
            "return_hostnames", default: false,
            "Whether endpoints are names of pods of a StatefulSet instead of addresses.")
        if service.isEmpty || service.hasPrefix("."), block.isSet("service") {
            block.reject("service", "must be the name of a service")
        }
        if timeout < .zero { block.reject("timeout", "must not be negative") }
        self.timeout = timeout > .zero ? timeout : .seconds(1)
        ports = numbers.compactMap { UInt16(exactly: $0) }.filter { $0 > 0 }
        if ports.count != numbers.count { block.reject("ports", "must be ports") }
    }
}

/// The ready endpoints of a Kubernetes service, told whenever they change.
///
/// EndpointSlices (discovery.k8s.io/v1) are watched; where the account may not read them, the Endpoints object of the
/// service (core/v1). The API is reached by `KUBECONFIG`, from within a pod, or by `~/.kube/config`, in this order.
struct KubernetesEndpoints: Sendable {
    private let arguments: KubernetesResolverArguments
    private let hub: KubernetesHub
    private let clock: EngineClock
    private let connection: KubernetesConnection

    private struct Unreadable: Error {}

    /// One address with the name it goes by.
    private struct Address {
        var address: String
        var hostname: String?
    }

    init(
        _ arguments: KubernetesResolverArguments, _ hub: KubernetesHub, clock: EngineClock,
        connection: KubernetesConnection = .ofProcess
    ) {
        self.arguments = arguments
        self.hub = hub
        self.clock = clock
        self.connection = connection
    }

    func run(_ report: @escaping ResolverReport) async throws {
        let client = try await connect(report)
        let parts = arguments.service.split(separator: ".", maxSplits: 1).map(String.init)
        let name = parts[0]
        var namespace = "default"
        if parts.count > 1 { namespace = parts[1] } else if let own = try? await hub.ownNamespace() { namespace = own }
        do {
            let slices: ResourceCache<EndpointSlice> = client.cache(
                ObjectSelection(namespace: namespace, labelSelector: "kubernetes.io/service-name=\(name)"))
            try await follow(slices, name, namespace, report) { slice in
                slice.endpoints.filter { $0.isReady ?? true }
                    .flatMap { endpoint in endpoint.addresses.map { Address(address: $0, hostname: endpoint.hostname) }
                    }
            }
        } catch is Unreadable {
            let objects: ResourceCache<Endpoints> = client.cache(
                ObjectSelection(namespace: namespace, fieldSelector: "metadata.name=\(name)"))
            try await follow(objects, name, namespace, report, isLast: true) { object in
                object.subsets.flatMap { $0.addresses.map { Address(address: $0.ip, hostname: $0.hostname) } }
            }
        }
    }

    private func connect(_ report: ResolverReport) async throws -> KubernetesClient {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(60))
        while true {
            do {
                return try await hub.client(for: connection)
            } catch {
                try Task.checkCancellation()
                report(.failure(error))
                try await clock.sleep(for: backoff.next())
            }
        }
    }

    private func follow<Object>(
        _ cache: ResourceCache<Object>, _ service: String, _ namespace: String, _ report: @escaping ResolverReport,
        isLast: Bool = false, _ addresses: @escaping @Sendable (Object) -> [Address]
    ) async throws {
        let signal = ChangeSignal()
        let subscription = cache.subscribe(signal) { notice in
            if case .failed = notice { signal.set() }
            if case .listed = notice { signal.set() }
        }
        defer { withExtendedLifetime(subscription) {} }
        let (timeout, clock) = (arguments.timeout, clock)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cache.serve() }
            group.addTask {
                try await clock.sleep(for: timeout)
                if !cache.isSynced { report(.failure(ResolverError("no list of endpoints within \(timeout)"))) }
                try await waitForCancellation()
            }
            group.addTask {
                var last: [String]?
                while true {
                    try await signal.wait()
                    _ = subscription.take()
                    if let failure = cache.failure {
                        if !isLast, !cache.isSynced, failure.isForbidden || failure.isNotFound { throw Unreadable() }
                        report(.failure(failure))
                    }
                    guard cache.isSynced else { continue }
                    guard let names = names(cache.objects.flatMap(addresses), service, namespace) else {
                        report(.failure(ResolverError("endpoints of \(service) have no hostnames")))
                        continue
                    }
                    if names != last { report(.success(names)) }
                    last = names
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Nil when a hostname is wanted and missing: the list stays what it was, as upstream.
    private func names(_ addresses: [Address], _ service: String, _ namespace: String) -> [String]? {
        var hosts: Set<String> = []
        for address in addresses {
            guard arguments.returnsHostnames else {
                hosts.insert(address.address)
                continue
            }
            guard let hostname = address.hostname, !hostname.isEmpty else { return nil }
            hosts.insert("\(hostname).\(service).\(namespace)")
        }
        let ports = arguments.ports.isEmpty ? [""] : arguments.ports.map { "\($0)" }
        return hosts.flatMap { host in ports.map { EndpointName.join(host, $0) } }.sorted()
    }
}

extension KubernetesConnection {
    /// How `kubectl` and its like reach the API from this process.
    fileprivate static var ofProcess: KubernetesConnection {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        if let path = variable("KUBECONFIG") { return .kubeconfig(path) }
        if variable("KUBERNETES_SERVICE_HOST") == nil, let home = variable("HOME") {
            let path = "\(home)/.kube/config"
            if Files.exists(path) { return .kubeconfig(path) }
        }
        return .inCluster
    }
}

extension KubernetesError {
    fileprivate var isForbidden: Bool {
        if case .refused(403, _, _, _) = self { return true }
        return false
    }
}
