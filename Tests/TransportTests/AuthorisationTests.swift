import Essentials
import Foundation
import NIOCore
import Synchronization
import Testing

@testable import Transport

extension TransportTests {
    @Suite("Authorisation", .timeLimit(.minutes(2)))
    struct AuthorisationTests {
        func withEcho(_ body: (HTTPServer) async throws -> Void) async throws {
            try await withServer { router in
                router.otherwise { request in
                    .text(
                        .ok,
                        request.fields.map { "\($0.name.lowercased())=\($0.value)" }.sorted().joined(separator: "\n"))
                }
            } _: {
                try await body($0)
            }
        }

        func text(_ client: HTTPClient, _ url: HTTPURL) async throws -> String {
            String(decoding: try await client.send(.init(.get, url)).collect(), as: UTF8.self)
        }

        @Test("Basic, bearer, typed credentials and secret fields are sent, files are read again")
        func fields() async throws {
            let folder = TemporaryFolder()
            try folder.write("secret", "  one\n")
            try await withEcho { server in
                let basic = makeClient {
                    $0.authorisation = .basic(username: "user", password: .file("\(folder.path)/secret"))
                }
                let answer1 = try await text(basic, server.url("/")).contains("authorization=Basic dXNlcjpvbmU=")
                #expect(answer1)
                let bearer = makeClient {
                    $0.authorisation = .bearer(.file("\(folder.path)/secret"))
                    $0.headers = [HTTPSecretField("X-Scope-OrgID", [.inline(Secret("tenant"))])]
                }
                let first = try await text(bearer, server.url("/"))
                #expect(first.contains("authorization=Bearer one\n"))
                #expect(first.contains("x-scope-orgid=tenant"))
                try folder.write("secret", "two")
                let answer2 = try await text(bearer, server.url("/")).contains("authorization=Bearer two\n")
                #expect(answer2)
                let other = makeClient { $0.authorisation = .credentials(type: "GenieKey", .inline(Secret("k"))) }
                let answer3 = try await text(other, server.url("/")).contains("authorization=GenieKey k\n")
                #expect(answer3)
                let url = HTTPURL("http://a:b@127.0.0.1:\(server.address.port ?? 0)/")!
                let answer4 = try await text(makeClient(), url).contains("authorization=Basic YTpi\n")
                #expect(answer4)
                let missing = makeClient { $0.authorisation = .bearer(.file("/nowhere")) }
                let error = await failure { _ = try await missing.send(.init(.get, server.url("/"))) }
                #expect(error?.phase == .authorisation)
                let split = makeClient { $0.authorisation = .bearer(.inline(Secret("hidden\r\nx: y"))) }
                let refused = await failure { _ = try await split.send(.init(.get, server.url("/"))) }
                #expect(refused.map { "\($0)".contains("hidden") } == false)
            }
        }

