import Essentials
import NIOCore

/// Adds to a request what proves who sends it.
protocol RequestAuthoriser: Sendable {
    /// Adds the fields; may fetch a token, which counts against the request's deadline.
    func authorise(_ request: inout HTTPClientRequest, until deadline: NIODeadline) async throws(HTTPClientError)
    /// After 401: whether `request` is worth sending again with credentials fetched anew.
    func isRefreshable(after request: HTTPClientRequest) -> Bool
}

extension RequestAuthoriser {
    func isRefreshable(after request: HTTPClientRequest) -> Bool { false }
}

/// The authoriser the settings ask for, nil for none.
func makeAuthoriser(
    _ settings: HTTPClientSettings, on loops: EventLoops, clock: EngineClock
) -> (any RequestAuthoriser)? {
    switch settings.authorisation {
    case .none: nil
    case .basic(let username, let password): BasicAuthoriser(username: username, password: password)
    case .credentials(let type, let credentials): CredentialsAuthoriser(type: type, credentials: credentials)
    case .oauth2(let oauth2): TokenAuthoriser.oauth2(oauth2, userAgent: settings.userAgent, on: loops, clock: clock)
    case .sigV4(let sigV4): SigV4Authoriser(sigV4, on: loops, clock: clock)
    case .azureAD(let azure): TokenAuthoriser.azureAD(azure, userAgent: settings.userAgent, on: loops, clock: clock)
    case .googleIAM(let google):
        TokenAuthoriser.googleIAM(google, userAgent: settings.userAgent, on: loops, clock: clock)
    }
}

/// RFC 7617.
struct BasicAuthoriser: RequestAuthoriser {
    let username: String
    let password: SecretSource?

    func authorise(_ request: inout HTTPClientRequest, until deadline: NIODeadline) async throws(HTTPClientError) {
        // What the request brings itself stays, as in Prometheus.
        guard !request.fields.contains("authorization") else { return }
        let password = try password?.read() ?? ""
        request.fields["authorization"] = "Basic " + Base64.encode(Array("\(username):\(password)".utf8))
    }
}

/// A scheme and its credentials as they are: bearer tokens and others.
struct CredentialsAuthoriser: RequestAuthoriser {
    let type: String
    let credentials: SecretSource

    func authorise(_ request: inout HTTPClientRequest, until deadline: NIODeadline) async throws(HTTPClientError) {
        guard !request.fields.contains("authorization") else { return }
        let value = "\(type) \(try credentials.read())"
        guard HTTPFields.isValid(name: "authorization", value: value) else {
            throw .authorisation("credentials contain characters that cannot be sent")
        }
        request.fields["authorization"] = value
    }
}
