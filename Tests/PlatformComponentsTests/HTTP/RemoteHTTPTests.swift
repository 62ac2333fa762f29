import AlloySyntax
import ComponentKit
import Essentials
import TestKit
import Testing

@testable import PlatformComponents

@Suite("remote.http")
struct RemoteHTTPTests {
    @Test("The answer is exported without white space around it, and again when it changes")
    func polling() throws {
        let harness = ComponentHarness(RemoteHTTP.self)
        let server = try TestServer(beside: harness)
        server.set(200, "  one\n")
        let body = """
            url = "\(server.url)/path"
            method = "POST"
            headers = { "X-Team" = "a", "User-Agent" = "mine" }
            body = "question"
            client {
                bearer_token = "token"
            }
            """
        #expect(harness.start(body) == [])
        #expect(harness.settle(until: { harness.export("content", as: String.self) == "one" }))
        let request = try #require(server.requests.first)
        #expect(request.method == "POST" && request.path == "/path" && request.body == "question")
        #expect(request.fields["x-team"] == "a" && request.fields["user-agent"] == "mine")
        #expect(request.fields["authorization"] == "Bearer token")
        #expect(harness.health == .healthy("polled endpoint"))
        server.set(200, "two")
        harness.advance(by: .seconds(60))
        #expect(harness.settle(until: { harness.export("content", as: String.self) == "two" }))
        #expect(harness.finish() == [])
    }

    @Test("The last good answer stays while the server fails")
    func failure() throws {
        let harness = ComponentHarness(RemoteHTTP.self)
        let server = try TestServer(beside: harness)
        server.set(200, "good")
        harness.start("url = \"\(server.url)\"")
        #expect(harness.settle(until: { harness.export("content", as: String.self) == "good" }))
        server.set(503, "busy")
        harness.advance(by: .seconds(60))
        #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
        #expect(harness.health?.message == "polling failed: unexpected status code 503 Service Unavailable")
        #expect(harness.export("content", as: String.self) == "good")
        #expect(harness.finish() == [])
    }

    @Test("An answer larger than 16 MiB is an error, whether its length is announced or not", arguments: [true, false])
    func tooLarge(_ isAnnounced: Bool) throws {
        let harness = ComponentHarness(RemoteHTTP.self)
        let server = try TestServer(beside: harness)
        if isAnnounced {
            server.set(200, String(repeating: "a", count: 16 << 20 + 1))
        } else {
            server.stream(pieces: 400, of: 65_536)
        }
        harness.start("url = \"\(server.url)\"")
        #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
        #expect(
            harness.health?.message == "polling failed: reading response: the body is larger than 16MiB",
            "\(String(describing: harness.health))")
        // The next answer is taken again.
        server.set(200, "good")
        harness.advance(by: .seconds(60))
        #expect(harness.settle(until: { harness.export("content", as: String.self) == "good" }))
        #expect(harness.finish() == [])
    }

    @Test("A secret answer is exported as a secret, and new arguments ask at once")
    func secret() throws {
        let harness = ComponentHarness(RemoteHTTP.self)
        let server = try TestServer(beside: harness)
        server.set(200, "hush")
        harness.start("url = \"\(server.url)\"\nis_secret = true")
        #expect(
            harness.settle(until: { harness.export("content", as: OptionalSecret.self) == .secret(Secret("hush")) }))
        harness.update("url = \"\(server.url)/other\"")
        #expect(harness.settle(until: { harness.export("content", as: String.self) == "hush" }))
        #expect(server.requests.map(\.path) == ["/", "/other"])
        #expect(harness.finish() == [])
    }

    @Test(
        "What cannot work is refused",
        arguments: [
            ("url = \"nonsense\"", "\"url\" must be an absolute"),
            ("url = \"http://a\"\npoll_frequency = \"5s\"", "\"poll_timeout\" must be less than poll_frequency"),
            ("url = \"http://a\"\npoll_timeout = \"0s\"", "\"poll_timeout\" must be greater than 0"),
            ("url = \"http://a\"\nmethod = \"GET IT\"", "\"method\" is not a valid method"),
            ("url = \"http://a\"\nheaders = {\"a b\" = \"c\"}", "\"headers\" holds a field"),
            ("url = \"http://a\"\nclient {\nbearer_token = \"a\"\nbearer_token_file = \"b\"\n}", "at most one of"),
        ])
    func refusals(body: String, problem: String) {
        let problems = ComponentHarness(RemoteHTTP.self).evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
