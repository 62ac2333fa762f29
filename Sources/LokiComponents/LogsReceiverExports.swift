package import AlloySyntax
import ComponentKit
package import Telemetry

/// What components export that take log entries.
package struct LogsReceiverExports: WritableBlock {
    package var receiver: Receiver<LogBatch>
    package static var placeholder: LogsReceiverExports { LogsReceiverExports(receiver: .placeholder) }

    package init(receiver: Receiver<LogBatch>) { self.receiver = receiver }

    package func write(to block: inout BlockWriter) {
        block.attribute("receiver", receiver, "Receiver that other components send log entries to.")
    }
}
