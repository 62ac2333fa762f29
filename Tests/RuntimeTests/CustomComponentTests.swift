import AlloySyntax
import ComponentKit
import Essentials
import Testing
import Transport

@testable import Runtime

@Suite struct CustomComponentTests {
    private let adder = """
        declare "adder" {
            argument "a" { }
            argument "b" {
                optional = true
                default  = 10
            }
            test.value "sum" { input = argument.a.value + argument.b.value }
            export "sum" { value = test.value.sum.output }
        }

        """

    @Test("A custom component takes arguments and defaults and gives exports")
    func instance() {
        let harness = RuntimeHarness()
        let result = harness.load(
            adder + """
                adder "x" { a = 1 }
                adder "y" {
                    a = adder.x.sum
                    b = 2
                }
                test.value "out" { input = adder.y.sum }
                """)
        #expect(result.diagnostics.items.map(RuntimeHarness.text) == [])
        #expect(harness.exports("test.value.out") == "output = 13")
        #expect(harness.exports("adder.x") == "sum = 11")
        #expect(harness.runtime.components().map(\.id) == ["adder.x", "adder.y", "test.value.out"])
        #expect(harness.runtime.component("adder.x")?.moduleIDs == ["adder.x"])
        #expect(harness.runtime.components(in: "adder.x").map(\.id) == ["adder.x/test.value.sum"])
        #expect(harness.runtime.component("adder.x")?.isBuiltin == false)
        #expect(harness.arguments("adder.y") == "a = 11\nb = 2")
        harness.start()
        #expect(harness.health("adder.x/test.value.sum") == "healthy: started component")
        #expect(
            harness.metric(
                "alloy_component_controller_running_components", ["controller_id": "adder.x", "health_type": "healthy"])
                == 1)
    }

    @Test("Updates flow in and out without touching what does not change")
    func updates() {
        let harness = RuntimeHarness()
        harness.load(
            adder + """
                test.relay "r" { }
                adder "x" { a = test.relay.r.count }
                test.value "out" { input = adder.x.sum }
                """)
        harness.start()
        _ = harness.journal.take()
        harness.send("test.relay.r")
        #expect(harness.journal.take() == ["update adder.x/test.value.sum", "update test.value.out"])
        #expect(harness.exports("test.value.out") == "output = 11")
        // What changes inside comes out as well.
        harness.load(
            """
            declare "counter" {
                test.relay "r" { }
                export "count" { value = test.relay.r.count }
                export "receiver" { value = test.relay.r.receiver }
            }
            counter "c" { }
            test.relay "outer" { forward_to = [counter.c.receiver] }
            test.value "out" { input = counter.c.count }
            """)
        harness.send("counter.c/test.relay.r")
        #expect(harness.exports("test.value.out") == "output = 1")
        #expect(harness.runtime.component("test.relay.outer")?.dataFlowsTo == ["counter.c"])
        harness.send("test.relay.outer")
        #expect(harness.exports("test.value.out") == "output = 2")
    }

    @Test("A changed definition updates the components inside in place")
    func changedDefinition() {
        let harness = RuntimeHarness()
        harness.load("declare \"d\" { test.value \"a\" { input = 1 }\n test.value \"b\" { input = 1 } }\nd \"x\" { }")
        harness.start()
        _ = harness.journal.take()
        harness.load("declare \"d\" { test.value \"a\" { input = 2 }\n test.value \"c\" { input = 1 } }\nd \"x\" { }")
        #expect(
            harness.journal.take().sorted() == [
                "make d.x/test.value.c", "start d.x/test.value.c", "stop d.x/test.value.b", "update d.x/test.value.a",
            ])
        harness.load("")
        #expect(harness.journal.take().sorted() == ["stop d.x/test.value.a", "stop d.x/test.value.c"])
        #expect(harness.runtime.allComponents().isEmpty)
    }

    @Test(
        "Errors in the use of a custom component are told",
        arguments: [
            ("declare \"d\" { argument \"a\" { } }\nd \"x\" { }", "1:15: missing required argument \"a\" to module"),
            ("declare \"d\" { }\nd \"x\" { b = 1 }", "-: Provided argument \"b\" is not defined in the module"),
            (
                "declare \"d\" { nonsense \"x\" { } }\nd \"x\" { }",
                "1:15: cannot find the definition of component name \"nonsense\""
            ),
            ("declare \"d\" { }\nd \"x\" { c { } }", "2:9: nested blocks not supported here"),
            (
                "import.string \"i\" { content = \"declare \\\"d\\\" { }\" }\ni.e \"x\" { }",
                "2:1: custom component \"i.e\" is not declared"
            ),
            (
                "import.string \"i\" { content = \"declare \\\"d\\\" { d \\\"y\\\" { } }\" }\ni.d \"x\" { }",
                "i:1:15: custom component \"d\" contains itself: d > d"
            ),
            (
                "foreach \"f\" {\n collection = [1]\n var = \"v\"\n}",
                "1:1: the block template is missing in the foreach block"
            ),
        ])
    func errors(_ text: String, _ expected: String) {
        let harness = RuntimeHarness(stability: .experimental)
        let problems = harness.problems(text)
        #expect(problems.contains(expected), "\(problems)")
    }

    @Test("Declares see the declares around them, and nested ones stay inside")
    func nesting() {
        let harness = RuntimeHarness()
        let problems = harness.problems(
            """
            declare "inner" {
                argument "v" { }
                export "v" { value = argument.v.value }
            }
            declare "outer" {
                declare "local" {
                    inner "i" { v = "deep" }
                    export "v" { value = inner.i.v }
                }
                local "l" { }
                export "v" { value = local.l.v }
            }
            outer "o" { }
            test.value "out" { input = outer.o.v }
            """)
        #expect(problems == [])
        #expect(harness.exports("test.value.out") == "output = \"deep\"")
        #expect(harness.runtime.component("outer.o/local.l/inner.i") != nil)
        #expect(harness.problems("declare \"a\" { declare \"b\" { } }\nb \"x\" { }").count == 1)
    }

    @Test("Unfolding is bounded")
    func bombs() {
        var text = "declare \"d0\" { test.value \"a\" { input = 1 } }\n"
        for index in 1...24 {
            text += "declare \"d\(index)\" {\n d\(index - 1) \"a\" { }\n d\(index - 1) \"b\" { }\n}\n"
        }
        let harness = RuntimeHarness(maximumNodes: 2_000)
        let problems = harness.problems(text + "d24 \"x\" { }")
        #expect(problems.contains { $0.hasSuffix("the configuration unfolds into more than 2000 nodes") })

        let deep = RuntimeHarness()
        var chain = "declare \"d0\" { }\n"
        for index in 1...100 { chain += "declare \"d\(index)\" { d\(index - 1) \"a\" { } }\n" }
        #expect(deep.problems(chain + "d100 \"x\" { }").contains { $0.contains("nested more than 32 deep") })
        let large = RuntimeHarness(stability: .experimental)
        let items = Array(repeating: "1", count: 10_001).joined(separator: ",")
        #expect(
            large.problems("foreach \"f\" {\n collection = [\(items)]\n var = \"v\"\n template { }\n}")
                == ["2:2: \"collection\" has more than 10000 items"])
    }

    @Test("foreach makes a module per item, keeps it while the item stays, and needs its stability level")
    func foreach() {
        let harness = RuntimeHarness(stability: .experimental)
        func text(_ items: String) -> String {
            """
            test.value "suffix" { input = "!" }
            foreach "f" {
                collection = \(items)
                var        = "item"
                id         = "name"
                template {
                    test.value "v" { input = item.name + test.value.suffix.output }
                }
            }
            """
        }
        #expect(harness.problems(text("[{name = \"a\"}, {name = \"b\"}, {name = \"b\"}]")) == [])
        harness.start()
        #expect(
            harness.runtime.component("foreach.f")?.moduleIDs == [
                "foreach.f/foreach_a_1", "foreach.f/foreach_b_1", "foreach.f/foreach_b_2",
            ])
        #expect(harness.exports("foreach.f/foreach_b_2/test.value.v") == "output = \"b!\"")
        _ = harness.journal.take()
        harness.load(text("[{name = \"c.d\"}, {name = \"b\"}]"))
        #expect(
            harness.journal.take().sorted() == [
                "make foreach.f/foreach_c_d_1/test.value.v", "start foreach.f/foreach_c_d_1/test.value.v",
                "stop foreach.f/foreach_a_1/test.value.v", "stop foreach.f/foreach_b_2/test.value.v",
            ])
        // Between loads the collection and what the template refers to may change, too.
        harness.load(
            "test.relay \"r\" { }\nforeach \"f\" {\n collection = [test.relay.r.count]\n var = \"i\"\n template { test.value \"v\" { input = i } }\n}"
        )
        _ = harness.journal.take()
        harness.send("test.relay.r")
        #expect(harness.exports("foreach.f/foreach_1_1/test.value.v") == "output = 1")
        #expect(
            harness.journal.take() == [
                "make foreach.f/foreach_1_1/test.value.v", "start foreach.f/foreach_1_1/test.value.v",
                "stop foreach.f/foreach_0_1/test.value.v",
            ])
        #expect(RuntimeHarness().problems(text("[]")).first?.contains("stability level") == true)
    }
}

