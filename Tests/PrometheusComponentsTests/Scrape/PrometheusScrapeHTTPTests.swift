import ComponentKit
import Compression
import Essentials
import PrometheusComponents
import Telemetry
import TestKit
import Testing
import Transport

@Suite("prometheus.scrape over HTTP")
struct PrometheusScrapeHTTPTests {
    private func arguments(_ server: ScrapeTargetServer, _ extra: String = "") -> String {
        """
        targets = [{"__address__" = "\(server.address)", "instance" = "i"}]
        forward_to = [recorder.metrics]
        job_name = "j"
        scrape_interval = "60s"
        scrape_timeout = "50s"
        \(extra)
        """
    }

    /// Scrapes once. Gives way while it waits: the server's tasks run on the same threads as the tests.
    private func settleScrape(_ harness: ComponentHarness) async {
        harness.advance(by: .seconds(60))
        let start = ContinuousClock.now
        while harness.metrics.batches.isEmpty {
            harness.settle()
            await Task.yield()
            guard ContinuousClock.now - start < .seconds(60) else {
                Issue.record("nothing was scraped")
                return
            }
        }
    }

    /// Scrapes once and returns the samples of the target and the value of `up`.
    private func scrapeOnce(_ harness: ComponentHarness) async -> (samples: [String], up: String) {
        _ = harness.metrics.take()
        await settleScrape(harness)
        let all = harness.metrics.samples.map { String($0.split(separator: "@")[0]) }
        return (
            all.filter { !$0.contains("\"up\"") && !$0.contains("\"scrape_") },
            all.first { $0.contains("\"up\"") }?.split(separator: " ").last.map(String.init) ?? ""
        )
    }

