import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Transport

@testable import LokiComponents

@Suite("loki.write")
struct LokiWriteTests {
    private func batch(_ lines: [String], _ labels: LabelSet = ["app": "x"], metadata: LabelSet = .empty) -> LogBatch {
        var batch = LogBatch()
        for (index, line) in lines.enumerated() {
            batch.append(line, labels: labels, timestamp: Int64(index + 1), metadata: metadata)
        }
        return batch
    }

    private func send(_ batch: LogBatch, _ harness: ComponentHarness) throws {
        let receiver = try #require(harness.export("receiver", as: Receiver<LogBatch>.self))
        try harness.run { try await receiver.consume(batch) }
    }

    /// Moves time on until `condition` holds.
    private func wait(_ harness: ComponentHarness, _ step: Duration = .milliseconds(100), _ condition: () -> Bool)
        -> Bool
    {
        harness.settle(until: {
            harness.advance(by: step)
            return condition()
        })
    }

    private func start(_ text: String, storagePath: String? = nil) -> ComponentHarness {
        let harness = ComponentHarness(LokiWrite.self, storagePath: storagePath)
        #expect(harness.start(text) == [])
        #expect(harness.settle(until: { harness.health?.state == .healthy }))
        return harness
    }

    @Test("Entries arrive batched by tenant, with external labels, headers and structured metadata, in order")
    func basics() async throws {
        let loki = try await FakeLoki()
        let harness = start(
            """
            endpoint {
              url = "\(loki.url)"
              tenant_id = "default"
              headers = {"X-Custom" = "yes", "Content-Type" = "text/plain"}
            }
            external_labels = {cluster = "c", app = "outer"}
            """)
        try send(batch(["one", "two"], metadata: ["trace": "t"]), harness)
        try send(batch(["other"], ["app": "y", "__tenant_id__": "special", "__hidden": "h"]), harness)
        try send(batch(["three"]), harness)
        #expect(loki.pushes.isEmpty)
        try #require(wait(harness) { loki.lines.count == 4 })
        let pushes = loki.pushes.sorted { ($0.tenant ?? "") < ($1.tenant ?? "") }
        #expect(pushes.map(\.tenant) == ["default", "special"])
        #expect(
            pushes.map(\.entries) == [
                [
                    #"{app="x", cluster="c"} 1 one {trace="t"}"#, #"{app="x", cluster="c"} 2 two {trace="t"}"#,
                    #"{app="x", cluster="c"} 1 three {}"#,
                ],
                [#"{app="y", cluster="c"} 1 other {}"#],
            ])
        #expect(pushes[0].headers["x-custom"] == "yes")
        #expect(pushes[0].headers.values("content-type") == ["application/x-protobuf"])
        #expect(pushes[0].headers["content-encoding"] == "snappy")
        #expect(wait(harness) { harness.instance.ledger.statement.outgoing == 4 })
        let labels = ["host": loki.host, "tenant": "default"]
        #expect(harness.metric("loki_write_sent_entries_total", labels) == 3)
        #expect((harness.metric("loki_write_sent_bytes_total", labels) ?? 0) > 10)
        #expect(harness.metric("loki_write_request_size_bytes_count", labels) == 1)
        #expect(harness.metric("loki_write_entry_propagation_latency_seconds_count", labels) == 3)
        #expect(
            harness.metric(
                "loki_write_request_duration_seconds_count", ["status_code": "204", "tenant": "special"]) == 1)
        #expect(harness.metric("loki_write_dropped_entries_total", ["reason": "rate_limited"]) == 0)
        #expect(harness.finish() == [])
    }

    @Test("Requests are full at the batch size, and one entry may be larger")
    func batchSize() async throws {
        let loki = try await FakeLoki()
        let harness = start("endpoint {\n url = \"\(loki.url)\"\n batch_size = \"100B\"\n batch_wait = \"1h\"\n }")
        let lines =
            (0..<9).map { "\($0)" + String(repeating: "x", count: 39) } + [String(repeating: "y", count: 500), "z"]
        try send(batch(lines), harness)
        #expect(harness.settle(until: { loki.lines.count == 10 }))
        #expect(loki.pushes.map(\.lines.count) == [2, 2, 2, 2, 1, 1])
        // The last one waits for its time and goes when the component stops.
        #expect(harness.finish() == [])
        #expect(loki.lines == lines)
    }

    @Test("429 and 5xx are repeated with growing waits until they succeed, in order")
    func retries() async throws {
        let loki = try await FakeLoki()
        loki.answer([500, 429, 503])
        let harness = start("endpoint {\n url = \"\(loki.url)\"\n batch_size = \"10B\"\n }")
        try send(batch(["first one", "second one", "third one"]), harness)
        #expect(wait(harness) { loki.lines.count == 3 })
        #expect(loki.lines == ["first one", "second one", "third one"])
        #expect(loki.attempts == 6)
        #expect(harness.metric("loki_write_batch_retries_total") == 3)
        #expect(wait(harness) { harness.instance.ledger.statement.outgoing == 3 })
        #expect(harness.finish() == [])
    }

    @Test(
        "What will not succeed is dropped and counted by reason",
        arguments: [
            (400, "", "ingester_error", 1), (404, "", "ingester_error", 1),
            (429, "retry_on_http_429 = false", "rate_limited", 1), (429, "max_backoff_retries = 3", "rate_limited", 3),
            (500, "max_backoff_retries = 2", "ingester_error", 2),
        ])
    func drops(_ status: Int, _ more: String, _ reason: String, _ attempts: Int) async throws {
        let loki = try await FakeLoki()
        loki.answerAlways(status)
        let harness = start("endpoint {\n url = \"\(loki.url)\"\n \(more)\n }")
        try send(batch(["a", "b"]), harness)
        #expect(wait(harness, .seconds(1)) { harness.instance.ledger.statement.droppedItems == 2 })
        #expect(loki.attempts == attempts)
        #expect(harness.metric("loki_write_dropped_entries_total", ["reason": reason]) == 2)
        #expect((harness.metric("loki_write_dropped_bytes_total", ["reason": reason]) ?? 0) > 0)
        #expect(harness.logSink.lines.contains { $0.contains("told to") && !$0.contains("second line") })
        #expect(harness.finish() == [])
    }

    @Test("A full queue makes the sender come back, memory stays bounded, and nothing is lost or doubled")
    func backPressure() async throws {
        let loki = try await FakeLoki()
        loki.answerAlways(500)
        let harness = start(
            """
            endpoint {
              url = "\(loki.url)"
              batch_size = "1KiB"
              max_backoff_retries = 0
              max_backoff_period = "1s"
              queue_config { capacity = "4KiB" }
            }
            """)
        let receiver = try #require(harness.export("receiver", as: Receiver<LogBatch>.self))
        var accepted = 0
        var refused = false
        while !refused, accepted < 100 {
            let next = batch((0..<10).map { "\(accepted) \($0) " + String(repeating: "x", count: 90) })
            let outcome = Flag()
            let sending = Task(executorPreference: harness.executor) {
                do {
                    try await receiver.consume(next)
                    outcome.set("taken")
                } catch {
                    outcome.set("\(error)")
                }
            }
            #expect(wait(harness, .seconds(1)) { outcome.value != nil })
            await sending.value
            if outcome.value == "taken" { accepted += 1 } else { refused = true }
            if refused { #expect(outcome.value?.contains("is full") == true) }
        }
        #expect(refused)
        #expect(accepted >= 4 && accepted < 20)
        #expect(harness.services.budget.usage.bytes < 64 << 10)
        loki.answerAlways(nil)
        #expect(wait(harness) { loki.lines.count == accepted * 10 })
        #expect(Set(loki.lines).count == accepted * 10)
        #expect(wait(harness) { harness.instance.ledger.statement.heldItems == 0 })
        #expect(harness.finish() == [])
    }

    @Test("With block_on_overflow off, entries there is no room for are dropped and counted")
    func overflow() async throws {
        let loki = try await FakeLoki()
        loki.answerAlways(500)
        let harness = start(
            """
            endpoint {
              url = "\(loki.url)"
              batch_size = "100B"
              max_backoff_retries = 0
              queue_config {
                capacity = "100B"
                block_on_overflow = false
                drain_timeout = "1s"
              }
            }
            """)
        for index in 0..<20 { try send(batch(["\(index)" + String(repeating: "x", count: 90)]), harness) }
        let dropped = harness.metric("loki_write_dropped_entries_total", ["reason": "queue_is_full"]) ?? 0
        #expect(dropped >= 15)
        #expect(harness.instance.ledger.statement.droppedItems == Int(dropped))
        #expect(harness.finish() == [])
        #expect(harness.instance.ledger.statement.droppedItems == 20)
    }

    @Test("A slow endpoint does not keep entries from another, and a repetition reaches only the slow one")
    func independentEndpoints() async throws {
        let slow = try await FakeLoki()
        let fast = try await FakeLoki()
        slow.answerAlways(503)
        let harness = start(
            """
            endpoint {
              url = "\(slow.url)"
              batch_size = "10B"
              max_backoff_retries = 0
              max_backoff_period = "1s"
              queue_config { capacity = "20B" }
            }
            endpoint {
              url = "\(fast.url)"
              batch_size = "10B"
            }
            """)
        let receiver = try #require(harness.export("receiver", as: Receiver<LogBatch>.self))
        let books = ComponentLedger(componentID: "source")
        let fanout = Fanout([receiver], ledger: books)
        let sent = Flag()
        Task(executorPreference: harness.executor) {
            for index in 0..<12 {
                var next = batch(["line \(index) abc"])
                while true {
                    do throws(DeliveryError) {
                        try await fanout.deliver(&next)
                        break
                    } catch {
                        guard error.isRetryable else { return sent.set("rejected") }
                    }
                }
            }
            sent.set("all")
        }
        // The fast one is ahead by what the slow one refuses.
        #expect(wait(harness) { fast.lines.count >= 4 })
        #expect(slow.lines.isEmpty)
        slow.answerAlways(nil)
        #expect(wait(harness) { sent.value == "all" && slow.lines.count == 12 && fast.lines.count == 12 })
        let wanted = (0..<12).map { "line \($0) abc" }
        #expect(slow.lines == wanted)
        #expect(fast.lines == wanted)
        #expect(harness.finish() == [])
    }

    @Test("Entries of streams beyond the limit are dropped and counted")
    func maximumStreams() async throws {
        let loki = try await FakeLoki()
        let harness = start("endpoint { url = \"\(loki.url)\" }\n max_streams = 2")
        for app in ["a", "b", "c", "a"] { try send(batch(["line"], ["app": app]), harness) }
        #expect(wait(harness) { loki.lines.count == 3 })
        #expect(harness.metric("loki_write_dropped_entries_total", ["reason": "stream_limited"]) == 1)
        #expect(harness.finish() == [])
    }

    @Test("Stopping sends what waits; after the drain timeout the rest is dropped and counted")
    func draining() async throws {
        let loki = try await FakeLoki()
        let harness = start("endpoint {\n url = \"\(loki.url)\"\n batch_wait = \"1h\"\n }")
        try send(batch(["waiting"]), harness)
        #expect(harness.finish() == [])
        #expect(loki.lines == ["waiting"])

        loki.answerAlways(500)
        let stubborn = start("endpoint {\n url = \"\(loki.url)\"\n max_backoff_retries = 0\n }")
        try send(batch(["lost"]), stubborn)
        #expect(stubborn.finish() == [])
        #expect(stubborn.instance.ledger.statement.droppedItems == 1)
    }

    @Test("Streams spread over shards keep their own order")
    func shards() async throws {
        let loki = try await FakeLoki()
        let harness = start(
            "endpoint {\n url = \"\(loki.url)\"\n batch_size = \"50B\"\n queue_config { min_shards = 4 }\n }")
        var all = LogBatch()
        for index in 0..<200 { all.append("\(index)", labels: ["app": "\(index % 7)"], timestamp: Int64(index)) }
        try send(all, harness)
        #expect(wait(harness) { loki.lines.count == 200 })
        for app in 0..<7 {
            let own = loki.lines.compactMap { Int($0) }.filter { $0 % 7 == app }
            #expect(own == own.sorted())
        }
        #expect(harness.finish() == [])
    }

    @Test("New arguments send to the new endpoint while the old one drains")
    func reload() async throws {
        let (old, new) = (try await FakeLoki(), try await FakeLoki())
        let harness = start("endpoint {\n url = \"\(old.url)\"\n batch_wait = \"1h\"\n }")
        try send(batch(["old"]), harness)
        harness.update("endpoint { url = \"\(new.url)\" }\n external_labels = {a = \"1\"}")
        #expect(wait(harness) { old.lines == ["old"] && harness.health?.message.contains(new.host) == true })
        try send(batch(["new"]), harness)
        try #require(wait(harness) { new.lines == ["new"] })
        #expect(new.pushes[0].streams == [["a": "1", "app": "x"]])
        // External labels alone change at once.
        harness.update("endpoint { url = \"\(new.url)\" }\n external_labels = {a = \"2\"}")
        try send(batch(["newer"]), harness)
        try #require(wait(harness) { new.lines == ["new", "newer"] })
        #expect(new.pushes[1].streams == [["a": "2", "app": "x"]])
        #expect(harness.finish() == [])
    }

    @Test("What an endpoint has not sent goes out with new credentials, in order")
    func newCredentials() async throws {
        let loki = try await FakeLoki()
        func text(_ password: String) -> String {
            """
            endpoint {
                url                 = "\(loki.url)"
                batch_wait          = "1s"
                batch_size          = "50B"
                min_backoff_period  = "100s"
                max_backoff_period  = "100s"
                basic_auth {
                    username = "u"
                    password = "\(password)"
                }
            }
            """
        }
        let harness = start(text("old"))
        loki.answerAlways(503)
        // One is under way and waits for its next attempt, the others wait for it.
        let lines = (0..<6).map { "line \($0) of forty bytes or a little more" }
        for line in lines { try send(batch([line]), harness) }
        #expect(wait(harness) { loki.attempts == 1 })
        loki.answerAlways(nil)
        harness.update(text("new"))
        try send(batch(["last"]), harness)
        #expect(wait(harness, .seconds(1)) { loki.lines.count == 7 })
        // What comes after the change may overtake what was handed over; that keeps its order.
        #expect(loki.lines.filter { $0 != "last" } == lines)
        #expect(wait(harness) { harness.instance.ledger.statement.heldItems == 0 })
        #expect(harness.instance.ledger.statement.dropped.isEmpty)
        let new = loki.pushes.allSatisfy { $0.headers["authorization"] == "Basic dTpuZXc=" }
        #expect(new, "\(loki.pushes.map { $0.headers["authorization"] ?? "" })")
        #expect(harness.finish() == [])
    }

    @Test("A change of one endpoint leaves the others as they are, with what they hold")
    func changeOfOneEndpoint() async throws {
        let (kept, old, new) = (try await FakeLoki(), try await FakeLoki(), try await FakeLoki())
        let untouched = "endpoint {\n url = \"\(kept.url)\"\n batch_wait = \"1h\"\n }\n"
        let harness = start(untouched + "endpoint {\n url = \"\(old.url)\"\n batch_wait = \"1h\"\n }")
        try send(batch(["one"]), harness)
        harness.update("endpoint { url = \"\(new.url)\" }\n" + untouched)
        // The removed endpoint sends what it has; the kept one goes on collecting for its hour.
        #expect(wait(harness) { old.lines == ["one"] && harness.health?.message.contains(new.host) == true })
        try send(batch(["two"]), harness)
        try #require(wait(harness) { new.lines == ["two"] })
        #expect(kept.attempts == 0)
        harness.update(untouched)
        #expect(wait(harness) { harness.health?.message.contains(new.host) == false })
        try send(batch(["three"]), harness)
        #expect(harness.finish() == [])
        #expect(kept.pushes.map(\.lines) == [["one", "two", "three"]])
        #expect(old.lines == ["one"] && new.lines == ["two"])
    }

    @Test("The write-ahead log can be switched on and off while the component runs")
    func switchingTheLog() async throws {
        let loki = try await FakeLoki()
        let endpoint = "endpoint { url = \"\(loki.url)\" }\n"
        let harness = start(endpoint)
        let queue = harness.services.storagePath + "/loki.write.test/wal"
        var wanted: [String] = []
        for round in 0..<4 {
            let isOn = round % 2 == 1
            if round > 0 { harness.update(isOn ? endpoint + "wal { enabled = true }" : endpoint) }
            if isOn { #expect(wait(harness) { (try? Files.list(queue))?.isEmpty == false }) }
            wanted.append("round \(round)")
            // While one way gives place to the other, senders are told to come again.
            #expect(harness.settle(until: { (try? send(batch(["round \(round)"]), harness)) != nil }))
            #expect(wait(harness) { loki.lines == wanted })
            #expect(!harness.hasEnded)
        }
        #expect(harness.finish() == [])
    }

    @Test("With the write-ahead log, entries outlive the process and are sent by the next one")
    func diskQueue() async throws {
        let directory = TemporaryDirectory()
        // Two, for a last attempt of the first process may be on its way when the second begins.
        let (refusing, loki) = (try await FakeLoki(), try await FakeLoki())
        refusing.answerAlways(500)
        func text(_ url: String) -> String {
            """
            endpoint {
              url = "\(url)"
              name = "main"
              remote_timeout = "1h"
              max_backoff_retries = 0
              queue_config { drain_timeout = "1s" }
            }
            wal {
              enabled = true
              drain_timeout = "1s"
            }
            external_labels = {cluster = "c"}
            """
        }
        let first = start(text(refusing.url), storagePath: directory.path)
        try send(batch(["one", "two"], ["app": "x", "__tenant_id__": "t"], metadata: ["k": "v"]), first)
        #expect(wait(first) { refusing.attempts > 0 })
        #expect(first.finish() == [])
        #expect(first.instance.ledger.statement.heldItems == 2)
        #expect(first.instance.ledger.statement.droppedItems == 0)

        let second = start(text(loki.url), storagePath: directory.path)
        try #require(wait(second) { loki.lines.count == 2 })
        #expect(
            loki.pushes[0].entries == [
                #"{app="x", cluster="c"} 1 one {k="v"}"#, #"{app="x", cluster="c"} 2 two {k="v"}"#,
            ])
        #expect(loki.pushes[0].tenant == "t")
        #expect(wait(second) { second.instance.ledger.statement.heldItems == 0 })
        try send(batch(["three"]), second)
        #expect(wait(second) { loki.lines.count == 3 })
        #expect(wait(second) { second.instance.ledger.statement.heldItems == 0 })
        #expect(second.finish() == [])

        let third = start(text(loki.url), storagePath: directory.path)
        third.advance(by: .seconds(5))
        #expect(third.finish() == [])
        #expect(loki.lines.count == 3)
    }

    @Test("A reload does not count what waits in the write-ahead log twice, and drops what no endpoint is there for")
    func diskQueueReload() async throws {
        let directory = TemporaryDirectory()
        let loki = try await FakeLoki()
        loki.answerAlways(500)
        func text(_ wait: String, _ names: [String]) -> String {
            names.map { name in
                """
                endpoint {
                  url = "\(loki.url)"
                  name = "\(name)"
                  batch_wait = "\(wait)"
                  max_backoff_retries = 0
                  queue_config { drain_timeout = "1s" }
                }

                """
            }.joined() + "wal {\n enabled = true\n drain_timeout = \"1s\"\n}\n"
        }
        let harness = start(text("1s", ["a", "b"]), storagePath: directory.path)
        try send(batch(["one", "two"]), harness)
        #expect(wait(harness) { loki.attempts > 0 })
        #expect(harness.instance.ledger.statement.heldItems == 4)
        for delay in ["2s", "3s"] {
            let before = loki.attempts
            harness.update(text(delay, ["a", "b"]))
            #expect(wait(harness) { loki.attempts > before + 2 })
            #expect(harness.instance.ledger.statement.heldItems == 4)
        }
        harness.update(text("3s", ["a"]))
        #expect(wait(harness) { harness.instance.ledger.statement.heldItems == 2 })
        #expect(harness.instance.ledger.statement.droppedItems == 2)
        loki.answerAlways(nil)
        #expect(wait(harness) { harness.instance.ledger.statement.heldItems == 0 })
        #expect(harness.instance.ledger.statement.outgoing == 2 && harness.finish() == [])
    }

    @Test("Entries older than the write-ahead log keeps them are dropped and counted")
    func diskQueueAge() async throws {
        let directory = TemporaryDirectory()
        let loki = try await FakeLoki()
        loki.answerAlways(500)
        let harness = start(
            """
            endpoint {
              url = "\(loki.url)"
              batch_size = "4B"
              max_backoff_retries = 0
              max_backoff_period = "1s"
              queue_config {
                capacity = "4B"
                drain_timeout = "1s"
              }
            }
            wal {
              enabled = true
              max_segment_age = "1m"
              drain_timeout = "1s"
            }
            """, storagePath: directory.path)
        for index in 0..<20 { try send(batch(["line \(index)"]), harness) }
        for _ in 0..<10 { harness.advance(by: .seconds(30)) }
        loki.answerAlways(nil)
        #expect(wait(harness) { harness.instance.ledger.statement.heldItems == 0 })
        let statement = harness.instance.ledger.statement
        #expect(statement.droppedItems > 10)
        #expect(statement.outgoing == 20 - statement.droppedItems)
        #expect(harness.finish() == [])
    }

    @Test(
        "Arguments that cannot work are refused by name",
        arguments: [
            ("", "at least one endpoint"), ("endpoint {}", "url"), ("endpoint { url = \"ftp://x\" }", "url"),
            ("endpoint { url = \"http://x\" }\nendpoint { url = \"http://x\" }", "duplicate endpoint"),
            (
                "endpoint {\n url = \"http://x\"\n name = \"a\"\n }\nendpoint {\n url = \"http://y\"\n name = \"a\"\n }",
                "duplicate"
            ),
            ("endpoint {\n url = \"http://x\"\n batch_size = \"1XB\"\n }", "1XB"),
            ("endpoint {\n url = \"http://x\"\n batch_size = \"0B\"\n }", "batch_size"),
            ("endpoint {\n url = \"http://x\"\n headers = {\"a b\" = \"c\"}\n }", "headers"),
            (
                "endpoint {\n url = \"http://x\"\n bearer_token = \"a\"\n basic_auth { username = \"u\" }\n }",
                "basic_auth"
            ),
            ("endpoint { url = \"http://x\" }\nwal {\n min_read_frequency = \"2s\"\n }", "min_read_frequency"),
            ("endpoint { url = \"http://x\" }\nmax_streams = -1", "max_streams"),
            ("endpoint { url = \"http://x\" }\nother = 1", "other"),
        ])
    func refused(_ text: String, _ name: String) {
        let problems = ComponentHarness(LokiWrite.self).evaluate(text)
        #expect(problems.contains { $0.contains(name) }, "\(problems)")
    }

    @Test("Arguments of the write-ahead log that change nothing here say so")
    func inert() {
        let endpoint = "endpoint { url = \"http://x\" }\n"
        #expect(ComponentHarness(LokiWrite.self).evaluate(endpoint + "wal { min_read_frequency = \"250ms\" }") == [])
        for (name, value) in [("min_read_frequency", "100ms"), ("max_read_frequency", "5s")] {
            let harness = ComponentHarness(LokiWrite.self)
            let said = harness.evaluate(endpoint + "wal {\n \(name) = \"\(value)\"\n }")
            #expect(said.count == 1 && said[0].contains("\"\(name)\" has no effect"), "\(said)")
            #expect(harness.instance.isMade)
        }
    }

    @Test("A queue_config that says its defaults needs no stability level")
    func stabilityOfDefaults() {
        let text = "endpoint {\n url = \"http://x\"\n queue_config {\n min_shards = 1\n capacity = \"10MiB\"\n }\n }"
        #expect(ComponentHarness(LokiWrite.self, minimumStability: .generallyAvailable).evaluate(text) == [])
    }

    @Test("queue_config needs the experimental stability level")
    func stability() {
        let harness = ComponentHarness(LokiWrite.self, minimumStability: .generallyAvailable)
        #expect(harness.evaluate("endpoint { url = \"http://x\" }") == [])
        let text = "endpoint {\n url = \"http://x\"\n queue_config { min_shards = 2 }\n }"
        #expect(!ComponentHarness(LokiWrite.self, minimumStability: .generallyAvailable).evaluate(text).isEmpty)
    }
}
