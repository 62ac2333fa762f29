import ComponentKit
import DiscoveryComponents
import Telemetry
import TestKit
import Testing

@Suite("discovery.relabel")
struct DiscoveryRelabelTests {
    private static let targets = """
        targets = [
          {"__address__" = "a:1", "__meta_zone" = "EU", "team" = "x"},
          {"__address__" = "b:2", "__meta_zone" = "us", "team" = "b:2"},
        ]
        """

    @Test(
        "Each action does what Prometheus documents",
        arguments: [
            (
                #"source_labels = ["__meta_zone"], regex = "EU", action = "keep""#,
                [#"{__address__="a:1", __meta_zone="EU", team="x"}"#]
            ),
            (
                #"source_labels = ["__meta_zone"], regex = "EU", action = "drop""#,
                [#"{__address__="b:2", __meta_zone="us", team="b:2"}"#]
            ),
            (
                #"regex = "__meta_(.*)", action = "labelmap""#,
                [
                    #"{__address__="a:1", __meta_zone="EU", team="x", zone="EU"}"#,
                    #"{__address__="b:2", __meta_zone="us", team="b:2", zone="us"}"#,
                ]
            ),
            (#"regex = "__meta_.*|team", action = "labeldrop""#, [#"{__address__="a:1"}"#, #"{__address__="b:2"}"#]),
            (#"regex = "team", action = "labelkeep""#, [#"{team="x"}"#, #"{team="b:2"}"#]),
            (
                #"source_labels = ["__meta_zone"], target_label = "team", action = "lowercase""#,
                [
                    #"{__address__="a:1", __meta_zone="EU", team="eu"}"#,
                    #"{__address__="b:2", __meta_zone="us", team="us"}"#,
                ]
            ),
            (
                #"source_labels = ["__meta_zone"], target_label = "team", action = "uppercase""#,
                [
                    #"{__address__="a:1", __meta_zone="EU", team="EU"}"#,
                    #"{__address__="b:2", __meta_zone="us", team="US"}"#,
                ]
            ),
            (
                #"source_labels = ["__address__"], target_label = "team", action = "keepequal""#,
                [
                    #"{__address__="b:2", __meta_zone="us", team="b:2"}"#
                ]
            ),
            (
                #"source_labels = ["__address__"], target_label = "team", action = "dropequal""#,
                [
                    #"{__address__="a:1", __meta_zone="EU", team="x"}"#
                ]
            ),
            // python3: int.from_bytes(hashlib.md5(b"a:1").digest()[8:], "big") % 8 == 0, for b"b:2" 5
            (
                #"source_labels = ["__address__"], target_label = "team", modulus = 8, action = "hashmod""#,
                [
                    #"{__address__="a:1", __meta_zone="EU", team="0"}"#,
                    #"{__address__="b:2", __meta_zone="us", team="5"}"#,
                ]
            ),
            (
                #"source_labels = ["__address__", "__meta_zone"], separator = "/", regex = "(.):(.)/(.*)", target_label = "team", replacement = "${3}-$1""#,
                [
                    #"{__address__="a:1", __meta_zone="EU", team="EU-a"}"#,
                    #"{__address__="b:2", __meta_zone="us", team="us-b"}"#,
                ]
            ),
            (
                #"source_labels = ["__meta_zone"], regex = "EU", target_label = "team", replacement = """#,
                [
                    #"{__address__="a:1", __meta_zone="EU"}"#, #"{__address__="b:2", __meta_zone="us", team="b:2"}"#,
                ]
            ),
        ])
    func actions(rule: String, expected: [String]) throws {
        let harness = ComponentHarness(DiscoveryRelabel.self)
        let body = Self.targets + "\nrule {\n" + rule.split(separator: ", ").joined(separator: "\n") + "\n}\n"
        #expect(harness.start(Self.joinLists(body)) == [])
        let output: [Target] = try #require(harness.export("output"))
        #expect(output.map { "\($0.labels)" } == expected)
        #expect(harness.finish() == [])
    }

    /// The table above separates arguments with `, `; lists keep theirs.
    private static func joinLists(_ text: String) -> String {
        text.replacing("\"__address__\"\n\"__meta_zone\"", with: "\"__address__\", \"__meta_zone\"")
    }

    @Test(
        "Rules that cannot work are refused, naming the argument",
        arguments: [
            ("action = \"hashmod\"\ntarget_label = \"x\"", "modulus"), ("target_label = \"0x\"", "target_label"),
            ("regex = \"a(\"\ntarget_label = \"x\"", "error parsing regexp"),
            ("action = \"nonsense\"", "should be one of"),
            ("action = \"labeldrop\"\ntarget_label = \"x\"", "requires only 'regex'"),
        ])
    func refusals(rule: String, problem: String) {
        let harness = ComponentHarness(DiscoveryRelabel.self)
        let problems = harness.start("targets = []\nrule {\n\(rule)\n}")
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test("New targets are exported when the arguments change")
    func update() throws {
        let harness = ComponentHarness(DiscoveryRelabel.self)
        harness.start("targets = []")
        #expect(harness.export("output", as: [Target].self) == [])
        harness.update(#"targets = [{"__address__" = "c:3"}]"#)
        #expect(harness.export("output", as: [Target].self) == [Target(own: LabelSet([("__address__", "c:3")]))])
        #expect(harness.exportCount == 2)
    }

    @Test("Targets that rules drop are told with the rule, the first of them in full")
    func dropped() throws {
        let harness = ComponentHarness(DiscoveryRelabel.self)
        harness.start(
            """
            targets = [{"__address__" = "a:1", "env" = "dev"}, {"__address__" = "b:1", "env" = "dev"},
              {"__address__" = "c:1", "env" = "prod"}, {"__address__" = "d:1", "env" = "none"}]
            rule {
              target_label = "team"
              replacement = "x"
            }
            rule {
              source_labels = ["env"]
              regex = "dev"
              action = "drop"
            }
            rule {
              source_labels = ["env"]
              regex = "prod"
              action = "keep"
            }
            """)
        let source = try #require(harness.services.scrapes.sources.first)
        #expect(source.componentID == "discovery.relabel.test" && !source.isScraping)
        let all = source.droppedTargets(limit: 1_000)
        #expect(all.total == 3)
        #expect(
            all.items.map { "\($0.labels) \($0.ruleNumber) \($0.rule)" } == [
                #"{__address__="a:1", env="dev"} 2 drop [env] regex dev"#,
                #"{__address__="b:1", env="dev"} 2 drop [env] regex dev"#,
                #"{__address__="d:1", env="none"} 3 keep [env] regex prod"#,
            ])
        let some = source.droppedTargets(limit: 1)
        #expect(some.total == 3 && some.items.count == 1)
    }
}
