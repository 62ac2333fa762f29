package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport
import Wire

/// Sends traces, metrics and logs over OTLP/HTTP.
package final class OtelcolExporterOTLPHTTP: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.exporter.otlphttp", .generallyAvailable, "Sends traces, metrics and logs over OTLP/HTTP.")

    package struct Arguments: Block, Sendable {
        let settings: Settings

        package init(from block: inout BlockReader) {
            let client: HTTPDialArguments = block.requiredBlock("client", "How the server is spoken to.")
            var urls: [OTLPBatch.Kind: String] = [:]
            for kind in [OTLPBatch.Kind.traces, .metrics, .logs] {
                let name = kind.signal.rawValue
                let own: String? = block.optional(
                    "\(name)_endpoint", "URL \(name) are sent to.",
                    defaultProse: "client.endpoint + \"/v1/\(name)\"")
                if let own, !own.isEmpty, HTTPURL(own) == nil { block.reject("\(name)_endpoint", "must be a URL") }
                let base = client.endpoint.hasSuffix("/") ? String(client.endpoint.dropLast()) : client.endpoint
                urls[kind] = own.flatMap { $0.isEmpty ? nil : $0 } ?? "\(base)/v1/\(name)"
            }
            let encoding = block.optional("encoding", default: "proto", "`proto` or `json`.")
            if encoding != "proto", encoding != "json" { block.reject("encoding", "must be proto or json") }
            let queue = SendingQueue.read(from: &block)
            let retry = RetryOnFailure.read(from: &block)
            DebugMetrics.read(from: &block)
            queue.check(against: client.auth, &block)
            settings = Settings(
                client: client, urls: urls, isJSON: encoding == "json", queue: queue, retry: retry)
        }
    }

    /// What a change of starts the exporter anew.
    struct Settings: Sendable, Equatable {
        var client: HTTPDialArguments
        var urls: [OTLPBatch.Kind: String]
        var isJSON: Bool
        var queue: SendingQueue
        var retry: RetryOnFailure
    }

    private let arguments: Live<Arguments>
    private let exporter: ExporterShell<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        exporter = ExporterShell(arguments, context)
    }

    package func run() async throws {
        try await exporter.run(\.settings) { settings, context in
            let dialer = HTTPDialer(settings.client, on: context.services.eventLoops, clock: context.clock)
            let clock = context.clock
            return ExporterShell<Arguments>.Made(
                queue: settings.queue, retry: settings.retry,
                destination: OTLPHTTPDestination(
                    dialer: dialer, urls: settings.urls.compactMapValues { HTTPURL($0) }, isJSON: settings.isJSON,
                    clock: clock),
                name: HTTPURL(settings.client.endpoint)?.authority ?? ""
            ) { dialer.shutDown() }
        }
    }
}

extension OtelcolExporterOTLPHTTP: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard let batch = item.batch else { return nil }
        let url = arguments.current.settings.urls[batch.kind].flatMap { HTTPURL($0) }
        return OTLPExplaining.leaving(item, to: "OTLP over HTTP to \(url?.text ?? "an unknown address")")
    }
}

/// One attempt to export over HTTP.
struct OTLPHTTPDestination: ExportDestination {
    let dialer: HTTPDialer
    let urls: [OTLPBatch.Kind: HTTPURL]
    let isJSON: Bool
    let clock: EngineClock

    func send(_ batch: OTLPBatch) async throws(ExportError) -> ExportReport {
        guard let url = urls[batch.kind] else { throw .permanent("there is no endpoint for \(batch.kind)") }
        var body = batch.requestBytes
        if isJSON { body = body.withRawBytes { OTLPJSON.encode($0, of: batch.kind) } }
        let (response, answer) = try await dialer.post(
            url, body, type: isJSON ? "application/json" : "application/x-protobuf", for: batch.client)
        if response.status.isSuccess {
            let isAnswerJSON = response.contentType.hasPrefix("application/json")
            return ExportReport(
                isAnswerJSON ? OTLPResponse(json: answer, batch.kind) : OTLPResponse(decoding: answer))
        }
        let message =
            "error exporting items, request to \(url.authority) responded with HTTP Status Code \(response.status.code)"
        switch response.status.code {
        case 429, 502, 503, 504:
            throw .retryable(message, after: response.fields["retry-after"].flatMap(retryAfter))
        default: throw .permanent(message)
        }
    }

    /// Seconds, or a date.
    private func retryAfter(_ text: String) -> Duration? {
        if let seconds = Int64(text), seconds >= 0 { return .seconds(min(seconds, 86_400)) }
        guard let date = HTTPDateText.seconds(text) else { return nil }
        let wait = date - clock.wallNanoseconds / 1_000_000_000
        return wait > 0 ? .seconds(min(wait, 86_400)) : nil
    }
}

/// The date of HTTP (RFC 9110, 5.6.7) in its usual form: `Sun, 06 Nov 1994 08:49:37 GMT`.
enum HTTPDateText {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970.
    static func seconds(_ text: String) -> Int64? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]), let year = Int64(parts[3]),
            let month = months.firstIndex(of: String(parts[2])), (1...31).contains(day), (1970...9999).contains(year)
        else { return nil }
        let time = parts[4].split(separator: ":").compactMap { Int64($0) }
        guard time.count == 3, (0..<24).contains(time[0]), (0..<60).contains(time[1]), (0...60).contains(time[2]) else {
            return nil
        }
        // Days from the civil date, with years that begin in March.
        let shifted = Int64(month) < 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let monthFromMarch = (Int64(month) + 10) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return days * 86_400 + time[0] * 3600 + time[1] * 60 + time[2]
    }
}
