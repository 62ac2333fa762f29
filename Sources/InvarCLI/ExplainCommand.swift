import AlloySyntax
import ArgumentParser
import Console
import Essentials
import Glibc
import Runtime
import TextFormats
import Transport

/// `invar explain`: what an item meets in a configuration, and what becomes of it.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Show which components and rules an item meets, and what becomes of it.",
        discussion: """
            Follows one item through the configuration, component by component, and prints what each rule makes of it. \
            Nothing runs, nothing is sent. With --url the question goes to a running invar, which knows what only \
            running components can tell.

            Items:
              labels='{__address__="10.0.0.1:80", job="x"}'   a target
              metric='http_requests_total{code="200"}'        a series
              log='the line'                                  a log line; --labels are those of its stream
              file=/var/log/app.log                           a file
              pod=namespace/name                              a pod, with --url
              pod=@pod.yaml                                   a pod as the API server gives it, JSON or YAML
              trace=4bf92f3577b34da6a3ce929d0e0e4736          a trace, with --url
              otlp=@request.json                              spans, log records or metrics as OTLP/JSON
            Labels without __address__ are, with --url, those of a target as it is scraped. A value that begins with @ is the name of a file to read; - reads standard input.

            Exit codes: 0 when something is delivered, held, or passes out of what can be explained; 3 when the item is \
            dropped; 1 when the question or the configuration is wrong.
            """)

    /// The exit code of an item that is dropped.
    static let droppedCode: CInt = 3

    @Argument(help: "A file, or a directory of *.alloy files; left out with --url.") var path: String?
    @OptionGroup var features: FeatureFlags
    @Option(help: "What is asked about, as kind=value; see above.") var item: String
    @Option(help: "Labels of the stream, with --item log.") var labels = ""
    @Option(help: "Structured metadata, with --item log, written as labels.") var metadata = ""
    @Option(help: "A log line that a target, file or pod brings, for what processes lines.") var line: String?
    @Option(help: "The component the item is given to; all it can enter at unless given.") var at = ""
    @Option(help: "Address of a running invar to ask, with the UI path prefix when it has one.") var url: String?
    @Option(help: "User name, where the http block asks for one; with --url.") var username: String?
    @Option(help: "File with the password; with --url.") var passwordFile: String?
    @Option(help: "File with the certificates of the authority the server's is checked against; with --url.")
    var caFile: String?
    @Option(help: "How the answer is printed: text or json.") var format = "text"

    func run() async throws {
        guard format == "text" || format == "json" else {
            throw CommandFailure("Error: --format must be text or json, not \"\(format)\"")
        }
        guard (path == nil) != (url == nil) else {
            throw CommandFailure(
                path == nil
                    ? "Error: give a configuration, or --url of a running invar"
                    : "Error: a configuration and --url exclude each other")
        }
        if url == nil, username != nil || passwordFile != nil || caFile != nil {
            throw CommandFailure("Error: --username, --password-file and --ca-file go with --url")
        }
        let (kind, value) = try question()
        // Checked here in both cases, so that mistakes read the same.
        let request: ExplainRequest
        do throws(ExplainError) {
            request = try ExplainRequest(
                kind: kind, value: value, labels: labels, metadata: metadata, line: line, component: at,
                now: EngineClock.system.wallNanoseconds)
        } catch {
            throw CommandFailure("Error: \(error)")
        }
        let answer: JSONValue
        if let url {
            answer = try await ask(url, kind, value)
        } else {
            answer = try await explain(request, path ?? "")
        }
        if format == "json" {
            writeOutput(Array((JSONWriter(escapesHTML: false, indent: "  ").text(answer) + "\n").utf8))
        } else {
            writeOutput(Array((ExplainText.lines(answer).joined(separator: "\n") + "\n").utf8))
        }
        if answer["verdict"]?.stringValue == "dropped" { throw ExitCode(Self.droppedCode) }
    }

    private func question() throws -> (kind: String, value: String) {
        guard let equals = item.firstIndex(of: "=") else {
            throw CommandFailure("Error: --item must be kind=value, not \"\(item)\"; see invar explain --help")
        }
        let kind = String(item[..<equals])
        let value = String(item[item.index(after: equals)...])
        guard value.hasPrefix("@") || value == "-", kind != "log" else { return (kind, value) }
        do {
            let name = value == "-" ? "/dev/stdin" : String(value.dropFirst())
            let bytes = try Files.read(name, limit: ByteCount(bytes: ExplainRequest.documentLimit))
            return (kind, String(decoding: bytes, as: UTF8.self))
        } catch {
            throw CommandFailure("Error: --item: \(error)")
        }
    }

    // MARK: A configuration

    private func explain(_ request: ExplainRequest, _ path: String) async throws -> JSONValue {
        let stability = try features.stability()
        return try await ValidateCommand.withTemporaryStorage { storage in
            let engine = Engine(
                Engine.Choices(
                    storagePath: storage, stability: stability, allowsCommunityComponents: features.communityComponents,
                    memoryLimit: Engine.defaultMemoryLimit, writesLog: false, checksOnly: true))
            let source: ConfigurationSource
            do {
                source = try ConfigurationSource.read(path)
            } catch {
                throw CommandFailure("Error: \(error)")
            }
            let loaded = await engine.runtime.load(source)
            if loaded.diagnostics.hasErrors {
                writeError(DiagnosticRenderer.report(loaded.diagnostics))
                throw CommandFailure("Error: the configuration has errors; see invar validate")
            }
            do throws(ExplainError) {
                return ExplainJSON.value(try await engine.runtime.explain(request.item, at: request.component))
            } catch {
                throw CommandFailure("Error: \(error)")
            }
        }
    }

    // MARK: A running program

    private func ask(_ address: String, _ kind: String, _ value: String) async throws -> JSONValue {
        let text = address.contains("://") ? address : "http://" + address
        guard let url = HTTPURL(text + (text.hasSuffix("/") ? "" : "/") + "api/v0/console/explain") else {
            throw CommandFailure("Error: --url: \"\(address)\" is not an address")
        }
        var settings = HTTPClientSettings()
        settings.requestTimeout = .seconds(30)
        if let username {
            settings.authorisation = .basic(username: username, password: passwordFile.map { .file($0) })
        }
        settings.tls.caFile = caFile
        var object = JSONObject()
        object["item"] = .string(kind)
        object["value"] = .string(value)
        if !labels.isEmpty { object["labels"] = .string(labels) }
        if !metadata.isEmpty { object["metadata"] = .string(metadata) }
        if let line { object["line"] = .string(line) }
        if !at.isEmpty { object["at"] = .string(at) }
        let client = HTTPClient(settings, on: EventLoops(threads: 1))
        let body: [UInt8]
        let status: HTTPStatus
        do {
            let question = Array(JSONWriter().text(.object(object)).utf8)
            let request = HTTPClientRequest.post(url, question, type: "application/json")
            let response = try await client.send(request)
            status = response.status
            body = try await response.collect()
        } catch {
            throw CommandFailure("Error: no answer from \(url.text): \(error). Is invar running there?")
        }
        guard status.isSuccess else {
            let reason = String(decoding: body.prefix(2000), as: UTF8.self)
            let hint = status == .unauthorized ? "; give --username and --password-file" : ""
            throw CommandFailure("Error: \(url.text) answers \(status): \(reason.isEmpty ? "" : reason)\(hint)")
        }
        guard let answer = try? JSONValue(parsing: body), answer["verdict"] != nil else {
            throw CommandFailure("Error: what answers at \(url.text) is not invar's HTTP server")
        }
        return answer
    }
}
