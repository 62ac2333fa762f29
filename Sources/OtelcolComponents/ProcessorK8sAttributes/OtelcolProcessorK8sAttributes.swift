package import AlloySyntax
package import ComponentKit
import Essentials
import Glibc
import Kubernetes
import KubernetesKit
import Synchronization
import Telemetry
import TextFormats
import Wire

/// Adds what the Kubernetes API says of the pods resources came from.
package final class OtelcolProcessorK8sAttributes: Component, Explaining {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.k8sattributes", .generallyAvailable, "Adds attributes of Kubernetes pods to resources.")

    package struct Arguments: Block, Sendable {
        let watch: Watch
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let access = ClusterAccess(from: &block, default: "serviceAccount")
            let passes = block.optional(
                "passthrough", default: false, "Whether only the address of the client is added, without any API.")
            let waits = block.optional(
                "wait_for_metadata", default: false, "Whether batches are taken only once the pods are known.")
            let timeout = block.optional(
                "wait_for_metadata_timeout", default: Duration.seconds(10), "After what time waiting is a failure.")
            let period = block.optional(
                "watch_sync_period", default: Duration.seconds(300), "How often known objects are looked at again.")
            let grace = block.optional(
                "pod_delete_grace_period", default: Duration.seconds(120), "How long deleted pods are remembered.")
            let rules: ExtractionRules = block.block("extract", "What becomes attributes.")
            let filter: PodFilter = block.block("filter", "Which pods are watched.")
            let associations: [PodAssociation] = block.blocks("pod_association", "How pods are found, in order.")
            let excluded: ExcludedPods = block.block("exclude", "Pods that are left out.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            if period != .seconds(300) {
                block.warn("watch_sync_period", "has no effect: attributes follow every change of the objects")
            }
            if grace < .zero { block.reject("pod_delete_grace_period", "must not be negative") }
            watch = Watch(
                access: access, passesAddresses: passes, waits: waits, timeout: timeout, grace: grace, rules: rules,
                selection: filter.selection, node: filter.node, matcher: PodMatcher(associations: associations),
                excluded: excluded)
        }
    }

    /// What a change of begins the watch anew.
    struct Watch: Sendable, Equatable {
        var access: ClusterAccess
        var passesAddresses: Bool
        var waits: Bool
        var timeout: Duration
        var grace: Duration
        var rules: ExtractionRules
        var selection: ObjectSelection
        var node: String
        var matcher: PodMatcher
        var excluded: ExcludedPods
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let receiver: Receiver<OTLPBatch>
    private let index = Mutex<PodIndex?>(nil)
    private let metrics: PodMetrics

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        receiver = context.makeReceiver(OTLPBatch.self)
        metrics = PodMetrics(context.metrics)
        context.export(InputExports(input: receiver))
    }

    package func run() async throws {
        defer { receiver.install(nil) }
        try await arguments.whileCurrent(\.watch) { [self] watch in
            if watch.passesAddresses {
                open(nil)
                while true { try await context.clock.sleep(for: .seconds(86_400)) }
            }
            try await follow(watch)
        }
    }

    private func follow(_ watch: Watch) async throws {
        let client = try await connect(watch)
        let excluded = watch.excluded
        let index = PodIndex(watch.rules, watch.matcher, grace: watch.grace, metrics: metrics) { pod in
            excluded.has(pod)
        }
        if !watch.waits { open(index) }
        let cluster = ClusterWatch(
            client: client, selection: watch.selection, node: watch.node, rules: watch.rules, index: index,
            clock: context.clock,
            synced: { [self] in
                index.complete()
                context.report(.healthy("knows \(index.count) pods"))
                if watch.waits { open(index) }
            },
            failed: { [context] error in
                context.log.error("Failed to list or watch objects", error)
                context.report(.unhealthy("unable to list or watch objects: \(error)"))
            })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cluster.run() }
            if watch.waits {
                group.addTask { [context] in
                    try await context.clock.sleep(for: watch.timeout)
                    if !index.isComplete {
                        context.report(.unhealthy("the pods are not known after \(watch.timeout)"))
                    }
                    while true { try await context.clock.sleep(for: .seconds(86_400)) }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// The client of the API; tries again while the credentials cannot be read.
    private func connect(_ watch: Watch) async throws -> KubernetesClient {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(30))
        while true {
            do {
                let connection = try watch.access.connection { name in
                    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
                }
                return try await context.services.kubernetes.client(for: connection)
            } catch {
                try Task.checkCancellation()
                context.report(.unhealthy("cannot reach the Kubernetes API: \(error)"))
                if !watch.waits { open(nil) }
                try await context.clock.sleep(for: backoff.next())
            }
        }
    }

    // MARK: Batches

    private func open(_ made: PodIndex?) {
        index.withLock { $0 = made }
        if arguments.current.watch.passesAddresses { context.report(.healthy("adding addresses of clients")) }
        OTLPProcessor.install(
            on: receiver, context.ledger, output: { [weak self] in self?.arguments.current.output },
            transform: { [weak self] batch in try self?.describe(batch) ?? batch })
    }

    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        guard current.watch.passesAddresses || index.withLock({ $0 }) != nil else {
            return OTLPExplaining.passing(
                item, to: current.output, "not known: which pods there are is only known where it runs")
        }
        let rule = OTLPExplaining.Rule("pod") { [self] in try describe($0) }
        return OTLPExplaining.explanation(of: item, [rule], to: current.output)
    }

    private func describe(_ batch: OTLPBatch) throws -> OTLPBatch {
        let watch = arguments.current.watch
        let writer = ResourceDescriber(
            rules: watch.rules, matcher: watch.matcher, index: watch.passesAddresses ? nil : index.withLock { $0 },
            addsAddress: watch.passesAddresses || watch.rules.wants(.podIP))
        let walker = OTLPWalker()
        return try walker.edit(batch, to: .resource) { _ in
            writer.describe(walker.resource.attributes, batch.client)
            return .skip
        }
    }
}

