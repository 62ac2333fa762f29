import Essentials
import Kubernetes
import Synchronization
import TestKit
import Testing
import TextFormats
import Transport

@testable import PlatformComponents

/// Vault and the metadata services of three clouds on one port.
private final class CloudDouble: Sendable {
    private final class Box: Sendable {
        let requests = Mutex<[String]>([])
        let logins = Mutex<[JSONValue]>([])
    }

    private let box = Box()
    private let server: HTTPServer
    private let running: Task<Void, Never>

    init() async throws {
        var router = HTTPRouter()
        let box = box
        router.otherwise { request in
            let body = try await request.body.collect()
            let marks = ["metadata", "metadata-flavor", "x-aws-ec2-metadata-token", "authorization"]
                .compactMap { name in request.fields[name].map { "\(name)=\($0)" } }
            let target = request.rawQuery.isEmpty ? request.rawPath : "\(request.rawPath)?\(request.rawQuery)"
            box.requests.withLock { $0.append(([target] + marks).joined(separator: " ")) }
            let answer: String
            switch request.path {
            case "/latest/api/token": answer = "session"
            case "/latest/dynamic/instance-identity/pkcs7": answer = "MII\nAB"
            case "/latest/dynamic/instance-identity/document": answer = #"{"instanceId":"i-1"}"#
            case "/latest/dynamic/instance-identity/signature": answer = "sig\nned"
            case "/metadata/identity/oauth2/token": answer = #"{"access_token":"azure-jwt","expires_in":"3600"}"#
            case "/metadata/instance":
                answer = #"{"compute":{"name":"vm","subscriptionId":"sub","resourceGroupName":"group"}}"#
            case "/computeMetadata/v1/instance/service-accounts/default/identity": answer = "google-jwt\n"
            case "/token": answer = #"{"access_token":"google-token","expires_in":3600}"#
            case "/v1/projects/-/serviceAccounts/a%40p:signJwt", "/v1/projects/-/serviceAccounts/a@p:signJwt":
                box.logins.withLock { $0.append((try? JSONValue(parsing: body)) ?? .null) }
                answer = #"{"keyId":"k","signedJwt":"signed-jwt"}"#
            default:
                box.logins.withLock { $0.append((try? JSONValue(parsing: body)) ?? .null) }
                answer = #"{"auth":{"client_token":"made","lease_duration":60,"renewable":true}}"#
            }
            return .json(.ok, Array(answer.utf8))
        }
        var settings = HTTPServerSettings(address: .host("127.0.0.1", port: 0))
        settings.shutdownTimeout = .milliseconds(10)
        let server = try await HTTPServer.bind(settings, router: router, on: loops)
        self.server = server
        let executor = ThreadExecutor(name: "cloud-double")
        running = Task(executorPreference: executor) { await server.run(on: executor) }
    }

    deinit { running.cancel() }

    var address: String { server.address.text }
    var requests: [String] { box.requests.withLock { $0 } }
    var bodies: [JSONValue] { box.logins.withLock { $0 } }
}

@Suite("remote.vault: logins by a cloud's identity", .serialized)
struct VaultCloudLoginTests {
    private func logIn(
        _ login: VaultLogin, _ double: CloudDouble, _ environment: [String: String] = [:], times: Int = 1
    ) async throws {
        let identity = VaultCloudIdentity(
            on: loops, clock: .system, environment: { environment[$0] }, googleAPI: "http://\(double.address)")
        let settings = VaultClient.Settings(
            server: try #require(HTTPURL("http://\(double.address)/")), namespace: "", minimumWait: .zero,
            maximumWait: .zero, retries: 0, timeout: .seconds(20))
        let client = VaultClient(settings, on: loops, clock: .system, identity: identity)
        let blocking = BlockingPool(name: "vault", threads: 1)
        for _ in 0..<times {
            let lease = try await client.logIn(login, blocking: blocking)
            #expect(lease?.duration == .seconds(60))
        }
    }

    private func decoded(_ value: JSONValue?) -> String {
        String(decoding: TextFormats.Base64.decode((value?.stringValue ?? "").utf8) ?? [], as: UTF8.self)
    }

    @Test("AWS: a signed request for the caller's identity, with the server's name among what is signed")
    func iam() async throws {
        let double = try await CloudDouble()
        let environment = [
            "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_SESSION_TOKEN": "session",
        ]
        try await logIn(
            .cloud(.awsIAM(region: "us-east-1", serverID: "vault.example"), mount: "aws", role: "r"), double,
            environment)
        let body = try #require(double.bodies.first)
        #expect(double.requests.map { $0.prefix(18) } == ["/v1/auth/aws/login"])
        #expect(body["role"]?.stringValue == "r")
        #expect(body["iam_http_request_method"]?.stringValue == "POST")
        #expect(decoded(body["iam_request_url"]) == "https://sts.amazonaws.com/")
        #expect(decoded(body["iam_request_body"]) == "Action=GetCallerIdentity&Version=2011-06-15")
        let headers = try JSONValue(parsing: decoded(body["iam_request_headers"]))
        let authorization = headers["authorization"]?.arrayValue?.first?.stringValue ?? ""
        #expect(authorization.hasPrefix("AWS4-HMAC-SHA256 Credential=AKID/"))
        #expect(authorization.contains("/us-east-1/sts/aws4_request"))
        #expect(authorization.contains("host;x-amz-date;x-amz-security-token;x-vault-aws-iam-server-id"))
        #expect(headers["x-vault-aws-iam-server-id"]?.arrayValue == [.string("vault.example")])
        #expect(headers["x-amz-security-token"]?.arrayValue == [.string("session")])
        #expect(!JSONWriter().text(body).contains("hidden"))
    }

