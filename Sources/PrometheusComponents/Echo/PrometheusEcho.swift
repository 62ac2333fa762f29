package import AlloySyntax
package import ComponentKit
import Essentials
import Glibc
import Telemetry

/// Prints every metric it receives to standard output, for looking at a pipeline.
package final class PrometheusEcho: Component {
    package static let spec = ComponentSpec(
        "prometheus.echo", .generallyAvailable, "Prints received metrics to standard output.")

    /// How metrics are printed.
    package enum Format: String, AlloyWord {
        case text, openmetrics
        package static var placeholder: Format { .text }
    }

    package struct Arguments: Block {
        let format: Format

        package init(from block: inout BlockReader) {
            format = block.optional("format", default: Format.text, "How metrics are printed: `text` or `openmetrics`.")
        }
    }

    package struct Exports: WritableBlock {
        var receiver: Receiver<MetricBatch>
        package static let placeholder = Exports(receiver: .placeholder)
        package func write(to block: inout BlockWriter) {
            block.attribute("receiver", receiver, "Takes the metrics to print.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let write: @Sendable ([UInt8]) -> Void

    package convenience init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.init(arguments, context) { bytes in
            bytes.withUnsafeBytes { raw in
                var offset = 0
                while offset < raw.count {
                    let count = Glibc.write(STDOUT_FILENO, raw.baseAddress?.advanced(by: offset), raw.count - offset)
                    if count <= 0 { return }
                    offset += count
                }
            }
        }
    }

    /// Prints through `write` instead of standard output.
    package init(
        _ arguments: Live<Arguments>, _ context: Context<Exports>, write: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.arguments = arguments
        self.context = context
        self.write = write
        let receiver = context.makeReceiver(MetricBatch.self)
        receiver.install { [weak self] (batch: MetricBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("prometheus.echo has stopped") }
            self.print(batch)
        }
        context.export(Exports(receiver: receiver))
        context.report(.healthy("ready"))
    }

    private func print(_ batch: MetricBatch) {
        write(MetricPrinter.print(batch, isOpenMetrics: arguments.current.format == .openmetrics))
        context.ledger.delivered(batch.itemCount)
    }
}

extension PrometheusEcho: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .metric else { return nil }
        return Explanation(results: [Explanation.Result(item, .destination("standard output"))])
    }
}
