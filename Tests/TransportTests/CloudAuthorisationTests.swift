import Essentials
import Foundation
import NIOCore
import Synchronization
import Testing

@testable import Transport

extension TransportTests {
    @Suite("Authorisation by cloud identities", .timeLimit(.minutes(2)))
    struct CloudAuthorisationTests {
        /// What a token server was asked, and the answers it gives in turn.
        final class TokenServer: Sendable {
            let asked = Mutex<[String]>([])

            func answer(_ request: HTTPServerRequest) async throws -> HTTPServerResponse {
                let body = String(decoding: try await request.body.collect(), as: UTF8.self)
                let markers = ["metadata", "x-identity-header", "metadata-flavor", "authorization", "x-subject"]
                    .compactMap { name in request.fields[name].map { "\(name)=\($0)" } }
                let target = request.rawPath + (request.rawQuery.isEmpty ? "" : "?\(request.rawQuery)")
                let count = asked.withLock { asked in
                    asked.append(([target, body] + markers).joined(separator: " | "))
                    return asked.count
                }
                return .json(.ok, Array("{\"access_token\":\"t\(count)\",\"expires_in\":\"3600\"}".utf8))
            }

            func last() -> String { asked.withLock { $0.last ?? "" } }
        }

        /// Runs `body` with a server that answers every path with tokens.
        func withTokens(_ body: (TokenServer, HTTPServer) async throws -> Void) async throws {
            let tokens = TokenServer()
            try await withServer { router in
                router.otherwise { request in try await tokens.answer(request) }
            } _: { server in
                try await body(tokens, server)
            }
        }

        func header(_ authoriser: some RequestAuthoriser) async throws -> String? {
            var request = HTTPClientRequest(.post, HTTPURL("http://127.0.0.1/write")!)
            try await authoriser.authorise(&request, until: .now() + .seconds(30))
            return request.fields["authorization"]
        }

        @Test("Azure identities ask for tokens each in its own way, and renew them at half of their life")
        func azure() async throws {
            let folder = TemporaryFolder()
            try folder.write("token", "projected\n")
            try await withTokens { tokens, server in
                let clock = EngineClock.manual()
                let root = server.url("/").text
                func authoriser(
                    _ identity: AzureADSettings.Identity, scope: String? = nil, _ environment: [String: String] = [:]
                ) -> TokenAuthoriser {
                    TokenAuthoriser.azureAD(
                        AzureADSettings(identity, scope: scope), userAgent: "invar", on: loops, clock: clock,
                        authority: root
                    ) { environment[$0] }
                }
                let application = authoriser(.application(clientID: "app", clientSecret: Secret("s&"), tenantID: "ten"))
                var token = try await header(application)
                #expect(token == "Bearer t1")
                #expect(
                    tokens.last() == "/ten/oauth2/v2.0/token | grant_type=client_credentials&client_id=app"
                        + "&client_secret=s%26&scope=https%3A%2F%2Fmonitor.azure.com%2F%2F.default")
                clock.advance(by: .seconds(1_799))
                token = try await header(application)
                #expect(token == "Bearer t1")
                clock.advance(by: .seconds(2))
                token = try await header(application)
                #expect(token == "Bearer t2")

                let workload = authoriser(
                    .workload(clientID: "w", tenantID: "ten", tokenFile: "\(folder.path)/token"), scope: "own/.default")
                token = try await header(workload)
                #expect(token == "Bearer t3")
                #expect(
                    tokens.last() == "/ten/oauth2/v2.0/token | grant_type=client_credentials&client_id=w"
                        + "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
                        + "&client_assertion=projected&scope=own%2F.default")

                let instance = ["AZURE_POD_IDENTITY_AUTHORITY_HOST": root]
                _ = try await header(authoriser(.managed(clientID: "m"), instance))
                #expect(
                    tokens.last() == "/metadata/identity/oauth2/token?api-version=2018-02-01"
                        + "&resource=https%3A%2F%2Fmonitor.azure.com%2F&client_id=m |  | metadata=true")

