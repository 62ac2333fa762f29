import Essentials
import Glibc
import Kubernetes
import Synchronization
import TextFormats
import Transport

/// Proves to Vault who a machine or workload of a cloud is, with what the cloud gives it.
///
/// Sources: Vault documentation, "AWS auth method (API)", "Azure auth method (API)" and "Google Cloud auth method (API)",
/// login operations; the metadata services of the three clouds. The environment variables of the clouds' own tools say
/// where those are and which credentials are used.
final class VaultCloudIdentity: Sendable {
    typealias Environment = @Sendable (String) -> String?

    private static let azureVersion = "2021-05-01"

    private let loops: EventLoops
    private let clock: EngineClock
    private let environment: Environment
    private let googleAPI: String
    /// Asks metadata services, which nobody but the cloud's own machines reaches.
    private let machine: HTTPClient
    private let nonce = Mutex<String?>(nil)

    init(
        on loops: EventLoops, clock: EngineClock,
        environment: @escaping Environment = { ProcessVariables[$0] },
        googleAPI: String = "https://iamcredentials.googleapis.com"
    ) {
        self.loops = loops
        self.clock = clock
        self.environment = { name in environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        self.googleAPI = googleAPI
        var settings = HTTPClientSettings()
        settings.connectTimeout = .seconds(5)
        settings.requestTimeout = .seconds(10)
        settings.maximumBodyBytes = .mebibytes(1)
        settings.followsRedirects = false
        machine = HTTPClient(settings, on: loops, clock: clock)
    }

    deinit { machine.shutDown() }

    /// The fields of a login, but for the role.
    func fields(of cloud: VaultLogin.Cloud, at server: HTTPURL) async throws -> [String: Secret<String>] {
        switch cloud {
        case .awsIAM(let region, let serverID): try await signedByAWS(region, serverID)
        case .ec2(let isPKCS7): try await instanceOfAWS(isPKCS7)
        case .azure(let resource): try await instanceOfAzure(resource)
        case .googleInstance(let role): try await instanceOfGoogle(role, server)
        case .googleAccount(let role, let account): try await signedByGoogle(role, account)
        }
    }

    // MARK: AWS

    /// A request to AWS, signed and not sent: Vault sends it, and AWS tells Vault whose it is.
    private func signedByAWS(_ region: String, _ serverID: String) async throws -> [String: Secret<String>] {
        var settings = SigV4Settings()
        settings.region = region
        settings.service = "sts"
        let suffix = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        // Vault's own end point, unless it is told another, is the one without a region.
        let host = region == "us-east-1" ? "sts.amazonaws.com" : "sts.\(region).\(suffix)"
        guard let url = HTTPURL("https://\(host)/") else { throw VaultError(description: "region makes no host") }
        let body = Array("Action=GetCallerIdentity&Version=2011-06-15".utf8)
        var request = HTTPClientRequest.post(url, body, type: "application/x-www-form-urlencoded; charset=utf-8")
        if !serverID.isEmpty { request.fields["x-vault-aws-iam-server-id"] = serverID }
        try await AWSRequestSigner(settings, on: loops, clock: clock, environment: environment).sign(&request)
        var headers = JSONObject()
        for (name, value) in request.fields { headers[name] = .array([.string(value)]) }
        let text = JSONWriter(escapesHTML: false, sortsKeys: true).text(.object(headers))
        return [
            "iam_http_request_method": Secret("POST"),
            "iam_request_url": Secret(TextFormats.Base64.encode(Array(url.text.utf8))),
            "iam_request_body": Secret(TextFormats.Base64.encode(body)),
            "iam_request_headers": Secret(TextFormats.Base64.encode(Array(text.utf8))),
        ]
    }

    private func instanceOfAWS(_ isPKCS7: Bool) async throws -> [String: Secret<String>] {
        let metadata = EC2InstanceMetadata(machine, clock: clock, environment: environment)
        func identity(_ name: String) async throws -> [UInt8] {
            guard let bytes = try await metadata.get("/latest/dynamic/instance-identity/\(name)") else {
                throw VaultError(description: "the EC2 metadata service has no instance-identity/\(name)")
            }
            return bytes
        }
        // The same for each login of this client: Vault takes an instance again with the number it first came with.
        let number = nonce.withLock { nonce in
            let made = nonce ?? String(UInt64.random(in: .min ... .max), radix: 16)
            nonce = made
            return made
        }
        guard isPKCS7 else {
            let signature = try await identity("signature")
            return [
                "identity": Secret(TextFormats.Base64.encode(try await identity("document"))),
                "signature": Secret(Self.joined(signature)), "nonce": Secret(number),
            ]
        }
        return ["pkcs7": Secret(Self.joined(try await identity("pkcs7"))), "nonce": Secret(number)]
    }

    /// A text without the ends of its lines.
    private static func joined(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.filter { $0 != 10 && $0 != 13 }, as: UTF8.self)
    }

