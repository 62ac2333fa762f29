package import AlloySyntax
package import ComponentKit
import Essentials
import OTTL
import SelfMetrics
import Telemetry
import Wire

/// Drops telemetry for which conditions of the OpenTelemetry Transformation Language hold.
package final class OtelcolProcessorFilter: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.filter", .generallyAvailable,
        "Drops telemetry for which conditions of the OpenTelemetry Transformation Language hold.")

    package struct Arguments: Block, Sendable {
        let filters: [ConditionGroup]
        let mode: ErrorMode
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            mode = block.optional("error_mode", default: ErrorMode.ignore, "What to do when a condition fails.")
            let traces: TraceFilter = block.block("traces", "Conditions for spans and their events.", deprecated: true)
            let metrics: MetricFilter = block.block(
                "metrics", "Conditions for metrics and their data points.", deprecated: true)
            let logs: LogFilter = block.block("logs", "Conditions for log records.", deprecated: true)
            let traceConditions: [TraceConditions] = block.blocks("trace_conditions", "Which traces to drop.")
            let metricConditions: [MetricConditions] = block.blocks("metric_conditions", "Which metrics to drop.")
            let logConditions: [LogConditions] = block.blocks("log_conditions", "Which logs to drop.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            let blocks =
                traces.groups + metrics.groups + logs.groups + traceConditions.map(\.group)
                + metricConditions.map(\.group) + logConditions.map(\.group)
            filters = blocks.filter { !$0.conditions.isEmpty }
            for (old, new, isMixed) in [
                ("traces", "trace_conditions", !traces.groups.isEmpty && !traceConditions.isEmpty),
                ("metrics", "metric_conditions", !metrics.groups.isEmpty && !metricConditions.isEmpty),
                ("logs", "log_conditions", !logs.groups.isEmpty && !logConditions.isEmpty),
            ] where isMixed {
                block.reject(old, "and \(new) exclude each other")
            }
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let errors = StatementErrors(log: context.log, clock: context.clock)
        let clock = context.clock
        let dropped = FilteredCounters(context.metrics)
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in
                let current = arguments.current
                let groups = current.filters.filter { $0.kind == batch.kind }
                guard !groups.isEmpty else { return batch }
                let kept = try Self.filter(batch, groups, clock) { error, text in
                    try errors.report(error, in: text, current.mode)
                }
                dropped.add(batch.itemCount - kept.itemCount, of: batch.kind)
                return kept
            })
        context.export(InputExports(input: receiver))
    }

    private static func filter(
        _ batch: OTLPBatch, _ groups: [ConditionGroup], _ clock: EngineClock,
        _ report: (any Error, String) throws -> Void
    ) throws -> OTLPBatch {
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: clock)
        let deepest = groups.map(\.level).max() ?? .item
        return try walker.edit(batch, to: deepest) { level in
            frame.begin(level)
            for group in groups where group.level == level {
                for condition in group.conditions {
                    do {
                        if try condition.holds(frame) { return .drop }
                    } catch {
                        try report(error, condition.text)
                    }
                }
            }
            return .keep
        }
    }
}

extension OtelcolProcessorFilter: Explaining {
    /// A step for each condition: the records it drops are gone behind it.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let groups = current.filters.filter { $0.kind == item.batch?.kind }
        var rules: [OTLPExplaining.Rule] = []
        var tried: [ConditionGroup] = []
        for group in groups {
            for condition in group.conditions {
                tried.append(ConditionGroup(group.kind, group.level, [condition]))
                let (tried, clock) = (tried, context.clock)
                rules.append(
                    OTLPExplaining.Rule(condition.text) { batch in
                        try Self.filter(batch, tried, clock) { error, text in
                            if current.mode == .propagate { throw OTTLError("\"\(text)\": \(error)") }
                        }
                    })
            }
        }
        return OTLPExplaining.explanation(of: item, rules, to: current.output)
    }
}

/// The processor's metrics, named as the OpenTelemetry Collector names them.
private struct FilteredCounters: Sendable {
    private let logs: Counter
    private let spans: Counter
    private let points: Counter
    /// Ends the metrics when it ends.
    private let scope: MetricScope

    init(_ scope: MetricScope) {
        self.scope = scope
        logs = scope.counter(
            "otelcol_processor_filter_logs_filtered_total", "Number of logs dropped by the filter processor")
        spans = scope.counter(
            "otelcol_processor_filter_spans_filtered_total", "Number of spans dropped by the filter processor")
        points = scope.counter(
            "otelcol_processor_filter_datapoints_filtered_total",
            "Number of metric data points dropped by the filter processor")
    }

