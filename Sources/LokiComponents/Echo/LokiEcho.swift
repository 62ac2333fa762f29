package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import TextFormats

/// Writes the entries it receives to the log of the process: for trying out pipelines.
package final class LokiEcho: Component {
    package static let spec = ComponentSpec(
        "loki.echo", .generallyAvailable, "Writes the entries it receives to the log of the process.")

    package struct Arguments: Block, Sendable {
        package init(from block: inout BlockReader) {}
    }

    package init(_ arguments: Live<Arguments>, _ context: Context<LogsReceiverExports>) throws {
        let receiver = context.makeReceiver(LogBatch.self)
        let (log, ledger) = (context.log, context.ledger)
        receiver.install { (batch: LogBatch) async throws(DeliveryError) in
            Self.write(batch, to: log)
            ledger.delivered(batch.itemCount)
        }
        context.export(LogsReceiverExports(receiver: receiver))
    }

    private static func write(_ batch: LogBatch, to log: Log) {
        guard log.isEnabled(.info) else { return }
        let layout = GoTimeLayout("2006-01-02T15:04:05.999999999Z07:00")
        let labels = batch.streams.map(\.description)
        for entry in batch.entries {
            log.info(
                "received log entry", nil,
                [
                    "entry": batch.line(entry),
                    "entry_timestamp": layout.format(GoTime(unixNanoseconds: entry.timestamp)),
                    "labels": labels[Int(entry.stream)],
                    "structured_metadata": Self.json(entry.metadata),
                ])
        }
    }

    private static func json(_ labels: LabelSet) -> String {
        var object = JSONObject()
        for (name, value) in labels.pairs { object[name] = .string(value) }
        return JSONWriter().text(.object(object))
    }
}

extension LokiEcho: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .log else { return nil }
        return Explanation(results: [Explanation.Result(item, .destination("the log of this program"))])
    }
}