/// Writes what is known of a resource's pod into its attributes. What is there already stays, unless it is empty.
private struct ResourceDescriber {
    private static let namespace = OTLPKey("k8s.namespace.name")
    private static let serviceNamespace = OTLPKey("service.namespace")
    private static let node = OTLPKey("k8s.node.name")
    private static let nodeUID = OTLPKey("k8s.node.uid")
    private static let containerName = OTLPKey("k8s.container.name")
    private static let containerID = OTLPKey("container.id")
    private static let restartCount = OTLPKey("k8s.container.restart_count")
    private static let digests = OTLPKey("container.image.repo_digests")
    private static let ownerKeys: [(TextRule.Origin, OTLPKey)] = [
        (.deployment, "k8s.deployment.uid"), (.statefulset, "k8s.statefulset.uid"),
        (.daemonset, "k8s.daemonset.uid"), (.job, "k8s.job.uid"),
    ]

    let rules: ExtractionRules
    let matcher: PodMatcher
    let index: PodIndex?
    let addsAddress: Bool

    func describe(_ attributes: OTLPAttributes, _ client: OTLPClient?) {
        let found = matcher.identifier(of: attributes, client)
        if addsAddress, let address = found?.address { set(PodMatcher.podIP, address, attributes) }
        guard let index else { return }
        let pod = found.flatMap { index.description(for: $0.identifier) }
        if let pod {
            for attribute in pod.attributes { set(attribute.key, attribute.text, attributes) }
            addContainer(of: pod, attributes)
        }
        addSurroundings(of: pod, index.objects, attributes)
    }

    private func set(_ key: OTLPKey, _ value: String, _ attributes: OTLPAttributes) {
        switch attributes[key] {
        case nil, .empty?: attributes.set(key, to: value)
        case .string(let bytes)? where bytes.isEmpty: attributes.set(key, to: value)
        default: break
        }
    }

    private func addContainer(of pod: PodDescription, _ attributes: OTLPAttributes) {
        let container: PodDescription.Container?
        if let name = PodMatcher.text(attributes, Self.containerName) {
            container = pod.containers.first { $0.name == name }
        } else if let id = PodMatcher.text(attributes, Self.containerID) {
            container = pod.containers.first { $0.id == id }
        } else {
            container = pod.containers.count == 1 ? pod.containers.first : nil
        }
        guard let container else { return }
        for attribute in container.attributes { set(attribute.key, attribute.text, attributes) }
        if let count = attributes[Self.restartCount], Self.number(count) != container.restartCount { return }
        if container.givesID { set(Self.containerID, container.id, attributes) }
        if let digest = container.digest, !attributes.contains(Self.digests) {
            attributes.set(Self.digests, to: .array([.string(digest)]) as OTLPAnyValue)
        }
    }

    private static func number(_ value: OTLPValue) -> Int? {
        switch value {
        case .int(let number): Int(number)
        case .string(let bytes): Int(String(decoding: bytes, as: UTF8.self))
        default: nil
        }
    }

    private func addSurroundings(of pod: PodDescription?, _ objects: ObjectTables, _ attributes: OTLPAttributes) {
        if let name = text(pod?.namespace) ?? PodMatcher.text(attributes, Self.namespace) {
            add(.namespace, name, objects, attributes)
            if rules.wants(.serviceNamespace) { set(Self.serviceNamespace, name, attributes) }
        }
        if let name = text(pod?.nodeName) ?? PodMatcher.text(attributes, Self.node) {
            add(.node, name, objects, attributes)
            if rules.wants(.nodeUID), let uid = objects.nodes.named(name)?.uid { set(Self.nodeUID, uid, attributes) }
        }
        for (origin, key) in Self.ownerKeys where rules.reads(origin) {
            let owner = pod?.owner.flatMap { $0.kind == origin ? $0.uid : nil }
            if let uid = text(owner) ?? PodMatcher.text(attributes, key) { add(origin, uid, objects, attributes) }
        }
    }

    private func text(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }

    /// Labels and annotations of an object that is not the pod.
    private func add(_ origin: TextRule.Origin, _ name: String, _ objects: ObjectTables, _ attributes: OTLPAttributes) {
        guard rules.reads(origin), let object = objects.object(origin, name) else { return }
        for attribute in object.attributes { set(attribute.key, attribute.text, attributes) }
    }
}
