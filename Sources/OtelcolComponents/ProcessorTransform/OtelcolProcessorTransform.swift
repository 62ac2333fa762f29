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

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        let errors = StatementErrors(log: context.log, clock: context.clock)
        let clock = context.clock
        let receiver = OTLPProcessor.receiver(
            context, mergesItems: true, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in
                let groups = arguments.current.groups
                var batch = batch
                guard groups.contains(where: { $0.kind == batch.kind }) else { return batch }
                let walker = OTLPWalker()
                let frame = OTTLFrame(walker, clock: clock)
                for group in groups where group.kind == batch.kind {
                    batch = try group.run(batch, walker, frame, errors)
                }
                return batch
            })
        context.export(InputExports(input: receiver))
    }
}