    @Test(
        "AWS: another region has a host of its own; without a role Vault chooses",
        arguments: ["eu-west-1", "cn-north-1"])
    func regions(region: String) async throws {
        let double = try await CloudDouble()
        let environment = ["AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden"]
        try await logIn(.cloud(.awsIAM(region: region, serverID: ""), mount: "m", role: ""), double, environment)
        let body = try #require(double.bodies.first)
        let suffix = region.hasPrefix("cn") ? ".cn" : ""
        #expect(decoded(body["iam_request_url"]) == "https://sts.\(region).amazonaws.com\(suffix)/")
        #expect(body["role"] == nil)
        #expect(double.requests == ["/v1/auth/m/login"])
    }

    @Test("AWS: an instance shows its document, signed in either form, each time with the same nonce")
    func ec2() async throws {
        let double = try await CloudDouble()
        let environment = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://\(double.address)"]
        try await logIn(.cloud(.ec2(isPKCS7: true), mount: "aws", role: "r"), double, environment, times: 2)
        let nonces = Set(double.bodies.map { $0["nonce"]?.stringValue ?? "" })
        #expect(nonces.count == 1 && nonces.first?.isEmpty == false)
        #expect(double.bodies.map { $0["pkcs7"]?.stringValue } == ["MIIAB", "MIIAB"])
        #expect(double.requests.contains { $0.hasSuffix("pkcs7 x-aws-ec2-metadata-token=session") })
        try await logIn(.cloud(.ec2(isPKCS7: false), mount: "aws", role: "r"), double, environment)
        let body = try #require(double.bodies.last)
        #expect(decoded(body["identity"]) == #"{"instanceId":"i-1"}"#)
        #expect(body["signature"]?.stringValue == "signed")
        #expect(body["pkcs7"] == nil)
    }

    @Test("Azure: the token of the managed identity and where the machine is")
    func azure() async throws {
        let double = try await CloudDouble()
        try await logIn(
            .cloud(.azure(resource: "https://r/"), mount: "azure", role: "r"), double,
            ["AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://\(double.address)/"])
        #expect(
            double.requests == [
                "/metadata/identity/oauth2/token?api-version=2021-05-01&resource=https%3A%2F%2Fr%2F metadata=true",
                "/metadata/instance?api-version=2021-05-01 metadata=true", "/v1/auth/azure/login",
            ])
        let expected: JSONObject = [
            "jwt": .string("azure-jwt"), "resource_group_name": .string("group"), "role": .string("r"),
            "subscription_id": .string("sub"), "vm_name": .string("vm"), "vmss_name": .string(""),
        ]
        let writer = JSONWriter(sortsKeys: true)
        #expect(double.bodies.map { writer.text($0) } == [writer.text(.object(expected))])
    }

    @Test("Google Cloud: the machine's identity for this Vault and role")
    func googleInstance() async throws {
        let double = try await CloudDouble()
        try await logIn(
            .cloud(.googleInstance(role: "r"), mount: "gcp", role: "r"), double, ["GCE_METADATA_HOST": double.address])
        let audience = Percent.encode("http://\(double.address)/vault/r")
        #expect(
            double.requests.first
                == "/computeMetadata/v1/instance/service-accounts/default/identity?audience=\(audience)&format=full "
                + "metadata-flavor=Google")
        #expect(double.bodies.map { $0["jwt"]?.stringValue } == ["google-jwt"])
    }

    @Test("Google Cloud: a claim of a service account that Google signs")
    func googleAccount() async throws {
        let double = try await CloudDouble()
        let folder = try TemporaryFolder()
        try folder.write(
            "credentials.json",
            #"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"t","#
                + #""token_uri":"http://\#(double.address)/token"}"#)
        try await logIn(
            .cloud(.googleAccount(role: "r", account: "a@p"), mount: "gcp", role: "r"), double,
            ["GOOGLE_APPLICATION_CREDENTIALS": "\(folder.path)/credentials.json"])
        #expect(double.requests.contains { $0.contains("signJwt authorization=Bearer google-token") })
        let payload = try JSONValue(parsing: double.bodies.first?["payload"]?.stringValue ?? "")
        #expect(payload["aud"]?.stringValue == "vault/r")
        #expect(payload["sub"]?.stringValue == "a@p")
        #expect((payload["exp"]?.intValue ?? 0) > 1_700_000_000)
        #expect(double.bodies.last?["jwt"]?.stringValue == "signed-jwt")
        #expect(double.bodies.last?["role"]?.stringValue == "r")
    }

    @Test("A machine of no cloud is told so")
    func elsewhere() async throws {
        let double = try await CloudDouble()
        let failure = await #expect(throws: VaultError.self) {
            try await logIn(
                .cloud(.azure(resource: "r"), mount: "azure", role: "r"), double,
                ["AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9"])
        }
        #expect(failure?.description.hasPrefix("the Azure metadata service: ") == true, "\(failure?.description ?? "")")
        #expect(double.bodies.isEmpty)
    }
}