@Suite struct ImportTests {
    @Test("Modules imported from text bring their components and their own imports")
    func text() {
        let harness = RuntimeHarness()
        let problems = harness.problems(
            """
            import.string "m" {
                content = `
                    import.string "inner" { content = "declare \\"one\\" { export \\"v\\" { value = 1 } }" }
                    declare "two" {
                        inner.one "o" { }
                        export "v" { value = inner.one.o.v + 1 }
                    }
                `
            }
            m.two "t" { }
            test.value "out" { input = m.two.t.v }
            """)
        #expect(problems == [])
        #expect(harness.exports("test.value.out") == "output = 2")
        #expect(harness.runtime.component("m.two.t/inner.one.o") != nil)
    }

    @Test("Imported files are read again and their components updated")
    func file() {
        let harness = RuntimeHarness()
        func module(_ value: String) -> String { "declare \"d\" {\n export \"v\" { value = \(value) }\n}" }
        let path = harness.write("modules/a.alloy", module("1"))
        _ = harness.write("modules/b.alloy", "declare \"e\" { export \"p\" { value = module_path } }")
        let directory = String(path.dropLast("/a.alloy".count))
        let problems = harness.problems(
            """
            import.file "f" {
                filename       = "\(directory)"
                detector       = "poll"
                poll_frequency = "30s"
            }
            f.d "x" { }
            f.e "x" { }
            test.value "out" { input = f.d.x.v }
            test.value "path" { input = f.e.x.p }
            """)
        #expect(problems == [])
        harness.start()
        #expect(harness.exports("test.value.out") == "output = 1")
        #expect(harness.exports("test.value.path") == "output = \"\(directory)\"")
        _ = harness.write("modules/a.alloy", module("2"))
        harness.advance(.seconds(29))
        #expect(harness.exports("test.value.out") == "output = 1")
        harness.advance(.seconds(1))
        #expect(harness.settle(until: { harness.exports("test.value.out") == "output = 2" }))
        // What cannot be read leaves things as they are.
        _ = harness.write("modules/a.alloy", "declare {")
        harness.advance(.seconds(30))
        #expect(harness.settle(until: { harness.log.contains("failed to read import") }))
        #expect(harness.exports("test.value.out") == "output = 2")
        #expect(harness.metric("alloy_component_controller_running_components", ["health_type": "unhealthy"]) == 1)
    }

