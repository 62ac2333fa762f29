import Telemetry
import Testing
import TextFormats

@testable import DiscoveryComponents

@Suite("Target group lists")
struct TargetGroupParserTests {
    private static let extra = (name: "__meta_filepath", value: "f")

    /// One line per target: own labels, then those of the group.
    private static func lines(_ groups: [TargetGroup]) -> [String] {
        groups.flatMap { group in group.targets.map { "\($0) \(group.labels)" } }
    }

    @Test(
        "JSON and YAML give the same groups",
        arguments: [
            (
                #"[{"targets": ["b:2", "a:1"], "labels": {"team": "x"}}]"#,
                "- targets: [b:2, 'a:1']\n  labels: {team: x}",
                [
                    #"{__address__="a:1"} {__meta_filepath="f", team="x"}"#,
                    #"{__address__="b:2"} {__meta_filepath="f", team="x"}"#,
                ]
            ),
            ("[]", "", []),
            ("null", "[]", []),
            (#"[{"targets": null, "labels": null}]"#, "- targets:\n  labels: ~", []),
            (
                #"[{"targets": ["a"]}, {"targets": ["a"], "labels": {"n": "1", "yes": "true"}}]"#,
                "- targets: [a]\n- targets: [a]\n  labels:\n    n: 1\n    yes: true\n",
                [
                    #"{__address__="a"} {__meta_filepath="f"}"#,
                    #"{__address__="a"} {__meta_filepath="f", n="1", yes="true"}"#,
                ]
            ),
            (
                #"[{"targets": ["a"], "labels": {"__meta_filepath": "forged"}}]"#,
                "[{targets: [a], labels: {__meta_filepath: forged}}]", [#"{__address__="a"} {__meta_filepath="f"}"#]
            ),
            (
                #"[{"targets": ["a"], "labels": {"l": null}}]"#, "- {targets: [a], labels: {l: }}",
                [#"{__address__="a"} {__meta_filepath="f"}"#]
            ),
        ])
    func formats(json: String, yaml: String, expected: [String]) throws {
        #expect(Self.lines(try TargetGroupParser.json(Array(json.utf8), adding: Self.extra)) == expected)
        #expect(Self.lines(try TargetGroupParser.yaml(Array(yaml.utf8), adding: Self.extra)) == expected)
    }

    @Test("JSON field names match in any case")
    func jsonCase() throws {
        let groups = try TargetGroupParser.json(
            Array(#"[{"Targets":["a"],"LABELS":{"B":"c"}}]"#.utf8), adding: Self.extra)
        #expect(Self.lines(groups) == [#"{__address__="a"} {B="c", __meta_filepath="f"}"#])
    }

    @Test(
        "What is no list of target groups is refused",
        arguments: [
            (#"{"targets": []}"#, "a list of target groups"), (#"[null]"#, "nil target group item found"),
            (#"[{"targets": [], "job": "x"}]"#, "unknown field \"job\""), (#"[{"targets": [1]}]"#, "must be strings"),
            (#"[{"targets": "a:1"}]"#, "list of strings"), (#"[{"labels": {"a": 1}}]"#, "must be strings"),
            (#"[{"labels": {"": "x"}}]"#, "not a valid label name"), (#"[{"labels": []}]"#, "object of strings"),
            ("[", ""), ("", ""), ("[1]", "must be an object"),
        ])
    func badJSON(text: String, problem: String) {
        let error = #expect(throws: TextFormatError.self) {
            try TargetGroupParser.json(Array(text.utf8), adding: Self.extra)
        }
        #expect(error?.message.contains(problem) == true || problem.isEmpty, "\(String(describing: error))")
    }

    @Test(
        "What is no YAML list of target groups is refused",
        arguments: [
            ("targets: []", "a list of target groups"), ("- ~", "nil target group item found"),
            ("- targets: []\n  job: x", "line 2: field job not found"), ("- targets: [[a]]", "must be strings"),
            ("- targets: a", "list of strings"), ("- labels: {a: [1]}", "must be strings"),
            ("- labels: {'': x}", "not a valid label name"), ("- labels: [a]", "mapping of strings"),
            ("- labels: {a: 1, a: 2}", "already defined"), ("- Targets: [a]", "field Targets not found"),
            ("- a", "must be a mapping"), ("[", ""),
        ])
    func badYAML(text: String, problem: String) {
        let error = #expect(throws: TextFormatError.self) {
            try TargetGroupParser.yaml(Array(text.utf8), adding: Self.extra)
        }
        #expect(error?.message.contains(problem) == true || problem.isEmpty, "\(String(describing: error))")
    }

    @Test("The same targets in another order are an equal group")
    func order() {
        let a = LabelSet([("__address__", "a"), ("z", "1")])
        let b = LabelSet([("__address__", "a"), ("z", "2")])
        #expect(TargetGroup(labels: .empty, targets: [b, a]) == TargetGroup(labels: .empty, targets: [a, b]))
        #expect(TargetGroup(labels: .empty, targets: [b, a]).targets == [a, b])
    }
}
