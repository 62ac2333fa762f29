import ComponentKit
import Essentials
import OTTL
import Telemetry
import Wire

/// Statements that run one after the other on each record of their context.
struct StatementGroup: Sendable {
    let kind: OTLPBatch.Kind
    let context: OTTLContext
    let statements: [OTTLStatement]
    /// One of them must hold; empty for none.
    let conditions: [OTTLCondition]
    let mode: ErrorMode
    /// Where the statements are written.
    var path: RulePath?

    /// The group with its first statements only.
    func first(_ count: Int) -> StatementGroup {
        StatementGroup(
            kind: kind, context: context, statements: Array(statements.prefix(count)), conditions: conditions,
            mode: mode,
            path: path)
    }

    /// Runs the statements on everything in the batch.
    func run(_ batch: OTLPBatch, _ walker: OTLPWalker, _ frame: OTTLFrame, _ errors: StatementErrors) throws
        -> OTLPBatch
    {
        let wanted = level
        let makesMetrics = kind == .metrics && wanted == .item
        return try walker.edit(batch, to: wanted) { level in
            frame.begin(level)
            guard level == wanted else { return .keep }
            try run(on: frame, errors)
            if makesMetrics {
                try frame.finishMetric { try run(on: $0, errors) }
            } else if context == .datapoint {
                frame.finishPoint()
            }
            return .keep
        }
    }

    private var level: OTLPWalker.Level {
        switch context {
        case .resource: .resource
        case .scope: .scope
        case .span, .metric, .log: .item
        case .spanevent, .datapoint: .point
        }
    }

    private func run(on frame: OTTLFrame, _ errors: StatementErrors) throws {
        if !conditions.isEmpty, try !isMet(frame, errors) { return }
        for statement in statements {
            do {
                try statement.run(frame)
            } catch {
                try errors.report(error, in: statement.text, mode)
            }
        }
    }

    private func isMet(_ frame: OTTLFrame, _ errors: StatementErrors) throws -> Bool {
        for condition in conditions {
            do {
                if try condition.holds(frame) { return true }
            } catch {
                try errors.report(error, in: condition.text, mode)
            }
        }
        return false
    }
}
