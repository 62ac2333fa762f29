import Kubernetes
import Telemetry

/// Makes the targets of objects, given what else is known about them.
///
/// Agrees with prometheus/prometheus `discovery/kubernetes`, role by role.
struct TargetBuilder {
    /// Looks other objects up.
    struct Lookup {
        var pod: (ObjectKey) -> Pod?
        var service: (ObjectKey) -> Service?
        /// Nil when metadata of nodes is not attached.
        var node: ((String) -> Node?)?
        /// Nil when metadata of namespaces is not attached.
        var namespace: ((String) -> Namespace?)?
    }

    private var labels = MetaLabels()
    private let lookup: Lookup

    init(_ lookup: Lookup) { self.lookup = lookup }

    // MARK: Roles of one object

    mutating func group(_ node: Node) -> DiscoveredGroup {
        guard let address = node.address else { return DiscoveredGroup() }
        labels.begin()
        labels.set("node_provider_id", to: node.providerID)
        for condition in node.conditions {
            labels.set("node_condition_", condition.name.lowercased(), to: condition.text.lowercased())
        }
        labels.set(metadata: node.metadata, of: "node")
        let shared = labels.finish()
        labels.begin()
        labels.set(plain: "__address__", to: joinedAddress(address, node.kubeletPort))
        labels.set(plain: "instance", to: node.metadata.name)
        for (index, address) in node.addresses.enumerated()
        where !node.addresses[..<index].contains(where: { $0.name == address.name }) {
            labels.set("node_address_", address.name, to: address.text)
        }
        return DiscoveredGroup(labels: shared, targets: [labels.finish()])
    }

    mutating func group(_ pod: Pod) -> DiscoveredGroup {
        guard !pod.podIP.isEmpty else { return DiscoveredGroup() }
        // Where nodes are looked at, a selector of nodes also selects pods.
        if let node = lookup.node, node(pod.nodeName) == nil { return DiscoveredGroup() }
        labels.begin()
        labels.set("namespace", to: pod.metadata.namespace)
        labels.set(pod: pod)
        setNode(pod.nodeName)
        setNamespace(pod.metadata.namespace)
        var group = DiscoveredGroup(labels: labels.finish())
        for container in pod.containers {
            if container.ports.isEmpty {
                labels.begin()
                labels.set(plain: "__address__", to: pod.podIP)
                labels.set(container: container)
                group.targets.append(labels.finish())
            }
            for port in container.ports {
                labels.begin()
                labels.set(plain: "__address__", to: joinedAddress(pod.podIP, port.number))
                labels.set(container: container, port: port)
                group.targets.append(labels.finish())
            }
        }
        return group
    }

    mutating func group(_ service: Service) -> DiscoveredGroup {
        labels.begin()
        setService(service)
        setNamespace(service.metadata.namespace)
        var group = DiscoveredGroup(labels: labels.finish())
        let host = "\(service.metadata.name).\(service.metadata.namespace).svc"
        for port in service.ports {
            labels.begin()
            labels.set(plain: "__address__", to: joinedAddress(host, port.number))
            labels.set("service_port_name", to: port.name)
            labels.set("service_port_number", to: "\(port.number)")
            labels.set("service_port_protocol", to: port.transport)
            labels.set("service_type", to: service.type)
            if service.type == "ExternalName" {
                labels.set("service_external_name", to: service.externalName)
            } else {
                labels.set("service_cluster_ip", to: service.clusterIP)
            }
            if service.type == "LoadBalancer" {
                let given = service.loadBalancerIPs.joined(separator: ",")
                labels.set("service_loadbalancer_ip", to: given.isEmpty ? service.requestedLoadBalancerIP : given)
            }
            group.targets.append(labels.finish())
        }
        return group
    }

