import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import Testing

@testable import Runtime

/// What a reload does to data that is moving.
@Suite struct ReloadTests {
    private func pipeline(_ sink: String, _ arguments: String = "opening = \"1s\"\ndraining = \"60s\"") -> String {
        """
        test.sink "\(sink)" {
            \(arguments)
        }
        test.relay "source" { forward_to = [test.sink.\(sink).receiver] }
        """
    }

    private func loadAside(_ harness: RuntimeHarness, _ text: String) -> Flag {
        let (runtime, isDone) = (harness.runtime, Flag())
        Task(executorPreference: harness.executor) {
            _ = await runtime.load(ConfigurationSource(text))
            isDone.set()
        }
        harness.settle()
        return isDone
    }

    private func statement(_ id: String, _ statements: [LedgerStatement]) -> LedgerStatement? {
        statements.first { $0.componentID == id }
    }

    @Test("Renaming a sink loses nothing, and nobody waits for the old one to drain")
    func rename() {
        let harness = RuntimeHarness()
        harness.load(pipeline("a"))
        harness.start()
        harness.advance(.seconds(1))
        harness.send("test.relay.source")
        #expect(harness.journal.take().contains("open test.sink.a"))
        let isDone = loadAside(harness, pipeline("b"))
        // The new sink is not ready yet: entries still go to the old one.
        #expect(!isDone.isSet)
        harness.send("test.relay.source")
        harness.advance(.seconds(1))
        #expect(isDone.isSet)
        harness.send("test.relay.source")
        let books = harness.runtime.ledger()
        #expect(statement("test.sink.a", books)?.incoming == 2)
        #expect(statement("test.sink.b", books)?.incoming == 1)
        #expect(statement("test.relay.source", books)?.outgoing == 3)
        #expect(statement("test.relay.source", books)?.refused.isEmpty == true)
        // Exports propagate and other loads are applied while the old sink drains.
        #expect(harness.load(pipeline("b") + "\ntest.value \"v\" { input = test.relay.source.count }").applied)
        harness.send("test.relay.source")
        #expect(harness.exports("test.value.v") == "output = 4")
        #expect(!harness.journal.notes.contains("closed test.sink.a"))
        harness.advance(.seconds(60))
        #expect(harness.journal.notes.contains("closed test.sink.a"))
    }

    @Test("An ID that comes back begins when its predecessor has stopped")
    func sameID() {
        let harness = RuntimeHarness()
        harness.load(pipeline("a", "draining = \"60s\""))
        harness.start()
        harness.load(pipeline("b", ""))
        _ = harness.journal.take()
        let isDone = loadAside(harness, pipeline("a", ""))
        #expect(!isDone.isSet)
        harness.advance(.seconds(60))
        #expect(isDone.isSet)
        #expect(harness.journal.notes.prefix(2) == ["closed test.sink.a", "open test.sink.a"])
        #expect(harness.health("test.sink.a") == "healthy: started component")
    }

    @Test("Books of what was removed count on, also under an ID that comes back, and are there at the end")
    func books() {
        let harness = RuntimeHarness()
        harness.load(pipeline("a", ""))
        harness.start()
        harness.send("test.relay.source", ["x", "y"])
        harness.load("test.value \"v\" { input = 1 }")
        let labels = ["component_id": "test.sink.a"]
        #expect(harness.metric("invar_component_items_out_total", labels) == 2)
        // What it dropped while it stopped is there, too.
        #expect(harness.metric("invar_component_items_dropped_total", labels) == 1)
        harness.load(pipeline("a", ""))
        harness.send("test.relay.source")
        #expect(harness.metric("invar_component_items_out_total", labels) == 3)
        #expect(harness.runtime.ledger().count { $0.componentID == "test.sink.a" } == 1)
        let runtime = harness.runtime
        let last = harness.run { await runtime.shutDown() } ?? []
        #expect(statement("test.sink.a", last)?.outgoing == 3)
        #expect(statement("test.sink.a", last)?.droppedItems == 2)
        #expect(statement("test.relay.source", last)?.outgoing == 3)
        #expect(last.allSatisfy { $0.unaccounted == 0 })
    }

