package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Transport

/// Exports the body of an HTTP response, fetched again and again.
package final class RemoteHTTP: Component {
    package static let spec = ComponentSpec(
        "remote.http", .generallyAvailable, "Exports what a URL answers and asks again at intervals.")

    package typealias Exports = ContentExports

    package struct Arguments: Block {
        let url: HTTPURL?
        let pollFrequency: Duration
        let pollTimeout: Duration
        let isSecret: Bool
        let method: String
        let headers: [String: String]
        let body: String
        let client: HTTPClientSettings

        package init(from block: inout BlockReader) {
            let text: String = block.required("url", "URL that is asked.")
            pollFrequency = block.optional("poll_frequency", default: .seconds(60), "How often the URL is asked.")
            pollTimeout = block.optional("poll_timeout", default: .seconds(10), "How long an answer may take.")
            isSecret = block.optional("is_secret", default: false, "Whether the answer is a secret.")
            let verb: String = block.optional("method", default: "GET", "Method of the request.")
            headers = block.optional("headers", default: [:], "Header fields of the request.")
            body = block.optional("body", default: "", "Body of the request.")
            let arguments: Client = block.block("client", "How the server is reached.")
            var settings = arguments.settings
            if let agent = headers.first(where: { $0.key.lowercased() == "user-agent" })?.value {
                settings.userAgent = agent
            }
            client = settings
            // As in Go, no method is GET.
            method = verb.isEmpty ? "GET" : verb
            url = HTTPURL(text)
            if !text.isEmpty, url.map({ $0.scheme == "http" || $0.scheme == "https" }) != true {
                block.reject("url", "must be an absolute http or https URL")
            } else if text.isEmpty, block.isSet("url") {
                block.reject("url", "must not be empty")
            }
            if !method.utf8.allSatisfy({ ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || $0 == 45 || $0 == 95 }) {
                block.reject("method", "is not a valid method")
            }
            for (name, value) in headers where name.isEmpty || !HTTPFields.isValid(name: name, value: value) {
                block.reject("headers", "holds a field that cannot be sent: \(name)")
            }
            if pollFrequency <= .zero { block.reject("poll_frequency", "must be greater than 0") }
            if pollTimeout <= .zero { block.reject("poll_timeout", "must be greater than 0") }
            if pollTimeout >= pollFrequency { block.reject("poll_timeout", "must be less than poll_frequency") }
        }
    }

    /// The `client` block.
    package struct Client: Block {
        let settings: HTTPClientSettings

        package init(from block: inout BlockReader) { settings = HTTPClientArguments(from: &block).settings }
    }

    private static let maximumSize = ByteCount.mebibytes(16)

    private let arguments: Live<Arguments>
    private let context: Context<ContentExports>
    private let client = Mutex<HTTPClient?>(nil)

    package init(_ arguments: Live<Arguments>, _ context: Context<ContentExports>) throws {
        self.arguments = arguments
        self.context = context
        context.report(Health(.unknown, "component started"))
    }

    package func run() async throws {
        while true {
            let (settings, version) = arguments.snapshot
            await poll(settings)
            try Task.checkCancellation()
            try await waitForNext(after: version, settings.pollFrequency)
        }
    }

    /// The next request is due after `period`, or as soon as there are new arguments.
    private func waitForNext(after version: UInt64, _ period: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { [arguments, context] group in
            group.addTask { try await context.clock.sleep(for: period) }
            group.addTask { try await arguments.change(after: version) }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Asks once. On failure the last good answer stays exported and the health says why.
    private func poll(_ settings: Arguments) async {
        do {
            let text = try await fetch(settings)
            context.export(ContentExports(content: .make(text, isSecret: settings.isSecret)))
            context.report(.healthy("polled endpoint"))
        } catch {
            if error is CancellationError || error as? HTTPClientError == .cancelled { return }
            context.log.error("Failed to poll endpoint", error)
            context.report(.unhealthy("polling failed: \(error)"))
        }
    }

    private func fetch(_ settings: Arguments) async throws -> String {
        guard let url = settings.url else { throw ContentError(reason: "no usable URL") }
        var request = HTTPClientRequest(HTTPMethod(settings.method), url)
        request.timeout = settings.pollTimeout
        request.maximumBodyBytes = Self.maximumSize
        for (name, value) in settings.headers.sorted(by: { $0.key < $1.key }) { request.fields[name] = value }
        if !settings.body.isEmpty { request.body = Array(settings.body.utf8) }
        let (status, bytes) = try await Self.answer(of: client(for: settings.client), to: request)
        guard status == .ok else { throw ContentError(reason: "unexpected status code \(status)") }
        return Self.trimmed(bytes)
    }

    private static func answer(
        of client: HTTPClient, to request: HTTPClientRequest
    ) async throws -> (HTTPStatus, [UInt8]) {
        do throws(HTTPClientError) {
            let response = try await client.send(request)
            return (response.status, try await response.collect())
        } catch {
            guard case .bodyTooLarge(let limit) = error else { throw error }
            throw ContentError(reason: "reading response: the body is larger than \(ByteCount(bytes: limit))")
        }
    }

    /// The kept client, or a new one when its settings changed.
    private func client(for settings: HTTPClientSettings) -> HTTPClient {
        client.withLock { kept in
            if let kept, kept.settings == settings { return kept }
            let made = HTTPClient(settings, on: context.services.eventLoops, clock: context.clock)
            kept = made
            return made
        }
    }

    /// Text without white space around it.
    private static func trimmed(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self).unicodeScalars
        guard let first = text.firstIndex(where: { !$0.properties.isWhitespace }),
            let last = text.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(text[first...last])
    }
}
