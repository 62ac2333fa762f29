import Essentials
import Runtime
import Testing
import TextFormats
import Transport

@testable import Console

@Suite struct ConsolePagesTests {
    private let echo = """
        prometheus.relabel "r" {
            forward_to = [prometheus.echo.e.receiver]
            rule {
                target_label = "hostile"
                replacement  = "<script>alert(1)</script>"
            }
        }
        prometheus.echo "e" { }
        """

    @Test("Every view is the same page, without anything inline and with the program's path")
    func pages() async throws {
        try await ConsoleHarness.run(prefix: "/some/where") { console in
            for view in ["", "graph", "component/prometheus.echo.e", "targets", "live", "configuration", "flags"] {
                let answer = try await console.send(.get, "/some/where/\(view)")
                #expect(answer.status == 200)
                #expect(answer.fields["content-type"] == "text/html; charset=utf-8")
                #expect(answer.text.contains("<base href=\"/some/where/\">"))
                #expect(!answer.text.contains("style="))
                #expect(!answer.text.contains("<style"))
                let scripts = answer.text.components(between: "<script", and: ">")
                #expect(!scripts.isEmpty && scripts.allSatisfy { $0.contains("src=\"assets/") })
            }
            #expect(try await console.send(.get, "/some/where").status == 200)
            #expect(try await console.send(.get, "/elsewhere").status == 404)
            let lost = try await console.send(.get, "/some/where/nothing", ["accept": "text/html"])
            #expect(lost.status == 404 && lost.text.contains("<base"))
            let unknown = try await console.send(.get, "/some/where/api/nothing", ["accept": "text/html"])
            #expect(unknown.text == "not found\n")
            #expect(try await console.send(.post, "/some/where/nothing").status == 404)
        }
    }