                let service = ["IDENTITY_ENDPOINT": server.url("/msi").text, "IDENTITY_HEADER": "h"]
                _ = try await header(authoriser(.environment(tenantID: ""), service))
                #expect(
                    tokens.last() == "/msi?api-version=2019-08-01&resource=https%3A%2F%2Fmonitor.azure.com%2F"
                        + " |  | x-identity-header=h")

                var variables = ["AZURE_CLIENT_ID": "e", "AZURE_FEDERATED_TOKEN_FILE": "\(folder.path)/token"]
                _ = try await header(authoriser(.environment(tenantID: "mine"), variables))
                #expect(tokens.last().hasPrefix("/mine/oauth2/v2.0/token | "))
                #expect(tokens.last().contains("client_assertion=projected"))
                variables["AZURE_CLIENT_SECRET"] = "z"
                variables["AZURE_TENANT_ID"] = "theirs"
                _ = try await header(authoriser(.environment(tenantID: "mine"), variables))
                #expect(tokens.last().hasPrefix("/theirs/oauth2/v2.0/token | "))
                #expect(tokens.last().contains("client_secret=z"))
            }
        }

        @Test("A refused identity is named with the server's code and without the secret")
        func refusals() async throws {
            try await withServer { router in
                router.otherwise { _ in
                    let json = "{\"error\":\"invalid_client\",\"error_description\":\"hidden\"}"
                    return .json(.unauthorized, Array(json.utf8))
                }
            } _: { server in
                let authoriser = TokenAuthoriser.azureAD(
                    AzureADSettings(.application(clientID: "a", clientSecret: Secret("hidden"), tenantID: "t")),
                    userAgent: "invar", on: loops, clock: .manual(), authority: server.url("/").text
                ) { _ in nil }
                let error = await failure { _ = try await header(authoriser) }
                #expect(
                    error == .authorisation("azuread: cannot fetch token: 401 Unauthorized (invalid_client)"))
            }
        }

        @Test("A service account signs its request for a token with its key, as openssl verifies")
        func serviceAccount() async throws {
            let folder = TemporaryFolder()
            let key = "\(folder.path)/key.pem"
            _ = try await run("openssl", ["genpkey", "-algorithm", "RSA", "-out", key])
            _ = try await run("openssl", ["pkey", "-in", key, "-pubout", "-out", "\(folder.path)/public.pem"])
            try await withTokens { tokens, server in
                try folder.write(
                    "credentials",
                    json([
                        "type": "service_account", "client_email": "me@example", "private_key_id": "k1",
                        "private_key": try String(contentsOfFile: key, encoding: .utf8),
                        "token_uri": server.url("/token").text,
                    ]))
                let token = try await header(google(file: "\(folder.path)/credentials"))
                #expect(token == "Bearer t1")
                let form = tokens.last()
                let prefix = "/token | grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
                #expect(form.hasPrefix(prefix))
                let parts = form.dropFirst(prefix.count).split(separator: ".").map(String.init)
                try #require(parts.count == 3)
                let claims = try #require(
                    try JSONSerialization.jsonObject(with: decode(parts[1])) as? [String: Any])
                #expect(claims["iss"] as? String == "me@example")
                #expect(claims["aud"] as? String == server.url("/token").text)
                #expect(claims["scope"] as? String == "https://www.googleapis.com/auth/monitoring.write")
                try Data("\(parts[0]).\(parts[1])".utf8).write(to: URL(fileURLWithPath: "\(folder.path)/message"))
                try decode(parts[2]).write(to: URL(fileURLWithPath: "\(folder.path)/signature"))
                let verdict = try await run(
                    "openssl",
                    [
                        "dgst", "-sha256", "-verify", "\(folder.path)/public.pem", "-signature",
                        "\(folder.path)/signature", "\(folder.path)/message",
                    ])
                #expect(verdict.contains("Verified OK"))
            }
        }

        @Test("Users, other providers, impersonation and the metadata server lead to tokens of Google")
        func otherCredentials() async throws {
            let folder = TemporaryFolder()
            try folder.write("subject", "{\"id_token\":\"outside\"}")
            try await withTokens { tokens, server in
                let user = [
                    "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
                    "token_uri": server.url("/token").text,
                ]
                try folder.write("user", try json(user))
                let environment = ["GOOGLE_APPLICATION_CREDENTIALS": "\(folder.path)/user"]
                _ = try await header(google(file: nil, environment))
                #expect(
                    tokens.last()
                        == "/token | grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r")

                var charged = HTTPClientRequest(.get, server.url("/"))
                try folder.write("user", try json(user.merging(["quota_project_id": "payer"]) { $1 }))
                try await google(file: nil, environment).authorise(&charged, until: .now() + .seconds(20))
                #expect(charged.fields["x-goog-user-project"] == "payer")
                let other = environment.merging(["GOOGLE_CLOUD_QUOTA_PROJECT": "other"]) { $1 }
                try await google(file: nil, other).authorise(&charged, until: .now() + .seconds(20))
                #expect(charged.fields["x-goog-user-project"] == "other")

                let external: [String: Any] = [
                    "type": "external_account", "audience": "pool", "subject_token_type": "jwt",
                    "token_url": server.url("/sts").text,
                    "credential_source": [
                        "file": "\(folder.path)/subject",
                        "format": ["type": "json", "subject_token_field_name": "id_token"],
                    ],
                ]
                try folder.write("external", try json(external))
                _ = try await header(google(file: "\(folder.path)/external"))
                #expect(tokens.last().hasPrefix("/sts | "))
                #expect(tokens.last().contains("audience=pool&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fmon"))
                #expect(tokens.last().hasSuffix("subject_token_type=jwt&subject_token=outside"))

                let metadata = ["GCE_METADATA_HOST": "127.0.0.1:\(server.address.port ?? 0)"]
                let token = try await header(google(file: nil, metadata))
                #expect(token == "Bearer t5")
                #expect(tokens.last().hasPrefix("/computeMetadata/v1/instance/service-accounts/default/token?scopes="))
                #expect(tokens.last().hasSuffix("metadata-flavor=Google"))
            }
            try await withServer { router in
                router.on(.post, "/token") { _ in .json(.ok, Array("{\"access_token\":\"own\"}".utf8)) }
                router.on(.post, "/impersonate") { request in
                    let body = String(decoding: try await request.body.collect(), as: UTF8.self)
                    guard request.fields["authorization"] == "Bearer own", body.contains("monitoring.write") else {
                        return .text(.forbidden, body)
                    }
                    let answer = "{\"accessToken\":\"borrowed\",\"expireTime\":\"2100-01-01T00:00:00Z\"}"
                    return .json(.ok, Array(answer.utf8))
                }
            } _: { server in
                let source = [
                    "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
                    "token_uri": server.url("/token").text,
                ]
                let credentials: [String: Any] = [
                    "type": "impersonated_service_account", "source_credentials": source,
                    "service_account_impersonation_url": server.url("/impersonate").text,
                ]
                try folder.write("impersonated", try json(credentials))
                let token = try await header(google(file: "\(folder.path)/impersonated"))
                #expect(token == "Bearer borrowed")
            }
        }

        @Test(
            "Credentials that cannot be used say what is missing and nothing of what is there",
            arguments: [
                ("nonsense", "not a JSON object"),
                ("{}", "type is missing"),
                ("{\"type\":\"service_account\",\"client_email\":\"a\"}", "private_key is missing"),
                ("{\"type\":\"gdch_service_account\"}", "credentials of the type \"gdch_service_account\" are not"),
                (
                    "{\"type\":\"service_account\",\"client_email\":\"a\",\"private_key\":\"hidden\"}",
                    "private_key is not an RSA key in PEM"
                ),
                (
                    "{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"hidden\","
                        + "\"refresh_token\":\"r\",\"token_uri\":\"file:///x\"}",
                    "token_uri is not an http or https URL"
                ),
            ])
        func badCredentials(_ text: String, _ reason: String) async throws {
            let folder = TemporaryFolder()
            try folder.write("credentials", text)
            let error = await failure { _ = try await header(google(file: "\(folder.path)/credentials")) }
            let description = error.map { "\($0)" } ?? ""
            #expect(description.contains(reason), "\(description)")
            #expect(!description.contains("hidden"))
        }

        func google(file: String?, _ environment: [String: String] = [:]) -> TokenAuthoriser {
            TokenAuthoriser.googleIAM(
                GoogleIAMSettings(credentialsFile: file), userAgent: "invar", on: loops, clock: .manual()
            ) { environment[$0] }
        }

        func json(_ object: [String: Any]) throws -> String {
            String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        }

        /// Reads base64 without padding and with the letters of URLs.
        func decode(_ text: String) -> Data {
            let standard = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
            let padding = String(repeating: "=", count: (4 - standard.count % 4) % 4)
            return Data(base64Encoded: standard + padding) ?? Data()
        }
    }
}
