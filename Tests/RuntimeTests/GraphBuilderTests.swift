import AlloySyntax
import ComponentKit
import Testing

@testable import Runtime

@Suite struct GraphBuilderTests {
    private func build(
        _ text: String, stability: Stability = .generallyAvailable, community: Bool = false, isModule: Bool = false
    ) -> GraphBuilder.Result {
        let parsed = ParsedSource(ConfigurationSource(text))
        #expect(parsed.diagnostics.isEmpty)
        return GraphBuilder.build(
            parsed.bodies, registry: ComponentRegistry(stubComponents),
            gates: FeatureGates(minimumStability: stability, allowsCommunityComponents: community),
            scope: Scope(
                variables: ["module_path": .string("/")],
                parent: Scope(standardLibrary: StandardLibrary(minimumStability: stability))), isModule: isModule)
    }

    private func problems(_ text: String, isModule: Bool = false) -> [String] {
        build(text, isModule: isModule).diagnostics.items.map(RuntimeHarness.text)
    }

    @Test("Nodes have Alloy's IDs and come after what they refer to")
    func order() {
        let built = build(
            """
            test.value "c" { input = test.value.b.output }
            test.value "b" { input = [test.value.a.output, sys.env("HOME")] }
            logging { level = "debug" }
            test.value "a" { input = module_path }
            """)
        #expect(built.diagnostics.isEmpty)
        #expect(built.graph.nodeIDs == ["logging", "test.value.a", "test.value.b", "test.value.c"])
        #expect(built.graph["test.value.b"]?.references.map(\.field) == [["output"]])
    }

    @Test(
        "Structural errors are all told, with Alloy's words and a suggestion",
        arguments: [
            ("x = 1", ["1:1: unrecognized attribute x"]),
            ("test.valeu \"a\" { }", ["1:1: cannot find the definition of component name \"test.valeu\""]),
            ("test.value { input = 1 }", ["1:1: component \"test.value\" must have a label"]),
            ("test.singleton \"x\" { }", ["1:16: component \"test.singleton\" does not support specifying labels"]),
            (
                "test.value \"a\" { input = 1 }\ntest.value \"a\" { input = 2 }",
                ["2:1: block test.value.a already declared at 1:1"]
            ),
            ("http { }\nhttp { }", ["2:1: duplicate definition of \"http\""]),
            (
                "test.experimental \"a\" { }",
                [
                    "1:1: component \"test.experimental\" is at stability level \"experimental\", which is below the "
                        + "minimum allowed stability level \"generally-available\". Use --stability.level command-line "
                        + "flag to enable \"experimental\" features"
                ]
            ),
            (
                "test.community \"a\" { }",
                [
                    "1:1: the component \"test.community\" is a community component. Use the "
                        + "--feature.community-components.enabled command-line flag to enable community components"
                ]
            ),
            ("argument \"a\" { }", ["1:1: argument blocks only allowed inside a module"]),
            ("export \"a\" { value = 1 }", ["1:1: export blocks only allowed inside a module"]),
            ("remotecfg { }", ["1:1: block \"remotecfg\" is not supported"]),
            ("import.git \"a\" { }", ["1:1: block \"import.git\" is not supported"]),
            ("declare \"declare\" { }", ["1:1: 'declare' is not a valid label for a declare block"]),
            (
                "test.value \"a\" { input = test.value.bb.output }\ntest.value \"b\" { input = nothing.at.all }",
                [
                    "1:26: component \"test.value.bb.output\" does not exist or is out of scope",
                    "2:26: component \"nothing.at.all\" does not exist or is out of scope",
                ]
            ),
        ])
    func structuralErrors(_ text: String, _ expected: [String]) {
        #expect(problems(text) == expected)
    }

    @Test("Misspelt names come with what was meant")
    func suggestions() {
        func note(_ text: String) -> [String] { build(text).diagnostics.items.flatMap(\.notes) }
        #expect(note("test.valeu \"a\" { }") == ["did you mean \"test.value\"?"])
        #expect(
            note("test.value \"first\" { input = 1 }\ntest.value \"b\" { input = test.value.frist.output }")
                == ["did you mean \"test.value.first\"?"])
    }

    @Test("Modules may not have what only the root has")
    func moduleConstraints() {
        #expect(problems("logging { }", isModule: true) == ["1:1: logging block not allowed inside a module"])
        #expect(problems("http { }", isModule: true) == ["1:1: service blocks not allowed inside a module: \"http\""])
        #expect(problems("argument \"a\" { }\nexport \"b\" { value = argument.a.value }", isModule: true) == [])
    }

    @Test("Cycles are named along their edges")
    func cycles() {
        let built = build(
            """
            test.value "a" { input = test.value.b.output }
            test.value "b" { input = test.value.c.output }
            test.value "c" { input = [test.value.a.output, test.value.d.output] }
            test.value "d" { input = 1 }
            test.value "e" { input = test.value.e.output }
            """)
        #expect(
            built.diagnostics.items.map(RuntimeHarness.text) == [
                "1:1: cycle: test.value.a, test.value.b, test.value.c", "5:1: self reference: test.value.e",
            ])
        #expect(built.diagnostics.items[0].notes.last == "test.value.c refers to test.value.a")
    }

    @Test("Declares that contain each other are refused before anything is made")
    func recursiveDeclares() {
        #expect(
            problems("declare \"a\" { b \"x\" { } }\ndeclare \"b\" { a \"x\" { } }") == [
                "1:1: cycle: declare.a, declare.b"
            ])
        #expect(problems("declare \"a\" { a \"x\" { } }") == ["1:1: self reference: declare.a"])
    }

    @Test("Deprecated functions are warned about and experimental ones gated")
    func standardLibrary() {
        let deprecated = build("test.value \"a\" { input = env(\"HOME\") }").diagnostics
        #expect(!deprecated.hasErrors && deprecated.items.map(\.severity) == [.warning])
        let gated = build("test.value \"a\" { input = array.combine_maps([], [], []) }").diagnostics
        #expect(gated.hasErrors)
        #expect(
            !build("test.value \"a\" { input = array.combine_maps([], [], []) }", stability: .experimental).diagnostics
                .hasErrors)
    }

    @Test("A hundred thousand blocks, a long chain and many errors take bounded time and report")
    func hostileSizes() {
        var text = "test.value \"n0\" { input = 1 }\n"
        for index in 1..<100_000 { text += "test.value \"n\(index)\" { input = test.value.n\(index - 1).output }\n" }
        let chain = build(text)
        #expect(chain.diagnostics.isEmpty && chain.graph.order.count == 100_000)

        var cycle = ""
        for index in 0..<20_000 {
            cycle += "test.value \"n\(index)\" { input = test.value.n\((index + 1) % 20_000).output }\n"
        }
        let found = build(cycle).diagnostics.items
        #expect(found.count == 1 && found[0].message.hasSuffix("test.value.n19 and 19980 more"))

        var unknown = ""
        for index in 0..<20_000 { unknown += "test.value \"n\(index)\" { input = test.value.m\(index).output }\n" }
        let errors = build(unknown).diagnostics.items
        #expect(errors.count == 101 && errors.last?.message == "19900 more errors")
    }
}