    mutating func group(_ ingress: Ingress) -> DiscoveredGroup {
        labels.begin()
        labels.set("namespace", to: ingress.metadata.namespace)
        labels.set("ingress_class_name", to: ingress.className)
        labels.set(metadata: ingress.metadata, of: "ingress")
        setNamespace(ingress.metadata.namespace)
        var group = DiscoveredGroup(labels: labels.finish())
        for rule in ingress.rules {
            let isSecure = ingress.tlsHosts.contains { Self.matches(host: rule.host, pattern: $0) }
            for path in rule.paths ?? ["/"] {
                labels.begin()
                labels.set(plain: "__address__", to: rule.host)
                labels.set("ingress_scheme", to: isSecure ? "https" : "http")
                labels.set("ingress_host", to: rule.host)
                labels.set("ingress_path", to: path.isEmpty ? "/" : path)
                group.targets.append(labels.finish())
            }
        }
        return group
    }

    /// Whether a host is the one of a certificate: the same, or anything in place of a leading `*`.
    static func matches(host: String, pattern: String) -> Bool {
        if host == pattern { return true }
        let wanted = pattern.split(separator: ".", omittingEmptySubsequences: false)
        let given = host.split(separator: ".", omittingEmptySubsequences: false)
        return wanted.first == "*" && wanted.count == given.count && wanted.dropFirst() == given.dropFirst()
    }

    // MARK: Endpoints

    /// A pod that endpoints lead to, and which of its ports they name.
    private struct SeenPod {
        var pod: Pod
        var ports: Set<Int> = []
    }

    mutating func group(_ endpoints: Endpoints) -> DiscoveredGroup {
        let key = endpoints.metadata.key
        labels.begin()
        labels.set("namespace", to: key.namespace)
        if let service = lookup.service(key) { setService(service) }
        labels.set(metadata: endpoints.metadata, of: "endpoints")
        setNamespace(key.namespace)
        var group = DiscoveredGroup(labels: labels.finish())
        var seen: [ObjectKey: SeenPod] = [:]
        for subset in endpoints.subsets {
            for port in subset.ports {
                for (addresses, ready) in [(subset.addresses, true), (subset.notReady, false)] {
                    for address in addresses {
                        labels.begin()
                        labels.set(plain: "__address__", to: joinedAddress(address.ip, port.number))
                        labels.set("endpoint_port_name", to: port.name)
                        labels.set("endpoint_port_protocol", to: port.transport)
                        labels.set("endpoint_ready", to: ready)
                        labels.set("endpoint_address_target_kind", to: address.target?.kind)
                        labels.set("endpoint_address_target_name", to: address.target?.key.name)
                        labels.set("endpoint_node_name", to: address.nodeName)
                        labels.set("endpoint_hostname", to: address.hostname)
                        if let node = address.nodeName ?? nodeName(of: address.target) { setNode(node) }
                        setPod(address.target, port.number, transport: port.transport, &seen)
                        group.targets.append(labels.finish())
                    }
                }
            }
        }
        addOtherPorts(of: seen, to: &group)
        return group
    }

    mutating func group(_ slice: EndpointSlice) -> DiscoveredGroup {
        let namespace = slice.metadata.namespace
        labels.begin()
        labels.set("namespace", to: namespace)
        labels.set("endpointslice_address_type", to: slice.addressType)
        labels.set(metadata: slice.metadata, of: "endpointslice")
        let service = slice.serviceName.flatMap { lookup.service(ObjectKey(namespace: namespace, name: $0)) }
        if let service { setService(service) }
        setNamespace(namespace)
        var group = DiscoveredGroup(labels: labels.finish())
        if let service, Self.isSecondFamily(slice, of: service) { return group }
        var seen: [ObjectKey: SeenPod] = [:]
        for endpoint in slice.endpoints {
            for port in slice.ports {
                for address in endpoint.addresses {
                    labels.begin()
                    setEndpoint(endpoint, port, address)
                    setPod(endpoint.target, port.number, transport: nil, &seen)
                    group.targets.append(labels.finish())
                }
            }
        }
        addOtherPorts(of: seen, to: &group)
        return group
    }

