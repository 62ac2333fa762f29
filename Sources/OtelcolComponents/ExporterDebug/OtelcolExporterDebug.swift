package import AlloySyntax
package import ComponentKit
import Essentials
import Glibc
import Synchronization
import Telemetry
import Wire

/// Writes what it receives to the log, or to files, for looking at.
package final class OtelcolExporterDebug: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.debug", .experimental, "Writes received telemetry to the log.")

    enum Verbosity: String, AlloyWord {
        case basic, normal, detailed
        static var placeholder: Verbosity { .basic }
    }

    package struct Arguments: Block, Sendable {
        let verbosity: Verbosity
        let samplingInitial: Int
        let samplingThereafter: Int
        let usesInternalLogger: Bool
        let paths: [String]

        package init(from block: inout BlockReader) {
            verbosity = block.optional("verbosity", default: .basic, "`basic`, `normal` or `detailed`.")
            samplingInitial = block.optional(
                "sampling_initial", default: 2, "Messages written in each second before sampling begins.")
            samplingThereafter = block.optional(
                "sampling_thereafter", default: 1, "From then on every message of this number; 0 is none.")
            usesInternalLogger = block.optional(
                "use_internal_logger", default: true, "Whether messages go to the program's log.")
            paths = block.optional(
                "output_paths", default: ["stdout"], "`stdout`, `stderr` or files, when they do not.")
            DebugMetrics.read(from: &block)
            if samplingInitial < 0 { block.reject("sampling_initial", "must not be negative") }
            if samplingThereafter < 0 { block.reject("sampling_thereafter", "must not be negative") }
        }
    }

    /// Messages of the second under way.
    private struct Sampling {
        var second: Int64 = 0
        var seen = 0
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let sampling = Mutex(Sampling())

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.exporter.debug is gone") }
            self.write(batch)
            self.context.ledger.delivered(batch.itemCount)
        }
        context.export(InputExports(input: receiver))
        context.report(.healthy("ready"))
    }

    private func write(_ batch: OTLPBatch) {
        let current = arguments.current
        guard isSampled(current) else { return }
        let counts = DebugText.counts(batch)
        let text = current.verbosity == .basic ? "" : DebugText.text(batch, isDetailed: current.verbosity == .detailed)
        if current.usesInternalLogger {
            context.log.info(batch.kind.debugTitle, nil, counts.fields)
            if !text.isEmpty { context.log.info("Telemetry", nil, ["text": text]) }
            return
        }
        let line = "\(batch.kind.debugTitle) " + counts.text + "\n" + (text.isEmpty ? "" : text + "\n")
        for path in current.paths { append(line, to: path) }
    }

    private func isSampled(_ current: Arguments) -> Bool {
        let second = context.clock.monotonicNanoseconds / 1_000_000_000
        return sampling.withLock { sampling in
            if sampling.second != second { sampling = Sampling(second: second, seen: 0) }
            sampling.seen += 1
            let over = sampling.seen - current.samplingInitial
            if over <= 0 { return true }
            return current.samplingThereafter > 0 && over % current.samplingThereafter == 0
        }
    }

    private func append(_ line: String, to path: String) {
        let descriptor: CInt
        switch path {
        case "stdout": descriptor = 1
        case "stderr": descriptor = 2
        default: descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        }
        guard descriptor >= 0 else {
            return context.log.warn("Cannot write telemetry to a file", nil, ["path": path])
        }
        var bytes = Array(line.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 else { break }
            bytes = bytes.dropFirst(written)
        }
        if descriptor > 2 { close(descriptor) }
    }
}

extension OTLPBatch.Kind {
    fileprivate var debugTitle: StaticString {
        switch self {
        case .traces: "Traces"
        case .metrics: "Metrics"
        case .logs: "Logs"
        }
    }
}

extension OtelcolExporterDebug: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        OTLPExplaining.leaving(item, to: "the log of this program")
    }
}
