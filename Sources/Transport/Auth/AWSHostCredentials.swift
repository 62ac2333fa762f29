import Essentials
import Synchronization
import TextFormats

/// Credentials that the container or the EC2 instance gives the process.
///
/// Source: the AWS SDKs and Tools Reference Guide, "Container credential provider" and "IMDS credential provider".
final class AWSHostCredentials: Sendable {
    private struct Kept {
        let credentials: AWSCredentials
        let endSeconds: Int64
    }

    private let client: HTTPClient
    private let clock: EngineClock
    private let environment: @Sendable (String) -> String?
    private let instance: EC2InstanceMetadata
    private let kept = Mutex<Kept?>(nil)

    init(on loops: EventLoops, clock: EngineClock, environment: @escaping @Sendable (String) -> String?) {
        self.clock = clock
        self.environment = environment
        var settings = HTTPClientSettings()
        settings.connectTimeout = .seconds(1)
        settings.requestTimeout = .seconds(5)
        settings.maximumBodyBytes = .kibibytes(64)
        settings.followsRedirects = false
        client = HTTPClient(settings, on: loops, clock: clock)
        instance = EC2InstanceMetadata(client, clock: clock, environment: environment)
    }

    /// The credentials of the moment; nil when the host has none. Renewed five minutes before they end.
    func credentials() async throws(HTTPClientError) -> AWSCredentials? {
        let now = clock.wallMilliseconds / 1_000
        if let kept = kept.withLock({ $0 }), kept.endSeconds - 300 > now { return kept.credentials }
        let answer: [UInt8]?
        if let request = try containerRequest() {
            answer = try await ask(request)
        } else {
            answer = await instanceAnswer()
        }
        guard let answer else { return nil }
        guard let document = try? JSONValue(parsing: answer), let key = document["AccessKeyId"]?.stringValue,
            let secret = document["SecretAccessKey"]?.stringValue
        else { throw .authorisation("sigv4: the host answered without credentials") }
        let credentials = AWSCredentials(
            accessKey: key, secretKey: Secret(secret),
            sessionToken: document["Token"]?.stringValue.map { Secret($0) })
        let end = document["Expiration"]?.stringValue.flatMap(SigV4Authoriser.unixSeconds) ?? now + 900
        kept.withLock { $0 = Kept(credentials: credentials, endSeconds: end) }
        return credentials
    }

    /// The request a container is told to make; nil outside of one.
    private func containerRequest() throws(HTTPClientError) -> HTTPClientRequest? {
        let url: HTTPURL?
        if let path = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            url = HTTPURL("http://169.254.170.2\(path)")
        } else if let full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            url = HTTPURL(full)
        } else {
            return nil
        }
        guard let url else { throw .authorisation("sigv4: AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL") }
        guard url.isSecure || Self.isNear(url.host) else {
            throw .authorisation("sigv4: AWS_CONTAINER_CREDENTIALS_FULL_URI must be HTTPS, or HTTP to this host")
        }
        var request = HTTPClientRequest(.get, url)
        if let file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            request.fields["authorization"] = try SecretSource.file(file).read()
        } else if let token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
            request.fields["authorization"] = token
        }
        return request
    }

    /// Whether credentials may come from there without TLS: loopback, and the endpoints of ECS and EKS.
    private static func isNear(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || host.hasPrefix("127.") || host == "169.254.170.2"
            || host == "169.254.170.23" || host == "fd00:ec2::23"
    }

    private func ask(_ request: HTTPClientRequest) async throws(HTTPClientError) -> [UInt8] {
        let response = try await client.send(request)
        let body = try await response.collect()
        guard response.status.isSuccess else {
            throw .authorisation("sigv4: the container's credentials: status \(response.status.code)")
        }
        return body
    }

    /// What the instance's metadata says; nil where there is none, or no role.
    private func instanceAnswer() async -> [UInt8]? {
        let path = "/latest/meta-data/iam/security-credentials/"
        guard let list = try? await instance.get(path),
            let role = String(decoding: list, as: UTF8.self).split(whereSeparator: \.isWhitespace).first
        else { return nil }
        return try? await instance.get(path + role)
    }
}