    /// Whether a service of two address families has the same endpoints in a slice of the other one.
    private static func isSecondFamily(_ slice: EndpointSlice, of service: Service) -> Bool {
        guard ["PreferDualStack", "RequireDualStack"].contains(service.ipFamilyPolicy),
            let first = service.ipFamilies.first
        else { return false }
        return slice.addressType != first
    }

    private mutating func setEndpoint(
        _ endpoint: EndpointSlice.Endpoint, _ port: EndpointSlice.Port, _ address: String
    ) {
        labels.set(plain: "__address__", to: port.number.map { joinedAddress(address, $0) } ?? address)
        labels.set("endpointslice_port_name", to: port.name)
        labels.set("endpointslice_port_protocol", to: port.transport)
        labels.set("endpointslice_port", to: port.number.map { "\($0)" })
        labels.set("endpointslice_port_app_protocol", to: port.applicationProtocol)
        labels.set("endpointslice_endpoint_conditions_ready", to: endpoint.isReady)
        labels.set("endpointslice_endpoint_conditions_serving", to: endpoint.isServing)
        labels.set("endpointslice_endpoint_conditions_terminating", to: endpoint.isTerminating)
        labels.set("endpointslice_endpoint_hostname", to: endpoint.hostname)
        labels.set("endpointslice_address_target_kind", to: endpoint.target?.kind)
        labels.set("endpointslice_address_target_name", to: endpoint.target?.key.name)
        labels.set("endpointslice_endpoint_node_name", to: endpoint.nodeName)
        labels.set("endpointslice_endpoint_zone", to: endpoint.zone)
        for pair in endpoint.topology {
            labels.set("endpointslice_endpoint_topology_", pair.name, to: pair.text)
            labels.set("endpointslice_endpoint_topology_present_", pair.name, to: "true")
        }
        if let node = nodeName(of: endpoint.target) ?? endpoint.nodeName { setNode(node) }
    }

    private func nodeName(of target: TargetReference?) -> String? {
        guard let target, target.kind == "Node" else { return nil }
        return target.key.name
    }

    /// Adds the labels of the pod behind an endpoint and of its container with the endpoint's port.
    private mutating func setPod(
        _ target: TargetReference?, _ number: Int?, transport: String?, _ seen: inout [ObjectKey: SeenPod]
    ) {
        guard let target, target.kind == "Pod", let pod = seen[target.key]?.pod ?? lookup.pod(target.key) else {
            return
        }
        labels.set(pod: pod)
        if let number {
            seen[target.key, default: SeenPod(pod: pod)].ports.insert(number)
            for container in pod.containers {
                guard var port = container.ports.first(where: { $0.number == number }) else { continue }
                if let transport { port.transport = transport }
                labels.set(container: container, port: port, withID: false)
            }
        } else if seen[target.key] == nil {
            seen[target.key] = SeenPod(pod: pod)
        }
    }

    /// Adds a target for each port of a pod that no endpoint names.
    private mutating func addOtherPorts(of seen: [ObjectKey: SeenPod], to group: inout DiscoveredGroup) {
        for (_, entry) in seen.sorted(by: { $0.key < $1.key }) where !entry.pod.podIP.isEmpty {
            for container in entry.pod.containers {
                for port in container.ports where !entry.ports.contains(port.number) {
                    labels.begin()
                    labels.set(plain: "__address__", to: joinedAddress(entry.pod.podIP, port.number))
                    labels.set(container: container, port: port, withID: false)
                    labels.set(pod: entry.pod)
                    group.targets.append(labels.finish())
                }
            }
        }
    }

    // MARK: Parts

    private mutating func setService(_ service: Service) {
        labels.set("namespace", to: service.metadata.namespace)
        labels.set(metadata: service.metadata, of: "service")
    }

    private mutating func setNode(_ name: String) {
        guard let lookup = lookup.node, let node = lookup(name) else { return }
        labels.set(metadata: node.metadata, of: "node")
    }

    private mutating func setNamespace(_ name: String) {
        guard let lookup = lookup.namespace, let namespace = lookup(name) else { return }
        labels.set(metadata: namespace.metadata, of: "namespace", withName: false)
    }
}