        @Test("An OAuth2 token is fetched once, kept until shortly before its end and fetched again after 401")
        func oauth2() async throws {
            let fetches = Tally()
            let bodies = Mutex<[String]>([])
            let accepted = Mutex("t1")
            let clock = EngineClock.manual()
            try await withServer { router in
                router.on(.post, "/token") { request in
                    let body = String(decoding: try await request.body.collect(), as: UTF8.self)
                    bodies.withLock { $0.append("\(request.fields["authorization"] ?? "") \(body)") }
                    let json = "{\"access_token\":\"t\(fetches.add())\",\"token_type\":\"bearer\",\"expires_in\":60}"
                    return .json(.ok, Array(json.utf8))
                }
                router.on(.get, "/") { request in
                    request.fields["authorization"] == "Bearer " + accepted.withLock { $0 }
                        ? .text(.ok, "ok") : .text(.unauthorized, "no")
                }
            } _: { server in
                var oauth2 = OAuth2Settings(
                    clientID: "a b", clientSecret: .inline(Secret("s&s")), tokenURL: server.url("/token").text)
                oauth2.scopes = ["x", "y"]
                oauth2.endpointParameters = ["aud": "z"]
                var settings = HTTPClientSettings()
                settings.authorisation = .oauth2(oauth2)
                let client = HTTPClient(settings, on: loops, clock: clock)
                // Concurrent requests wait for the one fetch.
                try await withThrowingTaskGroup(of: HTTPStatus.self) { group in
                    for _ in 0..<20 { group.addTask { try await client.send(.init(.get, server.url("/"))).status } }
                    for try await status in group { #expect(status == .ok) }
                }
                #expect(fetches.count == 1)
                #expect(bodies.withLock { $0 } == ["Basic YStiOnMlMjZz grant_type=client_credentials&scope=x+y&aud=z"])
                clock.advance(by: .seconds(49))
                let answer5 = try await client.send(.init(.get, server.url("/"))).status
                #expect(answer5 == .ok)
                #expect(fetches.count == 1)
                accepted.withLock { $0 = "t2" }
                clock.advance(by: .seconds(2))
                let answer6 = try await client.send(.init(.get, server.url("/"))).status
                #expect(answer6 == .ok)
                #expect(fetches.count == 2)
                accepted.withLock { $0 = "t3" }
                let answer7 = try await client.send(.init(.get, server.url("/"))).status
                #expect(answer7 == .ok)
                #expect(fetches.count == 3)
                accepted.withLock { $0 = "never" }
                let answer8 = try await client.send(.init(.get, server.url("/"))).status
                #expect(answer8 == .unauthorized)
                #expect(fetches.count == 4)
            }
        }

        @Test("A token server that wants the secret in the body gets it there; failures are named without it")
        func oauth2Styles() async throws {
            let first = Tally()
            try await withServer { router in
                router.on(.post, "/body") { request in
                    let body = String(decoding: try await request.body.collect(), as: UTF8.self)
                    guard body.contains("client_secret=s3cret") else {
                        first.add()
                        return .text(.unauthorized, "s3cret?")
                    }
                    return .json(.ok, Array("{\"access_token\":\"x\",\"expires_in\":\"1\"}".utf8))
                }
                router.on(.post, "/broken") { _ in .json(.ok, Array("{\"token\":1}".utf8)) }
                router.on(.post, "/down") { _ in .text(.internalServerError, "s3cret") }
                router.on(.get, "/") { request in .text(.ok, request.fields["authorization"] ?? "") }
            } _: { server in
                func client(_ path: String) -> HTTPClient {
                    makeClient {
                        $0.authorisation = .oauth2(
                            OAuth2Settings(
                                clientID: "i", clientSecret: .inline(Secret("s3cret")), tokenURL: server.url(path).text)
                        )
                    }
                }
                let styled = client("/body")
                for _ in 0..<3 {
                    let answer9 = try await text(styled, server.url("/"))
                    #expect(answer9 == "Bearer x")
                }
                #expect(first.count == 1)
                let broken = await failure { _ = try await client("/broken").send(.init(.get, server.url("/"))) }
                #expect(broken == .authorisation("oauth2: server response missing access_token"))
                let down = await failure { _ = try await client("/down").send(.init(.get, server.url("/"))) }
                #expect(down == .authorisation("oauth2: cannot fetch token: 500 Internal Server Error"))
            }
        }

        @Test("Signatures are those botocore computes")
        func sigV4() async throws {
            let cases: [(method: String, url: String, body: String, token: String?, service: String)] = [
                (
                    "POST", "https://aps.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write", "hello", nil,
                    "aps"
                ),
                ("POST", "https://aps.eu-central-1.amazonaws.com/", "", "session/token+x=", "aps"),
                ("GET", "https://example.amazonaws.com/a%20b/c?z=1&a=%2F&a=b&empty&u=%C3%BC", "", nil, "execute-api"),
                ("PUT", "http://127.0.0.1:9000/x//y/../z", "\u{1F600}", nil, "aps"),
            ]
            let script = """
                import sys, json, datetime
                from unittest import mock
                import botocore.auth
                from botocore.awsrequest import AWSRequest
                from botocore.credentials import Credentials
                for line in sys.stdin:
                    c = json.loads(line)
                    moment = datetime.datetime(2024, 5, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)
                    body = c['body'].encode()
                    r = AWSRequest(method=c['method'], url=c['url'], data=body, headers={'Content-Type': 'application/x-protobuf', 'X-Two': ' a   b '})
                    signer = botocore.auth.SigV4Auth(Credentials('AKID', 'SECRET', c['token']), c['service'], 'eu-central-1')
                    for name in ('get_current_datetime',):
                        if hasattr(botocore.auth, name):
                            setattr(botocore.auth, name, lambda *a, **k: moment.replace(tzinfo=None))
                    real = datetime.datetime
                    class Fixed(real):
                        @classmethod
                        def utcnow(cls): return moment.replace(tzinfo=None)
                        @classmethod
                        def now(cls, tz=None): return moment
                    if hasattr(botocore.auth, 'datetime'):
                        with mock.patch('botocore.auth.datetime', mock.Mock(datetime=Fixed, timezone=datetime.timezone) if hasattr(botocore.auth.datetime, 'datetime') else Fixed):
                            signer.add_auth(r)
                    else:
                        signer.add_auth(r)
                    print(r.headers['Authorization'] + '|' + r.headers['X-Amz-Date'])
                """
            let input = try cases.map { one in
                let object: [String: Any] = [
                    "method": one.method, "url": one.url, "body": one.body, "token": one.token ?? NSNull(),
                    "service": one.service,
                ]
                return String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
            }.joined(separator: "\n")
            let expected = try await run("python3", ["-c", script], input: input).split(separator: "\n")
            try #require(expected.count == cases.count)
            for (one, line) in zip(cases, expected) {
                var request = HTTPClientRequest(
                    HTTPMethod(one.method), HTTPURL(one.url)!,
                    fields: ["content-type": "application/x-protobuf", "X-Two": " a   b "])
                request.body = Array(one.body.utf8)
                let signer = SigV4Signer(
                    credentials: AWSCredentials(
                        accessKey: "AKID", secretKey: Secret("SECRET"), sessionToken: one.token.map { Secret($0) }),
                    region: "eu-central-1", service: one.service)
                signer.sign(&request, at: 1_714_528_984)
                #expect(
                    "\(request.fields["authorization"] ?? "")|\(request.fields["x-amz-date"] ?? "")" == line,
                    "\(one.url)")
            }
        }

