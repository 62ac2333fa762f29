package import Essentials
import Synchronization

/// The metadata service of the EC2 instance this process runs on.
///
/// Speaks version 2 (a session token with each request) and version 1 where there are no tokens. Source: the Amazon EC2
/// User Guide, "Access instance metadata for an EC2 instance". The environment variables of AWS's own tools move or
/// disable it.
package final class EC2InstanceMetadata: Sendable {
    private let client: HTTPClient
    private let clock: EngineClock
    private let base: HTTPURL?
    /// Nil until asked for; empty where the service has none.
    private let token = Mutex<(text: Secret<String>, endMilliseconds: Int64)?>(nil)

    /// `client` should give up soon: outside of EC2 nobody answers.
    package init(_ client: HTTPClient, clock: EngineClock, environment: (String) -> String?) {
        self.client = client
        self.clock = clock
        if environment("AWS_EC2_METADATA_DISABLED")?.lowercased() == "true" {
            base = nil
        } else if let endpoint = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT"), !endpoint.isEmpty {
            base = HTTPURL(endpoint)
        } else {
            let isIPv6 = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")?.lowercased() == "ipv6"
            base = HTTPURL(isIPv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254")
        }
    }

    /// What is at `path`, such as `/latest/meta-data/instance-id`; nil when nothing is.
    package func get(_ path: String) async throws(HTTPClientError) -> [UInt8]? {
        guard let base, let url = base.resolving(path) else {
            throw .authorisation("the EC2 metadata service is disabled or its endpoint is no URL")
        }
        var request = HTTPClientRequest(.get, url)
        let token = try await sessionToken(base)
        if !token.reveal(\.isEmpty) { request.fields["x-aws-ec2-metadata-token"] = token.reveal { $0 } }
        let response = try await client.send(request)
        let body = try await response.collect()
        switch response.status.code {
        case 200: return body
        case 404: return nil
        case 401:
            self.token.withLock { $0 = nil }
            fallthrough
        default: throw .authorisation("the EC2 metadata service answered \(response.status.code) to \(path)")
        }
    }

    private func sessionToken(_ base: HTTPURL) async throws(HTTPClientError) -> Secret<String> {
        let now = clock.wallMilliseconds
        if let known = token.withLock({ $0 }), known.endMilliseconds > now { return known.text }
        var request = HTTPClientRequest(.put, base.replacing(path: "/latest/api/token", query: nil))
        request.fields["x-aws-ec2-metadata-token-ttl-seconds"] = "300"
        request.fields["content-length"] = "0"
        let response = try await client.send(request)
        let body = try await response.collect()
        var text = Secret("")
        if response.status.code == 200 {
            text = Secret(String(decoding: body, as: UTF8.self))
        } else if ![403, 404, 405].contains(response.status.code) {
            throw .authorisation("the EC2 metadata service answered \(response.status.code) to a request for a token")
        }
        let made = text
        token.withLock { $0 = (made, now + 240_000) }
        return made
    }
}
