import AlloySyntax
import ComponentKit
import Essentials
import Kubernetes
import Telemetry
import TestKit
import Testing

@testable import LokiComponents

@Suite("loki.source.kubernetes", .serialized)
struct LokiSourceKubernetesTests {
    private func target(_ pod: String, _ container: String, _ more: String = "") -> String {
        """
        {__meta_kubernetes_namespace = "ns", __meta_kubernetes_pod_name = "\(pod)", \
        __meta_kubernetes_pod_container_name = "\(container)", __meta_kubernetes_pod_uid = "uid-\(pod)"\(more)}
        """
    }

    private func body(_ double: KubernetesDouble, _ targets: [String]) -> String {
        """
        targets    = [\(targets.joined(separator: ", "))]
        forward_to = [recorder.logs]
        client { api_server = "\(double.url)" }
        """
    }

    private func time(_ second: Int, _ nanoseconds: Int = 0) -> String {
        let fraction = "\(1_000_000_000 + nanoseconds)".dropFirst()
        return "2026-01-01T00:00:\(second < 10 ? "0" : "")\(second).\(fraction)Z"
    }

    @Test("Lines come with their own time and the target's labels, and go on coming")
    func following() async throws {
        let double = try await KubernetesDouble()
        double.putPod("ns", "web", ip: "1", containers: [("main", []), ("side", [])])
        double.appendLog("ns", "web", "main", time: time(1), "first")
        double.appendLog("ns", "web", "side", time: time(2, 5), "other  line ")
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        let extra = #", app = "web", __address__ = "10.0.0.1:80""#
        #expect(harness.start(body(double, [target("web", "main", extra), target("web", "side")])) == [])
        #expect(harness.settleInTime { harness.lines.count == 2 })
        double.appendLog("ns", "web", "main", time: time(3), "")
        double.appendLog("ns", "web", "main", time: time(3), "last")
        #expect(harness.settleInTime { harness.lines.count == 4 })
        let main = #"{app="web", instance="ns/web:main", job="loki.source.kubernetes.test"}"#
        let side = #"{instance="ns/web:side", job="loki.source.kubernetes.test"}"#
        #expect(harness.logs.lines.sorted() == ["\(main) ", "\(main) first", "\(main) last", "\(side) other  line "])
        let times = harness.logs.batches.flatMap { batch in batch.entries.map(\.timestamp) }.sorted()
        #expect(times.first == 1_767_225_601_000_000_000 && times[1] == 1_767_225_602_000_000_005)
        #expect(harness.health?.state == .healthy)
        let asked = double.requests.filter { $0.contains("/log?") }
        #expect(asked.allSatisfy { $0.contains("follow=true&timestamps=true") && !$0.contains("sinceTime") })
        #expect(harness.finish() == [])
    }

    @Test("Several ports of a container are one log")
    func ports() async throws {
        let double = try await KubernetesDouble()
        double.putPod("ns", "web", ip: "1", containers: [("main", [])])
        double.appendLog("ns", "web", "main", time: time(1), "once")
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        let ports = (80...82).map { target("web", "main", #", __address__ = "10.0.0.1:\#($0)""#) }
        harness.start(body(double, ports))
        #expect(harness.settleInTime { harness.lines == ["once"] && double.followerCount == 1 })
        #expect(double.requests.filter { $0.contains("/log?") }.count == 1)
        #expect(harness.finish() == [])
    }

    @Test("A connection that ends is opened again where it stopped, without loss or repeats")
    func reconnecting() async throws {
        let double = try await KubernetesDouble()
        double.putPod("ns", "web", ip: "1", containers: [("main", [])])
        for index in 0..<5 { double.appendLog("ns", "web", "main", time: time(7, 10), "a\(index)") }
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double, [target("web", "main")]))
        var expected = (0..<5).map { "a\($0)" }
        #expect(harness.settleInTime { harness.lines == expected })
        for round in 0..<4 {
            double.closeStreams()
            // Lines written while nobody is connected, of the same time as those delivered.
            double.appendLog("ns", "web", "main", time: time(7 + round, 10), "b\(round)")
            double.appendLog("ns", "web", "main", time: time(7 + round, 20), "c\(round)")
            expected += ["b\(round)", "c\(round)"]
            #expect(harness.settleInTime { harness.lines.count >= expected.count && double.followerCount == 1 })
            #expect(harness.lines == expected)
        }
        #expect(double.requests.contains { $0.contains("sinceTime=2026-01-01T00%3A00%3A07Z") })
        #expect(harness.finish() == [])
    }

    @Test("A restart goes on where delivery stopped, to the line")
    func restarting() async throws {
        let double = try await KubernetesDouble()
        double.putPod("ns", "web", ip: "1", containers: [("main", [])])
        let storage = ComponentHarness.makeTemporaryDirectory()
        for index in 0..<3 { double.appendLog("ns", "web", "main", time: time(7, 10), "a\(index)") }
        let first = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
        first.start(body(double, [target("web", "main")]))
        #expect(first.settleInTime { first.lines.count == 3 })
        #expect(first.finish() == [])
        double.appendLog("ns", "web", "main", time: time(7, 10), "b")
        let second = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
        second.start(body(double, [target("web", "main")]))
        #expect(second.settleInTime { second.lines.count >= 1 && double.followerCount == 1 })
        #expect(second.lines == ["b"])
        #expect(second.finish() == [])
    }