        @Test("A role is assumed through STS once, with signed request and external ID")
        func assumeRole() async throws {
            let asked = Mutex<[String]>([])
            let clock = EngineClock.manual()
            try await withServer { router in
                router.on(.post, "/sts") { request in
                    asked.withLock { $0.append(request.fields["authorization"] ?? "") }
                    let body = String(decoding: try await request.body.collect(), as: UTF8.self)
                    guard body.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"), body.contains("ExternalId=e")
                    else {
                        return .text(.badRequest, "<Error><Code>ValidationError</Code></Error>")
                    }
                    let text =
                        "<Credentials><AccessKeyId>TEMP</AccessKeyId><SecretAccessKey>S</SecretAccessKey>"
                        + "<SessionToken>TOK</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>"
                    return .text(.ok, text)
                }
                router.on(.post, "/write") { request in
                    .text(
                        .ok, "\(request.fields["authorization"] ?? "") \(request.fields["x-amz-security-token"] ?? "")")
                }
            } _: { server in
                var sigV4 = SigV4Settings()
                sigV4.region = "us-east-1"
                sigV4.accessKey = "BASE"
                sigV4.secretKey = Secret("B")
                sigV4.roleARN = "arn:aws:iam::1:role/r"
                sigV4.externalID = "e"
                sigV4.stsEndpoint = server.url("/sts").text
                var settings = HTTPClientSettings()
                settings.authorisation = .sigV4(sigV4)
                let client = HTTPClient(settings, on: loops, clock: clock)
                for _ in 0..<3 {
                    let body = try await client.send(.post(server.url("/write"), [1], type: "a/b")).collect()
                    let text = String(decoding: body, as: UTF8.self)
                    #expect(text.contains("Credential=TEMP/20231114/us-east-1/aps/aws4_request"))
                    #expect(text.hasSuffix(" TOK"))
                }
                #expect(asked.withLock { $0.count } == 1)
                #expect(asked.withLock { $0[0].contains("Credential=BASE/20231114/us-east-1/sts/aws4_request") })
                sigV4.externalID = "other"
                settings.authorisation = .sigV4(sigV4)
                let refused = HTTPClient(settings, on: loops, clock: clock)
                let error = await failure { _ = try await refused.send(.post(server.url("/write"), [1], type: "a/b")) }
                #expect(error == .authorisation("sigv4: sts refused to assume the role: ValidationError"))
            }
        }

        @Test("AWS credentials come from the environment, then from the profile")
        func awsChain() async throws {
            let folder = TemporaryFolder()
            try folder.write(
                "credentials",
                "[default]\naws_access_key_id = D\naws_secret_access_key=d\n[p]\naws_access_key_id=P\naws_secret_access_key=p\naws_session_token=t\n"
            )
            try folder.write("config", "[profile p]\nregion = eu-west-1\n")
            let url = HTTPURL("https://aps.example/")!
            func credential(_ environment: [String: String], profile: String? = nil) async throws -> String {
                var settings = SigV4Settings()
                settings.profile = profile
                let authoriser = SigV4Authoriser(settings, on: loops, clock: .manual()) { environment[$0] }
                var request = HTTPClientRequest(.get, url)
                try await authoriser.authorise(&request, until: .distantFuture)
                let text = request.fields["authorization"] ?? ""
                return String(text.split(separator: "=")[1].split(separator: ",")[0])
            }
            let files = [
                "AWS_SHARED_CREDENTIALS_FILE": "\(folder.path)/credentials", "AWS_CONFIG_FILE": "\(folder.path)/config",
            ]
            var variables = files
            variables["AWS_REGION"] = "us-west-2"
            let answer10 = try await credential(variables)
            #expect(answer10 == "D/20231114/us-west-2/aps/aws4_request")
            variables["AWS_ACCESS_KEY_ID"] = "E"
            variables["AWS_SECRET_ACCESS_KEY"] = "e"
            let answer11 = try await credential(variables)
            #expect(answer11 == "E/20231114/us-west-2/aps/aws4_request")
            let answer12 = try await credential(files, profile: "p")
            #expect(answer12 == "P/20231114/eu-west-1/aps/aws4_request")
            let missing = await failure { _ = try await credential(files, profile: "q") }
            #expect(missing?.phase == .authorisation)
        }

        @Test("SHA-256 and HMAC agree with their published vectors")
        func digests() {
            #expect(
                SHA256.hex(SHA256.hash(Array("abc".utf8)))
                    == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
            #expect(SHA256.hex(SHA256.hash([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
            let million = [UInt8](repeating: 97, count: 1_000_000)
            #expect(
                SHA256.hex(SHA256.hash(million)) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
            let mac = SHA256.authenticate(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
            #expect(SHA256.hex(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        }
    }
}
