package import Essentials
import Glibc
import NIOCore
import Synchronization

/// Finds AWS credentials and signs requests with them.
///
/// Looks in the order of AWS's own tools: the settings, the environment, the profile of the shared credentials file,
/// a web identity token (IRSA), the container's endpoint, the instance's metadata; assumes `role_arn` when one is given.
final class SigV4Authoriser: RequestAuthoriser {
    private struct Session {
        let credentials: AWSCredentials
        let endSeconds: Int64
    }

    private let settings: SigV4Settings
    private let client: HTTPClient
    private let clock: EngineClock
    private let environment: @Sendable (String) -> String?
    private let session = Mutex<Session?>(nil)
    private let host: AWSHostCredentials

    init(
        _ settings: SigV4Settings, on loops: EventLoops, clock: EngineClock,
        environment: @escaping @Sendable (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
    ) {
        self.settings = settings
        self.clock = clock
        self.environment = { name in environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        var own = HTTPClientSettings()
        own.requestTimeout = .seconds(30)
        own.maximumBodyBytes = .mebibytes(1)
        client = HTTPClient(own, on: loops, clock: clock)
        host = AWSHostCredentials(on: loops, clock: clock, environment: self.environment)
    }

    func authorise(_ request: inout HTTPClientRequest, until deadline: NIODeadline) async throws(HTTPClientError) {
        let region = try region()
        let credentials = try await credentials(region, until: deadline)
        let signer = SigV4Signer(credentials: credentials, region: region, service: settings.service)
        signer.sign(&request, at: clock.wallMilliseconds / 1_000)
    }

    /// `url`, which begins with `https`, signed for `GET`; see ``SigV4Signer/presign(_:for:at:)``.
    fileprivate func presign(_ url: HTTPURL, for seconds: Int) async throws(HTTPClientError) -> Secret<String> {
        let region = try region()
        let credentials = try await credentials(region, until: .now() + .seconds(30))
        let signer = SigV4Signer(credentials: credentials, region: region, service: settings.service)
        return signer.presign(url, for: seconds, at: clock.wallMilliseconds / 1_000)
    }

    func isRefreshable(after request: HTTPClientRequest) -> Bool { forgetSession() }

    /// Whether there was a session to forget.
    func forgetSession() -> Bool {
        session.withLock { session in
            defer { session = nil }
            return session != nil
        }
    }

    // MARK: Finding credentials

    fileprivate func region() throws(HTTPClientError) -> String {
        if let region = settings.region, !region.isEmpty { return region }
        if let region = environment("AWS_REGION") ?? environment("AWS_DEFAULT_REGION") { return region }
        let path = environment("AWS_CONFIG_FILE") ?? environment("HOME").map { "\($0)/.aws/config" }
        if let path, let text = try? Files.readText(path, limit: .mebibytes(1)) {
            let section = profileName == "default" ? "default" : "profile \(profileName)"
            if let region = INIFile(text).sections[section]?["region"] { return region }
        }
        throw .authorisation("sigv4: no region configured")
    }

    private var profileName: String { settings.profile ?? environment("AWS_PROFILE") ?? "default" }

    private func credentials(
        _ region: String, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> AWSCredentials {
        let now = clock.wallMilliseconds / 1_000
        if let session = session.withLock({ $0 }), session.endSeconds - 300 > now { return session.credentials }
        if let role = settings.roleARN, !role.isEmpty {
            guard let base = try await base(or: region, until: deadline) else {
                throw .authorisation("sigv4: no credentials to assume \(role) with")
            }
            return try await assume(role, with: base, settings.stsRegion ?? region, until: deadline)
        }
        if let base = try await base(or: region, until: deadline) { return base }
        throw .authorisation(
            "sigv4: no credentials in the settings, the environment, the shared credentials file or from the host")
    }

    /// The credentials that need no role to be assumed in `settings`.
    private func base(
        or region: String, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> AWSCredentials? {
        if let base = try baseCredentials() { return base }
        if let file = environment("AWS_WEB_IDENTITY_TOKEN_FILE"), let role = environment("AWS_ROLE_ARN") {
            return try await assumeWithWebIdentity(role, file, region, until: deadline)
        }
        return try await host.credentials()
    }

    private func baseCredentials() throws(HTTPClientError) -> AWSCredentials? {
        if let key = settings.accessKey, !key.isEmpty {
            guard let secret = settings.secretKey else { throw .authorisation("sigv4: access_key without secret_key") }
            return AWSCredentials(accessKey: key, secretKey: secret)
        }
        if settings.profile == nil, let key = environment("AWS_ACCESS_KEY_ID") ?? environment("AWS_ACCESS_KEY"),
            let secret = environment("AWS_SECRET_ACCESS_KEY") ?? environment("AWS_SECRET_KEY")
        {
            return AWSCredentials(
                accessKey: key, secretKey: Secret(secret),
                sessionToken: environment("AWS_SESSION_TOKEN").map { Secret($0) })
        }
        let path =
            environment("AWS_SHARED_CREDENTIALS_FILE") ?? environment("HOME").map { "\($0)/.aws/credentials" }
        guard let path, let text = try? Files.readText(path, limit: .mebibytes(1)),
            let section = INIFile(text).sections[profileName], let key = section["aws_access_key_id"],
            let secret = section["aws_secret_access_key"]
        else {
            if let profile = settings.profile { throw .authorisation("sigv4: no credentials in profile \(profile)") }
            return nil
        }
        return AWSCredentials(
            accessKey: key, secretKey: Secret(secret), sessionToken: section["aws_session_token"].map { Secret($0) })
    }

    // MARK: STS

    private func stsURL(_ region: String) throws(HTTPClientError) -> HTTPURL {
        let host = settings.usesFIPSEndpoint ? "sts-fips" : "sts"
        let suffix = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        guard let url = HTTPURL(settings.stsEndpoint ?? "https://\(host).\(region).\(suffix)/") else {
            throw .authorisation("sigv4: no usable sts endpoint for region \(region)")
        }
        return url
    }

    private func assume(
        _ role: String, with base: AWSCredentials, _ region: String, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> AWSCredentials {
        var items: [(name: String, value: String)] = [
            ("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleArn", role),
            ("RoleSessionName", settings.sessionName), ("DurationSeconds", "3600"),
        ]
        if let id = settings.externalID { items.append(("ExternalId", id)) }
        var request = HTTPClientRequest.post(
            try stsURL(region), Array(Percent.form(items).utf8), type: "application/x-www-form-urlencoded")
        let signer = SigV4Signer(credentials: base, region: region, service: "sts")
        signer.sign(&request, at: clock.wallMilliseconds / 1_000)
        return try await ask(request, until: deadline)
    }

    private func assumeWithWebIdentity(
        _ role: String, _ file: String, _ region: String, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> AWSCredentials {
        let token = try SecretSource.file(file).read()
        let items: [(name: String, value: String)] = [
            ("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15"), ("RoleArn", role),
            ("RoleSessionName", environment("AWS_ROLE_SESSION_NAME") ?? "invar"), ("WebIdentityToken", token),
        ]
        let request = HTTPClientRequest.post(
            try stsURL(region), Array(Percent.form(items).utf8), type: "application/x-www-form-urlencoded")
        return try await ask(request, until: deadline)
    }

    private func ask(
        _ request: HTTPClientRequest, until deadline: NIODeadline
    ) async throws(HTTPClientError) -> AWSCredentials {
        var request = request
        if deadline < .distantFuture {
            let left = (deadline - .now()).nanoseconds
            guard left > 0 else { throw .deadlineExceeded(.authorisation) }
            request.timeout = min(.nanoseconds(left), .seconds(30))
        }
        let answer: AWSAnswer
        do throws(HTTPClientError) {
            let response = try await client.send(request)
            answer = AWSAnswer(String(decoding: try await response.collect(), as: UTF8.self))
            guard response.status.isSuccess else {
                let code = answer.text("Code") ?? "\(response.status)"
                throw HTTPClientError.authorisation("sigv4: sts refused to assume the role: \(code)")
            }
        } catch .cancelled {
            throw .cancelled
        } catch .deadlineExceeded {
            throw .deadlineExceeded(.authorisation)
        } catch .authorisation(let reason) {
            throw .authorisation(reason)
        } catch {
            throw .authorisation("sigv4: cannot reach sts: \(error)")
        }
        guard let key = answer.text("AccessKeyId"), let secret = answer.text("SecretAccessKey"),
            let token = answer.text("SessionToken")
        else { throw .authorisation("sigv4: sts answered without credentials") }
        let credentials = AWSCredentials(
            accessKey: key, secretKey: Secret(secret), sessionToken: Secret(token))
        let now = clock.wallMilliseconds / 1_000
        let end = answer.text("Expiration").flatMap(Self.unixSeconds) ?? now + 3_600
        session.withLock { $0 = Session(credentials: credentials, endSeconds: end) }
        return credentials
    }

    /// `2024-05-01T12:00:00Z` as seconds since 1970.
    static func unixSeconds(_ text: String) -> Int64? {
        let numbers = text.split { !$0.isASCII || !$0.isNumber }.prefix(6).compactMap { Int32($0) }
        guard numbers.count == 6, (1_970...9_999).contains(numbers[0]), (1...12).contains(numbers[1]) else {
            return nil
        }
        var parts = tm()
        parts.tm_year = numbers[0] - 1900
        parts.tm_mon = numbers[1] - 1
        parts.tm_mday = numbers[2]
        parts.tm_hour = numbers[3]
        parts.tm_min = numbers[4]
        parts.tm_sec = numbers[5]
        return Int64(timegm(&parts))
    }
}

/// Signs requests of others than the HTTP client's own settings ask for.
package final class AWSRequestSigner: Sendable {
    private let authoriser: SigV4Authoriser

    package init(
        _ settings: SigV4Settings, on loops: EventLoops, clock: EngineClock,
        environment: @escaping @Sendable (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
    ) {
        authoriser = SigV4Authoriser(settings, on: loops, clock: clock, environment: environment)
    }

    /// Adds the fields of AWS Signature Version 4 to `request`, whose body is the one that is sent.
    package func sign(_ request: inout HTTPClientRequest) async throws(HTTPClientError) {
        try await authoriser.authorise(&request, until: .now() + .seconds(30))
    }

    /// `url`, which begins with `https`, with a signature in its query that is good for `GET` for `seconds` seconds.
    package func presign(_ url: HTTPURL, for seconds: Int) async throws(HTTPClientError) -> Secret<String> {
        try await authoriser.presign(url, for: seconds)
    }

    /// The region of the settings, the environment or the profile, in this order.
    package var configuredRegion: String? { try? authoriser.region() }

    /// After an answer of 401: forgets the session of an assumed role; whether there was one.
    package func forgetSession() -> Bool { authoriser.forgetSession() }
}

/// The sections of AWS's configuration files.
struct INIFile {
    private(set) var sections: [String: [String: String]] = [:]

    init(_ text: String) {
        var section = ""
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.trimmingSpaces()
            if line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), let end = line.firstIndex(of: "]") {
                section = String(line[line.index(after: line.startIndex)..<end].trimmingSpaces())
                continue
            }
            guard let equals = line.firstIndex(of: "=") else { continue }
            let name = line[..<equals].trimmingSpaces().lowercased()
            sections[section, default: [:]][name] = String(line[line.index(after: equals)...].trimmingSpaces())
        }
    }
}
