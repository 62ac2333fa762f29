package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import TextFormats
import Transport

/// Finds targets by fetching a list of target groups over HTTP again and again.
///
/// Semantics agree with Prometheus's HTTP service discovery (documentation "HTTP Service Discovery", and
/// prometheus/prometheus `discovery/http`): every answer is the whole list, and one that cannot be used leaves the
/// targets as they are. Deviation: an answer larger than 64 MiB is refused.
package final class DiscoveryHTTP: Component {
    package static let spec = ComponentSpec(
        "discovery.http", .generallyAvailable, "Finds targets in a list fetched over HTTP.")

    package struct Arguments: Block, Sendable, Equatable {
        let url: HTTPURL
        /// The URL as configured, which is what its label shows.
        let urlText: String
        let refreshInterval: Duration
        let client: HTTPClientSettings

        package init(from block: inout BlockReader) {
            client = HTTPClientArguments(from: &block).settings
            refreshInterval = block.optional(
                "refresh_interval", default: .seconds(60), "Time between two requests; also their timeout.")
            urlText = block.required("url", "URL the list of target groups is fetched from.")
            if refreshInterval <= .zero { block.reject("refresh_interval", "must be greater than 0") }
            if let url = HTTPURL(urlText), url.scheme == "http" || url.scheme == "https", !url.host.isEmpty {
                self.url = url
            } else {
                url = Self.nowhere
                if !urlText.isEmpty || block.isSet("url") {
                    block.reject("url", "must be an absolute URL with the scheme http or https and a host")
                }
            }
        }

        private static let nowhere = HTTPURL("http://localhost/").unsafelyUnwrapped  // a constant that parses
    }

    /// Bytes of one answer, decompressed.
    private static let maximumAnswer = ByteCount.mebibytes(64)

    private let arguments: Live<Arguments>
    private let context: Context<DiscoveryExports>
    private let feed: TargetFeed
    private let refreshes: RefreshLoop
    private let failures: Counter

    package init(_ arguments: Live<Arguments>, _ context: Context<DiscoveryExports>) throws {
        self.arguments = arguments
        self.context = context
        feed = TargetFeed(context)
        refreshes = RefreshLoop("http", context)
        failures = context.metrics.counter(
            "prometheus_sd_http_failures_total", "Number of HTTP service discovery refresh failures.")
    }

    package func run() async throws {
        try await feed.run(following: arguments, { $0 }) { [self] settings in
            let client = HTTPClient(settings.client, on: context.services.eventLoops, clock: context.clock)
            defer { client.shutDown() }
            try await refreshes.run(every: settings.refreshInterval) {
                do {
                    feed.replace(with: try await Self.fetch(settings, client))
                } catch {
                    if !Task.isCancelled { failures.add() }
                    throw error
                }
            }
        }
    }

    private static func fetch(
        _ settings: Arguments, _ client: HTTPClient
    ) async throws -> [TargetGroup.Key: TargetGroup] {
        var request = HTTPClientRequest(.get, settings.url)
        request.fields["accept"] = "application/json"
        request.fields["x-prometheus-refresh-interval-seconds"] = decimalSeconds(settings.refreshInterval)
        request.timeout = settings.refreshInterval
        request.maximumBodyBytes = maximumAnswer
        let response = try await client.send(request)
        guard response.status == .ok else {
            response.body.cancel()
            throw Refusal(description: "server returned HTTP status \(response.status)")
        }
        guard isJSON(response.contentType) else {
            response.body.cancel()
            throw Refusal(description: "unsupported content type \"\(response.contentType.prefix(200))\"")
        }
        let bytes = try await response.collect()
        let groups = try TargetGroupParser.json(bytes, adding: ("__meta_url", settings.urlText))
        var keyed: [TargetGroup.Key: TargetGroup] = [:]
        for (index, group) in groups.enumerated() { keyed[.init(source: settings.urlText, index: index)] = group }
        return keyed
    }

    private struct Refusal: Error, CustomStringConvertible { let description: String }

    /// Whether a content type is `application/json`, with no parameter but the character set UTF-8.
    static func isJSON(_ contentType: String) -> Bool {
        let parts = contentType.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        guard let type = parts.first?.drop(while: { $0 == " " || $0 == "\t" }), parts.count <= 2 else { return false }
        if parts.count == 1 {
            return trimmed(type).lowercased() == "application/json"
        }
        guard type.lowercased() == "application/json" else { return false }
        return ["charset=utf-8", "charset=\"utf-8\""].contains(trimmed(parts[1]).lowercased())
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }

    /// Seconds with as many decimals as needed, never an exponent.
    static func decimalSeconds(_ duration: Duration) -> String {
        let (seconds, fraction) = duration.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        if fraction == 0 { return "\(seconds)" }
        var digits = "\(fraction)"
        digits = String(repeating: "0", count: max(0, 9 - digits.count)) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(seconds).\(digits)"
    }
}
