import AlloySyntax
import Kubernetes
import Telemetry
import Transport
import Wire

/// A `pod_association` block: what of a resource and its connection tells which pod it came from.
struct PodAssociation: Block, Sendable, Equatable {
    enum Source: Sendable, Equatable {
        case connection
        case attribute(OTLPKey)
    }

    static let maximumSources = 4

    let sources: [Source]

    init(from block: inout BlockReader) {
        let blocks: [SourceBlock] = block.blocks("source", "What must be equal.", required: true)
        sources = blocks.compactMap(\.source)
        if blocks.count > Self.maximumSources {
            block.reject("source", "can be given \(Self.maximumSources) times at most")
        }
    }

    private struct SourceBlock: Block {
        let source: Source?

        init(from block: inout BlockReader) {
            let from: String = block.required("from", "`connection` or `resource_attribute`.")
            let name = block.optional("name", default: "", "The attribute.")
            switch from {
            case "connection": source = .connection
            case "resource_attribute":
                source = .attribute(OTLPKey(name))
                if name.isEmpty { block.reject("name", "is required for resource_attribute") }
            default:
                source = nil
                if block.isSet("from") { block.reject("from", "must be connection or resource_attribute") }
            }
        }
    }
}

/// What a pod is looked up by: sources with their values.
struct PodIdentifier: Hashable, Sendable {
    private(set) var text = ""

    mutating func add(_ source: PodAssociation.Source, _ value: String) {
        switch source {
        case .connection: text += "\u{0}\(value)"
        case .attribute(let key): text += "\(key.name)\u{0}\(value)"
        }
        text += "\u{1}"
    }

    init() {}

    init(_ source: PodAssociation.Source, _ value: String) { add(source, value) }
}

/// Finds identifiers: of resources as they come, and of pods as they are known.
struct PodMatcher: Sendable, Equatable {
    static let podIP = OTLPKey("k8s.pod.ip")
    private static let podUID = OTLPKey("k8s.pod.uid")
    private static let hostName = OTLPKey("host.name")
    private static let ip = OTLPKey("ip")
    private static let containerID = OTLPKey("container.id")
    private static let namespace = OTLPKey("k8s.namespace.name")
    private static let podName = OTLPKey("k8s.pod.name")
    /// Attributes that pods have whatever the rules.
    private static let ownKeys: Set<OTLPKey> = [podIP, podUID, hostName, containerID, namespace, podName]

    /// Without any, pods are found by their addresses.
    let associations: [PodAssociation]

    // MARK: Resources

    /// The identifier of the first association that has all it needs, and the connection's address if it counts.
    func identifier(
        of attributes: OTLPAttributes, _ client: OTLPClient?
    ) -> (identifier: PodIdentifier, address: String?)? {
        let address = client?.host
        if associations.isEmpty { return standard(attributes, address) }
        for association in associations {
            var identifier = PodIdentifier()
            var used: String?
            var isComplete = true
            for source in association.sources {
                guard let value = value(of: source, attributes, address) else {
                    isComplete = false
                    break
                }
                if source == .connection { used = value }
                identifier.add(source, value)
            }
            if isComplete { return (identifier, used) }
        }
        return nil
    }

    private func value(
        of source: PodAssociation.Source, _ attributes: OTLPAttributes, _ address: String?
    ) -> String? {
        switch source {
        case .connection: return address
        case .attribute(let key):
            let text = Self.text(attributes, key)
            // In clusters it may be the pod's address; another name says nothing of the pod.
            if key == Self.hostName, let text, IPLiteral(text) == nil { return nil }
            return text
        }
    }

    private func standard(
        _ attributes: OTLPAttributes, _ address: String?
    ) -> (identifier: PodIdentifier, address: String?)? {
        if let ip = Self.text(attributes, Self.podIP) {
            return (PodIdentifier(.attribute(Self.podIP), ip), nil)
        }
        let host = Self.text(attributes, Self.hostName).flatMap { IPLiteral($0) == nil ? nil : $0 }
        guard let value = Self.text(attributes, Self.ip) ?? address ?? host else { return nil }
        return (PodIdentifier(.connection, value), value)
    }

    static func text(_ attributes: OTLPAttributes, _ key: OTLPKey) -> String? {
        guard let bytes = attributes[key]?.stringBytes, !bytes.isEmpty else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Pods

    /// Whether pods are found by attributes that come of the rules.
    var readsAttributes: Bool {
        associations.contains { association in
            association.sources.contains { source in
                if case .attribute(let key) = source { !Self.ownKeys.contains(key) } else { false }
            }
        }
    }

    /// Everything a pod is found by, each once. `attribute` tells attributes that come of the rules.
    func identifiers(of pod: DescribedPod, attribute: (OTLPKey) -> String?) -> [PodIdentifier] {
        var found: [PodIdentifier] = []
        func add(_ identifier: PodIdentifier) { if !found.contains(identifier) { found.append(identifier) } }
        for association in associations {
            var parts: [PodIdentifier] = [PodIdentifier()]
            for source in association.sources {
                let values = values(of: source, pod, attribute)
                parts = parts.flatMap { part in
                    values.map { value in
                        var longer = part
                        longer.add(source, value)
                        return longer
                    }
                }
            }
            for part in parts { add(part) }
        }
        if !pod.metadata.uid.isEmpty { add(PodIdentifier(.attribute(Self.podUID), pod.metadata.uid)) }
        if !pod.podIP.isEmpty, !pod.isOnHostNetwork {
            add(PodIdentifier(.connection, pod.podIP))
            add(PodIdentifier(.attribute(Self.podIP), pod.podIP))
        }
        return found
    }

    private func values(
        of source: PodAssociation.Source, _ pod: DescribedPod, _ attribute: (OTLPKey) -> String?
    ) -> [String] {
        let value: String
        switch source {
        // Pods on the network of their host all have its address.
        case .connection: value = pod.isOnHostNetwork ? "" : pod.podIP
        case .attribute(Self.podIP), .attribute(Self.hostName): value = pod.podIP
        case .attribute(Self.podUID): value = pod.metadata.uid
        case .attribute(Self.containerID): return pod.containers.map(\.id).filter { !$0.isEmpty }
        case .attribute(Self.namespace): value = pod.metadata.namespace
        case .attribute(Self.podName): value = pod.metadata.name
        case .attribute(let key): value = attribute(key) ?? ""
        }
        return value.isEmpty ? [] : [value]
    }
}
