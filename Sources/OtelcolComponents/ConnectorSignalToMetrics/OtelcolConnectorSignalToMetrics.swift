package import AlloySyntax
package import ComponentKit
import Essentials
import OTTL
import Telemetry
import Wire

/// Makes metrics of spans, data points and log records, with values computed by OTTL, as deltas of each batch.
package final class OtelcolConnectorSignalToMetrics: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.connector.signaltometrics", .experimental, "Makes metrics of other telemetry by OTTL expressions.")

    package struct Arguments: Block, Sendable {
        let mode: ErrorMode
        let metrics: [DerivedMetric]
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            mode = block.optional(
                "error_mode", default: ErrorMode.propagate, "What to do when a condition or an expression fails.")
            let spans: [SpanMetric] = block.blocks("spans", "A metric made of spans.")
            let points: [DataPointMetric] = block.blocks("datapoints", "A metric made of data points.")
            let logs: [LogMetric] = block.blocks("logs", "A metric made of log records.")
            metrics = spans.map(\.metric) + points.map(\.metric) + logs.map(\.metric)
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            if metrics.isEmpty { block.reject("needs at least one block spans, datapoints or logs") }
        }
    }

    static let scope = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/signaltometricsconnector"

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        let errors = StatementErrors(log: context.log, clock: context.clock)
        let clock = context.clock
        let receiver = ConnectorReceiver.receiver(context, output: { arguments.current.output }) { batch in
            let current = arguments.current
            let metrics = current.metrics.filter { $0.signal == batch.kind }
            guard !metrics.isEmpty else { return OTLPBatch(kind: .metrics) }
            return try Self.derive(batch, metrics, clock) { error, text in
                try errors.report(error, in: text, current.mode)
            }
        }
        context.export(InputExports(input: receiver))
    }

    private static func derive(
        _ batch: OTLPBatch, _ metrics: [DerivedMetric], _ clock: EngineClock,
        _ report: (any Error, String) throws -> Void
    ) throws -> OTLPBatch {
        var tally = MetricTally(metrics.map(\.metric))
        var writer = ProtobufWriter(capacity: 256)
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: clock)
        let level: OTLPWalker.Level = batch.kind == .metrics ? .point : .item
        var resources: [[UInt8]?] = []
        try walker.walk(batch, to: level) { reached in
            frame.begin(reached)
            if reached == .resource { resources = metrics.map { $0.resource(of: walker, &writer) } }
            guard reached == level else { return .keep }
            let own = level == .point ? walker.point.attributes : walker.item.attributes
            for (index, metric) in metrics.enumerated() {
                guard let resource = resources[index],
                    let attributes = GroupingAttribute.encode(metric.attributes, from: [own], &writer)
                else { continue }
                do {
                    guard try metric.holds(frame) else { continue }
                    let count = try metric.count.map { try $0.number(frame).double } ?? 1
                    guard count >= 1 else { continue }
                    let value = try metric.value.number(frame)
                    tally.add(
                        index, resource: resource, attributes: attributes, value, count: UInt64(min(count, 1e15)))
                } catch {
                    try report(error, metric.metric.name)
                }
            }
            return .keep
        }
        return tally.batch(scope: scope, start: 0, now: UInt64(clamping: clock.wallNanoseconds), client: batch.client)
    }
}

/// A metric, and how it is made.
struct DerivedMetric: Sendable {
    let signal: OTLPBatch.Kind
    let metric: MetricTally.Metric
    let conditions: [OTTLCondition]
    /// What of the resource is kept; everything when empty.
    let resourceAttributes: [GroupingAttribute]
    let attributes: [GroupingAttribute]
    let value: OTTLNumberExpression
    let count: OTTLNumberExpression?

    func holds(_ frame: OTTLFrame) throws -> Bool {
        if conditions.isEmpty { return true }
        for condition in conditions where try condition.holds(frame) { return true }
        return false
    }

    /// The `Resource` message of the metric's points; nil when an attribute is missing.
    func resource(of walker: OTLPWalker, _ writer: inout ProtobufWriter) -> [UInt8]? {
        if resourceAttributes.isEmpty {
            let message = OTLPMessage()
            message.clear(as: .resource)
            message.attributes.replaceAll(with: walker.resource.attributes.map)
            return message.encoded
        }
        // The attributes of a resource are its field 1, as here.
        return GroupingAttribute.encode(resourceAttributes, from: [walker.resource.attributes], &writer)
    }

