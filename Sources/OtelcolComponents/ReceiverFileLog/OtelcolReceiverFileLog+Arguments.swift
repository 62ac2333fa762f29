package import AlloySyntax
import ComponentKit
package import Essentials
import OTTL
import TextFormats

extension OtelcolReceiverFileLog {
    package struct Arguments: Block, Sendable {
        let engine: FileLogEngine.Settings
        let pollInterval: Duration
        let retry: ConsumerRetry
        let storage: StorageHandler?
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let include: [String] = block.required("include", "Patterns of the paths of files that are read.")
            let exclude = block.optional("exclude", default: [String](), "Patterns of paths that are left out.")
            let maximumAge = block.duration("exclude_older_than", default: .zero, "Age at which files are left out.")
            pollInterval = block.duration(
                "poll_interval", default: .milliseconds(200), "How often files are looked at.")
            let maximumFiles = block.optional(
                "max_concurrent_files", default: 1024, "Files that stay open between looks.")
            let maximumBatches = block.optional(
                "max_batches", default: 0,
                "Batches of half of `max_concurrent_files` that are read in one round; 0 is no limit.")
            let startAt = block.optional(
                "start_at", default: "end",
                "Where files that are there at the start are read from: `beginning` or `end`.")
            let fingerprint = block.optional(
                "fingerprint_size", default: ByteCount.kibibytes(1), "Bytes at the beginning that tell files apart.")
            let maximumSize = block.optional(
                "max_log_size", default: ByteCount.mebibytes(1), "Longest log; longer ones are cut into pieces.")
            let encoding = LogEncoding.read(from: &block)
            let flushPeriod = block.duration(
                "force_flush_period", default: .milliseconds(500),
                "Time without more after which a log that is not whole is sent; zero is never.")
            let deletes = block.optional("delete_after_read", default: false, "Whether files are deleted once read.")
            let numbersRecords = block.optional(
                "include_file_record_number", default: false,
                "Whether `log.file.record_number` counts the logs of a file.")
            let compression = block.optional(
                "compression", default: "", "Compression of the files: none, `gzip`, or `auto` to look at each.")
            let locks = block.optional(
                "acquire_fs_lock", default: false, "Whether files that somebody has locked are left out.")
            let forgetsCache = block.optional(
                "file_cache_advise", default: false,
                "Whether the kernel is told that what was read need not stay cached.")
            let keepsLeading = block.optional(
                "preserve_leading_whitespaces", default: false, StreamArguments.leadingDoc)
            let keepsTrailing = block.optional(
                "preserve_trailing_whitespaces", default: false, StreamArguments.trailingDoc)
            let fileAttributes = Self.fileAttributes(from: &block)
            let attributes = block.optional("attributes", default: [String: String](), "Attributes of every log.")
            let resource = block.optional("resource", default: [String: String](), "Resource attributes of every log.")
            let operators = block.optional("operators", default: [[String: Value]](), "Operators, in order.")
            storage = block.optional(
                "storage", "Handler of an `otelcol.storage` component that remembers how far files were read.")
            let ordering: Ordering? = block.optionalBlock("ordering_criteria", "Which files are read, by their order.")
            let multiline: MultilineArguments? = block.optionalBlock(
                "multiline", "What tells logs of several lines apart.")
            let header: Header? = block.optionalBlock("header", "Lines at the beginning that tell about the rest.")
            retry = block.block("retry_on_failure", "How deliveries that failed are repeated.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)

            if maximumFiles < 1 { block.reject("max_concurrent_files", "must be positive") }
            if maximumBatches < 0 { block.reject("max_batches", "must not be negative") }
            if !["beginning", "end"].contains(startAt) { block.reject("start_at", "must be beginning or end") }
            if startAt == "end", deletes { block.reject("delete_after_read", "cannot be used with start_at = \"end\"") }
            if startAt == "end", header != nil { block.reject("header", "cannot be used with start_at = \"end\"") }
            if !["", "gzip", "auto"].contains(compression) {
                block.reject("compression", "invalid 'compression' type: \(compression)")
            }
            if fingerprint < ByteCount(bytes: 16) || fingerprint > .mebibytes(1) {
                block.reject("fingerprint_size", "must be from 16B to 1MiB")
            }
            if maximumSize < ByteCount(bytes: 1) || maximumSize > .mebibytes(64) {
                block.reject("max_log_size", "must be from 1B to 64MiB")
            }
            if include.isEmpty, block.isSet("include") { block.reject("include", "must name one pattern at least") }
            let selection = FileSelection(
                include: Self.globs("include", include, &block), exclude: Self.globs("exclude", exclude, &block),
                maximumAge: maximumAge > .zero ? maximumAge : nil, ordering: ordering?.ordering)
            let rule = MultilineArguments.rule(multiline, encoding, &block)
            var problems: [String] = []
            let pipeline = StanzaPipeline(operators, problems: &problems)
            for problem in problems { block.reject("operators", problem) }
            let text = encoding ?? .utf8
            engine = FileLogEngine.Settings(
                selection: selection,
                reading: TrackedFile.Settings(
                    splitter: LogSplitter(
                        rule: rule, encoding: text, trimsLeading: !keepsLeading && text.hasLines,
                        trimsTrailing: !keepsTrailing && text.hasLines, maximumBytes: max(1, maximumSize.bytes)),
                    flushPeriod: flushPeriod > .zero ? flushPeriod : nil, numbersRecords: numbersRecords,
                    header: header?.settings, attributes: Self.templates("attributes", attributes, &block),
                    resource: Self.templates("resource", resource, &block)),
                operators: pipeline, fileAttributes: fileAttributes, startsAtEnd: startAt == "end",
                fingerprintBytes: max(16, fingerprint.bytes), compression: compression, locks: locks,
                forgetsCache: forgetsCache, deletes: deletes, maximumFiles: max(1, maximumFiles),
                maximumBatches: max(0, maximumBatches))
        }

        private static func fileAttributes(from block: inout BlockReader) -> FileAttributes {
            FileAttributes(
                name: block.optional("include_file_name", default: true, "Whether `log.file.name` is the file's name."),
                path: block.optional("include_file_path", default: false, "Whether `log.file.path` is its path."),
                resolvedName: block.optional(
                    "include_file_name_resolved", default: false,
                    "Whether `log.file.name_resolved` is its name behind symbolic links."),
                resolvedPath: block.optional(
                    "include_file_path_resolved", default: false,
                    "Whether `log.file.path_resolved` is its path behind symbolic links."),
                owner: block.optional(
                    "include_file_owner_name", default: false, "Whether `log.file.owner.name` is its owner."),
                group: block.optional(
                    "include_file_owner_group_name", default: false,
                    "Whether `log.file.owner.group.name` is its owner's group."),
                permissions: block.optional(
                    "include_file_permissions", default: false, "Whether `log.file.permissions` is its mode, in octal.")
            )
        }

        private static func globs(_ name: String, _ patterns: [String], _ block: inout BlockReader) -> [Glob] {
            var globs: [Glob] = []
            for pattern in patterns {
                do throws(GlobError) {
                    globs.append(try Glob(pattern))
                } catch {
                    block.reject(name, "\(error)")
                }
            }
            return globs
        }

        private static func templates(
            _ name: String, _ texts: [String: String], _ block: inout BlockReader
        ) -> [(key: StanzaField, value: StanzaTemplate)] {
            var found: [(key: StanzaField, value: StanzaTemplate)] = []
            for (key, text) in texts.sorted(by: { $0.key < $1.key }) {
                do throws(StanzaError) {
                    found.append((.attribute(key), try StanzaTemplate(text)))
                } catch {
                    block.reject(name, "\(key): \(error)")
                }
            }
            return found
        }
    }

