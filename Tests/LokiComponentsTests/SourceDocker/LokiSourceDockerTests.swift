import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import TestKit
import Testing
import Transport

@testable import LokiComponents

@Suite("loki.source.docker", .serialized)
struct LokiSourceDockerTests {
    private static let second: Int64 = 1_000_000_000
    /// 2026-01-01T00:00:00Z.
    private static let start: Int64 = 1_767_225_600 * second

    private func target(_ id: String, _ more: String = "") -> String {
        "{__meta_docker_container_id = \"\(id)\"\(more)}"
    }

    private func body(_ host: String, _ targets: [String], _ more: String = "") -> String {
        """
        host       = "\(host)"
        targets    = [\(targets.joined(separator: ", "))]
        labels     = {job = "docker"}
        forward_to = [recorder.logs]
        \(more)
        """
    }

    private func settle(_ harness: ComponentHarness, until condition: () -> Bool) -> Bool {
        harness.settle(
            until: {
                if condition() { return true }
                harness.advance(by: .milliseconds(500))
                return condition()
            }, seconds: 10)
    }

    private func time(_ seconds: Int64, _ nanoseconds: Int64 = 0) -> Int64 {
        Self.start + seconds * Self.second + nanoseconds
    }

    @Test("Lines of both streams come with their own time and the labels rules make")
    func following() async throws {
        let directory = TemporaryDirectory()
        let socket = directory["docker.sock"]
        let double = try await DockerDouble(socket: socket)
        double.put("c1")
        double.write("c1", at: time(1, 5), "first\n")
        double.write("c1", .stderr, at: time(2), "second\n")
        let rules = RelabelRules(
            Relabeling([
                try RelabelRule(
                    sourceLabels: ["__meta_docker_container_log_stream"], targetLabel: "stream"),
                try RelabelRule(sourceLabels: ["__meta_docker_container_name"], targetLabel: "name"),
            ]))
        let harness = ComponentHarness(LokiSourceDocker.self, variables: ["rules": rules.alloyValue])
        let name = #", __meta_docker_container_name = "/web", job = "replaced", own = "kept""#
        #expect(
            harness.start(body("unix://\(socket)", [target("c1", name)], "relabel_rules = rules")) == [])
        #expect(settle(harness) { harness.lines.count == 2 })
        double.write("c1", at: time(3), "\n")
        double.write("c1", at: time(4), "last\n")
        #expect(settle(harness) { harness.lines.count == 3 })
        func labels(_ stream: String) -> String { #"{job="docker", name="/web", own="kept", stream="\#(stream)"}"# }
        #expect(
            harness.logs.lines.sorted() == [
                "\(labels("stderr")) second", "\(labels("stdout")) first", "\(labels("stdout")) last",
            ])
        let times = harness.logs.batches.flatMap { batch in batch.entries.map(\.timestamp) }.sorted()
        #expect(times == [time(1, 5), time(2), time(4)])
        #expect(double.requests.contains("/containers/c1/logs?follow=1&since=0&stderr=1&stdout=1&timestamps=1"))
        #expect(harness.metric("loki_source_docker_target_entries_total") == 3)
        #expect(harness.metric("loki_source_docker_containers") == 1)
        #expect(harness.health?.state == .healthy)
        #expect(harness.finish() == [])
    }

    @Test("Several ports of a container are one log, and a target without a container is left out")
    func ports() async throws {
        let double = try await DockerDouble()
        double.put("c1")
        double.write("c1", at: time(1), "once\n")
        let harness = ComponentHarness(LokiSourceDocker.self)
        let ports = (80...82).map { target("c1", #", __address__ = "10.0.0.1:\#($0)""#) }
        harness.start(body(double.host, ports + [#"{a = "b"}"#]))
        #expect(settle(harness) { harness.lines == ["once"] && double.followerCount == 1 })
        #expect(double.requests.filter { $0.contains("/logs?") }.count == 1)
        #expect(harness.finish() == [])
    }

    @Test("A connection that ends is opened again where it stopped, without loss or repeats, in parts of lines as well")
    func reconnecting() async throws {
        let double = try await DockerDouble()
        double.put("c1")
        for index in 0..<5 { double.write("c1", at: time(7, 10), "a\(index)\n") }
        let harness = ComponentHarness(LokiSourceDocker.self)
        harness.start(body(double.host, [target("c1")]))
        var expected = (0..<5).map { "a\($0)" }
        #expect(settle(harness) { harness.lines == expected })
        let part = String(repeating: "p", count: 16 << 10)
        for round in 0..<4 {
            let second = Int64(7 + 3 * round)
            // Half a line of one stream, and a whole one of the other a second later.
            double.write("c1", at: time(second, 20), part)
            double.write("c1", .stderr, at: time(second + 2, 10), "e\(round)\n")
            expected.append("e\(round)")
            #expect(settle(harness) { harness.lines == expected })
            double.closeStreams()
            double.write("c1", at: time(second, 20), "end\(round)\n")
            double.write("c1", .stderr, at: time(second + 2, 10), "f\(round)\n")
            double.write("c1", at: time(second + 2, 20), "g\(round)\n")
            expected += ["\(part)end\(round)", "f\(round)", "g\(round)"]
            #expect(settle(harness) { harness.lines.count >= expected.count && double.followerCount == 1 })
            #expect(harness.lines == expected)
        }
        #expect(harness.finish() == [])
    }

    @Test("A restart goes on where delivery stopped, to the line; upstream's positions are taken over")
    func restarting() async throws {
        let double = try await DockerDouble()
        double.put("c1")
        let storage = ComponentHarness.makeTemporaryDirectory()
        for index in 0..<3 { double.write("c1", at: time(7, 10), "a\(index)\n") }
        let first = ComponentHarness(LokiSourceDocker.self, storagePath: storage)
        first.start(body(double.host, [target("c1")]))
        #expect(settle(first) { first.lines.count == 3 })
        #expect(first.finish() == [])
        double.write("c1", at: time(7, 10), "b\n")
        let second = ComponentHarness(LokiSourceDocker.self, storagePath: storage)
        second.start(body(double.host, [target("c1")]))
        #expect(settle(second) { second.lines.count >= 1 && double.followerCount == 1 })
        #expect(second.lines == ["b"])
        #expect(second.finish() == [])

        let path = storage + "/loki.source.docker.test/positions.yml"
        let labels = #"{__meta_docker_container_id="c1", job="docker"}"#
        double.write("c1", at: time(9), "c\n")
        try Files.replace(
            path, with: Array("positions:\n  ? path: cursor-c1\n    labels: '\(labels)'\n  : \"1767225608\"\n".utf8))
        let third = ComponentHarness(LokiSourceDocker.self, storagePath: storage)
        third.start(body(double.host, [target("c1")]))
        #expect(settle(third) { third.lines == ["c"] })
        #expect(double.requests.last?.contains("since=1767225608&") == true)
        #expect(third.finish() == [])
    }

    @Test("Lines no receiver takes are not counted as read")
    func refusing() async throws {
        let double = try await DockerDouble()
        double.put("c1")
        double.write("c1", at: time(1), "kept\n")
        let storage = ComponentHarness.makeTemporaryDirectory()
        let harness = ComponentHarness(LokiSourceDocker.self, storagePath: storage)
        harness.logs.refuse { _ in .overloaded("full") }
        harness.start(body(double.host, [target("c1")]))
        #expect(settle(harness) { double.followerCount == 1 })
        harness.advance(by: .seconds(10))
        #expect(harness.finish() == [])
        let again = ComponentHarness(LokiSourceDocker.self, storagePath: storage)
        again.start(body(double.host, [target("c1")]))
        #expect(settle(again) { again.lines == ["kept"] })
        #expect(again.finish() == [])
    }

    @Test("A container that stops is read to its end and again when it starts; one that is gone is let go")
    func containerRestarts() async throws {
        let double = try await DockerDouble()
        double.put("c1")
        double.put("t1", isTerminal: true)
        double.write("c1", at: time(1), "one\n")
        double.write("c1", at: time(2), "cut off")
        double.write("t1", at: time(2), "cut off too")
        let harness = ComponentHarness(LokiSourceDocker.self)
        harness.start(body(double.host, [target("c1"), target("t1")]))
        #expect(settle(harness) { harness.lines == ["one"] && double.followerCount == 2 })
        double.stop("c1")
        double.stop("t1")
        #expect(settle(harness) { harness.lines.sorted() == ["cut off", "cut off too", "one"] })
        harness.advance(by: .seconds(20))
        #expect(double.followerCount == 0)
        double.start("c1")
        double.start("t1")
        double.write("c1", at: time(3), "again\n")
        double.write("t1", at: time(3), "again too\r\n")
        #expect(settle(harness) { harness.lines.count >= 5 && double.followerCount == 2 })
        #expect(harness.lines.sorted() == ["again", "again too", "cut off", "cut off too", "one"])
        double.remove("c1")
        double.remove("t1")
        #expect(settle(harness) { double.requests.filter { $0.hasPrefix("/containers/c1/json") }.count >= 3 })
        #expect(settle(harness) { harness.metric("loki_source_docker_containers") == 0 })
        let asked = double.requests.count
        harness.advance(by: .seconds(60))
        #expect(double.requests.count <= asked + 2)
        #expect(harness.health?.state == .healthy)
        #expect(harness.finish() == [])
    }

    @Test("Targets come and go without disturbing others")
    func targets() async throws {
        let double = try await DockerDouble()
        for id in ["a", "b", "c"] {
            double.put(id)
            double.write(id, at: time(1), "\(id)\n")
        }
        let harness = ComponentHarness(LokiSourceDocker.self)
        harness.start(body(double.host, [target("a"), target("b")]))
        #expect(settle(harness) { harness.lines.sorted() == ["a", "b"] })
        harness.update(body(double.host, [target("b"), target("c")]))
        #expect(settle(harness) { harness.lines.sorted() == ["a", "b", "c"] && double.followerCount == 2 })
        #expect(double.requests.filter { $0.hasPrefix("/containers/b/logs") }.count == 1)
        // What comes back goes on where it was.
        double.write("a", at: time(1), "more\n")
        harness.update(body(double.host, [target("a"), target("b"), target("c")]))
        #expect(settle(harness) { harness.lines.count == 4 })
        #expect(harness.lines.last == "more")
        #expect(harness.finish() == [])
    }

    @Test("Lines that a rule drops and messages without a time are counted")
    func counting() async throws {
        let double = try await DockerDouble()
        double.put("c1")
        double.write("c1", .stderr, at: time(1), "dropped\n")
        double.write("c1", at: time(2), "kept\n")
        let rules = RelabelRules(
            Relabeling([
                try RelabelRule(
                    action: .drop, sourceLabels: ["__meta_docker_container_log_stream"], pattern: "stderr")
            ]))
        let harness = ComponentHarness(LokiSourceDocker.self, variables: ["rules": rules.alloyValue])
        harness.start(body(double.host, [target("c1")], "relabel_rules = rules"))
        #expect(settle(harness) { harness.lines == ["kept"] })
        double.send(DockerDouble.frame(1, "nonsense\n"))
        #expect(settle(harness) { harness.metric("loki_source_docker_target_parsing_errors_total") == 1 })
        let statement = harness.instance.ledger.statement
        #expect(statement.unaccounted == 0)
        #expect(harness.finish() == [])
    }

    @Test("A daemon that refuses makes the component unhealthy until it does not")
    func failing() async throws {
        let double = try await DockerDouble()
        double.put("c1")
        double.refuseLogs((HTTPStatus(501), "driver does not support reading"))
        double.write("c1", at: time(1), "late\n")
        let harness = ComponentHarness(LokiSourceDocker.self)
        harness.start(body(double.host, [target("c1")]))
        #expect(settle(harness) { harness.health?.state == .unhealthy })
        #expect(harness.health?.message.contains("501: driver does not support reading") == true)
        double.refuseLogs(nil)
        #expect(settle(harness) { harness.lines == ["late"] })
        #expect(settle(harness) { harness.health?.state == .healthy })
        double.send(DockerDouble.frame(3, "grabled\n"))
        #expect(settle(harness) { harness.metric("loki_source_docker_stream_failures_total") ?? 0 > 1 })
        double.write("c1", at: time(2), "on\n")
        #expect(settle(harness) { harness.lines == ["late", "on"] })
        #expect(harness.finish() == [])
    }

    @Test(
        "What cannot be is refused by name",
        arguments: [
            (#"host = "nowhere""#, "\"host\" is not an address"),
            ("host = \"unix:///x\"\nrefresh_interval = \"0s\"", "\"refresh_interval\" must be greater than 0"),
            ("host = \"unix:///x\"\nhttp_client_config {\nnonsense = 1\n}", "nonsense"),
            ("host = \"unix:///x\"", "targets"),
        ])
    func refusals(body: String, problem: String) {
        let problems = ComponentHarness(LokiSourceDocker.self).evaluate(body)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }
}
