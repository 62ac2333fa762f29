package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Wire

/// Writes traces, metrics and logs to a file: OTLP/JSON a line each, or length-delimited protobuf.
///
/// A batch is taken when its bytes are handed to the file; they are on disk within the flush interval.
package final class OtelcolExporterFile: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.file", .publicPreview, "Writes telemetry to files.")

    package struct Arguments: Block, Sendable {
        let settings: FileSettings

        package init(from block: inout BlockReader) {
            settings = FileSettings(from: &block)
            DebugMetrics.read(from: &block)
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<InputExports>
    private let writer = Mutex<FileSet?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        self.context = context
        let receiver = context.makeReceiver(OTLPBatch.self)
        receiver.install { [weak self] (batch: OTLPBatch) async throws(DeliveryError) in
            guard let self else { throw .retry("otelcol.exporter.file is gone") }
            try await self.take(batch)
        }
        context.export(InputExports(input: receiver))
    }

    private func take(_ batch: OTLPBatch) async throws(DeliveryError) {
        if batch.itemCount == 0 { return }
        let work = context.services.blocking
        do {
            let isRunning = try await work.run { [self] in
                try writer.withLock { files in
                    guard files != nil else { return false }
                    try files?.write(batch)
                    return true
                }
            }
            guard isRunning else {
                throw DeliveryError.retry(after: .seconds(1), "\(context.componentID) is not running")
            }
        } catch let error as DeliveryError {
            throw error
        } catch let error as FileSetError {
            if case .unnamed = error { throw .rejected(.rule, "\(error)") }
            context.report(.unhealthy("\(error)"))
            throw .retry(after: .seconds(1), "\(error)")
        } catch {
            throw .retry(after: .seconds(1), "\(error)")
        }
        context.ledger.delivered(batch.itemCount)
    }

    /// Writes until cancelled. A change of the arguments opens the file anew.
    package func run() async throws {
        try await arguments.whileCurrent(\.settings) { [self] settings in
            let clock = context.clock
            do {
                try await context.services.blocking.run { [self] in
                    try writer.withLock { files in
                        files = FileSet(settings) { clock.wallNanoseconds }
                        try files?.open()
                    }
                }
            } catch {
                context.report(.unhealthy("\(error)"))
                throw error
            }
            context.report(.healthy("writing to \(settings.path)"))
            do {
                while true {
                    try await clock.sleep(for: settings.flushInterval)
                    try await context.services.blocking.run { [self] in try writer.withLock { try $0?.flush() } }
                }
            } catch {
                // What is buffered is written in spite of the cancellation.
                await Task(executorPreference: context.services.executor) { [self] in
                    try? await context.services.blocking.run { [self] in
                        try writer.withLock { files in
                            defer { files = nil }
                            try files?.close()
                        }
                    }
                }.value
                throw error
            }
        }
    }
}

/// Where and how telemetry is written.
struct FileSettings: Sendable, Equatable {
    enum Format: String, AlloyWord {
        static var placeholder: Format { .json }
        case json, proto
    }

    let path: String
    let appends: Bool
    let format: Format
    /// Level of zstd; nil for none.
    let compressionLevel: Int?
    let flushInterval: Duration
    let rotation: Rotation?
    let group: Group?

    struct Rotation: Block, Sendable, Equatable {
        let bytes: Int
        let days: Int
        let backups: Int
        let usesLocalTime: Bool

        init(from block: inout BlockReader) {
            let megabytes = block.optional("max_megabytes", default: 100, "Size at which a new file is begun.")
            days = block.optional("max_days", default: 0, "Days old files are kept; 0 is for ever.")
            backups = block.optional("max_backups", default: 100, "Old files that are kept; 0 is all.")
            usesLocalTime = block.optional("localtime", default: false, "Whether names of old files have local times.")
            bytes = max(megabytes, 1) << 20
            if megabytes <= 0 { block.reject("max_megabytes", "must be greater than 0") }
            if days < 0 { block.reject("max_days", "must not be negative") }
            if backups < 0 { block.reject("max_backups", "must not be negative") }
        }
    }

    struct Group: Block, Sendable, Equatable {
        let isEnabled: Bool
        let attribute: String
        let openFiles: Int

        init(from block: inout BlockReader) {
            isEnabled = block.optional("enabled", default: false, "Whether resources have files of their own.")
            attribute = block.optional(
                "resource_attribute", default: "fileexporter.path_segment", "The attribute that names the file.")
            openFiles = block.optional("max_open_files", default: 100, "Files open at a time.")
            if openFiles <= 0 { block.reject("max_open_files", "must be greater than 0") }
        }
    }

    private struct Parameters: Block, Sendable {
        let level: Int

        init(from block: inout BlockReader) { level = block.required("level", "The level of compression.") }
    }

    init(from block: inout BlockReader) {
        path = block.required("path", "The file; with group_by, a `*` stands for the attribute's value.")
        appends = block.optional("append", default: false, "Whether what the file has stays.")
        format = block.optional("format", default: .json, "`json`, a line each, or `proto`, with the length in front.")
        let encoding: String? = block.optional("encoding", "Not supported: use format.")
        let compression: String = block.optional("compression", "`zstd`; none when left out.") ?? ""
        flushInterval = block.optional("flush_interval", default: .seconds(1), "How often buffers are written.")
        rotation = block.optionalBlock("rotation", "When a new file is begun.")
        let group: Group? = block.optionalBlock("group_by", "Whether resources have files of their own.")
        let parameters: Parameters? = block.optionalBlock("compression_params", "How strongly to compress.")
        self.group = group?.isEnabled == true ? group : nil
        compressionLevel = compression == "zstd" ? parameters?.level ?? 3 : nil
        if path.isEmpty, block.isSet("path") { block.reject("path", "must not be empty") }
        if let encoding, !encoding.isEmpty { block.reject("encoding", "is not supported: use format") }
        if !["", "none", "zstd"].contains(compression) { block.reject("compression", "must be zstd") }
        if let parameters, compression == "zstd", !(1...22).contains(parameters.level) {
            block.reject("compression_params", "levels of zstd go from 1 to 22")
        }
        if parameters != nil, compression != "zstd" {
            block.reject("compression_params", "needs compression = \"zstd\"")
        }
        if flushInterval <= .zero { block.reject("flush_interval", "must be greater than zero") }
        if appends, rotation != nil { block.reject("append", "and rotation exclude each other") }
        if appends, compressionLevel != nil { block.reject("append", "and compression exclude each other") }
        if self.group != nil {
            if path.filter({ $0 == "*" }).count != 1 {
                block.reject("path", "must have one * when group_by is enabled")
            }
            if path.hasPrefix("*") { block.reject("path", "must not begin with * when group_by is enabled") }
        }
    }
}
