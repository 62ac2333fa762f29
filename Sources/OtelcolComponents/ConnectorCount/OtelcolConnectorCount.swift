package import AlloySyntax
package import ComponentKit
import Essentials
import OTTL
import Telemetry
import Wire

/// Counts spans, span events, metrics, data points and log records for which conditions hold, as delta sums of each batch.
package final class OtelcolConnectorCount: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.connector.count", .experimental, "Counts telemetry by conditions and attributes.")

    package struct Arguments: Block, Sendable {
        let counters: [CountGroup]
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let kinds: [CountGroup.Kind] = [.spans, .spanEvents, .metrics, .dataPoints, .logs]
            var counters: [CountGroup] = []
            for kind in kinds {
                let blocks: [CountBlock] = block.blocks(kind.rawValue, "A metric that counts \(kind.words).")
                let group = CountGroup(kind, blocks, &block)
                counters.append(group)
            }
            self.counters = counters
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
        }
    }

    static let scope = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector"

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        let errors = StatementErrors(log: context.log, clock: context.clock)
        let clock = context.clock
        let receiver = ConnectorReceiver.receiver(context, output: { arguments.current.output }) { batch in
            let groups = arguments.current.counters.filter { $0.kind.signal == batch.kind }
            return try Self.count(batch, groups, clock, errors)
        }
        context.export(InputExports(input: receiver))
    }

    private static func count(
        _ batch: OTLPBatch, _ groups: [CountGroup], _ clock: EngineClock, _ errors: StatementErrors
    ) throws -> OTLPBatch {
        let counters = groups.flatMap { group in group.counters.map { (group.kind.level, $0) } }
        var tally = MetricTally(counters.map(\.1.metric))
        var writer = ProtobufWriter(capacity: 256)
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: clock)
        var resource: [UInt8] = []
        let deepest = counters.map(\.0).max() ?? .item
        try walker.walk(batch, to: deepest) { level in
            frame.begin(level)
            if level == .resource { resource = walker.resource.encoded }
            for (index, (wanted, counter)) in counters.enumerated() where wanted == level {
                guard holds(counter.conditions, frame, errors) else { continue }
                let own = level == .point ? walker.point.attributes : walker.item.attributes
                let sources = [own, walker.scope.attributes, walker.resource.attributes]
                guard let attributes = GroupingAttribute.encode(counter.attributes, from: sources, &writer) else {
                    continue
                }
                tally.add(index, resource: resource, attributes: attributes, .int(1))
            }
            return .keep
        }
        return tally.batch(scope: scope, start: 0, now: UInt64(clamping: clock.wallNanoseconds), client: batch.client)
    }

    private static func holds(_ conditions: [OTTLCondition], _ frame: OTTLFrame, _ errors: StatementErrors) -> Bool {
        if conditions.isEmpty { return true }
        for condition in conditions {
            do {
                if try condition.holds(frame) { return true }
            } catch {
                try? errors.report(error, in: condition.text, .ignore)
            }
        }
        return false
    }
}

/// The counters of one kind of record.
struct CountGroup: Sendable {
    enum Kind: String, Sendable {
        case spans
        case spanEvents = "spanevents"
        case metrics
        case dataPoints = "datapoints"
        case logs

        var signal: OTLPBatch.Kind {
            switch self {
            case .spans, .spanEvents: .traces
            case .metrics, .dataPoints: .metrics
            case .logs: .logs
            }
        }

        var level: OTLPWalker.Level {
            switch self {
            case .spans, .metrics, .logs: .item
            case .spanEvents, .dataPoints: .point
            }
        }

        var context: OTTLContext {
            switch self {
            case .spans: .span
            case .spanEvents: .spanevent
            case .metrics: .metric
            case .dataPoints: .datapoint
            case .logs: .log
            }
        }

        var words: String {
            switch self {
            case .spans: "spans"
            case .spanEvents: "span events"
            case .metrics: "metrics"
            case .dataPoints: "data points"
            case .logs: "log records"
            }
        }

        /// The metric's name where none is given.
        var usualName: String {
            switch self {
            case .spans: "trace.span.count"
            case .spanEvents: "trace.span.event.count"
            case .metrics: "metric.count"
            case .dataPoints: "metric.datapoint.count"
            case .logs: "log.record.count"
            }
        }
    }

    struct Counter: Sendable {
        let metric: MetricTally.Metric
        let conditions: [OTTLCondition]
        let attributes: [GroupingAttribute]
    }

    let kind: Kind
    let counters: [Counter]

    fileprivate init(_ kind: Kind, _ blocks: [CountBlock], _ block: inout BlockReader) {
        self.kind = kind
        let usual = MetricTally.Metric(
            name: kind.usualName, description: "The number of \(kind.words) observed.", shape: .sum(isMonotonic: true))
        guard !blocks.isEmpty else {
            counters = [Counter(metric: usual, conditions: [], attributes: [])]
            return
        }
        var counters: [Counter] = []
        for given in blocks {
            var metric = usual
            if !given.name.isEmpty { metric = .init(name: given.name, shape: usual.shape) }
            if !given.description.isEmpty { metric.description = given.description }
            var conditions: [OTTLCondition] = []
            for text in given.conditions {
                do {
                    conditions.append(try OTTLCondition(text, in: kind.context))
                } catch {
                    block.reject(kind.rawValue, "\(error)")
                }
            }
            counters.append(Counter(metric: metric, conditions: conditions, attributes: given.attributes))
        }
        if Set(counters.map(\.metric.name)).count != counters.count {
            block.reject(kind.rawValue, "names of metrics must differ")
        }
        self.counters = counters
    }
}

private struct CountBlock: Block {
    let name: String
    let description: String
    let conditions: [String]
    let attributes: [GroupingAttribute]

    private struct Attribute: Block {
        let attribute: GroupingAttribute

        init(from block: inout BlockReader) {
            let key: String = block.required("key", "The name of the attribute.")
            let fallback: AlloySyntax.Value? = block.optional("default_value", "Its value where it is missing.")
            var value: OTLPAnyValue?
            if let fallback, case .null = fallback {
            } else if let fallback {
                value = OTLPAnyValue(fallback)
                if value == nil {
                    block.reject("default_value", "must be text, a number, a truth value or a list of them")
                }
            }
            attribute = GroupingAttribute(key, fallback: value)
        }
    }

    init(from block: inout BlockReader) {
        name = block.optional("name", "The metric's name; the usual one of the kind when left out.") ?? ""
        description = block.optional("description", default: "", "The metric's description.")
        conditions = block.optional(
            "conditions", default: [], "Conditions one of which must hold; all count when empty.")
        let attributes: [Attribute] = block.blocks("attributes", "An attribute that tells points apart.")
        self.attributes = attributes.map(\.attribute)
    }
}
