import AlloySyntax
import ComponentKit
import Essentials
import Foundation
import Telemetry
import Testing

@testable import Runtime

@Suite struct SupervisorTests {
    @Test("A load makes, wires and starts components, consumers first")
    func firstLoad() {
        let harness = RuntimeHarness()
        let result = harness.load(
            """
            test.value "b" { input = test.value.a.output + 1 }
            test.value "a" { input = 41 }
            """)
        #expect(result.applied && result.diagnostics.isEmpty)
        #expect(harness.exports("test.value.b") == "output = 42")
        #expect(harness.health("test.value.b") == "unknown: component created")
        harness.start()
        #expect(harness.health("test.value.b") == "healthy: started component")
        #expect(
            harness.journal.notes == [
                "make test.value.a", "make test.value.b", "start test.value.a", "start test.value.b",
            ])
        #expect(harness.runtime.component("test.value.b")?.referencesTo == ["test.value.a"])
        #expect(harness.runtime.component("test.value.a")?.referencedBy == ["test.value.b"])
        #expect(harness.runtime.component("test.value.a")?.dataFlowsTo == ["test.value.b"])
    }

    @Test("Ready means that what listens does, cannot, or has had its time", arguments: [false, true])
    func ready(fails: Bool) {
        let harness = RuntimeHarness()
        func isReady() -> Bool? {
            let runtime = harness.runtime
            return harness.run { await runtime.isReady }
        }
        #expect(isReady() == false)
        harness.load(
            """
            test.listening "a" {
                delay = "2s"
                fails = \(fails)
            }
            test.listening "b" { delay = "3s" }
            test.value "c" { input = 1 }
            """)
        harness.start()
        #expect(isReady() == false)
        harness.advance(.seconds(2))
        #expect(isReady() == false)
        harness.advance(.seconds(1))
        #expect(isReady() == true)
        // What a later load adds does not take it back.
        harness.load("test.listening \"d\" { delay = \"1h\" }")
        #expect(isReady() == true)
    }

    @Test("Who never listens does not keep the program from being ready")
    func readyInTheEnd() {
        let harness = RuntimeHarness()
        let runtime = harness.runtime
        harness.load("test.listening \"a\" { delay = \"1h\" }")
        harness.start()
        harness.advance(.seconds(9))
        #expect(harness.run { await runtime.isReady } == false)
        harness.advance(.seconds(1))
        #expect(harness.run { await runtime.isReady } == true)
        #expect(harness.run { await RuntimeHarness().runtime.isReady } == false)
    }

    @Test("A first load with errors applies nothing")
    func failedFirstLoad() {
        let harness = RuntimeHarness()
        let result = harness.load("test.value \"a\" { input = 1 }\ntest.value \"b\" { input = \"refuse\" }")
        #expect(!result.applied)
        #expect(result.diagnostics.items.map(RuntimeHarness.text) == ["2:1: test.value.b: refused to be made"])
        harness.start()
        #expect(harness.runtime.components().isEmpty)
        #expect(harness.journal.notes == ["make test.value.a"])
        #expect(harness.load("test.value \"a\" { input = 1 }").applied)
        #expect(harness.health("test.value.a") == "healthy: started component")
    }

    @Test("A configuration whose minimums exceed the memory budget is refused with the numbers")
    func memoryMinimums() {
        let harness = RuntimeHarness()
        func text(_ label: String, _ mebibytes: Int) -> String {
            "test.hungry \"\(label)\" { bytes = \(mebibytes << 20) }\n"
        }
        let refusal = harness.load(text("a", 200) + text("b", 100))
        #expect(!refusal.applied && harness.runtime.components().isEmpty)
        let problem = refusal.diagnostics.items.map(RuntimeHarness.text).joined()
        #expect(problem.contains("test.hungry.") && problem.contains("256MiB") && problem.contains("100MiB"))
        #expect(harness.load(text("a", 200)).applied)
        harness.start()
        // Growing beyond the budget keeps the last good arguments; what is left out makes room at once.
        #expect(harness.load(text("a", 300)).diagnostics.hasErrors)
        #expect(harness.arguments("test.hungry.a") == "bytes = \(200 << 20)")
        #expect(!harness.load(text("b", 250)).diagnostics.hasErrors)
        #expect(harness.services.budget.minimums.map(\.name) == ["test.hungry.b"])
        let runtime = harness.runtime
        _ = harness.run { await runtime.shutDown() }
        #expect(harness.services.budget.minimums.isEmpty)
    }

    @Test("A reload keeps the instances whose arguments stay equal and updates the others in place")
    func reload() {
        let harness = RuntimeHarness()
        harness.load("test.value \"a\" { input = 1 }\ntest.value \"b\" { input = 2 }\ntest.value \"c\" { input = 3 }")
        harness.start()
        _ = harness.journal.take()
        harness.load(
            "test.value \"c\" { input = 2 + 1 }\ntest.value \"b\" { input = 20 }\ntest.value \"d\" { input = 4 }")
        #expect(
            harness.journal.take().sorted() == [
                "make test.value.d", "start test.value.d", "stop test.value.a", "update test.value.b",
            ])
        #expect(harness.exports("test.value.b") == "output = 20")
        #expect(harness.runtime.component("test.value.a") == nil)
    }

    @Test("Structural errors leave the running graph untouched")
    func structuralErrors() {
        let harness = RuntimeHarness()
        harness.load("test.value \"a\" { input = 1 }")
        harness.start()
        _ = harness.journal.take()
        let result = harness.load("test.value \"a\" { input = 2 }\nnonsense \"x\" { }")
        #expect(!result.applied && result.diagnostics.hasErrors)
        #expect(!harness.load("test.value \"a\" {").applied)
        #expect(harness.exports("test.value.a") == "output = 1")
        #expect(harness.journal.take() == [])
        #expect(harness.metric("alloy_config_last_load_successful") == 0)
        #expect(harness.metric("alloy_config_load_failures_total") == 2)
    }

    @Test("After a reload with evaluation errors the failing node keeps its last good arguments")
    func evaluationErrors() {
        let harness = RuntimeHarness()
        harness.load("test.value \"a\" { input = 1 }\ntest.value \"b\" { input = test.value.a.output }")
        harness.start()
        let result = harness.load("test.value \"a\" { input = 2 }\ntest.value \"b\" { input = test.value.a.nothing }")
        #expect(result.applied)
        #expect(result.diagnostics.items.map(RuntimeHarness.text) == ["2:39: field \"nothing\" does not exist"])
        #expect(harness.exports("test.value.a") == "output = 2")
        #expect(harness.exports("test.value.b") == "output = 1")
        #expect(
            harness.health("test.value.b")
                == "unhealthy: component evaluation failed: config.alloy:2:39: field \"nothing\" does not exist")
        #expect(harness.runtime.unhealthyComponents == ["test.value.b"])
        harness.load("test.value \"a\" { input = 2 }\ntest.value \"b\" { input = test.value.a.output }")
        #expect(
            harness.health("test.value.b") == "healthy: component evaluated"
                || harness.health("test.value.b") == "healthy: started component")
        #expect(harness.exports("test.value.b") == "output = 2")
    }

    @Test("New exports are evaluated through the graph, and equal ones stop there")
    func propagation() {
        let harness = RuntimeHarness()
        harness.load(
            """
            test.relay "r" { }
            test.value "isBig" { input = test.relay.r.count > 1 }
            test.value "end" { input = test.value.isBig.output }
            """)
        harness.start()
        _ = harness.journal.take()
        harness.send("test.relay.r")
        #expect(harness.exports("test.relay.r")?.hasSuffix("= 1") == true)
        #expect(harness.journal.take() == [])
        harness.send("test.relay.r")
        #expect(harness.exports("test.value.end") == "output = true")
        #expect(harness.journal.take() == ["update test.value.isBig", "update test.value.end"])
        harness.send("test.relay.r")
        #expect(harness.journal.take() == [])
        #expect((harness.metric("alloy_component_dependencies_wait_seconds_count") ?? 0) > 0)
        #expect((harness.metric("alloy_component_evaluation_seconds_count") ?? 0) > 0)
    }

    @Test("A component that ends says how, and starts again with the next load only")
    func exits() {
        let harness = RuntimeHarness()
        let text = """
            test.value "done" { input = "exit" }
            test.value "broken" { input = "fail" }
            test.value "sick" { input = "sick" }
            """
        harness.load(text)
        harness.start()
        #expect(harness.health("test.value.done") == "exited: component shut down cleanly")
        #expect(harness.health("test.value.broken") == "exited: component shut down with error: failed to run")
        #expect(harness.health("test.value.sick") == "unhealthy: feeling sick")
        let history = harness.runtime.component("test.value.sick")?.healthHistory ?? []
        #expect(
            history.map(\.health) == [
                Health(.unknown, "component created"), .healthy("started component"), .unhealthy("feeling sick"),
            ])
        harness.advance(.seconds(3600))
        _ = harness.journal.take()
        harness.load(text)
        #expect(
            harness.journal.take().sorted() == [
                "start test.value.broken", "start test.value.done", "stop test.value.broken", "stop test.value.done",
            ])
        #expect(harness.metric("alloy_component_controller_running_components", ["health_type": "exited"]) == 2)
    }

    @Test("Shutting down stops sources first and sinks last, and ends the run")
    func shutdown() {
        let harness = RuntimeHarness()
        harness.load(
            """
            test.relay "sink" { }
            test.relay "middle" { forward_to = [test.relay.sink.receiver] }
            test.relay "source" { forward_to = [test.relay.middle.receiver] }
            """)
        harness.start()
        _ = harness.journal.take()
        let runtime = harness.runtime
        #expect(
            harness.run {
                await runtime.shutDown()
                return true
            } == true)
        harness.settle()
        #expect(harness.journal.take() == ["stop test.relay.source", "stop test.relay.middle", "stop test.relay.sink"])
        #expect(harness.hasEnded.isSet)
        #expect(!harness.load("test.value \"a\" { input = 1 }").applied)
    }

    @Test("A component that does not stop is left behind at its deadline")
    func shutdownDeadline() {
        let harness = RuntimeHarness(deadline: .seconds(30))
        harness.load("test.stubborn \"s\" { }\ntest.value \"a\" { input = 1 }")
        harness.start()
        let (runtime, isDone) = (harness.runtime, Flag())
        Task(executorPreference: harness.executor) {
            _ = await runtime.load(ConfigurationSource("test.value \"a\" { input = 2 }"))
            isDone.set()
        }
        harness.advance(.seconds(29))
        // Everything else goes on meanwhile.
        #expect(isDone.isSet)
        #expect(!harness.log.contains("deadline exceeded"))
        harness.advance(.seconds(2))
        #expect(harness.log.contains("level=error msg=\"task shutdown deadline exceeded\""))
        #expect(harness.exports("test.value.a") == "output = 2")
        harness.advance(.seconds(4000))
    }

    @Test("A load before the run starts can be replaced before anything ran")
    func reloadBeforeRun() {
        let harness = RuntimeHarness()
        harness.load("test.value \"a\" { input = 1 }")
        harness.load("test.value \"b\" { input = 1 }")
        harness.start()
        #expect(harness.journal.notes == ["make test.value.a", "make test.value.b", "start test.value.b"])
    }

    @Test("Items are counted on every edge and component, in the ledger and in the metrics")
    func ledger() {
        let harness = RuntimeHarness()
        harness.load("test.relay \"sink\" { }\ntest.relay \"source\" { forward_to = [test.relay.sink.receiver] }")
        harness.start()
        harness.send("test.relay.source", ["a", "b", "c"])
        #expect(harness.runtime.ledger().map(\.unaccounted) == [0, 0])
        #expect(harness.metric("invar_component_items_in_total", ["component_id": "test.relay.sink"]) == 3)
        #expect(
            harness.metric(
                "invar_edge_items_accepted_total", ["component_id": "test.relay.source", "to": "test.relay.sink"]) == 3)
        #expect(harness.runtime.component("test.relay.source")?.dataFlowsTo == ["test.relay.sink"])
        #expect(harness.runtime.graph().edges.map(\.accepted) == [3])
        #expect(
            harness.metric("alloy_component_graph_connection", ["from": "test.relay.source", "to": "test.relay.sink"])
                == 1)
    }

    @Test("Secrets are compared but never shown")
    func secrets() {
        let harness = RuntimeHarness()
        harness.load("test.value \"a\" {\ninput = 1\nsecret = \"hunter2\"\n}")
        harness.start()
        _ = harness.journal.take()
        #expect(harness.arguments("test.value.a")?.contains("(secret)") == true)
        harness.load("test.value \"a\" {\ninput = 1\nsecret = \"hunter3\"\n}")
        #expect(harness.journal.take() == ["update test.value.a"])
        #expect(!harness.log.contains("hunter"))
    }

    @Test("A plan tells what a load would do and does nothing")
    func plan() {
        let harness = RuntimeHarness()
        harness.load("test.value \"a\" { input = 1 }\ntest.value \"b\" { input = 1 }")
        harness.start()
        let runtime = harness.runtime
        let result = harness.run {
            await runtime.plan(ConfigurationSource("test.value \"b\" { input = 2 }\ntest.value \"c\" { input = 1 }"))
        }
        #expect(
            result?.plan?.description
                == "- test.value.a\n+ test.value.c\n~ test.value.b\n1 to add, 1 to update, 0 to replace, 1 to remove, 0 unchanged"
        )
        #expect(harness.exports("test.value.a") == "output = 1")
        #expect(harness.run { await runtime.plan(ConfigurationSource("x = 1")) }?.plan == nil)
    }

    @Test("Five thousand components load, reload and shut down")
    func many() {
        let harness = RuntimeHarness()
        var text = "test.value \"n0\" { input = 0 }\n"
        for index in 1..<5_000 { text += "test.value \"n\(index)\" { input = test.value.n\(index / 2).output }\n" }
        #expect(harness.load(text).applied)
        harness.start()
        _ = harness.journal.take()
        harness.load(text.replacingOccurrences(of: "input = 0", with: "input = 7"))
        #expect(harness.exports("test.value.n4999") == "output = 7")
        #expect(harness.journal.take().count == 5_000)
    }
}
