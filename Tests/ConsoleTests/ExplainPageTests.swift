import Essentials
import Runtime
import Telemetry
import TextFormats
import Testing
import Transport

@testable import Console

@Suite("Console: explain")
struct ExplainPageTests {
    private static let configuration = """
        prometheus.relabel "r" {
        	forward_to = [prometheus.echo.e.receiver]

        	// A word that must stay here: comment-secret.
        	rule {
        		source_labels = ["env"]
        		regex         = "dev"
        		action        = "drop"
        	}
        }

        prometheus.scrape "s" {
        	targets    = []
        	forward_to = [prometheus.relabel.r.receiver]

        	basic_auth {
        		username = "u"
        		password = "explain-secret"
        	}
        }

        prometheus.echo "e" { }
        """

    @Test("A question in a query or a body gets the ordered list and the verdict")
    func answers() async throws {
        try await ConsoleHarness.run(Self.configuration) { console in
            let asked = try await console.send(
                .get, "/api/v0/console/explain?item=metric&value=up%7Benv%3D%22dev%22%7D")
            #expect(asked.status == 200)
            #expect(asked.fields["content-security-policy"] != nil)
            #expect(!asked.text.contains("explain-secret") && !asked.text.contains("comment-secret"))
            let answer = try JSONValue(parsing: asked.text)
            #expect(answer["verdict"] == .string("dropped"))
            let stops = try #require(answer["stops"]?.arrayValue)
            #expect(
                stops.compactMap { $0["component"]?.stringValue } == ["prometheus.scrape.s", "prometheus.relabel.r"])
            #expect(stops[1]["steps"]?[0]?["line"]?.intValue == 5)
            #expect(stops[1]["steps"]?[0]?["text"]?.stringValue?.contains("regex") == true)
            let posted = try await console.send(
                .post, "/api/v0/console/explain", ["content-type": "application/json"],
                body: Array(#"{"item":"metric","value":{"__name__":"<b>","env":"x"},"at":"prometheus.relabel.r"}"#.utf8)
            )
            #expect(posted.status == 200)
            #expect(!posted.text.contains("<b>"))
            #expect(console.runtime.ledger().allSatisfy { $0.incoming == 0 && $0.dropped.isEmpty })
        }
    }

    @Test("A wrong question is answered with 400 and the reason, one that is too long with 413")
    func refusals() async throws {
        try await ConsoleHarness.run(Self.configuration) { console in
            for (query, reason) in [
                ("", "no item is given"), ("?item=x&value=y", "is none of"), ("?item=metric&value=", "expected `{`"),
                ("?item=metric&value=a&thing=b", "\"thing\" is none of"), ("?item=log&value=x", "takes a log entry in"),
                ("?item=metric&value=up&at=nobody", "there is no component \"nobody\""),
                ("?item=metric&value=up&line=x", "a line belongs to"), ("?item=labels&value=%7Ba%7D", "labels: "),
            ] {
                let answer = try await console.send(.get, "/api/v0/console/explain" + query)
                #expect(answer.status == 400, "\(query)")
                #expect(answer.text.contains(reason), "\(query): \(answer.text)")
            }
            for (body, reason) in [
                ("", "not a JSON object"), ("[]", "not a JSON object"), (#"{"item":5}"#, "item must be a string"),
                (#"{"item":"metric","value":"up","x":"y"}"#, "\"x\" is none of"),
                (#"{"item":"labels","value":{"a":1}}"#, "the value of \"a\" is not a string"),
                (#"{"item":"log","value":"x","at":{}}"#, "at must be a string"),
            ] {
                let answer = try await console.send(.post, "/api/v0/console/explain", body: Array(body.utf8))
                #expect(answer.status == 400, "\(body)")
                #expect(answer.text.contains(reason), "\(body): \(answer.text)")
            }
            let foreign = try await console.send(
                .post, "/api/v0/console/explain", ["sec-fetch-site": "cross-site"], body: Array("{}".utf8))
            #expect(foreign.status == 403)
            // Who is still sending may see the connection close before the answer.
            let long = try? await console.send(
                .post, "/api/v0/console/explain", body: [UInt8](repeating: 0x20, count: 2 << 20))
            #expect(long.map { $0.status == 413 } ?? true)
        }
    }
}
