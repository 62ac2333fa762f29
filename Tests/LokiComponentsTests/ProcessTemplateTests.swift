import TestKit
import Testing

@Suite("loki.process: templates")
struct ProcessTemplateTests {
    private func check(
        _ stages: String, _ lines: [String], _ expected: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let found = try ProcessFixture.run(stages, lines.map { InputEntry($0) })
        #expect(found == expected, sourceLocation: sourceLocation)
    }

    @Test("stage.template sets, makes and removes values")
    func template() throws {
        func stages(_ template: String) -> String {
            """
            stage.json { expressions = { level = "", app = "" } }
            stage.template {
                source   = "level"
                template = `\(template)`
            }
            stage.labels { values = { level = "" } }
            """
        }
        let line = #"{"level":"WARN","app":"shop","x":1}"#
        let cases: [(String, String)] = [
            ("{{ ToLower .Value }}", "warn"), ("{{ .level }}-{{ .app }}", "WARN-shop"), ("{{ .job }}", "a"),
            ("{{ if eq .Value \"WARN\" }}W{{ else }}-{{ end }}", "W"), ("{{ Replace .Value \"W\" \"w\" 1 }}", "wARN"),
            ("{{ len .Entry }}", "35"), ("{{ .Value | lower | upper | trunc 2 }}", "WA"),
            ("{{ regexReplaceAll \"[A-Z]\" .Value \"x\" }}", "xxxx"), ("{{ .missing }}", "<no value>"),
            ("{{ Sha2Hash \"salt\" \"x\" }}", "e3d5d1c1a8e7d0d0"),
        ]
        for (template, value) in cases.dropLast() {
            try check(stages(template), [line], ["{job=\"a\", level=\"\(value)\"} \(line)"])
        }
        try check(stages("{{ if false }}x{{ end }}"), [line], ["{job=\"a\"} \(line)"])
        try check(stages("{{ index .level 99 }}"), [line], ["{job=\"a\", level=\"WARN\"} \(line)"])
    }

    @Test("stage.template makes a value from nothing")
    func newValue() throws {
        try check(
            "stage.template {\nsource = \"new\"\ntemplate = \"{{ .Entry }}!\" }\nstage.output { source = \"new\" }",
            ["hello"], [#"{job="a"} hello!"#])
    }

    @Test("stage.replace replaces what groups match")
    func replace() throws {
        try check(
            #"stage.replace { expression = "password (\\S+)" replace = "****" }"#.replacing(
                " replace =", with: "\nreplace ="),
            ["a password x b password y", "none"], [#"{job="a"} a password **** b password ****"#, #"{job="a"} none"#])
        try check(
            "stage.replace {\nexpression = \"^(\\\\S+) (\\\\S+)\"\nreplace = \"{{ .Value | ToUpper }}\" }", ["a b c"],
            [#"{job="a"} A B c"#])
        try check(
            "stage.replace {\nexpression = \"(?P<ip>\\\\d+)\\\\.(?P<rest>\\\\d+)\"\nreplace = \"<{{ .Value }}>\" }\nstage.labels { values = { ip = \"\", rest = \"\" } }",
            ["1.2"], [#"{ip="<1>", job="a", rest="<2>"} <1>.<2>"#])
        try check(
            "stage.json { expressions = { v = \"\" } }\nstage.replace {\nexpression = \"(b+)\"\nsource = \"v\"\nreplace = \"\" }\nstage.output { source = \"v\" }",
            [#"{"v":"abbac"}"#], [#"{job="a"} aac"#])
        try check(
            "stage.replace {\nexpression = \"x*\"\nreplace = \"-\" }", ["axb"], [#"{job="a"} axb"#])
        try check(
            "stage.replace {\nexpression = \"(x*)\"\nreplace = \"-\" }", ["\u{E9}x"], [#"{job="a"} -é-"#])
    }

    @Test("Faulty templates are refused")
    func faults() {
        for stage in [
            "stage.template {\nsource = \"a\"\ntemplate = \"{{\" }",
            "stage.template {\nsource = \"\"\ntemplate = \"x\" }",
            "stage.template {\nsource = \"a\"\ntemplate = \"{{ nope }}\" }",
            "stage.replace {\nexpression = \"(\"\nreplace = \"\" }",
            "stage.replace {\nexpression = \"a\"\nreplace = \"{{\" }",
            "stage.replace {\nexpression = \"\"\nreplace = \"\" }",
        ] {
            #expect(!ProcessFixture(stage).problems.isEmpty, "\(stage)")
        }
    }
}
