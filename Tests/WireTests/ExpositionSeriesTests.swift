import Telemetry
import Testing
import Wire

@Suite("Series of a scrape target")
struct ExpositionSeriesTests {
    @Test("Marks a series stale when it vanishes, once")
    func vanishing() throws {
        var bench = ScrapeBench()
        #expect(try bench.scrape("a 1\nb 2\nc 3\n", at: 1).lines.count == 3)
        #expect(try bench.scrape("a 1\nc 3\n", at: 2).lines == ["a 1.0 @2", "c 3.0 @2", "b stale @2"])
        #expect(bench.reader.counts.vanished == 1)
        #expect(try bench.scrape("c 3\na 1\n", at: 3).lines == ["c 3.0 @3", "a 1.0 @3"])
        #expect(try bench.scrape("a 1\nb 2\nc 3\n", at: 4).lines == ["a 1.0 @4", "b 2.0 @4", "c 3.0 @4"])
        #expect(bench.reader.counts.seriesAdded == 0)
        #expect(try bench.scrape("", at: 5).lines == ["a stale @5", "b stale @5", "c stale @5"])
    }

    @Test("Ends every series when a scrape fails, once")
    func failing() throws {
        var bench = ScrapeBench()
        _ = try bench.scrape("a 1\nb 2\n", at: 1)
        bench.reader.fail(at: 2)
        #expect(bench.reader.takeBatch().lines == ["a stale @2", "b stale @2"])
        bench.reader.fail(at: 3)
        #expect(bench.reader.takeBatch().lines.isEmpty)
    }

    @Test("Explicit timestamps escape staleness unless they are tracked")
    func explicitTimestamps() throws {
        var bench = ScrapeBench()
        _ = try bench.scrape("a 1 5\nb 2\n", at: 10)
        #expect(try bench.scrape("c 1\n", at: 20).lines == ["c 1.0 @20", "b stale @20"])
        var tracking = ScrapeBench { $0.tracksTimestampStaleness = true }
        _ = try tracking.scrape("a 1 5\n", at: 10)
        #expect(try tracking.scrape("c 1\n", at: 20).lines == ["c 1.0 @20", "a stale @20"])
    }

    @Test("Maps each series once and drops what the mapper drops")
    func mapping() throws {
        let counter = Counter()
        var bench = ScrapeBench { _ in
        } mapper: { labels in
            counter.count += 1
            if labels.value(of: "__name__") == "drop_me" { return false }
            labels.set("instance", to: "host:1")
            return true
        }
        for _ in 0..<3 {
            let batch = try bench.scrape("a 1\ndrop_me 2\nb 3\n")
            #expect(batch.lines == [#"a{instance="host:1"} 1.0 @1000"#, #"b{instance="host:1"} 3.0 @1000"#])
            #expect(bench.reader.counts.scraped == 3)
            #expect(bench.reader.counts.postRelabeling == 2)
        }
        #expect(counter.count == 3)
    }

    /// Counts the calls of a mapper; tests run it on one task.
    private final class Counter: @unchecked Sendable { var count = 0 }

    @Test("Leaves out the second sample of a series, also when spelled differently")
    func duplicates() throws {
        var bench = ScrapeBench()
        for _ in 0..<3 {
            let batch = try bench.scrape("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\nb 1\nb 2\n")
            #expect(batch.lines == [#"a{x="1", y="2"} 1.0 @1000"#, "b 1.0 @1000"])
            #expect(bench.reader.counts.duplicates == 2)
            #expect(bench.reader.counts.postRelabeling == 4)
        }
    }

    @Test("Allows several samples of a series at different times of their own")
    func severalTimes() throws {
        var bench = ScrapeBench()
        for _ in 0..<2 {
            #expect(try bench.scrape("a 1 10\na 2 20\n").lines == ["a 1.0 @10", "a 2.0 @20"])
        }
    }

    @Test("Leaves out samples too far ahead")
    func future() throws {
        var bench = ScrapeBench()
        for _ in 0..<2 {
            #expect(try bench.scrape("a 1 601001\nb 1 601000\n", at: 1000).lines == ["b 1.0 @601000"])
            #expect(bench.reader.counts.outOfBounds == 1)
        }
    }

    @Test("Enforces its limits")
    func limits() throws {
        try check("sample limit exceeded") { $0.samples = 2 }
        try check("label_limit exceeded") { $0.labels = 2 }
        try check("label_name_length_limit exceeded") { $0.labelNameLength = 8 }
        try check("label_value_length_limit exceeded") { $0.labelValueLength = 4 }
        try check("body size limit exceeded") { $0.bodyBytes = 20 }
        try check("line longer than 16 bytes") { $0.lineBytes = 16 }
    }