    @Test(
        "What is imported may hold declares and imports only",
        arguments: [
            (
                "test.value \"a\" { input = 1 }",
                "only declare and import blocks are allowed in a module, got test.value"
            ),
            ("x = 1", "only declare and import blocks are allowed in a module"),
            ("declare { }", "block \"declare\" must have a label"),
            ("import.git \"h\" { }", "block \"import.git\" is not supported"),
        ])
    func refusals(_ content: String, _ expected: String) {
        let harness = RuntimeHarness()
        let quoted = StringLiteral.quoted(content)
        let problems = harness.load("import.string \"i\" { content = \(quoted) }").diagnostics.items.map(\.message)
        #expect(problems.contains(expected), "\(problems)")
    }

    @Test("A file that imports itself is refused")
    func selfImport() {
        let harness = RuntimeHarness()
        let path = harness.write("self.alloy", "")
        _ = harness.write("self.alloy", "import.file \"again\" { filename = \"\(path)\" }")
        let problems = harness.problems("import.file \"f\" { filename = \"\(path)\" }")
        #expect(problems.contains { $0.contains("nested more than 16 deep") }, "\(problems)")
        #expect(
            harness.problems("import.file \"f\" { filename = \"/nonexistent\" }").contains {
                $0.contains("no such file")
            })
    }

    @Test("Modules come over HTTP and are asked for again")
    func http() async throws {
        let harness = RuntimeHarness()
        let value = Box<String>()
        value.set("1")
        var router = HTTPRouter()
        router.on(.get, "/m/a.alloy") { request in
            guard request.fields["x-key"] == "k" else { return .text(.init(integerLiteral: 403), "no") }
            return .text(
                .init(integerLiteral: 200),
                "declare \"d\" { export \"v\" { value = [module_path, \(value.value ?? "")] } }")
        }
        let settings = HTTPServerSettings(address: try #require(SocketAddress("127.0.0.1:0")))
        let server = try await HTTPServer.bind(settings, router: router, on: harness.services.eventLoops)
        let serving = Task { await server.run() }
        defer { serving.cancel() }
        let base = "http://\(server.address)/m/"
        func text(_ key: String) -> String {
            """
            import.http "h" {
                url     = "\(base)a.alloy"
                headers = { "x-key" = "\(key)" }
            }
            h.d "x" { }
            """
        }
        #expect(harness.problems(text("wrong")).contains { $0.hasSuffix("polling failed: unexpected status code 403") })
        #expect(harness.problems(text("k")) == [])
        harness.start()
        #expect(harness.exports("h.d.x") == "v = [\"\(base)\", 1]")
        value.set("2")
        harness.advance(.seconds(60))
        #expect(harness.settle(until: { harness.exports("h.d.x") == "v = [\"\(base)\", 2]" }))
    }
}
