import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Transport

@testable import OtelcolComponents

@Suite("otelcol.auth components")
struct AuthenticationTests {
    private func handler(_ type: any Component.Type, _ text: String) throws -> (AuthHandler, ComponentHarness) {
        let harness = ComponentHarness(type)
        #expect(harness.start(text).isEmpty)
        return (try #require(harness.export("handler")), harness)
    }

    private func signed(
        _ handler: AuthHandler, _ harness: ComponentHarness, fields: HTTPFields = [:], client: OTLPClient? = nil
    ) throws -> HTTPFields {
        let signer = try #require(handler.signer)
        return try harness.run {
            var request = HTTPClientRequest(.post, try #require(HTTPURL("http://a/")), fields: fields)
            try await signer.sign(&request, for: client)
            return request.fields
        }
    }

    private func isAccepted(_ handler: AuthHandler, _ harness: ComponentHarness, _ fields: HTTPFields) throws -> Bool {
        let authenticator = try #require(handler.authenticator)
        return (try? harness.run { try await authenticator.authenticate(fields) }) != nil
    }

    @Test("A bearer token is sent and demanded, and a new one needs no new handler")
    func bearer() throws {
        let (handler, harness) = try handler(OtelcolAuthBearer.self, "token = \"one\"")
        #expect(try signed(handler, harness)["authorization"] == "Bearer one")
        #expect(try isAccepted(handler, harness, ["authorization": "Bearer one"]))
        #expect(try !isAccepted(handler, harness, ["authorization": "Bearer two"]))
        #expect(try !isAccepted(handler, harness, [:]))
        harness.update("token = \"two\"\nscheme = \"\"\nheader = \"X-Token\"")
        #expect(try signed(handler, harness)["x-token"] == "two")
        #expect(try isAccepted(handler, harness, ["x-token": "two"]))
        #expect(harness.finish() == [])
    }

    @Test("Basic credentials are sent, and checked against plain and SHA passwords")
    func basic() throws {
        let (handler, harness) = try handler(
            OtelcolAuthBasic.self,
            """
            client_auth {
                username = "me"
                password = "secret"
            }
            htpasswd { inline = "me:secret\\nyou:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=" }
            """)
        let sent = try signed(handler, harness)
        #expect(sent["authorization"] == "Basic bWU6c2VjcmV0")
        #expect(try isAccepted(handler, harness, sent))
        func basic(_ text: String) -> HTTPFields { ["authorization": "Basic " + Base64.encode(Array(text.utf8))] }
        #expect(try isAccepted(handler, harness, basic("you:secret")))
        #expect(try !isAccepted(handler, harness, basic("you:other")))
        #expect(try !isAccepted(handler, harness, basic("nobody:secret")))
        #expect(try !isAccepted(handler, harness, ["authorization": "Basic ###"]))
        #expect(harness.finish() == [])
        let hashed = try self.handler(
            OtelcolAuthBasic.self,
            """
            htpasswd {
                inline = "b:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\\nc:$6$rounds=1000$salt$HNxBeBnDfSfUrTj6KiLnmd7tGCvHEmcExh8kl/S0cZ5WrCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.\\nd:{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0\\nb2:x:y"
            }
            """)
        for name in ["b", "c", "d"] {
            #expect(try isAccepted(hashed.0, hashed.1, basic("\(name):secret")), "\(name)")
            #expect(try !isAccepted(hashed.0, hashed.1, basic("\(name):Secret")), "\(name)")
            #expect(try !isAccepted(hashed.0, hashed.1, basic("\(name):")), "\(name)")
        }
        #expect(try isAccepted(hashed.0, hashed.1, basic("b2:x:y")))
        #expect(hashed.1.finish() == [])
        let refusing = ComponentHarness(OtelcolAuthBasic.self)
        #expect(!refusing.evaluate("htpasswd { inline = \"me:$2y$05$abc\" }").isEmpty)
        #expect(!refusing.evaluate("htpasswd { inline = \"me:$apr1$abc$def\" }").isEmpty)
        #expect(!refusing.evaluate("").isEmpty)
    }

    @Test("Fields are set from values and from the metadata of the client")
    func headers() throws {
        let (handler, harness) = try handler(
            OtelcolAuthHeaders.self,
            """
            header {
                key   = "X-Fixed"
                value = "a"
            }
            header {
                key          = "X-Tenant"
                from_context = "tenant"
                action       = "insert"
            }
            header {
                key    = "X-Gone"
                action = "delete"
            }
            """)
        let client = OTLPClient(metadata: [.init(name: "tenant", values: ["t1", "t2"])])
        let sent = try signed(handler, harness, fields: ["x-gone": "1"], client: client)
        #expect(sent["x-fixed"] == "a")
        #expect(sent["x-tenant"] == "t1;t2")
        #expect(sent["x-gone"] == nil)
        #expect(try signed(handler, harness, fields: ["x-tenant": "own"], client: client)["x-tenant"] == "own")
        #expect(harness.finish() == [])
    }

    @Test("OAuth 2.0 refuses by name what only the assertion grant has")
    func oauth2() throws {
        let harness = ComponentHarness(OtelcolAuthOAuth2.self)
        let fine = "client_id = \"a\"\nclient_secret = \"b\"\ntoken_url = \"http://127.0.0.1:1/\"\n"
        #expect(!harness.evaluate(fine + "grant_type = \"urn:ietf:params:oauth:grant-type:jwt-bearer\"").isEmpty)
        #expect(!harness.evaluate(fine + "iss = \"x\"").isEmpty)
        #expect(harness.evaluate(fine).isEmpty)
    }
}
