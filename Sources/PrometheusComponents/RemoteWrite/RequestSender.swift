import Essentials
import Synchronization
import Telemetry
import Transport
import Wire

/// Sends compressed remote-write requests to one endpoint and says what became of them.
final class RequestSender: Sendable {
    /// What an attempt came to.
    enum Outcome: Sendable {
        /// Status 2xx, with what a 2.0 receiver says it wrote; nil when it does not say.
        case accepted(Written?)
        /// Refused for good. A 2.0 receiver may still have written a part.
        case rejected(DropReason, String, Written?)
        /// May succeed later.
        case failed(String, retryAfter: Duration?)
    }

    /// The statistics of a 2.0 response.
    struct Written: Sendable, Equatable {
        var samples = 0
        var histograms = 0
        var exemplars = 0
    }

    private struct State {
        var settings: EndpointSettings
        var client: HTTPClient
    }

    private let state: Mutex<State>
    private let environment: EndpointEnvironment
    /// What is read of a response's body.
    private static let bodyLimit = ByteCount.kibibytes(64)

    init(_ settings: EndpointSettings, _ environment: EndpointEnvironment) {
        self.environment = environment
        state = Mutex(State(settings: settings, client: Self.makeClient(settings, environment)))
    }

    private static func makeClient(_ settings: EndpointSettings, _ environment: EndpointEnvironment) -> HTTPClient {
        HTTPClient(settings.endpoint.client, on: environment.eventLoops, clock: environment.clock)
    }

    /// Applies to the next attempt.
    func update(_ settings: EndpointSettings) {
        let isSameClient = state.withLock { $0.settings.endpoint.client == settings.endpoint.client }
        let client = isSameClient ? nil : Self.makeClient(settings, environment)
        state.withLock { state in
            state.settings = settings
            if let client { state.client = client }
        }
    }

    /// Sends once. `attempt` counts from 0; `limit` shortens the endpoint's timeout.
    func send(
        _ body: [UInt8], version: RemoteWriteVersion, attempt: Int, limit: Duration? = nil
    ) async -> Outcome {
        let (settings, client) = state.withLock { ($0.settings.endpoint, $0.client) }
        guard let url = settings.url else { return .failed("no URL", retryAfter: nil) }
        var request = HTTPClientRequest.post(url, body, type: version.contentType)
        request.fields["content-encoding"] = "snappy"
        request.fields["x-prometheus-remote-write-version"] = version.headerVersion
        if attempt > 0 { request.fields["retry-attempt"] = "\(attempt)" }
        for (name, value) in settings.headers { request.fields[name] = value }
        request.timeout = limit.map { min($0, settings.remoteTimeout) } ?? settings.remoteTimeout
        do throws(HTTPClientError) {
            let response = try await client.send(request)
            let written = Self.written(response.fields)
            let start = await Self.readBody(response)
            let status = response.status
            if status.isSuccess { return .accepted(written) }
            let message = "server returned HTTP status \(status): \(Self.firstLine(start))"
            let isRetryable = status.code / 100 == 5 || status.code == 429 && settings.queue.retriesOn429
            if isRetryable {
                return .failed(message, retryAfter: Self.retryAfter(response.fields["retry-after"], environment.clock))
            }
            return .rejected(DropReason("http_status_\(status.code)"), message, written)
        } catch {
            return .failed("\(error)", retryAfter: nil)
        }
    }

    /// The start of the body. Reads to the end where it is short, so that the connection can be kept.
    private static func readBody(_ response: HTTPClientResponse) async -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < bodyLimit.bytes, (try? await response.body.read(into: &bytes)) == true {}
        response.body.cancel()
        return bytes
    }

    private static func firstLine(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes.prefix(512), as: UTF8.self)
        return String(text.prefix { !$0.isNewline })
    }

    private static func written(_ fields: HTTPFields) -> Written? {
        func count(_ kind: String) -> Int? {
            fields["x-prometheus-remote-write-\(kind)-written"].flatMap { Int($0) }.flatMap { $0 < 0 ? nil : $0 }
        }
        let (samples, histograms, exemplars) = (count("samples"), count("histograms"), count("exemplars"))
        if samples == nil, histograms == nil, exemplars == nil { return nil }
        return Written(samples: samples ?? 0, histograms: histograms ?? 0, exemplars: exemplars ?? 0)
    }

    /// The wait that a `Retry-After` field asks for: seconds or a date (RFC 9110, 10.2.3); nil when it says nothing.
    static func retryAfter(_ field: String?, _ clock: EngineClock) -> Duration? {
        guard let field else { return nil }
        if let seconds = Int64(field) { return seconds > 0 ? .seconds(min(seconds, 86_400)) : nil }
        guard let time = HTTPDate.seconds(field) else { return nil }
        let wait = time - clock.wallMilliseconds / 1000
        return wait > 0 ? .seconds(min(wait, 86_400)) : nil
    }
}

/// Dates as HTTP writes them (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970, nil when `text` is no such date.
    static func seconds(_ text: String) -> Int64? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
            (1970...9999).contains(year)
        else { return nil }
        let time = parts[4].split(separator: ":").compactMap { Int64($0) }
        guard time.count == 3, (0...23).contains(time[0]), (0...59).contains(time[1]), (0...60).contains(time[2]) else {
            return nil
        }
        // Days since 1970 of a date in a year that begins in March.
        let shifted = Int64(month + 1) <= 2 ? year - 1 : year
        let monthOfYear = (Int64(month + 1) + 9) % 12
        let dayOfYear = (153 * monthOfYear + 2) / 5 + day - 1
        let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
        return days * 86_400 + time[0] * 3600 + time[1] * 60 + time[2]
    }
}
