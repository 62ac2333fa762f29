import AlloySyntax
package import ComponentKit
import Essentials
import OTTL
import Telemetry
import Wire

/// Changes telemetry by statements of the OpenTelemetry Transformation Language.
///
/// Statements are compiled when the configuration is loaded: an unknown path or function, or a value of the wrong type,
/// is an error there. What they leave untouched is not decoded.
package final class OtelcolProcessorTransform: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.transform", .generallyAvailable,
        "Changes telemetry by statements of the OpenTelemetry Transformation Language.")

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let errors = StatementErrors(log: context.log, clock: context.clock)
        let clock = context.clock
        let receiver = OTLPProcessor.receiver(
            context, mergesItems: true, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in
                try Self.run(arguments.current.groups, on: batch, clock, errors)
            })
        context.export(InputExports(input: receiver))
    }

    private static func run(
        _ groups: [StatementGroup], on incoming: OTLPBatch, _ clock: EngineClock, _ errors: StatementErrors
    ) throws -> OTLPBatch {
        var batch = incoming
        guard groups.contains(where: { $0.kind == batch.kind }) else { return batch }
        let walker = OTLPWalker()
        let frame = OTTLFrame(walker, clock: clock)
        for group in groups where group.kind == batch.kind {
            batch = try group.run(batch, walker, frame, errors)
        }
        return batch
    }
}

extension OtelcolProcessorTransform: Explaining {
    /// A step for each statement: what the batch is like once the statements up to it have run.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let clock = context.clock
        let errors = StatementErrors(log: Log(sink: SilentLogSink(), clock: clock), clock: clock)
        var rules: [OTLPExplaining.Rule] = []
        var before: [StatementGroup] = []
        for group in current.groups where group.kind == item.batch?.kind {
            for count in 1...max(group.statements.count, 1) where count <= group.statements.count {
                let groups = before + [group.first(count)]
                rules.append(
                    OTLPExplaining.Rule(group.statements[count - 1].text, path: group.path) { batch in
                        try Self.run(groups, on: batch, clock, errors)
                    })
            }
            before.append(group)
        }
        return OTLPExplaining.explanation(of: item, rules, to: current.output)
    }
}
