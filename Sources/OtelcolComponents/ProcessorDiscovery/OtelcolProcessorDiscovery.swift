package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Transport
import Wire

/// Adds the labels of discovered targets to the resources of spans that came from their addresses.
package final class OtelcolProcessorDiscovery: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.discovery", .generallyAvailable, "Adds labels of discovered targets to spans.")

    enum Operation: String, AlloyWord {
        /// Adds what is not there.
        case insert
        /// Replaces what is there.
        case update
        case upsert
        static var placeholder: Operation { .upsert }
    }

    /// Where the address of a pod is looked for.
    enum Association: String, AlloyWord {
        case ip
        case netHostIP = "net.host.ip"
        case podIP = "k8s.pod.ip"
        case hostname
        case connection
        static var placeholder: Association { .ip }
    }

    package struct Arguments: Block, Sendable {
        let targets: [Target]
        let operation: Operation
        let associations: [Association]
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            targets = block.required("targets", "Targets whose labels are added.")
            operation = block.optional(
                "operation_type", default: .upsert,
                "Whether attributes are added (`insert`), replaced (`update`) or both.")
            associations = block.optional(
                "pod_associations", default: [.ip, .netHostIP, .podIP, .hostname, .connection],
                "Where the address of the target is looked for, in order.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            for kind in [OTLPBatch.Kind.metrics, .logs] where output.accepts(kind) {
                block.warn("output", "gets no \(kind): only traces are taken")
            }
        }
    }

    /// The labels of one target, without those that begin with two underscores.
    private typealias Labels = [(key: OTLPKey, value: [UInt8])]

    private struct Table {
        var version: UInt64?
        var labels: [String: Labels] = [:]
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let table = Mutex(Table())

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { [weak self] batch in
                guard let self else { return batch }
                if batch.kind != .traces { throw UnsupportedSignal(component: context.componentID, kind: batch.kind) }
                return try addLabels(to: batch)
            })
        context.export(InputExports(input: receiver))
        context.report(.healthy("ready"))
    }

    private struct UnsupportedSignal: Error, CustomStringConvertible {
        let component: String
        let kind: OTLPBatch.Kind
        var description: String { "\(component) takes traces only, not \(kind)" }
    }

    private func addLabels(to batch: OTLPBatch) throws -> OTLPBatch {
        let (current, version) = arguments.snapshot
        let table = labels(of: current.targets, version)
        if table.isEmpty { return batch }
        let walker = OTLPWalker()
        return try walker.edit(batch, to: .resource) { _ in
            let attributes = walker.resource.attributes
            guard let address = Self.address(of: attributes, batch.client, current.associations),
                let labels = table[address]
            else { return .skip }
            for (key, value) in labels {
                switch current.operation {
                case .insert where attributes.contains(key): continue
                case .update where !attributes.contains(key): continue
                default: attributes.set(key, to: .string(value) as OTLPAnyValue)
                }
            }
            return .skip
        }
    }

    // MARK: Addresses

    private static let ip: OTLPKey = "ip"
    private static let netHostIP: OTLPKey = "net.host.ip"
    private static let podIP: OTLPKey = "k8s.pod.ip"
    private static let hostName: OTLPKey = "host.name"

    private static func address(
        of attributes: OTLPAttributes, _ client: OTLPClient?, _ associations: [Association]
    ) -> String? {
        func text(_ key: OTLPKey) -> String? {
            guard let bytes = attributes[key]?.stringBytes, !bytes.isEmpty else { return nil }
            return String(decoding: bytes, as: UTF8.self)
        }
        for association in associations {
            let found =
                switch association {
                case .ip: text(ip)
                case .netHostIP: text(netHostIP)
                case .podIP: text(podIP)
                case .hostname: text(hostName).flatMap { IPLiteral($0) == nil ? nil : $0 }
                case .connection: client?.host
                }
            if let found { return found }
        }
        return nil
    }

    // MARK: Targets

    /// Labels by address; made anew when the arguments have changed.
    private func labels(of targets: [Target], _ version: UInt64) -> [String: Labels] {
        if let known = table.withLock({ $0.version == version ? $0.labels : nil }) { return known }
        var made: [String: Labels] = [:]
        for target in targets {
            guard let address = target["__address__"], let host = Self.host(of: address) else {
                context.log.warn("A target has no address to be found by", nil, ["target": "\(target)"])
                continue
            }
            made[host] = target.labels.pairs.compactMap { label in
                label.name.hasPrefix("__") ? nil : (OTLPKey(label.name), Array(label.value.utf8))
            }
        }
        let labels = made
        table.withLock { table in
            if table.version.map({ $0 < version }) ?? true { table = Table(version: version, labels: labels) }
        }
        return labels
    }

    /// The host of `host:port`; nil for what is neither that nor a host alone.
    private static func host(of address: String) -> String? {
        if address.hasPrefix("[") {
            guard let end = address.firstIndex(of: "]") else { return nil }
            return String(address[address.index(after: address.startIndex)..<end])
        }
        let parts = address.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count > 2 ? nil : String(parts[0])
    }
}

extension OtelcolProcessorDiscovery: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        if let refusal = OTLPExplaining.refusing(item, .traces) { return refusal }
        let rule = OTLPExplaining.Rule("targets", path: RulePath("targets")) { [self] in try addLabels(to: $0) }
        return OTLPExplaining.explanation(of: item, [rule], to: arguments.current.output)
    }
}