    @Test("Asks for its protocols, says its timeout, and reads compressed answers")
    func request() async throws {
        let server = try await ScrapeTargetServer()
        var zipped: [UInt8] = []
        try Gzip().compress(
            Array(String(repeating: "# padding\n", count: 20_000).utf8) + Array("a 1\n".utf8), into: &zipped)
        server.set(ScrapeTargetServer.Answer(encoding: "gzip", bytes: zipped))
        let harness = ComponentHarness(PrometheusScrape.self)
        #expect(harness.start(arguments(server)) == [])
        let (samples, up) = await scrapeOnce(harness)
        #expect(samples == [#"{__name__="a", instance="i", job="j"} 1.0 "#])
        #expect(up == "1.0")
        let seen = try #require(server.seen.first)
        #expect(seen.fields["accept-encoding"] == "gzip")
        #expect(seen.fields["x-prometheus-scrape-timeout-seconds"] == "50")
        #expect(
            seen.fields["accept"]?.hasPrefix("application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6")
                == true)
        #expect(harness.finish() == [])
    }

    @Test("Asks for protobuf first where native histograms are wanted, and for plain answers without compression")
    func negotiation() async throws {
        let server = try await ScrapeTargetServer()
        server.set("a 1\n")
        let harness = ComponentHarness(PrometheusScrape.self)
        harness.start(
            arguments(
                server,
                "scrape_native_histograms = true\nenable_compression = false\nbasic_auth {\n  username = \"u\"\n  password = \"p\"\n}"
            ))
        _ = await scrapeOnce(harness)
        let seen = try #require(server.seen.first)
        #expect(
            seen.fields["accept"]?.hasPrefix(
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6")
                == true)
        #expect(seen.fields["accept-encoding"] == "identity")
        #expect(seen.fields["authorization"] == "Basic dTpw")
        #expect(harness.finish() == [])
    }

    @Test("A target is asked for its page on demand: as text, cut, without the credentials it may repeat")
    func answerOnDemand() async throws {
        let server = try await ScrapeTargetServer()
        server.set("token is secret-token, of <b>, " + String(repeating: "x", count: 2_000))
        let harness = ComponentHarness(PrometheusScrape.self)
        let extra = """
            scrape_native_histograms = true
            authorization {
              type = "Bearer"
              credentials = "secret-token"
            }
            """
        #expect(harness.start(arguments(server, extra)) == [])
        let source = try #require(harness.services.scrapes.sources.first)
        let target = try #require(source.targetReports.first)
        #expect(target.health == "unknown" && target.lastScrape == nil && target.nextScrape != nil)
        #expect("\(target.discoveredLabels)" == "{__address__=\"\(server.address)\", instance=\"i\"}")
        #expect("\(target.labels)" == "{instance=\"i\", job=\"j\"}")
        let whole = try #require(await source.response(of: target.id, upTo: 10_000))
        #expect(whole.status == 200 && whole.problem.isEmpty && !whole.isTruncated)
        #expect(String(decoding: whole.body, as: UTF8.self).hasPrefix("token is (secret), of <b>, xxx"))
        let seen = try #require(server.seen.first)
        #expect(seen.fields["authorization"] == "Bearer secret-token")
        #expect(seen.fields["accept"]?.contains("protobuf") == false)
        let cut = try #require(await source.response(of: target.id, upTo: 15))
        #expect(cut.isTruncated && !String(decoding: cut.body, as: UTF8.self).contains("secret"))
        let none = await source.response(of: "0", upTo: 10)
        #expect(none == nil)
        #expect(harness.finish() == [])
        #expect(harness.services.scrapes.sources.isEmpty)
    }

    @Test(
        "A page that is missing, slow, too large or of no known type fails the scrape",
        arguments: [
            (ScrapeTargetServer.Answer(status: 404), "", "server returned HTTP status 404 Not Found"),
            (ScrapeTargetServer.Answer(hangs: true), "", "context deadline exceeded"),
            (ScrapeTargetServer.Answer(body: "a 1\n"), "body_size_limit = \"4B\"", "body size limit exceeded"),
            (
                ScrapeTargetServer.Answer(contentType: "text/html", body: "<html>"), "scrape_fallback_protocol = \"\"",
                "unsupported Content-Type"
            ),
            (ScrapeTargetServer.Answer(contentType: nil, body: "<html>"), "", "expected a metric name"),
        ] as [(ScrapeTargetServer.Answer, String, String)])
    func failures(answer: ScrapeTargetServer.Answer, extra: String, error: String) async throws {
        let server = try await ScrapeTargetServer()
        server.set(answer)
        let harness = ComponentHarness(PrometheusScrape.self)
        var text = arguments(server, extra)
        if answer.hangs { text = text.replacing("\"50s\"", with: "\"200ms\"") }
        #expect(harness.start(text) == [])
        let (samples, up) = await scrapeOnce(harness)
        #expect(samples.isEmpty)
        #expect(up == "0.0")
        let debug = "\(harness.instance.debugInfo)"
        #expect(debug.contains(error), "\(debug)")
        #expect(harness.finish() == [])
    }

    @Test("A target that nobody listens for is down, with the reason")
    func refusedConnection() async throws {
        let harness = ComponentHarness(PrometheusScrape.self)
        harness.start(
            "targets = [{\"__address__\" = \"127.0.0.1:1\"}]\nforward_to = [recorder.metrics]\nscrape_interval = \"60s\""
        )
        let up = await scrapeOnce(harness).up
        #expect(up == "0.0")
        #expect("\(harness.instance.debugInfo)".contains("connection refused"))
        #expect(harness.finish() == [])
    }

    @Test("A large body arrives in pieces and is read as it comes")
    func largeBody() async throws {
        let server = try await ScrapeTargetServer()
        let body = (0..<50_000).map { "metric_with_a_long_name{index=\"\($0)\"} \($0)\n" }.joined()
        server.set(body)
        let harness = ComponentHarness(PrometheusScrape.self)
        harness.start(arguments(server, "extra_metrics = true"))
        await settleScrape(harness)
        let batch = try #require(harness.metrics.take().first)
        #expect(batch.values.prefix(50_000).elementsEqual((0..<50_000).map(Double.init)))
        #expect(batch.values.last == Double(body.utf8.count))
        #expect(harness.finish() == [])
    }
}