    /// The `header` block.
    struct Header: Block, Sendable {
        let settings: (pattern: RegularExpression, operators: StanzaPipeline)?

        init(from block: inout BlockReader) {
            let text: String = block.required("pattern", "Regular expression of the lines.")
            let list: [[String: Value]] = block.required(
                "metadata_operators", "Operators whose attributes go to every log of the file.")
            if list.isEmpty, block.isSet("metadata_operators") {
                block.reject("metadata_operators", "must have one operator at least")
            }
            var problems: [String] = []
            let pipeline = StanzaPipeline(list, problems: &problems)
            for problem in problems { block.reject("metadata_operators", problem) }
            do throws(RegularExpressionError) {
                settings = (try RegularExpression(text), pipeline)
            } catch {
                settings = nil
                block.reject("pattern", "\(error)")
            }
        }
    }

    /// The `ordering_criteria` block.
    struct Ordering: Block, Sendable {
        let ordering: FileSelection.Ordering?

        init(from block: inout BlockReader) {
            let text = block.optional("regex", default: "", "Regular expression of paths, whose groups are compared.")
            let limit = block.optional("top_n", default: 1, "Files that are read, of each group.")
            let group = block.optional(
                "group_by", default: "", "Group of the expression by which files are told apart.")
            let sorts: [SortBy] = block.blocks("sort_by", "What files are sorted by.", required: true)
            if limit < 0 { block.reject("top_n", "must not be negative") }
            var pattern: RegularExpression?
            if !text.isEmpty {
                do throws(RegularExpressionError) {
                    pattern = try RegularExpression(text)
                } catch {
                    block.reject("regex", "\(error)")
                }
            }
            let keys = sorts.compactMap(\.sort).map(\.key).filter { !$0.isEmpty } + (group.isEmpty ? [] : [group])
            for key in keys where text.isEmpty || pattern.map({ $0.group(named: key) == nil }) ?? false {
                block.reject("regex", "must have a group named \(key)")
            }
            ordering = FileSelection.Ordering(
                pattern: pattern, group: group, limit: limit > 0 ? limit : 1, sorts: sorts.compactMap(\.sort))
        }
    }

