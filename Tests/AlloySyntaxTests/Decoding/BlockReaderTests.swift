import AlloySyntax
import Essentials
import Testing

@Suite struct BlockReaderTests {
    @Test("A block reads what it is given and defaults for the rest")
    func reading() throws {
        let text = """
            address = "localhost:" + 80 + ""
            """
        #expect(try decode(Sample.self, text).value == nil)

        let result = try decode(
            Sample.self,
            """
            address  = host
            interval = "1m30s"
            labels   = { team = "a", "n n" = 5 }
            token    = "hunter2"
            mode     = "fast"
            ports    = [80, "443"]
            rule {
                action = "keep"
            }
            endpoint "one" {
                url = "http://one"
            }
            rule {
                action      = "drop"
                replacement = "x"
            }
            tls { }
            """, ["host": "localhost"])
        #expect(result.diagnostics.items.map(\.message) == ["attribute \"mode\" is deprecated"])
        let value = try #require(result.value)
        #expect(value.address == "localhost")
        #expect(value.interval == .seconds(90))
        #expect(value.labels == ["team": "a", "n n": "5"])
        #expect(value.token == Secret("hunter2"))
        #expect(value.mode == .fast)
        #expect(value.ports == [80, 443])
        #expect(value.limits.size == 10)
        #expect(value.tls?.size == 10)
        #expect(value.rules.map(\.action) == ["keep", "drop"])
        #expect(value.rules.map(\.replacement) == [nil, "x"])
        #expect(value.endpoints.map(\.label) == ["one"])
    }

