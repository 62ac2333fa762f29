package import AlloySyntax
package import ComponentKit
import Essentials
import Glibc

/// Lets other components keep what they hold on disk, in one directory for each of them.
///
/// The files are Invar's own segment logs, which give space back as soon as what is in them was sent. The arguments about
/// compaction of a database file are therefore checked and have nothing to do.
package final class OtelcolStorageFile: Component {
    package static let spec = ComponentSpec(
        "otelcol.storage.file", .publicPreview, "Lets other components keep what they hold on disk.")

    package struct Arguments: Block, Sendable {
        let directory: String?
        let fsync: Bool
        let createsDirectory: Bool
        let permissions: mode_t

        package init(from block: inout BlockReader) {
            directory = block.nonEmpty("directory", "Directory of the files; one of the component's own unless given.")
            let timeout = block.optional(
                "timeout", default: Duration.seconds(1),
                "Time to wait for a file's lock upstream; here a locked file is reported at once.")
            fsync = block.optional(
                "fsync", default: false, "Whether data is on the disk before it is acknowledged.")
            createsDirectory = block.optional(
                "create_directory", default: true, "Whether the directory is made when it is missing.")
            let mode = block.optional(
                "directory_permissions", default: "0750", "Permissions of a directory that is made, in octal.")
            let _: Compaction = block.block("compaction", "When files are made smaller: always, so this has no effect.")
            DebugMetrics.read(from: &block)
            if timeout <= .zero { block.reject("timeout", "must be greater than zero") }
            if timeout != .seconds(1) {
                block.warn("timeout", "has no effect: a file that is locked is in use, which is reported at once")
            }
            permissions = mode_t(mode, radix: 8) ?? 0o750
            if mode_t(mode, radix: 8) == nil || permissions > 0o7777 {
                block.reject("directory_permissions", "must be octal, such as 0750")
            }
        }
    }

    /// The `compaction` block.
    private struct Compaction: Block, Sendable {
        init(from block: inout BlockReader) {
            let start = block.optional("on_start", default: false, "Whether files are compacted at start.")
            let rebound = block.optional("on_rebound", default: false, "Whether files are compacted after a peak.")
            let directory: String? = block.optional("directory", "Directory for files being compacted.")
            let needed = block.optional(
                "rebound_needed_threshold_mib", default: 100, "Size from which compaction after a peak is considered.")
            let trigger = block.optional(
                "rebound_trigger_threshold_mib", default: 10, "Use below which it begins.")
            let size = block.optional("max_transaction_size", default: 65536, "Items moved at a time.")
            let interval = block.optional(
                "check_interval", default: Duration.seconds(5), "How often sizes are looked at.")
            let cleanup = block.optional("cleanup_on_start", default: false, "Whether left-over files are deleted.")
            if rebound, needed <= trigger {
                block.reject("rebound_trigger_threshold_mib", "must be less than rebound_needed_threshold_mib")
            }
            if rebound, interval <= .zero { block.reject("check_interval", "must be greater than zero") }
            if size < 0 { block.reject("max_transaction_size", "must not be negative") }
            if start || rebound || cleanup || directory != nil {
                block.warn("compaction has no effect: space is given back as soon as data was sent")
            }
        }
    }

    package struct Exports: WritableBlock {
        var handler: StorageHandler
        package static var placeholder: Exports { Exports(handler: .placeholder) }

        package func write(to block: inout BlockWriter) {
            block.attribute("handler", handler, "Keeps the queues of other components.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        try publish()
        context.report(.healthy("ready"))
    }

    package func argumentsChanged() {
        do {
            try publish()
            context.report(.healthy("ready"))
        } catch {
            context.report(.unhealthy("\(error)"))
        }
    }

    private func publish() throws {
        let current = arguments.current
        let directory = current.directory ?? context.storagePath
        if !Self.isDirectory(directory) {
            guard current.createsDirectory || current.directory == nil else {
                throw StorageError(message: "directory \(directory) does not exist: set create_directory to make it")
            }
            try Self.make(directory, current.permissions)
        }
        var handler = StorageHandler(directory: directory)
        handler.synchronises = current.fsync
        context.export(Exports(handler: handler))
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func make(_ path: String, _ permissions: mode_t) throws {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/" + part
            if mkdir(made, permissions) != 0, errno != EEXIST {
                throw StorageError(message: "cannot make \(made): \(String(cString: strerror(errno)))")
            }
        }
    }

    private struct StorageError: Error, CustomStringConvertible {
        let message: String
        var description: String { message }
    }
}
