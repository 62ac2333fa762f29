import NIOCore

extension HTTPClient {
    /// What a request carries that nobody but its server may see: credentials as they are configured and as they are
    /// sent, values of further fields. For those who show an answer, which may repeat its request.
    package func secrets(sentWith request: HTTPClientRequest) async throws(HTTPClientError) -> [String] {
        var secrets = try settings.headers.revealed().map(\.1)
        if case .basic(_, let password?) = settings.authorisation { secrets.append(try password.read()) }
        var prepared = request
        if let authoriser {
            try await authoriser.authorise(&prepared, until: .now() + .seconds(10))
        } else if let authorization = request.url.basicAuthorization {
            prepared.fields["authorization"] = authorization
        }
        for (name, value) in prepared.fields where request.fields[name] != value {
            // The word in front says of what kind the credentials are.
            let parts = value.split(separator: " ", maxSplits: 1)
            secrets.append(name.lowercased() == "authorization" && parts.count == 2 ? String(parts[1]) : value)
        }
        return secrets
    }
}