    @Test("One pass finds every error, in source order")
    func allErrors() throws {
        let text = """
            adress   = "x"
            interval = "soon"
            labels   = { a = [1] }
            token    = ["hunter2"]
            ports    = [80, 70000]
            mode     = "warp"
            limits   = 5
            tls {
                size = 0
                name = "a"
                name = "b"
            }
            tls { }
            interval { }
            endpoint {
                url = missing
            }
            rule "label" {
                actoin = "keep"
            }
            whatever { }
            """
        let result = try decode(Sample.self, text)
        #expect(result.value == nil)
        #expect(
            result.diagnostics.items.map(\.description) == [
                #"1:1: missing required attribute "address""#,
                #"1:1: unrecognized attribute name "adress""#,
                #"2:12: "soon" time: invalid duration "soon""#,
                #"3:18: [1] should be string, got array"#,
                #"4:12: (secret) should be capsule, got array"#,
                #"5:17: 70000 should be a number between 0 and 65535"#,
                #"6:1: attribute "mode" is deprecated"#,
                #"6:12: "warp" should be one of "fast", "slow""#,
                #"7:1: "limits" must be a block, but is used as an attribute"#,
                #"9:5: "size" must be at least 1"#,
                #"11:5: attribute "name" may only be provided once"#,
                #"13:1: block "tls" may only be specified once"#,
                #"14:1: "interval" must be an attribute, but is used as a block"#,
                #"15:1: block "endpoint" requires non-empty label"#,
                #"16:11: identifier "missing" does not exist"#,
                #"18:1: missing required attribute "action""#,
                #"18:1: block "rule" does not support specifying labels"#,
                #"19:5: unrecognized attribute name "actoin""#,
                #"21:1: unrecognized block name "whatever""#,
            ])
        #expect(!result.diagnostics.items.description.contains("hunter2"))
        func notes(_ message: String) -> [String]? {
            result.diagnostics.items.first { $0.message == message }?.notes
        }
        #expect(notes(#"unrecognized attribute name "adress""#) == [#"did you mean "address"?"#])
        #expect(notes(#"unrecognized attribute name "actoin""#) == [#"did you mean "action"?"#])
        #expect(notes(#"unrecognized block name "whatever""#) == [])
    }

    @Test("A missing required block is reported")
    func missingBlock() throws {
        let result = try decode(Sample.self, "address = \"a\"")
        #expect(result.diagnostics.items.map(\.description) == [#"1:1: missing required block "rule""#])
    }

    @Test("An error inside a value names the way to it and shows the value")
    func valueInside() throws {
        let variables: [String: Value] = ["all": .object(["labels": .object(["a": [1]])])]
        let result = try decode(Sample.self, "address = \"a\"\nlabels = all.labels\nrule { action = \"\" }", variables)
        let diagnostic = try #require(result.diagnostics.items.first)
        #expect(diagnostic.description == "2:10: all.labels.a should be string, got array")
        #expect(diagnostic.notes == ["the value is [1]"])
    }

    @Test("A value holding a secret is not shown")
    func secretInside() throws {
        let variables: [String: Value] = ["all": .object(["a": .array([.secret(Secret("hunter2"))])])]
        let result = try decode(Sample.self, "address = \"a\"\nlabels = all\nrule { action = \"\" }", variables)
        let diagnostic = try #require(result.diagnostics.items.first)
        #expect(diagnostic.description == "2:10: all.a should be string, got array")
        #expect(diagnostic.notes == [])
        let direct = try decode(Sample.self, "address = s\nrule { action = \"\" }", ["s": .secret(Secret("hunter2"))])
        #expect(
            direct.diagnostics.items.map(\.description) == ["1:11: s secrets may not be converted into strings"])
    }

    @Test("Arguments below the minimum stability are refused where they are set")
    func stability() throws {
        let text = "address = \"a\"\nports = [1]\nrule { action = \"\" }"
        let result = try decode(Sample.self, text, stability: .generallyAvailable)
        #expect(
            result.diagnostics.items.map(\.description) == [
                """
                2:1: attribute "ports" is at stability level "experimental", which is below the minimum allowed \
                stability level "generally-available". Use --stability.level command-line flag to enable \
                "experimental" features
                """
            ])
        #expect(
            try decode(Sample.self, "address = \"a\"\nrule { action = \"\" }", stability: .generallyAvailable).value
                != nil)
    }

    @Test("What says nothing but its defaults needs no stability, be it an argument or a block")
    func stabilityOfDefaults() throws {
        struct Gated: Block {
            let limits: Sample.Limits
            init(from block: inout BlockReader) {
                limits = block.block("limits", "Bounds.", stability: .experimental)
            }
        }
        #expect(
            try decode(
                Sample.self, "address = \"a\"\nports = [80]\nrule { action = \"\" }", stability: .generallyAvailable
            ).value != nil)
        let given = { (text: String) in try decode(Gated.self, text, stability: .generallyAvailable) }
        #expect(try given("").value != nil && given("limits { }").value != nil)
        #expect(try given("limits { size = 10 }").value != nil)
        let refused = try given("limits { size = 7 }")
        #expect(refused.diagnostics.items.map(\.description).contains { $0.hasPrefix("1:1: block \"limits\" is at") })
    }

    @Test("Groups of blocks keep their order and hold themselves")
    func variants() throws {
        let text = """
            stage.match {
                selector = "{}"
                stage.json { }
                stage.match { selector = "x" }
            }
            stage.json { source = "a" }
            """
        let result = try decode(Pipeline.self, text)
        #expect(result.diagnostics.isEmpty)
        #expect(
            result.value?.stages == [
                .match(
                    selector: "{}", stages: [.json(source: "line"), .match(selector: "x", stages: [])]),
                .json(source: "a"),
            ])
        let wrong = try decode(Pipeline.self, "stage.jsn { }\nstage.match { }\nstage { }")
        #expect(
            wrong.diagnostics.items.map(\.description) == [
                #"1:1: unrecognized block name "stage.jsn""#, #"2:1: missing required attribute "selector""#,
                #"3:1: unrecognized block name "stage""#,
            ])
        #expect(wrong.diagnostics.items.first?.notes == [#"did you mean "stage.json"?"#])
    }

    private struct Free: Block {
        let all: [String: Int]

        init(from block: inout BlockReader) {
            let pairs = block.freeForm("Numbers by name.", of: Int.self)
            all = Dictionary(uniqueKeysWithValues: pairs.map { ($0.name, $0.value) })
        }
    }

    @Test("A block with free names takes any attribute but no block and no label")
    func freeForm() throws {
        #expect(try decode(Free.self, "a = 1\nb = \"2\"").value?.all == ["a": 1, "b": 2])
        let wrong = try decode(Free.self, "a = 1\na = 2\nb = true\nc { }")
        #expect(
            wrong.diagnostics.items.map(\.description) == [
                #"2:1: attribute "a" may only be provided once"#, "3:5: true should be number, got bool",
                "4:1: nested blocks not supported here",
            ])
        #expect(BlockSchema.describe(Free.self).freeFormType == "int")
        let block = try #require(try Parser.parse("free \"x\" { }").body.blocks.first)
        let labeled = BlockDecoder.decode(Free.self, block: block, in: Scope())
        #expect(labeled.diagnostics.items.map(\.message) == [#"block "free" requires empty label"#])
    }

    private struct Picky: Block {
        init(from block: inout BlockReader) {
            let one: String? = block.optional("one", "One.")
            let two: String? = block.optional("two", "Two.")
            if one == nil, two == nil { block.reject("one of one and two must be set") }
            if block.isSet("one"), block.isSet("two") { block.warn("two", "is ignored") }
        }
    }

    private struct Holder: Block {
        let picky: Picky

        init(from block: inout BlockReader) { picky = block.block("picky", "Picky.") }
    }

    @Test("Verdicts stand where they belong, and a block left out cannot be wrong")
    func verdicts() throws {
        #expect(
            try decode(Picky.self, "one = \"a\"\ntwo = \"b\"").diagnostics.items.map(\.description) == [
                "2:1: \"two\" is ignored"
            ])
        #expect(try decode(Picky.self, " ").diagnostics.items.map(\.message) == ["one of one and two must be set"])
        #expect(try decode(Holder.self, "").diagnostics.isEmpty)
        #expect(
            try decode(Holder.self, "\npicky { }").diagnostics.items.map(\.description)
                == ["2:1: one of one and two must be set"])
    }

    @Test("Effective values include defaults and hide secrets")
    func effectiveValues() throws {
        let text = """
            address = "a"
            token = "hunter2"
            interval = "90s"
            rule { action = "keep" }
            """
        let values = try decode(Sample.self, text).values
        #expect(values["interval"] == "1m30s")
        #expect(values["ports"] == [80])
        #expect(values.blocks("limits").first?["size"] == 10)
        #expect(
            values.alloyText() == """
                address = "a"
                token = (secret)
                rule {
                \taction = "keep"
                }

                """)
        #expect(
            AlloyJSON.text(of: values)
                == #"[{"name":"address","type":"attr","value":{"type":"string","value":"a"}},{"name":"token","type":"attr","value":{"type":"capsule","value":"(secret)"}},{"name":"rule","type":"block","body":[{"name":"action","type":"attr","value":{"type":"string","value":"keep"}}]}]"#
        )
        let everything = AlloyJSON.text(of: values, includingDefaults: true)
        #expect(everything.contains(#"{"name":"limits","type":"block","body":[{"name":"size""#))
        #expect(!everything.contains("hunter2"))
    }
}
