package import AlloySyntax
import ComponentKit
package import Telemetry

/// The exports of a component that takes OpenTelemetry data: one consumer for all signals.
package struct InputExports: WritableBlock {
    package var input: Receiver<OTLPBatch>

    package init(input: Receiver<OTLPBatch>) { self.input = input }

    package static var placeholder: InputExports { InputExports(input: .placeholder) }

    package func write(to block: inout BlockWriter) {
        block.attribute("input", input, "Takes traces, metrics and logs.")
    }
}
