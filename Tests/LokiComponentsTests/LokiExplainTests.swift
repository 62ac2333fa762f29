import AlloySyntax
import ComponentKit
import Essentials
import Foundation
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("Explanations of loki.*")
struct LokiExplainTests {
    private struct Missing: Error {}

    private func explanation(_ harness: ComponentHarness, _ item: ExplainedItem) throws -> Explanation {
        guard case .explained(let explanation) = harness.instance.explain(item) else { throw Missing() }
        return explanation
    }

    private func item(_ entry: InputEntry) -> ExplainedItem {
        var item = ExplainedItem(
            .log, entry.labels, line: String(decoding: entry.line, as: UTF8.self), timestamp: entry.timestamp)
        item.metadata = entry.metadata
        return item
    }

    private func texts(_ explanation: Explanation) -> [String] {
        explanation.results.map {
            "\($0.item.labels) \($0.item.metadata) @\($0.item.timestamp) \($0.item.line ?? "")"
        }
    }

    private static let pipelines: [String] = [
        "stage.json {\nexpressions = { level = \"\", msg = \"message\", ts = \"time\" }\n}\n"
            + "stage.labels {\nvalues = { level = \"\" }\n}\nstage.output {\nsource = \"msg\"\n}\n"
            + "stage.timestamp {\nsource = \"ts\"\nformat = \"RFC3339\"\n}",
        "stage.logfmt {\nmapping = { a = \"\", b = \"c\" }\n}\nstage.structured_metadata {\nvalues = { b = \"\" }\n}\n"
            + "stage.drop {\nsource = \"a\"\nvalue = \"1\"\n}",
        "stage.match {\nselector = \"{job=\\\"a\\\"} |= \\\"x\\\"\"\nstage.static_labels {\nvalues = { hit = \"yes\" }\n}\n"
            + "stage.match {\nselector = \"{hit=\\\"yes\\\"} |= \\\"drop\\\"\"\naction = \"drop\"\n}\n}\n"
            + "stage.label_drop {\nvalues = [\"job\"]\n}",
        "stage.regex {\nexpression = \"^(?P<time>\\\\S+) (?P<rest>.*)$\"\n}\nstage.template {\nsource = \"rest\"\n"
            + "template = \"{{ .Value | ToUpper }}\"\n}\nstage.output {\nsource = \"rest\"\n}\n"
            + "stage.tenant {\nvalue = \"t\"\n}",
        "stage.cri {}\nstage.pack {\nlabels = [\"job\"]\n}",
        "stage.multiline {\nfirstline = \"^start\"\n}\nstage.static_labels {\nvalues = { after = \"1\" }\n}",
        "stage.split_json {}\nstage.static_labels {\nvalues = { split = \"1\" }\n}",
        "stage.replace {\nexpression = \"(\\\\d+)\"\nreplace = \"N\"\n}\nstage.label_keep {\nvalues = [\"none\"]\n}",
        "stage.metrics {\nmetric.counter {\nname = \"c\"\ndescription = \"d\"\nmatch_all = true\naction = \"inc\"\n}\n}",
    ]

    private static let lines = [
        #"{"level":"info","message":"hello","time":"2024-01-02T03:04:05Z"}"#, "a=1 c=2", "a=2 c=3", "x drop", "x 12",
        "2024-01-02T03:04:05.1Z stdout F text", "2024-01-02T03:04:05.1Z stdout P part", "start of it", "",
        #"[{"a":1},{"a":2}]"#, "ü\u{1F600} 5",
    ]

    @Test("loki.process explains of each entry what its stages do to it", arguments: pipelines)
    func process(_ stages: String) throws {
        for line in Self.lines {
            let entry = InputEntry(line, metadata: ["m": "1"])
            let fixture = ProcessFixture(stages)
            guard fixture.problems.isEmpty else {
                Issue.record("\(fixture.problems)")
                return
            }
            let explained = try explanation(fixture.harness, item(entry))
            #expect(fixture.harness.instance.ledger.statement.incoming == 0)
            #expect(fixture.harness.finish() == [])
            let sent = try ProcessFixture.runAll(stages, [entry])
            #expect(texts(explained) == sent, "\(line)")
            #expect(explained.steps.allSatisfy { $0.path != nil })
        }
    }