    /// The `sort_by` block.
    struct SortBy: Block, Sendable {
        let sort: FileSelection.Sort?

        init(from block: inout BlockReader) {
            let type = block.optional(
                "sort_type", default: "", "What is compared: `numeric`, `lexicographic`, `timestamp` or `mtime`.")
            let key = block.optional("regex_key", default: "", "Group of the expression that is compared.")
            let isAscending = block.optional("ascending", default: false, "Whether the smallest comes first.")
            let layout = block.optional("layout", default: "", "Layout of times, as of `strptime`.")
            let location = block.optional("location", default: "UTC", "Zone of times that do not say theirs.")
            var kind: FileSelection.Sort.Kind?
            switch type {
            case "numeric": kind = .numeric
            case "lexicographic": kind = .lexicographic
            case "mtime": kind = .modified
            case "timestamp":
                if layout.isEmpty { block.reject("layout", "is required to sort by time") }
                do {
                    let text = try TimeFormat.layoutText(
                        layout, overrides: ["L": "999", "f": "999999", "s": "999999999", "z": "Z0700"])
                    kind = .timestamp(GoTimeLayout(verbatim: text), try GoTimeZone.load(location))
                } catch {
                    block.reject("layout", "\(error)")
                }
            default: block.reject("sort_type", "invalid 'sort_type': \(type)")
            }
            if let kind, key.isEmpty {
                if case .modified = kind {} else { block.reject("regex_key", "is required for \(type)") }
            }
            sort = kind.map { FileSelection.Sort(kind: $0, key: key, isAscending: isAscending) }
        }
    }
}

extension BlockReader {
    /// A time that must not be negative.
    fileprivate mutating func duration(_ name: String, default fallback: Duration, _ doc: String) -> Duration {
        let value = optional(name, default: fallback, doc)
        if value < .zero { reject(name, "must not be negative") }
        return max(value, .zero)
    }
}

extension OtelcolReceiverFileLog.Arguments: MemoryDemanding {
    /// One reading and what becomes of it.
    package var minimumMemory: ByteCount { .mebibytes(2) }
}
