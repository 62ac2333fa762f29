import ComponentKit
import Essentials
import TestKit
import Testing

@testable import DiscoveryComponents

extension DiscoveryTests {
    @Suite("discovery.http")
    struct DiscoveryHTTPTests {
        /// Moves time on by `step` until the condition holds.
        private func advance(
            _ harness: ComponentHarness, by step: Duration = .seconds(10), until condition: () -> Bool
        ) -> Bool {
            harness.settle(until: {
                if condition() { return true }
                harness.advance(by: step)
                return condition()
            })
        }

        @Test("The list is fetched at each interval and replaces the one before")
        func fetching() throws {
            let harness = ComponentHarness(DiscoveryHTTP.self)
            let server = try ScriptedServer(harness)
            server.answer(
                #"[{"targets": ["a:1"], "labels": {"team": "x"}}, {"targets": ["b:2"]}]"#,
                type: "Application/JSON; charset=UTF-8")
            let config = """
                url = "\(server.url)"
                refresh_interval = "1500ms"
                bearer_token = "open-sesame"
                http_headers = {"X-Scope" = ["one"]}
                """
            #expect(harness.start(config) == [])
            let url = #"__meta_url="\#(server.url)""#
            #expect(
                harness.settle(until: {
                    targets(harness) == [
                        #"{__address__="a:1", \#(url), team="x"}"#, #"{__address__="b:2", \#(url)}"#,
                    ]
                }))
            let head = try #require(server.requests.first)
            #expect(head.hasPrefix("get /sd?a=b http/1.1\r\n"))
            for line in [
                "x-prometheus-refresh-interval-seconds: 1.5", "accept: application/json",
                "authorization: bearer open-sesame", "x-scope: one",
            ] {
                #expect(head.contains("\r\n\(line)\r\n"), "\(head)")
            }
            server.answer(#"[{"targets": ["b:2"]}]"#)
            #expect(
                advance(harness, by: .milliseconds(1500)) { targets(harness) == [#"{__address__="b:2", \#(url)}"#] })
            #expect(harness.metric("prometheus_sd_http_failures_total") == 0)
            #expect(harness.metric("prometheus_sd_refresh_failures_total", ["mechanism": "http"]) == 0)
            #expect(harness.metric("prometheus_sd_refresh_duration_seconds_count", ["mechanism": "http"]) ?? 0 >= 2)
            #expect(harness.health?.state == .healthy)
            #expect(harness.finish() == [])
        }

        @Test("An answer that cannot be used leaves the targets as they are and is counted")
        func failures() throws {
            let harness = ComponentHarness(DiscoveryHTTP.self)
            let server = try ScriptedServer(harness)
            server.answer(#"[{"targets": ["a:1"]}]"#)
            harness.start("url = \"\(server.url)\"")
            let expected = [#"{__address__="a:1", __meta_url="\#(server.url)"}"#]
            #expect(harness.settle(until: { targets(harness) == expected }))
            let bad: [(body: String, status: String, type: String, problem: String)] = [
                ("[]", "500 Internal Server Error", "application/json", "HTTP status 500"),
                ("[]", "204 No Content", "application/json", "HTTP status 204"),
                ("[]", "200 OK", "text/html", "unsupported content type \"text/html\""),
                ("[{\"targets\": [\"b\"]}", "200 OK", "application/json", ""),
                (#"[{"targets": ["b"], "x": 1}]"#, "200 OK", "application/json", "unknown field \"x\""),
            ]
            for (index, answer) in bad.enumerated() {
                server.answer(answer.body, status: answer.status, type: answer.type)
                let isCounted = advance(harness) {
                    harness.metric("prometheus_sd_http_failures_total") ?? 0 > Double(index)
                        && (harness.health?.message.contains(answer.problem) == true)
                }
                #expect(isCounted, "\(answer)")
                #expect(harness.health?.state == .unhealthy)
                #expect(targets(harness) == expected)
            }
            let failures = harness.metric("prometheus_sd_http_failures_total")
            #expect(harness.metric("prometheus_sd_refresh_failures_total", ["mechanism": "http"]) == failures)
            server.answer("[]")
            #expect(advance(harness) { targets(harness) == [] && harness.health?.state == .healthy })
            #expect(harness.finish() == [])
        }

        @Test("A new URL that does not answer takes the targets of the old one away after five seconds")
        func update() throws {
            let harness = ComponentHarness(DiscoveryHTTP.self)
            let server = try ScriptedServer(harness)
            server.answer(#"[{"targets": ["a:1"]}]"#)
            harness.start("url = \"\(server.url)\"")
            #expect(harness.settle(until: { targets(harness).count == 1 }))
            server.answer("", status: "404 Not Found")
            harness.update("url = \"\(server.url)&c=d\"")
            #expect(harness.settle(until: { harness.health?.state == .unhealthy }))
            #expect(targets(harness).count == 1)
            harness.advance(by: .seconds(5))
            #expect(targets(harness) == [])
            #expect(harness.finish() == [])
        }

        @Test("Only JSON in UTF-8 is a usable content type")
        func contentTypes() {
            for good in [
                "application/json", "APPLICATION/JSON", "application/json;charset=utf-8",
                "application/json; charset=\"UTF-8\"", " application/json ",
            ] { #expect(DiscoveryHTTP.isJSON(good), "\(good)") }
            for bad in [
                "", "application/jsonp", "text/json", "application/json; charset=latin1", "application/json;",
                "application/json; charset=utf-8; x=y",
            ] { #expect(!DiscoveryHTTP.isJSON(bad), "\(bad)") }
        }

        @Test("Intervals are sent as plain decimals")
        func seconds() {
            #expect(DiscoveryHTTP.decimalSeconds(.seconds(60)) == "60")
            #expect(DiscoveryHTTP.decimalSeconds(.milliseconds(1_250)) == "1.25")
            #expect(DiscoveryHTTP.decimalSeconds(.nanoseconds(5)) == "0.000000005")
        }

        @Test(
            "Arguments that cannot work are refused",
            arguments: [
                ("", "missing required attribute \"url\""), ("url = \"ftp://x/\"", "\"url\" must be"),
                ("url = \"/relative\"", "\"url\" must be"), ("url = \"\"", "\"url\" must be"),
                ("url = \"http://x\"\nrefresh_interval = \"-1s\"", "\"refresh_interval\" must be greater than 0"),
                ("url = \"http://x\"\nbearer_token = \"a\"\nbasic_auth { }", "at most one of"),
            ])
        func refusals(body: String, problem: String) {
            let harness = ComponentHarness(DiscoveryHTTP.self)
            let problems = harness.evaluate(body)
            #expect(problems.contains { $0.contains(problem) }, "\(problems)")
        }
    }
}