    @Test("Steps of loki.process tell what was extracted, why an entry was dropped and which stages were passed over")
    func steps() throws {
        let fixture = ProcessFixture(
            """
            stage.json {
                expressions = { level = "" }
            }
            stage.match {
                selector = "{job=\\"other\\"}"
                stage.static_labels {
                    values = { a = "b" }
                }
            }
            stage.match {
                selector = "{job=\\"a\\"}"
                stage.drop {
                    source = "level"
                    value = "debug"
                    drop_counter_reason = "noise"
                }
            }
            """)
        let explained = try explanation(fixture.harness, item(InputEntry(#"{"level":"debug"}"#)))
        #expect(explained.results.isEmpty)
        #expect(explained.steps.map(\.outcome) == [.unchanged, .unchanged, .kept, .dropped])
        #expect(explained.steps[0].found.map { "\($0.name)=\($0.value)" } == ["level=debug"])
        #expect(explained.steps[1].detail.contains("passed over"))
        #expect(explained.steps[3].detail == "dropped, counted as noise")
        #expect(explained.steps[3].path == RulePath("stage.", 2).inside("stage.", 0))
        #expect(fixture.harness.metric("loki_process_dropped_lines_total", ["reason": "noise"]) == nil)
        #expect(fixture.harness.finish() == [])
    }

    @Test("Stages whose verdict depends on chance or rate are not judged")
    func unpredictable() throws {
        let fixture = ProcessFixture("stage.sampling {\nrate = 0\n}\nstage.limit {\nrate = 1\nburst = 1\n}")
        let explained = try explanation(fixture.harness, item(InputEntry("x")))
        #expect(explained.steps.map(\.outcome) == [.unknown, .unknown])
        #expect(explained.results.count == 1)
        #expect(fixture.harness.finish() == [])
    }

    @Test("An entry whose line is not known passes with a note")
    func noLine() throws {
        let fixture = ProcessFixture("stage.drop {\nexpression = \".*\"\n}")
        let explained = try explanation(fixture.harness, ExplainedItem(.log, ["a": "b"]))
        #expect(explained.results.map(\.exit) == [.receivers(["recorder.logs"])])
        #expect(explained.notes.first?.contains("line is not known") == true)
        #expect(fixture.harness.finish() == [])
    }

    @Test("loki.relabel explains of each stream what it does to it")
    func relabel() throws {
        let harness = ComponentHarness(LokiRelabel.self)
        #expect(
            harness.start(
                """
                forward_to = [recorder.logs]
                rule {
                  source_labels = ["job"]
                  regex = "a|b"
                  action = "keep"
                }
                rule {
                  regex = "job"
                  action = "labeldrop"
                }
                """) == [])
        let receiver: Receiver<LogBatch> = try #require(harness.export("receiver"))
        for labels: LabelSet in [["job": "a", "x": "1"], ["job": "b"], ["job": "c", "x": "1"]] {
            let explained = try explanation(harness, ExplainedItem(.log, labels, line: "l"))
            var batch = LogBatch()
            batch.append("l", labels: labels, timestamp: 1)
            let sent = batch
            try harness.run { try await receiver.consume(sent) }
            #expect(explained.results.map(\.item.labels) == harness.logs.take().flatMap(\.streams))
        }
        #expect(harness.finish() == [])
    }

    @Test("loki.write tells labels, tenants and addresses, and no secret")
    func write() throws {
        let harness = ComponentHarness(LokiWrite.self)
        #expect(
            harness.evaluate(
                """
                external_labels = { "cluster" = "c" }
                endpoint {
                  url = "http://u:secret@one/loki/api/v1/push"
                  tenant_id = "default"
                }
                endpoint {
                  name = "second"
                  url = "http://two/loki/api/v1/push"
                }
                """) == [])
        let plain = try explanation(harness, ExplainedItem(.log, ["job": "a", "__x": "y"], line: "l"))
        #expect(plain.results.map(\.item.labels) == [["cluster": "c", "job": "a"], ["cluster": "c", "job": "a"]])
        #expect(
            plain.results.map(\.exit) == [
                .destination("Loki at http://one/loki/api/v1/push as tenant default"),
                .destination("Loki at second: http://two/loki/api/v1/push"),
            ])
        let own = try explanation(harness, ExplainedItem(.log, ["job": "a", "__tenant_id__": "t"], line: "l"))
        #expect(own.results.last?.exit == .destination("Loki at second: http://two/loki/api/v1/push as tenant t"))
    }