    init(from block: inout BlockReader, _ signal: OTLPBatch.Kind, _ context: OTTLContext) {
        self.signal = signal
        let name: String = block.required("name", "The metric's name.")
        let description = block.optional("description", default: "", "The metric's description.")
        let unit = block.optional("unit", default: "", "The metric's unit.")
        let texts: [String] = block.optional(
            "conditions", default: [], "Conditions one of which must hold; all count when empty.")
        let resources: [AttributeBlock] = block.blocks(
            "include_resource_attributes", "An attribute of the resource to keep; all when there is none.")
        let attributes: [AttributeBlock] = block.blocks("attributes", "An attribute that tells points apart.")
        let histogram: HistogramBlock? = block.optionalBlock("histogram", "Makes a histogram.")
        let exponential: ExponentialBlock? = block.optionalBlock(
            "exponential_histogram", "Makes an exponential histogram.")
        let sum: ValueBlock? = block.optionalBlock("sum", "Makes a sum.")
        let gauge: ValueBlock? = block.optionalBlock("gauge", "Makes a gauge of the last value.")
        let given: [(shape: MetricTally.Shape, value: String, count: String)] =
            [
                histogram.map { (.histogram(bounds: $0.bounds), $0.value, $0.count) },
                exponential.map { (.exponential(maximumSize: $0.size), $0.value, $0.count) },
                sum.map { (.sum(isMonotonic: false), $0.value, "") }, gauge.map { (.gauge, $0.value, "") },
            ].compactMap { $0 }
        if given.count != 1 {
            block.reject("needs one of the blocks histogram, exponential_histogram, sum and gauge, and not more")
        }
        func compiled<Compiled>(_ text: String, _ compile: (String) throws -> Compiled) -> Compiled? {
            do {
                return try compile(text)
            } catch {
                block.reject("\(error)")
                return nil
            }
        }
        conditions = texts.compactMap { text in compiled(text) { try OTTLCondition($0, in: context) } }
        resourceAttributes = resources.map(\.attribute)
        self.attributes = attributes.map(\.attribute)
        let (shape, valueText, countText) = given.first ?? (.gauge, "0", "")
        metric = MetricTally.Metric(name: name, description: description, unit: unit, shape: shape)
        value = compiled(valueText) { try OTTLNumberExpression($0, in: context) } ?? Self.zero(context)
        count = countText.isEmpty ? nil : compiled(countText) { try OTTLNumberExpression($0, in: context) }
    }

    /// Stands for an expression that was refused.
    private static func zero(_ context: OTTLContext) -> OTTLNumberExpression {
        do { return try OTTLNumberExpression("0", in: context) } catch { preconditionFailure("\(error)") }
    }
}

private struct SpanMetric: Block {
    let metric: DerivedMetric
    init(from block: inout BlockReader) { metric = DerivedMetric(from: &block, .traces, .span) }
}

private struct DataPointMetric: Block {
    let metric: DerivedMetric
    init(from block: inout BlockReader) { metric = DerivedMetric(from: &block, .metrics, .datapoint) }
}

private struct LogMetric: Block {
    let metric: DerivedMetric
    init(from block: inout BlockReader) { metric = DerivedMetric(from: &block, .logs, .log) }
}

private struct AttributeBlock: Block {
    let attribute: GroupingAttribute

    init(from block: inout BlockReader) {
        let key: String = block.required("key", "The name of the attribute.")
        let isOptional = block.optional("optional", default: false, "Whether records without it count all the same.")
        let given: AlloySyntax.Value? = block.optional("default_value", "Its value where it is missing.")
        var fallback: OTLPAnyValue?
        if let given {
            fallback = OTLPAnyValue(given)
            if fallback == nil {
                block.reject("default_value", "must be text, a number, a truth value or a list of them")
            }
            if isOptional { block.reject("optional", "and default_value exclude each other") }
        }
        attribute = GroupingAttribute(key, fallback: fallback, isOptional: isOptional)
    }
}

private struct ValueBlock: Block {
    let value: String
    init(from block: inout BlockReader) {
        value = block.required("value", "The expression that gives the value.")
    }
}

private struct HistogramBlock: Block {
    let bounds: [Double]
    let count: String
    let value: String

    init(from block: inout BlockReader) {
        bounds = block.optional(
            "buckets", default: [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000],
            "Upper bounds of buckets, ascending.")
        count = block.optional(
            "count", default: "", "The expression that says how often the value counts; once when empty.")
        value = block.required("value", "The expression that gives the value.")
        if zip(bounds, bounds.dropFirst()).contains(where: { $0 >= $1 }) {
            block.reject("buckets", "must be ascending")
        }
    }
}

private struct ExponentialBlock: Block {
    let size: Int
    let count: String
    let value: String

    init(from block: inout BlockReader) {
        size = block.optional("max_size", default: 160, "Largest number of buckets.")
        count = block.optional(
            "count", default: "", "The expression that says how often the value counts; once when empty.")
        value = block.required("value", "The expression that gives the value.")
        if !(2...16_384).contains(size) { block.reject("max_size", "must be between 2 and 16384") }
    }
}