    func add(_ count: Int, of kind: OTLPBatch.Kind) {
        guard count > 0 else { return }
        switch kind {
        case .logs: logs.add(count)
        case .traces: spans.add(count)
        case .metrics: points.add(count)
        }
    }
}

/// Conditions for the records of one context: one that holds drops the record.
struct ConditionGroup: Sendable {
    let kind: OTLPBatch.Kind
    let level: OTLPWalker.Level
    let conditions: [OTTLCondition]

    init(_ kind: OTLPBatch.Kind, _ context: OTTLContext, _ conditions: [OTTLCondition]) {
        self.kind = kind
        self.conditions = conditions
        level =
            switch context {
            case .resource: .resource
            case .scope: .scope
            case .span, .metric, .log: .item
            case .spanevent, .datapoint: .point
            }
    }

    init(_ kind: OTLPBatch.Kind, _ level: OTLPWalker.Level, _ conditions: [OTTLCondition]) {
        self.kind = kind
        self.level = level
        self.conditions = conditions
    }

    /// Reads a list of conditions of a known context.
    init(
        _ name: String, _ doc: String, _ kind: OTLPBatch.Kind, _ context: OTTLContext, from block: inout BlockReader
    ) {
        let texts: [String] = block.optional(name, default: [], doc)
        var conditions: [OTTLCondition] = []
        for text in texts {
            do { conditions.append(try OTTLCondition(text, in: context)) } catch { block.reject(name, "\(error)") }
        }
        self.init(kind, context, conditions)
    }

    /// Reads `context` and `conditions`; a context that is not given is inferred.
    init(from block: inout BlockReader, _ kind: OTLPBatch.Kind) {
        let name = block.optional("context", default: "", "What the conditions are about; inferred when left out.")
        let texts: [String] = block.required("conditions", "Conditions one of which drops a record.")
        let known = OTTLContext.contexts(of: kind)
        var context = OTTLContext(rawValue: name)
        if !name.isEmpty, context.map({ !known.contains($0) }) ?? true {
            block.reject("context", "must be one of \(known.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))")
            self.init(kind, known[0], [])
            return
        }
        var conditions: [OTTLCondition] = []
        do throws(OTTLError) {
            let isInferred = context == nil
            let found: OTTLContext
            if let context {
                found = context
            } else {
                found =
                    texts.isEmpty
                    ? known[0] : try OTTLContext.inferred(fromStatements: [], conditions: texts, for: kind)
            }
            context = found
            for text in texts {
                conditions.append(try OTTLCondition(text, in: found, requiresPrefix: isInferred))
            }
        } catch {
            block.reject("conditions", "\(error)")
        }
        self.init(kind, context ?? known[0], conditions)
    }
}

struct TraceFilter: Block, Sendable {
    let groups: [ConditionGroup]

    init(from block: inout BlockReader) {
        groups = [
            ConditionGroup("span", "Conditions that drop a span.", .traces, .span, from: &block),
            ConditionGroup("spanevent", "Conditions that drop an event of a span.", .traces, .spanevent, from: &block),
        ].filter { !$0.conditions.isEmpty }
    }
}

struct MetricFilter: Block, Sendable {
    let groups: [ConditionGroup]

    init(from block: inout BlockReader) {
        groups = [
            ConditionGroup("metric", "Conditions that drop a metric.", .metrics, .metric, from: &block),
            ConditionGroup("datapoint", "Conditions that drop a data point.", .metrics, .datapoint, from: &block),
        ].filter { !$0.conditions.isEmpty }
    }
}

struct LogFilter: Block, Sendable {
    let groups: [ConditionGroup]

    init(from block: inout BlockReader) {
        groups = [ConditionGroup("log_record", "Conditions that drop a log record.", .logs, .log, from: &block)]
            .filter { !$0.conditions.isEmpty }
    }
}

struct TraceConditions: Block, Sendable {
    let group: ConditionGroup
    init(from block: inout BlockReader) { group = ConditionGroup(from: &block, .traces) }
}

struct MetricConditions: Block, Sendable {
    let group: ConditionGroup
    init(from block: inout BlockReader) { group = ConditionGroup(from: &block, .metrics) }
}

struct LogConditions: Block, Sendable {
    let group: ConditionGroup
    init(from block: inout BlockReader) { group = ConditionGroup(from: &block, .logs) }
}