    @Test("loki.source.file tells the files of a target and the target of a file")
    func sourceFile() throws {
        let directory = ComponentHarness.makeTemporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        for name in ["a.log", "b.log", "c.txt"] {
            try Data("x\n".utf8).write(to: URL(fileURLWithPath: directory + "/" + name))
        }
        let harness = ComponentHarness(LokiSourceFile.self)
        #expect(
            harness.evaluate(
                """
                targets = [{"__path__" = "\(directory)/*.log", "__path_exclude__" = "\(directory)/b*", "job" = "a"}]
                forward_to = [recorder.logs]
                file_match {
                  enabled = true
                }
                """) == [])
        let target: LabelSet = ["__path__": "\(directory)/*.log", "job": "a"]
        let files = try explanation(harness, ExplainedItem(.target, target))
        #expect(
            files.results.compactMap { $0.item.labels["filename"] } == ["\(directory)/a.log", "\(directory)/b.log"])
        #expect(files.results.allSatisfy { $0.item.kind == .log && $0.item.labels["__path__"] == nil })
        let read = try explanation(harness, ExplainedItem(.file, ["__path__": "\(directory)/a.log"]))
        #expect(read.results.map(\.item.labels) == [["filename": "\(directory)/a.log", "job": "a"]])
        let excluded = try explanation(harness, ExplainedItem(.file, ["__path__": "\(directory)/b.log"]))
        #expect(excluded.results.isEmpty)
        #expect(excluded.steps.first?.detail.contains("is excluded by") == true)
        let other = try explanation(harness, ExplainedItem(.file, ["__path__": "\(directory)/c.txt"]))
        #expect(other.results.isEmpty)
    }

    @Test("loki.source.docker tells the labels of either stream of a target")
    func docker() throws {
        let rules = RelabelRules(
            Relabeling([
                try RelabelRule(
                    action: .drop, sourceLabels: ["__meta_docker_container_log_stream"], pattern: "stderr"),
                try RelabelRule(sourceLabels: ["__meta_docker_container_name"], targetLabel: "name"),
            ]))
        let harness = ComponentHarness(LokiSourceDocker.self, variables: ["rules": rules.alloyValue])
        #expect(
            harness.evaluate(
                """
                host = "unix:///var/run/docker.sock"
                targets = []
                labels = { "own" = "1" }
                relabel_rules = rules
                forward_to = [recorder.logs]
                """) == [])
        let explained = try explanation(
            harness,
            ExplainedItem(
                .target, ["__meta_docker_container_id": "c", "__meta_docker_container_name": "/web", "x": "y"]))
        #expect(explained.results.map(\.item.labels) == [["own": "1", "name": "/web", "x": "y"]])
        #expect(explained.steps.contains { $0.title.hasPrefix("relabel_rules 1: drop") && $0.outcome == .dropped })
        #expect(try explanation(harness, ExplainedItem(.target, ["x": "y"])).results.isEmpty)
    }

    @Test("loki.source.api tells what becomes of the labels of what is pushed")
    func api() throws {
        let rules = RelabelRules(
            Relabeling([
                try RelabelRule(action: .drop, sourceLabels: ["job"], pattern: "noise"),
                try RelabelRule(action: .labelmap, pattern: "__(kept)"),
            ]))
        let harness = ComponentHarness(LokiSourceAPI.self, variables: ["rules": rules.alloyValue])
        #expect(
            harness.evaluate(
                "http { }\nlabels = { \"own\" = \"1\" }\nrelabel_rules = rules\nforward_to = [recorder.logs]")
                == [])
        let mapper = PushMapper(labels: ["own": "1"], relabeling: rules.relabeling, tenant: "")
        for labels: LabelSet in [["job": "a", "__kept": "k"], ["job": "noise"], ["own": "2"]] {
            var batch = LogBatch()
            batch.append("l", labels: labels, timestamp: 1)
            _ = mapper.map(&batch)
            let explained = try explanation(harness, ExplainedItem(.log, labels, line: "l"))
            #expect(explained.results.map(\.item.labels) == (batch.isEmpty ? [] : batch.streams))
        }
    }

    @Test("loki.enrich tells which target an entry takes labels of")
    func enrich() throws {
        let harness = ComponentHarness(LokiEnrich.self)
        #expect(
            harness.start(
                """
                targets = [{"pod" = "p", "team" = "t"}]
                target_match_label = "pod"
                labels_to_copy = ["team"]
                forward_to = [recorder.logs]
                """) == [])
        let receiver: Receiver<LogBatch> = try #require(harness.export("receiver"))
        for labels: LabelSet in [["pod": "p"], ["pod": "q"], ["x": "y"]] {
            var batch = LogBatch()
            batch.append("l", labels: labels, timestamp: 1)
            let sent = batch
            try harness.run { try await receiver.consume(sent) }
            let explained = try explanation(harness, ExplainedItem(.log, labels, line: "l"))
            #expect(explained.results.map(\.item.labels) == harness.logs.take().flatMap(\.streams))
        }
        #expect(harness.finish() == [])
    }
}
