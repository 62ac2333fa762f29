package import AlloySyntax
import ComponentKit
import Compression
package import Essentials
import LogSources
import Telemetry

extension LokiSourceFile {
    package struct Arguments: Block, Sendable {
        let targets: [Target]
        let forwardTo: Fanout<LogBatch>
        let characterSet: CharacterSet?
        let tailsFromEnd: Bool
        let legacyPositionsFile: String
        let onPositionsFileError: PositionsErrorPolicy
        let decompression: Decompression
        let fileWatch: FileWatch
        let fileMatch: FileMatch

        package init(from block: inout BlockReader) {
            targets = block.required("targets", "Files to read: each target's `__path__` and labels.")
            forwardTo = block.required("forward_to", "Receivers the entries are sent to.")
            let encoding = block.optional(
                "encoding", default: "",
                "Character set of the files; lines are sent as UTF-8. Empty takes them as they are.")
            tailsFromEnd = block.optional(
                "tail_from_end", default: false, "Whether a file without a position is read from its end.")
            legacyPositionsFile = block.optional(
                "legacy_positions_file", default: "", "Positions file of promtail or the static agent to take over.")
            onPositionsFileError = block.optional(
                "on_positions_file_error", default: .restartFromBeginning,
                "What is done when a file's position cannot be read.")
            decompression = block.block("decompression", "How compressed files are read.")
            fileWatch = block.block("file_watch", "How often files are looked at.")
            fileMatch = block.block("file_match", "Whether paths are patterns, and how often they are resolved.")
            var characterSet: CharacterSet?
            if !encoding.isEmpty {
                characterSet = CharacterSet(name: encoding)
                if let characterSet {
                    if TextDecoder(characterSet) == nil {
                        block.reject("encoding", "is not supported by the C library: \(encoding)")
                    }
                } else {
                    block.reject("encoding", "is no known character set: \(encoding)")
                }
            }
            self.characterSet = characterSet
        }

        /// What decides how a file is read; files are opened anew when it changes.
        var tailOptions: FileTail.Options {
            FileTail.Options(
                characterSet: characterSet, compression: decompression.isEnabled ? decompression.format.format : nil,
                tailsFromEnd: tailsFromEnd)
        }
    }

    package struct Decompression: Block, Sendable, Equatable {
        let isEnabled: Bool
        let initialDelay: Duration
        let format: Format

        package init(from block: inout BlockReader) {
            isEnabled = block.required("enabled", "Whether the files are compressed.")
            initialDelay = block.optional(
                "initial_delay", default: .zero, "Time to wait before a file is read, for files still being written.")
            format = block.required("format", "How they are compressed.")
        }
    }

    /// How a file is compressed; `zst` goes beyond upstream.
    package enum Format: String, AlloyWord, Sendable {
        case gz, z, bz2, zst
        package static var placeholder: Format { .gz }

        var format: CompressionFormat {
            switch self {
            case .gz: .gzip
            case .z: .zlib
            case .bz2: .bzip2
            case .zst: .zstandard
            }
        }
    }

    package enum PositionsErrorPolicy: String, AlloyWord, Sendable {
        case skip
        case restartFromEnd = "restart_from_end"
        case restartFromBeginning = "restart_from_beginning"
        package static var placeholder: PositionsErrorPolicy { .restartFromBeginning }
    }

    package struct FileWatch: Block, Sendable, Equatable {
        let minimumPollFrequency: Duration
        let maximumPollFrequency: Duration

        package init(from block: inout BlockReader) {
            minimumPollFrequency = block.optional(
                "min_poll_frequency", default: .milliseconds(250), "Shortest time between two looks at a file.")
            maximumPollFrequency = block.optional(
                "max_poll_frequency", default: .milliseconds(250), "Longest time between two looks at a quiet file.")
        }

        /// Nanoseconds between looks: as configured, but never so short that looking is all there is to do.
        var bounds: (minimum: Int64, maximum: Int64) {
            if minimumPollFrequency == .zero, maximumPollFrequency == .zero { return (250_000_000, 250_000_000) }
            let floor: Int64 = 5_000_000
            let maximum = max(maximumPollFrequency.nanoseconds, floor)
            return (min(max(minimumPollFrequency.nanoseconds, floor), maximum), maximum)
        }
    }

    package struct FileMatch: Block, Sendable, Equatable {
        let isEnabled: Bool
        let syncPeriod: Duration
        let ignoreOlderThan: Duration

        package init(from block: inout BlockReader) {
            isEnabled = block.optional(
                "enabled", default: false, "Whether `__path__` is a pattern, with exceptions in `__path_exclude__`.")
            syncPeriod = block.optional("sync_period", default: .seconds(10), "Time between two searches for files.")
            ignoreOlderThan = block.optional(
                "ignore_older_than", default: .zero, "Age of the last change from which on a file is not taken up.")
            if syncPeriod <= .zero { block.reject("sync_period", "must be greater than 0") }
        }
    }

    package struct DebugInfo: WritableBlock {
        struct TargetInfo: WritableBlock {
            var path: String
            var labels: String
            var isRunning: Bool
            var readOffset: Int64
            static let placeholder = TargetInfo(path: "", labels: "", isRunning: false, readOffset: 0)

            func write(to block: inout BlockWriter) {
                block.attribute("path", path, "Path of the file.")
                block.attribute("labels", labels, "Labels of its target.")
                block.attribute("is_running", isRunning, "Whether it is open.")
                block.attribute("read_offset", readOffset, "Bytes read and delivered.")
            }
        }

        var targets: [TargetInfo]
        package static let placeholder = DebugInfo(targets: [.placeholder])

        package func write(to block: inout BlockWriter) {
            block.blocks("targets_info", targets, "The files being read.")
        }
    }
}

extension LokiSourceFile.Arguments: MemoryDemanding {
    /// One batch as it is read, and again as it is forwarded.
    package var minimumMemory: ByteCount { ByteCount(bytes: 2 * LokiSourceFile.batchBytes) }
}