    // MARK: Azure

    private func instanceOfAzure(_ resource: String) async throws -> [String: Secret<String>] {
        var base = environment("AZURE_POD_IDENTITY_AUTHORITY_HOST") ?? "http://169.254.169.254"
        if base.hasSuffix("/") { base.removeLast() }
        let version = ("api-version", Self.azureVersion)
        let token = try await document(
            "\(base)/metadata/identity/oauth2/token?\(Percent.form([version, ("resource", resource)]))",
            ["metadata": "true"], "Azure")
        guard let jwt = token["access_token"]?.stringValue, !jwt.isEmpty else {
            throw VaultError(description: "the Azure metadata service gave no token")
        }
        let instance = try await document(
            "\(base)/metadata/instance?\(Percent.form([version]))", ["metadata": "true"], "Azure")
        var fields = ["jwt": Secret(jwt)]
        for (name, member) in [
            ("vm_name", "name"), ("vmss_name", "vmScaleSetName"), ("subscription_id", "subscriptionId"),
            ("resource_group_name", "resourceGroupName"),
        ] {
            fields[name] = Secret(instance["compute"]?[member]?.stringValue ?? "")
        }
        return fields
    }

    // MARK: Google Cloud

    private func instanceOfGoogle(_ role: String, _ server: HTTPURL) async throws -> [String: Secret<String>] {
        let host = environment("GCE_METADATA_HOST") ?? "169.254.169.254"
        var address = server.text
        while address.hasSuffix("/") { address.removeLast() }
        let query = Percent.form([("audience", "\(address)/vault/\(role)"), ("format", "full")])
        let bytes = try await answer(
            "http://\(host)/computeMetadata/v1/instance/service-accounts/default/identity?\(query)",
            ["metadata-flavor": "Google"], "Google")
        return ["jwt": Secret(Self.joined(bytes))]
    }

    /// Has Google's own service sign a claim of the account, which takes the right to do so.
    private func signedByGoogle(_ role: String, _ account: String) async throws -> [String: Secret<String>] {
        var google = GoogleIAMSettings(credentialsFile: environment("GOOGLE_APPLICATION_CREDENTIALS"))
        google.scope = "https://www.googleapis.com/auth/cloud-platform"
        var settings = HTTPClientSettings()
        settings.authorisation = .googleIAM(google)
        settings.requestTimeout = .seconds(30)
        settings.maximumBodyBytes = .mebibytes(1)
        let client = HTTPClient(settings, on: loops, clock: clock)
        defer { client.shutDown() }
        let claims: JSONObject = [
            "aud": .string("vault/\(role)"), "sub": .string(account),
            "exp": .int(Int(clock.wallMilliseconds / 1_000) + 600),
        ]
        let writer = JSONWriter(escapesHTML: false, sortsKeys: true)
        let body: JSONObject = ["payload": .string(writer.text(.object(claims)))]
        guard let url = HTTPURL("\(googleAPI)/v1/projects/-/serviceAccounts/\(APIPath.segment(account)):signJwt") else {
            throw VaultError(description: "iam_service_account makes no URL")
        }
        let response = try await client.send(
            .post(url, Array(writer.text(.object(body)).utf8), type: "application/json"))
        let bytes = try await response.collect()
        guard response.status.isSuccess, let json = try? JSONValue(parsing: bytes),
            let jwt = json["signedJwt"]?.stringValue
        else { throw VaultError(description: "Google Cloud did not sign for \(account): \(response.status)") }
        return ["jwt": Secret(jwt)]
    }

    // MARK: Requests

    private func document(_ url: String, _ fields: HTTPFields, _ cloud: String) async throws -> JSONValue {
        let bytes = try await answer(url, fields, cloud)
        guard let json = try? JSONValue(parsing: bytes) else {
            throw VaultError(description: "the \(cloud) metadata service did not answer with JSON")
        }
        return json
    }

    private func answer(_ url: String, _ fields: HTTPFields, _ cloud: String) async throws -> [UInt8] {
        guard let url = HTTPURL(url) else {
            throw VaultError(description: "the environment names no URL for the \(cloud) metadata service")
        }
        do {
            let response = try await machine.send(HTTPClientRequest(.get, url, fields: fields))
            let bytes = try await response.collect()
            guard response.status.isSuccess else {
                throw VaultError(description: "the \(cloud) metadata service answered \(response.status)")
            }
            return bytes
        } catch let error as HTTPClientError {
            throw VaultError(description: "the \(cloud) metadata service: \(error)")
        }
    }
}
