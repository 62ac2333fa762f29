package import AlloySyntax
import ComponentKit
import OTTL
import Telemetry

extension OtelcolProcessorTransform {
    package struct Arguments: Block, Sendable {
        let groups: [StatementGroup]
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let mode = block.optional("error_mode", default: ErrorMode.ignore, "What to do when a statement fails.")
            let flat: FlatStatements = block.block("statements", "Statements that name the context of each path.")
            let traces: [TraceStatements] = block.blocks("trace_statements", "Statements that run on traces.")
            let metrics: [MetricStatements] = block.blocks("metric_statements", "Statements that run on metrics.")
            let logs: [LogStatements] = block.blocks("log_statements", "Statements that run on logs.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            var groups: [StatementGroup] = []
            for (kind, blocks) in [
                (OTLPBatch.Kind.traces, traces.map(\.block)), (.metrics, metrics.map(\.block)),
                (.logs, logs.map(\.block)),
            ] {
                for (index, block) in blocks.enumerated() {
                    guard var group = block.group(kind, mode) else { continue }
                    group.path = RulePath(Self.name(kind) + "_statements", index)
                    groups.append(group)
                }
            }
            for (kind, statements) in [
                (OTLPBatch.Kind.traces, flat.trace), (.metrics, flat.metric), (.logs, flat.log),
            ] {
                do throws(OTTLError) {
                    groups.append(contentsOf: try Self.grouped(statements, kind, mode))
                } catch {
                    block.reject("statements", "\(error)")
                }
            }
            self.groups = groups
        }

        private static func name(_ kind: OTLPBatch.Kind) -> String {
            switch kind {
            case .traces: "trace"
            case .metrics: "metric"
            case .logs: "log"
            }
        }

        /// Statements of one context that follow each other run together, so that they share a cache.
        private static func grouped(
            _ texts: [String], _ kind: OTLPBatch.Kind, _ mode: ErrorMode
        ) throws(OTTLError) -> [StatementGroup] {
            var runs: [(context: OTTLContext, statements: [OTTLStatement])] = []
            for text in texts {
                let context = try OTTLContext.inferred(fromStatements: [text], for: kind)
                let statement = try OTTLStatement(text, in: context, requiresPrefix: true)
                if runs.last?.context == context {
                    runs[runs.count - 1].statements.append(statement)
                } else {
                    runs.append((context, [statement]))
                }
            }
            return runs.map { run in
                StatementGroup(kind: kind, context: run.context, statements: run.statements, conditions: [], mode: mode)
            }
        }
    }

    /// The `statements` block.
    struct FlatStatements: Block, Sendable {
        let trace: [String]
        let metric: [String]
        let log: [String]

        init(from block: inout BlockReader) {
            trace = block.optional("trace", default: [], "Statements that run on traces.")
            metric = block.optional("metric", default: [], "Statements that run on metrics.")
            log = block.optional("log", default: [], "Statements that run on logs.")
        }
    }

    /// A `*_statements` block, compiled for the contexts of its signal.
    struct StatementBlock: Sendable {
        private let context: OTTLContext?
        private let statements: [OTTLStatement]
        private let conditions: [OTTLCondition]
        private let mode: ErrorMode?

        init(from block: inout BlockReader, _ kind: OTLPBatch.Kind) {
            let name: String = block.required("context", "What the statements run on.")
            let conditions: [String] = block.optional(
                "conditions", default: [], "Conditions one of which must hold for the statements to run.")
            let statements: [String] = block.required("statements", "The statements, in order.")
            mode = block.optional("error_mode", "What to do when one of these statements fails.")
            let known = OTTLContext.contexts(of: kind)
            context = OTTLContext(rawValue: name)
            var compiled: [OTTLStatement] = []
            var compiledConditions: [OTTLCondition] = []
            if let context, known.contains(context) {
                for text in statements {
                    do { compiled.append(try OTTLStatement(text, in: context)) } catch {
                        block.reject("statements", "\(error)")
                    }
                }
                for text in conditions {
                    do { compiledConditions.append(try OTTLCondition(text, in: context)) } catch {
                        block.reject("conditions", "\(error)")
                    }
                }
            } else if block.isSet("context") {
                block.reject("context", "must be one of \(known.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))")
            }
            self.statements = compiled
            self.conditions = compiledConditions
        }

        func group(_ kind: OTLPBatch.Kind, _ mode: ErrorMode) -> StatementGroup? {
            guard let context, !statements.isEmpty else { return nil }
            return StatementGroup(
                kind: kind, context: context, statements: statements, conditions: conditions, mode: self.mode ?? mode)
        }
    }

    struct TraceStatements: Block, Sendable {
        let block: StatementBlock
        init(from block: inout BlockReader) { self.block = StatementBlock(from: &block, .traces) }
    }

    struct MetricStatements: Block, Sendable {
        let block: StatementBlock
        init(from block: inout BlockReader) { self.block = StatementBlock(from: &block, .metrics) }
    }

    struct LogStatements: Block, Sendable {
        let block: StatementBlock
        init(from block: inout BlockReader) { self.block = StatementBlock(from: &block, .logs) }
    }
}
