package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport
import Wire

/// Sends traces, metrics and logs over OTLP/gRPC.
package final class OtelcolExporterOTLP: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.otlp", .generallyAvailable, "Sends traces, metrics and logs over OTLP/gRPC.")

    package struct Arguments: Block, Sendable {
        let settings: Settings

        package init(from block: inout BlockReader) {
            let timeout = block.optional("timeout", default: Duration.seconds(5), "Time a call may take.")
            let queue = SendingQueue.read(from: &block)
            let retry = RetryOnFailure.read(from: &block)
            DebugMetrics.read(from: &block)
            let client: GRPCDialArguments = block.requiredBlock("client", "How the server is called.")
            queue.check(against: client.auth, &block)
            settings = Settings(timeout: timeout, queue: queue, retry: retry, client: client)
        }
    }

    /// What a change of starts the exporter anew.
    struct Settings: Sendable, Equatable {
        var timeout: Duration
        var queue: SendingQueue
        var retry: RetryOnFailure
        var client: GRPCDialArguments
    }

    private let arguments: Live<Arguments>
    private let exporter: ExporterShell<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        exporter = ExporterShell(arguments, context)
    }

    package func run() async throws {
        try await exporter.run(\.settings) { settings, context in
            let dialer = GRPCDialer(settings.client, on: context.services.eventLoops, clock: context.clock)
            return ExporterShell<Arguments>.Made(
                queue: settings.queue, retry: settings.retry,
                destination: OTLPGRPCDestination(dialer: dialer, timeout: settings.timeout),
                name: "\(settings.client.settings.host):\(settings.client.settings.port)"
            ) { dialer.shutDown() }
        }
    }
}

extension OtelcolExporterOTLP: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let client = arguments.current.settings.client.settings
        return OTLPExplaining.leaving(item, to: "OTLP over gRPC to \(client.host):\(client.port)")
    }
}

/// One attempt to export over gRPC.
struct OTLPGRPCDestination: ExportDestination {
    let dialer: GRPCDialer
    let timeout: Duration

    func send(_ batch: OTLPBatch) async throws(ExportError) -> ExportReport {
        let answer = try await dialer.call(
            batch.kind.exportMethod, batch.requestBytes, timeout: timeout > .zero ? timeout : nil, for: batch.client)
        return ExportReport(OTLPResponse(decoding: answer))
    }
}

extension ExportReport {
    init(_ response: OTLPResponse) {
        self.init(rejectedItems: Int(clamping: response.rejectedItems), message: response.errorMessage)
    }
}
