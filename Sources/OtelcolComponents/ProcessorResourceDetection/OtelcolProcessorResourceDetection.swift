package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Wire

/// Adds to resources what can be found out about the place the program runs in.
///
/// Takes batches once every detector has answered; until then senders wait.
package final class OtelcolProcessorResourceDetection: Component, Explaining {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.resourcedetection", .generallyAvailable,
        "Adds attributes of the host, the container or the cloud to resources.")

    package struct Arguments: Block, Sendable {
        fileprivate let plan: DetectionPlan
        let overrides: Bool
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let names = block.optional(
                "detectors", default: ["env"], "What is asked, in order: the first answer counts.")
            overrides = block.optional("override", default: true, "Whether attributes that are there are replaced.")
            let fails = block.optional(
                "fail_on_missing_metadata", default: false,
                "Whether a metadata service that does not answer is an error.")
            let timeout = block.optional("timeout", default: Duration.seconds(5), "How long detection may take.")
            let known = DetectorCatalog.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            if names.isEmpty { block.reject("detectors", "must name at least one detector") }
            if timeout <= .zero { block.reject("timeout", "must be more than zero") }
            var detectors: [ConfiguredDetector] = []
            for name in names {
                if let detector = known.first(where: { $0.name == name }) {
                    detectors.append(detector)
                } else {
                    let list = known.map(\.name).joined(separator: ", ")
                    block.reject("detectors", "has no detector \"\(name)\"; there are \(list)")
                }
            }
            plan = DetectionPlan(detectors: detectors, failsOnMissingMetadata: fails, timeout: timeout)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let receiver: Receiver<OTLPBatch>
    private let found = Mutex<DetectedAttributes?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        receiver = context.makeReceiver(OTLPBatch.self)
        context.export(InputExports(input: receiver))
    }

    /// Detects, and again with new arguments. A failure is tried again at growing intervals; what was known stays.
    package func run() async throws {
        defer { receiver.install(nil) }
        try await arguments.whileCurrent({ $0.plan }) { [self] plan in
            var backoff = Backoff(minimum: .seconds(5), maximum: .seconds(60))
            while true {
                do throws(DetectionError) {
                    let probe = HostProbe(context.services, timeout: plan.timeout)
                    open(with: try await plan.detect(probe, context.log))
                    break
                } catch {
                    try Task.checkCancellation()
                    context.report(.unhealthy("resource detection failed: \(error)"))
                    context.log.warn("Resource detection failed", error)
                    try await context.clock.sleep(for: backoff.next())
                }
            }
            // Nothing more to do until the arguments change.
            while true { try await context.clock.sleep(for: .seconds(86_400)) }
        }
    }

    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        guard let attributes = found.withLock({ $0 }) else {
            return OTLPExplaining.passing(
                item, to: current.output, "not known: what is detected is only known where it runs")
        }
        let rule = OTLPExplaining.Rule("detectors", path: RulePath("detectors")) {
            try attributes.add(to: $0, overriding: current.overrides)
        }
        return OTLPExplaining.explanation(of: item, [rule], to: current.output)
    }

    private func open(with resource: DetectedResource) {
        let attributes = DetectedAttributes(resource)
        found.withLock { $0 = attributes }
        context.log.info(
            "Detected the resource", nil, ["attributes": resource.attributes.map(\.name).joined(separator: " ")])
        context.report(.healthy("adding \(resource.attributes.count) attributes"))
        OTLPProcessor.install(
            on: receiver, context.ledger, output: { [weak self] in self?.arguments.current.output },
            transform: { [weak self] batch in
                guard let self, let attributes = found.withLock({ $0 }) else { return batch }
                return try attributes.add(to: batch, overriding: arguments.current.overrides)
            })
    }
}

/// What was found, ready to be written into resources.
private struct DetectedAttributes: Sendable {
    private let attributes: [(key: OTLPKey, value: OTLPAnyValue)]
    private let schemaURL: String

    init(_ resource: DetectedResource) {
        attributes = resource.attributes.map { (OTLPKey($0.name), $0.value) }
        schemaURL = resource.schemaURL
    }

    func add(to batch: OTLPBatch, overriding: Bool) throws -> OTLPBatch {
        if attributes.isEmpty { return batch }
        let walker = OTLPWalker()
        return try walker.edit(batch, to: .resource) { _ in
            let present = walker.resource.attributes
            for attribute in attributes where overriding || !present.contains(attribute.key) {
                present.set(attribute.key, to: attribute.value)
            }
            let field = OTLPField.ResourceGroup.schemaURL
            if !schemaURL.isEmpty, walker.resourceGroup.bytes(field).isEmpty {
                walker.resourceGroup.set(field, string: schemaURL)
            }
            return .skip
        }
    }
}

/// What is to be found out, and how; a plan is equal to itself only.
private final class DetectionPlan: Sendable, Equatable {
    let detectors: [ConfiguredDetector]
    let failsOnMissingMetadata: Bool
    let timeout: Duration

    init(detectors: [ConfiguredDetector], failsOnMissingMetadata: Bool, timeout: Duration) {
        self.detectors = detectors
        self.failsOnMissingMetadata = failsOnMissingMetadata
        self.timeout = timeout
    }

    static func == (left: DetectionPlan, right: DetectionPlan) -> Bool { left === right }

    /// Asks all detectors at once and merges in their order. Every failure is told.
    func detect(_ probe: HostProbe, _ log: Log) async throws(DetectionError) -> DetectedResource {
        let results = await withTaskGroup(of: (Int, Result<DetectedResource, DetectionError>).self) { group in
            for (index, detector) in detectors.enumerated() {
                group.addTask { [self] in (index, await ask(detector, probe, log)) }
            }
            var results = [Result<DetectedResource, DetectionError>?](repeating: nil, count: detectors.count)
            for await (index, result) in group { results[index] = result }
            return results
        }
        var merged = DetectedResource()
        merged.schemaURL = ""
        var failures: [String] = []
        for (detector, result) in zip(detectors, results) {
            switch result {
            case .success(let resource): merged.fill(from: resource)
            case .failure(let error): failures.append("\(detector.name): \(error)")
            case nil: break
            }
        }
        if !failures.isEmpty { throw .failed(failures.joined(separator: "; ")) }
        return merged
    }

    /// Asks one detector until it answers or the time is over.
    private func ask(
        _ detector: ConfiguredDetector, _ probe: HostProbe, _ log: Log
    ) async -> Result<DetectedResource, DetectionError> {
        let start = probe.clock.monotonicNanoseconds
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(30))
        while true {
            do throws(DetectionError) {
                return .success(try await detector.detect(probe))
            } catch {
                if case .absent(let reason) = error, !failsOnMissingMetadata, !detector.detector.failsOnMissingMetadata
                {
                    log.debug("Not the place of a detector", nil, ["detector": detector.name, "reason": reason])
                    return .success(DetectedResource())
                }
                let wait = backoff.next()
                if probe.clock.elapsed(since: start) + wait > timeout { return .failure(error) }
                do { try await probe.clock.sleep(for: wait) } catch { return .failure(.failed("cancelled")) }
            }
        }
    }
}
