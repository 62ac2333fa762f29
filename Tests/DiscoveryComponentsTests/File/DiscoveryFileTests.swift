import ComponentKit
import Essentials
import Glibc
import TestKit
import Testing

@testable import DiscoveryComponents

extension DiscoveryTests {
    @Suite("discovery.file")
    struct DiscoveryFileTests {
        private func config(_ patterns: [String], _ more: String = "") -> String {
            "files = [" + patterns.map { "\"\($0)\"" }.joined(separator: ", ") + "]\n" + more
        }

        /// Moves time on until the exported targets are the expected ones.
        private func becomes(_ harness: ComponentHarness, _ expected: [String]) -> Bool {
            let isSo = harness.settle(until: {
                if targets(harness) == expected { return true }
                harness.advance(by: .seconds(1))
                return targets(harness) == expected
            })
            if !isSo { Issue.record("targets are \(targets(harness))") }
            return isSo
        }

        @Test("Targets follow the files as they appear, change and disappear")
        func following() throws {
            let directory = TemporaryDirectory()
            try directory.write(#"[{"targets": ["b:2", "a:1"], "labels": {"team": "x"}}]"#, to: "one.json")
            try directory.write("no groups", to: "other.txt")
            let harness = ComponentHarness(DiscoveryFile.self)
            #expect(harness.evaluate(config([directory["*.json"], directory["two.yml"]])) == [])
            #expect(targets(harness) == [])
            harness.start(config([directory["*.json"], directory["two.yml"]]))
            let one = directory["one.json"]
            let first = [
                #"{__address__="a:1", __meta_filepath="\#(one)", team="x"}"#,
                #"{__address__="b:2", __meta_filepath="\#(one)", team="x"}"#,
            ]
            // Exported at once, without time passing.
            #expect(harness.settle(until: { targets(harness) == first }))
            #expect(harness.settle(until: { harness.health?.state == .healthy }))
            #expect(harness.metric("prometheus_sd_file_mtime_seconds", ["filename": one]) ?? 0 > 0)

            try directory.write("- targets: [c:3]\n", to: "two.yml")
            let second = #"{__address__="c:3", __meta_filepath="\#(directory["two.yml"])"}"#
            #expect(becomes(harness, first + [second]))

            try directory.write(#"[{"targets": []}, {"targets": ["d:4"]}]"#, to: "one.json")
            #expect(becomes(harness, [#"{__address__="d:4", __meta_filepath="\#(one)"}"#, second]))

            directory.remove("one.json")
            #expect(becomes(harness, [second]))
            #expect(harness.metric("prometheus_sd_file_mtime_seconds", ["filename": one]) == nil)
            #expect(harness.metric("prometheus_sd_file_read_errors_total") == 0)
            #expect(harness.metric("prometheus_sd_file_scan_duration_seconds_count") ?? 0 > 0)
            #expect(harness.finish() == [])
        }

        @Test(
            "A file that becomes invalid keeps its targets, is counted once per state and makes the component unhealthy"
        )
        func invalid() throws {
            let directory = TemporaryDirectory()
            try directory.write("- targets: [a:1]", to: "x.yaml")
            let path = directory["x.yaml"]
            let expected = [#"{__address__="a:1", __meta_filepath="\#(path)"}"#]
            let harness = ComponentHarness(DiscoveryFile.self)
            harness.start(config([path], "refresh_interval = \"1h\""))
            #expect(becomes(harness, expected))

            try directory.write("- targets: [b:2]\n  nonsense: 1", to: "x.yaml")
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(1))
                    return harness.health?.state == .unhealthy
                }))
            #expect(harness.health?.message.contains("field nonsense not found") == true)
            for _ in 0..<20 { harness.advance(by: .seconds(1)) }
            #expect(targets(harness) == expected)
            #expect(harness.metric("prometheus_sd_file_read_errors_total") == 1)
            #expect(harness.logSink.lines.contains { $0.contains("Error reading file") && $0.contains(path) })
            // The interval reads it again whatever it looks like.
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(600))
                    // A slow machine may let another interval pass.
                    return (harness.metric("prometheus_sd_file_read_errors_total") ?? 0) >= 2
                }))
            #expect(targets(harness) == expected)

            try directory.write("- targets: [b:2]", to: "x.yaml")
            #expect(becomes(harness, [#"{__address__="b:2", __meta_filepath="\#(path)"}"#]))
            #expect(
                harness.settle(until: {
                    harness.advance(by: .seconds(1))
                    return harness.health?.state == .healthy
                }))
            #expect(harness.finish() == [])
        }

        @Test("Names that are no lists and pipes are errors, not targets")
        func unusable() throws {
            let directory = TemporaryDirectory()
            try directory.write("[]", to: "x.txt")
            #expect(mkfifo(directory["p.json"], 0o600) == 0)
            let harness = ComponentHarness(DiscoveryFile.self)
            harness.start(config([directory["*"]]))
            #expect(harness.settle(until: { harness.metric("prometheus_sd_file_read_errors_total") == 2 }))
            #expect(harness.settle(until: { harness.health?.message.contains("(and 1 more)") == true }))
            #expect(targets(harness) == [])
            #expect(harness.finish() == [])
        }

        @Test("Other files take the place of those before when the arguments change")
        func update() throws {
            let directory = TemporaryDirectory()
            try directory.write("- targets: [a]", to: "a.yml")
            try directory.write("- targets: [b]", to: "b.yml")
            let harness = ComponentHarness(DiscoveryFile.self)
            harness.start(config([directory["a.yml"]]))
            #expect(becomes(harness, [#"{__address__="a", __meta_filepath="\#(directory["a.yml"])"}"#]))
            harness.update(config([directory["b.yml"]]))
            #expect(becomes(harness, [#"{__address__="b", __meta_filepath="\#(directory["b.yml"])"}"#]))
            harness.update(config([]))
            #expect(becomes(harness, []))
            #expect(harness.finish() == [])
        }

        @Test("Bursts of changes are exported at most every five seconds")
        func throttling() throws {
            let directory = TemporaryDirectory()
            try directory.write("- targets: [t0]", to: "a.yml")
            let harness = ComponentHarness(DiscoveryFile.self)
            harness.start(config([directory["a.yml"]]))
            #expect(harness.settle(until: { targets(harness).count == 1 }))
            let exports = harness.exportCount
            for round in 1...4 {
                try directory.write("- targets: [t\(round)]", to: "a.yml")
                let count = harness.metric("prometheus_sd_file_scan_duration_seconds_count") ?? 0
                harness.advance(by: .seconds(1))
                // The scan of this second has read the change.
                #expect(
                    harness.settle(until: {
                        harness.metric("prometheus_sd_file_scan_duration_seconds_count") ?? 0 > count
                    }))
                harness.settle()
            }
            #expect(harness.exportCount == exports)
            harness.advance(by: .seconds(1))
            #expect(harness.settle(until: { harness.exportCount == exports + 1 }))
            #expect(targets(harness).first?.contains("t4") == true)
            #expect(harness.finish() == [])
        }

        @Test(
            "Arguments that cannot work are refused",
            arguments: [
                ("files = [\"/tmp/[.json\"]", "\"files\" has a pattern"),
                ("files = []\nrefresh_interval = \"0s\"", "\"refresh_interval\" must be greater than 0"),
                ("", "missing required attribute \"files\""),
            ])
        func refusals(body: String, problem: String) {
            let harness = ComponentHarness(DiscoveryFile.self)
            let problems = harness.evaluate(body)
            #expect(problems.contains { $0.contains(problem) }, "\(problems)")
        }
    }
}
