import AlloySyntax
import ComponentKit
import Essentials
import Transport

/// The arguments of an `import.*` block, whichever it is.
enum ImportArguments: Sendable, Equatable {
    case file(ImportFileBlock)
    case string(ImportStringBlock)
    case http(ImportHTTPBlock)

    /// How often the source is looked at; nil when it cannot change by itself.
    var interval: Duration? {
        switch self {
        case .file(let file): file.interval
        case .http(let http): http.pollInterval
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
        case .http:
            let decoded = BlockDecoder.decode(
                ImportHTTPBlock.self, body: block.body, range: block.nameRange, in: scope)
            return (decoded.value.map { .http($0) }, decoded.diagnostics, decoded.values)
        case .file, .git:
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

/// `import.http "label" { ... }`.
struct ImportHTTPBlock: Block, Sendable, Equatable {
    let url: HTTPURL?
    let pollInterval: Duration
    let timeout: Duration
    let method: HTTPMethod
    let headers: [String: String]
    let body: String?
    let client: HTTPClientSettings

    init(from block: inout BlockReader) {
        let address: String = block.required("url", "URL of the module to import.")
        url = HTTPURL(address)
        pollInterval = block.optional("poll_frequency", default: .seconds(60), "Time between requests.")
        timeout = block.optional("poll_timeout", default: .seconds(10), "Time a request may take.")
        let name: String = block.optional("method", default: "GET", "Method of the request.")
        method = HTTPMethod(name)
        headers = block.optional("headers", default: [:], "Header fields of the request.")
        body = block.optional("body", "Body of the request.")
        let client: Client = block.block("client", "Settings of the HTTP client.")
        self.client = client.settings
        if url == nil { block.reject("url", "must be an HTTP URL") }
        if pollInterval <= .zero { block.reject("poll_frequency", "must be greater than 0") }
        if timeout <= .zero { block.reject("poll_timeout", "must be greater than 0") }
        if timeout >= pollInterval { block.reject("poll_timeout", "must be less than poll_frequency") }
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        if !methods.contains(name.uppercased()) { block.reject("method", "must be an HTTP method") }
        for (name, value) in headers where !HTTPFields.isValid(name: name, value: value) {
            block.reject("headers", "must be valid header fields")
            break
        }
    }

    private struct Client: Block {
        let settings: HTTPClientSettings

        init(from block: inout BlockReader) { settings = HTTPClientArguments(from: &block).settings }
    }

    /// The URL's directory: what the module sees as `module_path`.
    var modulePath: String {
        guard let text = url?.text, let slash = text.lastIndex(of: "/") else { return "" }
        return String(text[...slash])
    }
}