    @Test("A path prefix cannot leave its attribute")
    func hostilePrefix() {
        let response = ConsoleAsset.page(.ok, pathPrefix: "/\"><script>/")
        guard case .bytes(let bytes) = response.body else {
            Issue.record("no page")
            return
        }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.contains("<base href=\"/&quot;&gt;&lt;script&gt;/\">"))
    }

    @Test("Assets come with their type and a tag, and not again while they are current")
    func assets() async throws {
        try await ConsoleHarness.run { console in
            for asset in ConsoleAsset.all {
                let answer = try await console.send(.get, "/assets/\(asset.name)")
                #expect(answer.status == 200)
                #expect(answer.text == String(decoding: asset.bytes, as: UTF8.self))
                #expect(answer.fields["content-type"] == asset.type)
                let tag = try #require(answer.fields["etag"])
                let again = try await console.send(.get, "/assets/\(asset.name)", ["if-none-match": tag])
                #expect(again.status == 304 && again.text.isEmpty)
            }
            #expect(try await console.send(.get, "/assets/none.js").status == 404)
            #expect(try await console.send(.get, "/assets/../index.html").status == 404)
        }
    }

    @Test("What modules import is there, and no asset names another host")
    func closure() {
        let names = Set(ConsoleAsset.all.map(\.name))
        #expect(names.isSuperset(of: ["index.html", "main.js", "console.css", "icon.svg"]))
        for asset in ConsoleAsset.all {
            let text = String(decoding: asset.bytes, as: UTF8.self)
            for name in text.components(between: "from \"./", and: "\"") { #expect(names.contains(name)) }
            for name in text.components(between: "\"assets/", and: "\"") { #expect(names.contains(name)) }
            let addresses = text.components(between: "http", and: "\"")
                .filter { $0.hasPrefix("://") || $0.hasPrefix("s://") }
            #expect(addresses.allSatisfy { $0 == "://www.w3.org/2000/svg" }, "\(asset.name): \(addresses)")
            for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                #expect(!text.contains(markup), "\(asset.name) uses \(markup)")
            }
        }
    }

    @Test("Every answer tells the browser what it may do with it")
    func headers() async throws {
        try await ConsoleHarness.run(echo) { console in
            for target in ["/", "/assets/main.js", "/metrics", "/-/ready", "/api/v0/web/components", "/nothing"] {
                let fields = try await console.send(.get, target).fields
                #expect(fields["x-content-type-options"] == "nosniff", "\(target)")
                #expect(fields["x-frame-options"] == "DENY")
                #expect(fields["cross-origin-resource-policy"] == "same-origin")
                let policy = try #require(fields["content-security-policy"])
                #expect(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
                #expect(!policy.contains("unsafe"))
                #expect(fields["cache-control"] != nil)
            }
        }
    }

    @Test("Only the console's own pages and programs may reload")
    func reload() async throws {
        try await ConsoleHarness.run { console in
            let refused: [HTTPFields] = [
                ["sec-fetch-site": "cross-site"], ["sec-fetch-site": "same-site"],
                ["sec-fetch-site": "cross-site", "origin": "http://\(console.host)"],
                ["origin": "http://elsewhere.example"], ["origin": "null"],
                ["origin": "http://\(console.host).example"],
            ]
            for fields in refused {
                for method in [HTTPMethod.get, .post] {
                    let answer = try await console.send(method, "/-/reload", fields)
                    #expect(answer.status == 403 && answer.text.hasPrefix("refused: "), "\(method) \(fields)")
                }
            }
            #expect(console.reloadCount == 0)
            let allowed: [HTTPFields] = [
                [:], ["sec-fetch-site": "same-origin", "origin": "https://behind.a.proxy"], ["sec-fetch-site": "none"],
                ["origin": "http://\(console.host)"],
            ]
            for fields in allowed {
                #expect(try await console.send(.post, "/-/reload", fields).text == "config reloaded\n")
            }
            #expect(try await console.send(.get, "/-/reload").status == 200)
            #expect(console.reloadCount == allowed.count + 1)
        }
    }

    @Test("The pipeline lists components, modules and books, hostile names escaped")
    func pipeline() async throws {
        let module = """
            declare "inner" {
                prometheus.echo "deep" { }
            }
            inner "one" { }
            """
        try await ConsoleHarness.run(echo + "\n" + module) { console in
            let text = try await console.send(.get, "/api/v0/console/pipeline").text
            #expect(text.contains("\"id\":\"prometheus.relabel.r\",\"module\":\"\",\"name\":\"prometheus.relabel\""))
            #expect(text.contains("\"id\":\"inner.one/prometheus.echo.deep\",\"module\":\"inner.one\""))
            #expect(text.contains("\"flowsTo\":[\"prometheus.echo.e\"]"))
            #expect(text.contains("\"ledger\":[{\"componentID\":"))
            let detail = try await console.send(.get, "/api/v0/web/components/prometheus.relabel.r").text
            #expect(!detail.contains("<script>") && detail.contains("alert(1)"))
            let metrics = try await console.send(.get, "/api/v0/console/metrics/prometheus.relabel.r").text
            #expect(metrics.contains("\"families\":[{"))
            #expect(try await console.send(.get, "/api/v0/console/metrics/none").status == 404)
            #expect(try await console.send(.get, "/api/v0/console/targets").text == "[]")
            let status = try await console.send(.get, "/api/v0/console/status").text
            #expect(status.contains("\"version\":\"1.2.3\""))
            #expect(status.contains("{\"name\":\"some.flag\",\"value\":\"\\u003cb\\u003e\\\"value\\\"\"}"))
        }
    }

    @Test("Targets are told with their labels before and after, and asked for their page only from the console")
    func targets() async throws {
        try await ConsoleHarness.run { console in
            let configuration = """
                prometheus.echo "e" { }
                prometheus.scrape "s" {
                    targets = [
                        {"__address__" = "\(console.host)", "__meta_zone" = "<b>", "team" = "x",
                         "__metrics_path__" = "/api/v0/web/peers"},
                        {"__address__" = "127.0.0.1:1"},
                    ]
                    forward_to = [prometheus.echo.e.receiver]
                }
                """
            _ = await console.runtime.load(ConfigurationSource(configuration))
            func list() async throws -> JSONValue {
                try JSONValue(parsing: Array(try await console.send(.get, "/api/v0/console/targets").text.utf8))
            }
            var pool = try await list().arrayValue?.first
            while pool?["targets"]?.arrayValue?.count != 2 {
                await Task.yield()
                pool = try await list().arrayValue?.first
            }
            let target = try #require(pool?["targets"]?.arrayValue?.first)
            #expect(
                pool?["component"]?.stringValue == "prometheus.scrape.s" && target["state"]?.stringValue == "unknown")
            #expect(target["labels"]?["team"]?.stringValue == "x" && target["labels"]?["__meta_zone"] == nil)
            let id = try #require(target["id"]?.stringValue)
            let query = "component=prometheus.scrape.s&job=&target=\(id)"
            let labels = try await console.send(.get, "/api/v0/console/targets/labels?\(query)").text
            #expect(
                labels.contains("\"__meta_zone\":\"\\u003cb\\u003e\"")
                    && labels.contains("\"job\":\"prometheus.scrape.s\""))

            let path = "/api/v0/console/targets/answer?\(query)"
            let answer = try JSONValue(parsing: Array(try await console.send(.post, path).text.utf8))
            #expect(answer["status"] == .int(200) && answer["truncated"] == .bool(false))
            #expect(answer["body"]?.stringValue?.contains("\"isSelf\":true") == true)
            #expect(try await console.send(.get, path).status != 200)
            #expect(try await console.send(.post, path, ["sec-fetch-site": "cross-site"]).status == 403)
            for wrong in [
                "component=prometheus.scrape.s&job=&target=0", "component=none&target=\(id)", "target=http://x/",
            ] {
                #expect(try await console.send(.post, "/api/v0/console/targets/answer?\(wrong)").status == 404)
                #expect(try await console.send(.get, "/api/v0/console/targets/labels?\(wrong)").status == 404)
            }
            #expect(try await console.send(.get, "/api/v0/console/targets/dropped").text.hasPrefix("{\"total\":0,"))
        }
    }

    @Test("The changes of a component's health are kept, the latest first")
    func health() async throws {
        try await ConsoleHarness.run(echo) { console in
            let text = try await console.send(.get, "/api/v0/console/health/prometheus.relabel.r").text
            let changes = try #require(try JSONValue(parsing: Array(text.utf8)).arrayValue)
            #expect(changes.count >= 2 && changes.last?["message"]?.stringValue == "component created")
            #expect(
                changes.last?["state"]?.stringValue == "unknown" && changes.first?["state"]?.stringValue == "healthy")
            #expect(try await console.send(.get, "/api/v0/console/health/none").status == 404)
        }
    }

    @Test("The configuration's state tells what was wrong and where")
    func configuration() async throws {
        try await ConsoleHarness.run(echo) { console in
            let good = try await console.send(.get, "/api/v0/console/configuration").text
            #expect(good.contains("\"applied\":true") && good.contains("\"diagnostics\":[]"))
            #expect(good.contains("\"files\":[{\"name\":\"config.alloy\","))
            _ = await console.runtime.load(ConfigurationSource("\nprometheus.nothing \"n\" { }"))
            let bad = try await console.send(.get, "/api/v0/console/configuration").text
            #expect(bad.contains("\"applied\":false") && bad.contains("\"severity\":\"error\""))
            #expect(bad.contains("\"file\":\"config.alloy\",\"line\":2,\"column\":1"))
            console.runtime.loadFailed("open config.alloy: no such file")
            #expect(
                try await console.send(.get, "/api/v0/console/configuration").text.contains(
                    "\"problem\":\"open config.alloy: no such file\""))
        }
    }

    @Test("The stream begins with the structure and goes on with books")
    func stream() async throws {
        try await ConsoleHarness.run(echo) { console in
            #expect(try await console.send(.get, "/api/v0/console/stream?interval=10").status == 400)
            let response = try await console.open("/api/v0/console/stream?interval=250")
            #expect(response.contentType == "text/event-stream")
            var text = ""
            func read(until isEnough: () -> Bool) async throws {
                while !isEnough(), let bytes = try await response.body.next() {
                    text += String(decoding: bytes, as: UTF8.self)
                }
            }
            func events(_ name: String) -> [String] { text.components(between: "event: \(name)\ndata: ", and: "\n\n") }
            try await read { !events("books").isEmpty }
            #expect(text.hasPrefix("event: structure\ndata: [{\"id\":"))
            #expect(events("books").first?.contains("prometheus.echo.e") == true)
            // The writer may not wait for the clock yet: move it until the books stand still.
            let ticking = Task {
                while !Task.isCancelled {
                    console.clock.advance(by: .milliseconds(250))
                    await Task.yield()
                }
            }
            try await read { events("books").contains { $0.contains("\"ledger\":[]") } }
            ticking.cancel()
            let structures = events("structure")
            #expect(events("books").count >= 2)
            #expect(Set(structures).count == structures.count)
            response.body.cancel()
        }
    }
}

extension String {
    /// Every text that stands between two marks.
    fileprivate func components(between start: String, and end: String) -> [String] {
        var found: [String] = []
        var rest = self[...]
        while let from = rest.firstRange(of: start) {
            rest = rest[from.upperBound...]
            guard let to = rest.firstRange(of: end) else { break }
            found.append(String(rest[..<to.lowerBound]))
            rest = rest[to.lowerBound...]
        }
        return found
    }
}