    @Test("Lines no receiver takes are not counted as read")
    func refusing() async throws {
        let double = try await KubernetesDouble()
        double.putPod("ns", "web", ip: "1", containers: [("main", [])])
        double.appendLog("ns", "web", "main", time: time(1), "kept")
        let storage = ComponentHarness.makeTemporaryDirectory()
        let harness = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
        harness.logs.refuse { _ in .overloaded("full") }
        harness.start(body(double, [target("web", "main")]))
        #expect(harness.settleInTime { double.followerCount == 1 })
        harness.advance(by: .seconds(10))
        #expect(harness.finish() == [])
        let again = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
        again.start(body(double, [target("web", "main")]))
        #expect(again.settleInTime { again.lines == ["kept"] })
        #expect(again.finish() == [])
    }

    @Test("A job's last lines are read after its end, and then it is left alone")
    func jobs() async throws {
        let double = try await KubernetesDouble()
        // Ended a second before the clock of the test begins.
        let ended = #"{"terminated":{"exitCode":0,"finishedAt":"2023-11-14T22:13:19Z"}}"#
        double.putPod(
            "ns", "backup", ip: "1", containers: [("main", [])], phase: "Succeeded", owner: ("Job", "backup"),
            containerState: ended, restartPolicy: "Never")
        double.appendLog("ns", "backup", "main", time: time(1), "working")
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double, [target("backup", "main")]))
        #expect(harness.settleInTime { harness.lines == ["working"] && double.followerCount == 1 })
        double.endLog("ns", "backup", "main")
        double.appendLog("ns", "backup", "main", time: time(2), "late")
        #expect(harness.settleInTime { harness.lines == ["working", "late"] && double.followerCount == 1 })
        harness.advance(by: .seconds(61))
        double.endLog("ns", "backup", "main")
        #expect(harness.settleInTime { harness.logSink.lines.contains { $0.contains("Container has ended") } })
        let asked = double.requests.count
        harness.advance(by: .seconds(600))
        #expect(double.requests.count == asked)
        #expect(harness.finish() == [])
    }

    @Test("Targets come and go; refusals are told and tried again")
    func changing() async throws {
        let double = try await KubernetesDouble()
        double.putPod("ns", "a", ip: "1", containers: [("main", [])])
        double.putPod("ns", "b", ip: "2", containers: [("main", [])])
        double.appendLog("ns", "a", "main", time: time(1), "a1")
        double.appendLog("ns", "b", "main", time: time(1), "b1")
        double.forbid(["get pods/log"])
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double, [target("a", "main")]))
        #expect(harness.settleInTime { harness.health?.state == .unhealthy })
        #expect(harness.health?.message.contains("pods/log is forbidden") == true)
        #expect(harness.metric("loki_source_kubernetes_stream_failures_total") ?? 0 > 0)
        double.forbid([])
        #expect(harness.settleInTime { harness.lines == ["a1"] && harness.health?.state == .healthy })
        harness.update(body(double, [target("b", "main")]))
        #expect(harness.settleInTime { harness.lines == ["a1", "b1"] && double.followerCount == 1 })
        // A target that comes back soon goes on where it stopped.
        double.appendLog("ns", "a", "main", time: time(2), "a2")
        harness.update(body(double, [target("a", "main"), target("b", "main")]))
        #expect(harness.settleInTime { harness.lines == ["a1", "b1", "a2"] && double.followerCount == 2 })
        #expect(harness.finish() == [])
    }

    @Test("A target that names no container is told and left out")
    func incomplete() async throws {
        let double = try await KubernetesDouble()
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double, [#"{__meta_kubernetes_namespace = "ns"}"#]))
        #expect(harness.settleInTime { harness.logSink.lines.contains { $0.contains("missing pod name label") } })
        #expect(harness.finish() == [])
    }

    private func onNodes(_ nodes: String...) -> [Target] {
        nodes.map { Target(own: LabelSet([("__meta_kubernetes_pod_node_name", $0)])) }
    }

    @Test("Reading the logs of other nodes is noticed where the own node is known")
    func foreignNodes() {
        let explicit = ForeignNodes(onNodes("n1", "n2", "n3")) { $0 == "K8S_NODE_NAME" ? "n1" : nil }
        #expect(explicit?.foreign == 2 && explicit?.known == 3 && explicit?.node == "n1")
        #expect(ForeignNodes(onNodes("n1", "n2")) { $0 == "HOSTNAME" ? "n2" : nil }?.foreign == 1)
        // The name of a pod is no node's.
        #expect(ForeignNodes(onNodes("n1", "n2")) { $0 == "HOSTNAME" ? "alloy-x7" : nil } == nil)
        #expect(ForeignNodes(onNodes("n1", "n1")) { $0 == "HOSTNAME" ? "n1" : nil } == nil)
        #expect(ForeignNodes(onNodes("n1", "n2")) { _ in nil } == nil)
    }

    @Test("Lines that are too long are cut, and what follows is read")
    func longLines() async {
        var assembler = LineAssembler()
        var reader = ContainerTail.LineReader(filter: LogResume.Filter(nil), labels: ["a": "b"])
        let head = Array("\(time(1)) ".utf8)
        await assembler.fill { $0 = head + Array(repeating: 120, count: ContainerTail.maximumLineBytes) }
        let first = reader.read(&assembler, isEnd: false)
        #expect(first.itemCount == 1 && first.entries.first?.lineLength == ContainerTail.maximumLineBytes)
        let wasCut = reader.takeCut()
        #expect(wasCut)
        await assembler.fill { $0.append(contentsOf: Array("rest\n\(time(2)) next\n".utf8)) }
        let second = reader.read(&assembler, isEnd: false)
        #expect(second.entries.map { second.line($0) } == ["next"])
        #expect(reader.refusal == nil)
    }
}
