import Essentials
import NIOCore
import TextFormats

/// Asks token servers: bounded answers in bounded time; errors begin with the kind of authorisation and tell no secret.
struct TokenClient: Sendable {
    /// What a token server grants.
    struct Grant: Sendable {
        /// The token itself.
        let token: String
        /// Its kind, `Bearer` in one spelling.
        let type: String
        /// How long it is good; nil when the server does not say.
        let lifetime: Duration?
    }

    /// The word errors begin with.
    let name: String
    private let client: HTTPClient
    private let clock: EngineClock

    init(_ name: String, _ settings: HTTPClientSettings = .init(), on loops: EventLoops, clock: EngineClock) {
        var own = settings
        own.requestTimeout = .seconds(30)
        own.maximumBodyBytes = .mebibytes(1)
        self.name = name
        self.clock = clock
        client = HTTPClient(own, on: loops, clock: clock)
    }

    /// Sends a form or another request and collects the answer, whatever its status.
    func send(
        _ request: HTTPClientRequest, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> (status: HTTPStatus, body: [UInt8]) {
        var request = request
        if deadline < .distantFuture {
            let left = (deadline - .now()).nanoseconds
            guard left > 0 else { throw .deadlineExceeded(.authorisation) }
            request.timeout = min(.nanoseconds(left), .seconds(30))
        }
        do {
            let response = try await client.send(request)
            return (response.status, try await response.collect())
        } catch .cancelled {
            throw .cancelled
        } catch .deadlineExceeded {
            throw .deadlineExceeded(.authorisation)
        } catch {
            throw .authorisation("\(name): cannot fetch token: \(error)")
        }
    }

    /// Sends a request for a token; any status but success is an error that names the server's own error code.
    func grant(
        _ request: HTTPClientRequest, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> Grant {
        let answer = try await send(request, until: deadline)
        guard answer.status.isSuccess else {
            let json = try? JSONValue(parsing: answer.body, maximumDepth: 16)
            let code = json?["error"]?.stringValue ?? json?["error"]?["status"]?.stringValue
            let reason = code.map { " (\($0.prefix(64)))" } ?? ""
            throw .authorisation("\(name): cannot fetch token: \(answer.status)\(reason)")
        }
        return try grant(in: answer.body)
    }

    /// The grant in the body of a successful answer (RFC 6749, section 5.1).
    func grant(in body: [UInt8]) throws(HTTPClientError) -> Grant {
        guard let json = try? JSONValue(parsing: body, maximumDepth: 16),
            let access = json["access_token"]?.stringValue, !access.isEmpty
        else { throw .authorisation("\(name): server response missing access_token") }
        var type = json["token_type"]?.stringValue ?? "Bearer"
        if type.isEmpty || type.lowercased() == "bearer" { type = "Bearer" }
        var seconds = Self.integer(json["expires_in"]) ?? 0
        if seconds <= 0, let end = Self.integer(json["expires_on"]) {
            seconds = end - clock.wallMilliseconds / 1_000
        }
        let lifetime = seconds > 0 ? Duration.seconds(min(seconds, 10 * 365 * 86_400)) : nil
        return Grant(token: access, type: type, lifetime: lifetime)
    }

    /// The token of a grant, renewed `renewal` after now.
    func token(_ grant: Grant, renewedAfter renewal: Duration?) throws(HTTPClientError) -> AccessToken {
        let header = "\(grant.type) \(grant.token)"
        guard HTTPFields.isValid(name: "authorization", value: header) else {
            throw .authorisation("\(name): token contains characters that cannot be sent")
        }
        return AccessToken(
            header: header,
            renewalNanoseconds: renewal.map { clock.monotonicNanoseconds + $0.nanoseconds })
    }

    /// A number, or a number in quotes as some servers send it.
    private static func integer(_ value: JSONValue?) -> Int64? {
        value?.intValue ?? value?.stringValue.flatMap { Int64($0) }
    }
}

extension HTTPClientRequest {
    /// A POST of form fields that asks for JSON.
    static func tokenForm(_ url: HTTPURL, _ items: [(name: String, value: String)]) -> HTTPClientRequest {
        .post(
            url, Array(Percent.form(items).utf8), type: "application/x-www-form-urlencoded",
            fields: ["accept": "application/json"])
    }
}