    @Test("What runs keeps its arguments until a new dependency has exported")
    func pending() {
        let harness = RuntimeHarness()
        func text(_ name: String, _ delay: String, _ input: String) -> String {
            """
            test.late "\(name)" {
                delay = "\(delay)"
                input = \(input)
            }
            test.value "between" { input = test.late.\(name).output }
            test.value "end" { input = test.value.between.output }
            """
        }
        harness.load(text("a", "1s", "[1]"))
        harness.start()
        #expect(harness.exports("test.value.end") == "output = null")
        harness.advance(.seconds(1))
        #expect(harness.exports("test.value.end") == "output = [1]")
        #expect(harness.load(text("b", "10s", "[2]")).applied)
        #expect(harness.exports("test.value.end") == "output = [1]")
        harness.advance(.seconds(9))
        #expect(harness.exports("test.value.end") == "output = [1]")
        harness.advance(.seconds(1))
        #expect(harness.exports("test.value.end") == "output = [2]")
        // An export that never comes is not waited for without end.
        harness.load(text("c", "1h", "[3]"))
        harness.advance(.seconds(119))
        #expect(harness.exports("test.value.end") == "output = [2]")
        harness.advance(.seconds(1))
        #expect(harness.exports("test.value.end") == "output = null")
    }

    @Test("A new node between keeps the old arguments below it, and an export equal to its placeholder counts")
    func pendingThroughNewNode() {
        let harness = RuntimeHarness()
        func text(_ name: String, _ input: String) -> String {
            """
            test.late "\(name)" {
                delay = "5s"
                input = \(input)
            }
            test.value "\(name)" { input = test.late.\(name).output }
            test.value "end" { input = test.value.\(name).output }
            """
        }
        harness.load(text("a", "[1]"))
        harness.start()
        harness.advance(.seconds(5))
        harness.load(text("b", "null"))
        #expect(harness.exports("test.value.end") == "output = [1]")
        harness.advance(.seconds(5))
        #expect(harness.exports("test.value.end") == "output = null")
    }

    @Test("An import that failed is read again until it can be")
    func failedImport() {
        let harness = RuntimeHarness()
        harness.load("test.value \"v\" { input = 1 }")
        harness.start()
        let path = harness.write("other.alloy", "").replacing("other.alloy", with: "late.alloy")
        let text = "import.file \"f\" { filename = \"\(path)\" }\nf.d \"x\" { }"
        #expect(harness.load(text).diagnostics.hasErrors)
        _ = harness.write("late.alloy", "declare \"d\" { export \"v\" { value = 7 } }")
        harness.advance(.seconds(1))
        #expect(harness.settle(until: { harness.exports("f.d.x") == "v = 7" }))
    }

    @Test("A foreach evaluates the items that changed, not those beside them")
    func foreachItems() {
        let harness = RuntimeHarness(stability: .experimental)
        harness.load(
            """
            test.relay "r" { }
            foreach "f" {
                collection     = ["a", test.relay.r.count]
                var            = "item"
                enable_metrics = true
                template { test.value "v" { input = item } }
            }
            """)
        harness.start()
        func evaluations(_ id: String) -> Double? {
            harness.metric("alloy_component_evaluation_seconds_count", ["controller_id": id])
        }
        let before = evaluations("foreach_a_1")
        #expect(before == 1)
        harness.send("test.relay.r")
        #expect(harness.exports("foreach.f/foreach_1_1/test.value.v") == "output = 1")
        #expect(evaluations("foreach_a_1") == before)
    }

    @Test("A component that never stops does not hold up the end, nor may a successor share its files")
    func neverStops() {
        let harness = RuntimeHarness(deadline: .seconds(30))
        harness.load("test.stubborn \"s\" { patience = \"24h\" }")
        harness.start()
        harness.load("test.value \"v\" { input = 1 }")
        harness.advance(.seconds(31))
        let problems = harness.problems("test.stubborn \"s\" { }")
        #expect(problems.contains { $0.contains("has not stopped yet") }, "\(problems)")
        let runtime = harness.runtime
        _ = harness.run { await runtime.shutDown() }
        harness.settle()
        #expect(harness.hasEnded.isSet)
        harness.advance(.seconds(24 * 3600))
    }
}
