package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Wire

/// Names the hosts that spans came from: a gauge of 1 for each, as often as it is flushed.
package final class OtelcolConnectorHostInfo: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.connector.host_info", .generallyAvailable, "Makes a metric of the hosts spans come from.")

    package struct Arguments: Block, Sendable {
        let identifiers: [OTLPKey]
        let flushInterval: Duration
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let names = block.optional(
                "host_identifiers", default: ["host.id"], "Attributes of resources that name a host.")
            identifiers = names.map { OTLPKey($0) }
            flushInterval = block.optional(
                "metrics_flush_interval", default: .seconds(60), "How often the metric is sent.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)
            if names.isEmpty { block.reject("host_identifiers", "at least one host identifier is required") }
            if !(.seconds(15) ... .seconds(300)).contains(flushInterval) {
                block.reject("metrics_flush_interval", "must be between 15s and 5m")
            }
        }
    }

    private struct Hosts {
        var names: Set<[UInt8]> = []
        /// Bytes of the memory account.
        var bytes = 0
        /// Hosts there was no memory for since the last flush.
        var left = 0
    }

    /// Bytes of a host besides its name.
    private static let overhead = 64

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let delivery: MetricDelivery
    private let hosts = Mutex(Hosts())

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        delivery = MetricDelivery(context)
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.connector.host_info is gone") }
            try self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func take(_ batch: OTLPBatch) throws(DeliveryError) {
        guard batch.kind == .traces else {
            throw .rejected("unsupported_signal", "\(context.componentID) takes traces only")
        }
        let identifiers = arguments.current.identifiers
        let walker = OTLPWalker()
        do {
            try walker.walk(batch, to: .resource) { level in
                for identifier in identifiers {
                    if let name = walker.resource.attributes[identifier]?.stringBytes { note(name) }
                }
                return .skip
            }
        } catch {
            throw .rejected(.malformed, "\(error)")
        }
        context.ledger.merged(batch.itemCount)
    }

    private func note(_ name: UnsafeRawBufferPointer) {
        let name = Array(name)
        hosts.withLock { hosts in
            if hosts.names.contains(name) { return }
            let cost = name.count + Self.overhead
            guard context.memory.reserve(cost) else {
                hosts.left += 1
                return
            }
            hosts.bytes += cost
            hosts.names.insert(name)
        }
    }

    /// Sends the metric regularly until cancelled, and once more then.
    package func run() async throws {
        context.report(.healthy("noting hosts"))
        do {
            while true {
                try await context.clock.sleep(for: arguments.current.flushInterval)
                try await flush()
            }
        } catch {
            try? await flush()
            throw error
        }
    }

    private func flush() async throws {
        let noted = hosts.withLock { hosts in
            defer { hosts = Hosts() }
            return hosts
        }
        context.memory.release(noted.bytes)
        if noted.left > 0 {
            context.log.warn("Hosts left out for lack of memory", nil, ["mentions": "\(noted.left)"])
        }
        if noted.names.isEmpty { return }
        try await delivery.send(Self.metric(of: noted.names, context.clock.wallNanoseconds)) {
            arguments.current.output
        }
    }

    private static func metric(of names: Set<[UInt8]>, _ now: Int64) -> OTLPBatch {
        var assembler = OTLPAssembler(kind: .metrics)
        let scope = OTLPMessage()
        scope.clear(as: .scope)
        scope.set(OTLPField.Scope.name, string: "host_info")
        assembler.begin(scope: scope)
        let point = OTLPMessage()
        let view = OTLPNumberPoint(point)
        let host: OTLPKey = "grafana.host.id"
        var writer = ProtobufWriter()
        writer.field(OTLPField.Metric.name, string: "traces_host_info")
        let gauge = writer.beginMessage(OTLPField.Metric.gauge)
        for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            point.clear(as: .numberPoint)
            view.startTimeUnixNano = UInt64(clamping: now)
            view.timeUnixNano = UInt64(clamping: now)
            view.value = .int(1)
            name.withUnsafeBytes { view.attributes.set(host, to: .string($0)) }
            point.encoded.withUnsafeBytes { writer.field(OTLPField.MetricData.points, bytes: $0) }
        }
        writer.endMessage(gauge)
        writer.withBytes { assembler.append(item: $0) }
        return assembler.finish()
    }
}
