import AlloySyntax

/// The arguments of an `import.*` block, whichever it is.
enum ImportArguments: Sendable, Equatable {
    case file(ImportFileBlock)
    case string(ImportStringBlock)

    /// How often the source is looked at; nil when it cannot change by itself.
    var interval: Duration? {
        switch self {
        case .file(let file): file.interval
        case .string: nil
        }
    }

    /// Reads the arguments of a block.
    static func read(
        _ kind: ImportKind, _ block: BlockStatement, in scope: Scope
    ) -> (value: ImportArguments?, diagnostics: Diagnostics, values: EffectiveValues) {
        switch kind {
        case .string:
            let decoded = BlockDecoder.decode(
                ImportStringBlock.self, body: block.body, range: block.nameRange, in: scope)
            return (decoded.value.map { .string($0) }, decoded.diagnostics, decoded.values)
        default:
            let decoded = BlockDecoder.decode(
                ImportFileBlock.self, body: block.body, range: block.nameRange, in: scope)
            return (decoded.value.map { .file($0) }, decoded.diagnostics, decoded.values)
        }
    }
}

/// `import.file "label" { ... }`.
struct ImportFileBlock: Block, Sendable, Equatable {
    enum Detector: String, AlloyWord {
        case notification = "fsnotify"
        case poll

        static var placeholder: Detector { .notification }
    }

    let path: String
    let detector: Detector
    let pollInterval: Duration

    init(from block: inout BlockReader) {
        path = block.required("filename", "File or directory to import.")
        detector = block.optional("detector", default: .notification, "How changes are noticed.")
        pollInterval = block.optional(
            "poll_frequency", default: .seconds(60), "Time between looks with the detector \"poll\".")
        if pollInterval <= .zero { block.reject("poll_frequency", "must be greater than 0") }
    }

    /// Changes are looked for in both cases; `fsnotify` promises to notice them soon.
    var interval: Duration { detector == .poll ? pollInterval : min(pollInterval, .seconds(1)) }
}

/// `import.string "label" { ... }`.
struct ImportStringBlock: Block, Sendable, Equatable {
    let content: OptionalSecret

    init(from block: inout BlockReader) {
        content = block.required("content", "Text of the module to import.")
    }
}