    private func check(
        _ message: String, sourceLocation: SourceLocation = #_sourceLocation, _ set: (inout ExpositionLimits) -> Void
    ) throws {
        for pieces in [Int.max, 4] {
            if message.hasPrefix("line"), pieces == .max { continue }
            var bench = ScrapeBench { set(&$0.limits) }
            do {
                _ = try bench.scrape("a{label_nam=\"12345\",c=\"d\"} 1\nb 2\nc 3\n", pieces: pieces)
                Issue.record("accepted beyond: \(message)", sourceLocation: sourceLocation)
            } catch {
                #expect(error.description.contains(message), sourceLocation: sourceLocation)
            }
            #expect(bench.reader.takeBatch().isEmpty, sourceLocation: sourceLocation)
        }
    }

    @Test("Counts all samples when the limit is exceeded")
    func sampleLimitCounts() throws {
        var bench = ScrapeBench { $0.limits.samples = 2 }
        #expect(try bench.scrape("a 1\nb 2\n").lines.count == 2)
        #expect(throws: ExpositionError.self) { _ = try bench.scrape("a 1\nb 2\nc 3\nd 4\n") }
        #expect(bench.reader.counts.scraped == 4)
        #expect(bench.reader.counts.postRelabeling == 4)
        #expect(bench.reader.takeBatch().lines == ["a stale @1000", "b stale @1000"])
        #expect(try bench.scrape("a 1\nb 2\n").lines.count == 2)
    }

    @Test("Forgets series that are gone for long and starts a new epoch, in which the living keep living")
    func epochs() throws {
        var bench = ScrapeBench()
        var epochs: Set<UInt64> = []
        var largest = 0
        for round in 0..<60 {
            let churn = (0..<200).map { "churn{round=\"\(round)\",n=\"\($0)\"} 1\n" }.joined()
            let batch = try bench.scrape("stays 1\n\(churn)last 2\n", at: Int64(round))
            epochs.insert(batch.table.epoch)
            largest = max(largest, bench.reader.seriesCount)
            #expect(batch.series.count == 202 + (round == 0 ? 0 : 200))
            #expect(batch.lines.first == "stays 1.0 @\(round)")
            #expect(!batch.lines.contains { $0.hasPrefix("stays stale") || $0.hasPrefix("last stale") })
        }
        #expect(epochs.count > 1)
        #expect(largest < 202 * 14, "\(largest) series held")
    }

    @Test("Views of one epoch agree on its series")
    func tables() throws {
        var bench = ScrapeBench()
        let first = try bench.scrape("a 1\nb 2\n")
        let second = try bench.scrape("a 1\nb 2\nc 3\n")
        #expect(first.table.identity === second.table.identity)
        #expect(first.table.epoch == second.table.epoch)
        #expect(second.series == [0, 1, 2])
        #expect(first.table.count == 2)
    }

    @Test("Reports series about the scrape that never go stale by themselves")
    func reports() throws {
        var bench = ScrapeBench()
        for time: Int64 in 1...3 {
            bench.reader.begin(.prometheusText, at: time)
            try bench.reader.finish()
            bench.reader.report("up", 1, at: time) { ["__name__": "up", "job": "x"] }
            #expect(bench.reader.takeBatch().lines == [#"up{job="x"} 1.0 @\#(time)"#])
        }
    }

    @Test("A series named like a report is a series of its own")
    func reportNames() throws {
        var bench = ScrapeBench()
        bench.reader.begin(.prometheusText, at: 1)
        var body = "up 5\n"
        try body.withUTF8 { try bench.reader.feed(UnsafeRawBufferPointer($0)) }
        try bench.reader.finish()
        bench.reader.report("up", 1, at: 1) { ["__name__": "up", "job": "x"] }
        #expect(bench.reader.takeBatch().lines == ["up 5.0 @1", #"up{job="x"} 1.0 @1"#])
    }

    @Test("Survives any bytes", arguments: [1, 2, 3] as [UInt64])
    func noise(seed: UInt64) {
        var state = seed
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        let alphabet = Array("ab_1.{}\",=# \n\\teHLPTYEOFINaN+-\u{e9}".utf8) + [0, 0xFF, 8, 18, 34]
        for format: ExpositionFormat in [.prometheusText, .openMetricsText, .prometheusProtobuf] {
            var bench = ScrapeBench {
                $0.convertsClassicHistograms = true
                $0.readsStartTimestamps = true
                $0.scrapesNativeHistograms = true
                $0.nameValidation = .utf8
            }
            for _ in 0..<400 {
                let body = (0..<Int(next() % 60)).map { _ in alphabet[Int(next()) % alphabet.count] }
                let pieces = Int(next() % 9) + 1
                let whole = Result { try bench.scrape(body, format) }.map(\.lines.count)
                var other = ScrapeBench {
                    $0.convertsClassicHistograms = true
                    $0.readsStartTimestamps = true
                    $0.scrapesNativeHistograms = true
                    $0.nameValidation = .utf8
                }
                let pieced = Result { try other.scrape(body, format, pieces: pieces) }.map(\.lines.count)
                #expect((try? whole.get()) == nil || (try? pieced.get()) != nil, "\(body) in pieces of \(pieces)")
            }
        }
    }
}
