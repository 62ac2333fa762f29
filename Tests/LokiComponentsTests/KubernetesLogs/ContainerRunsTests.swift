import ComponentKit
import Essentials
import Kubernetes
import Telemetry
import TestKit
import Testing
import TextFormats

@testable import LokiComponents

/// Containers that are started again, pods that come again, and kubelets that refuse in the place of lines.
@Suite("loki.source.kubernetes, runs of a container", .serialized)
struct ContainerRunsTests {
    private func target(uid: String) -> String {
        """
        {__meta_kubernetes_namespace = "ns", __meta_kubernetes_pod_name = "web", \
        __meta_kubernetes_pod_container_name = "main", __meta_kubernetes_pod_uid = "\(uid)"}
        """
    }

    private func body(_ double: KubernetesDouble, uid: String = "uid-web") -> String {
        """
        targets    = [\(target(uid: uid))]
        forward_to = [recorder.logs]
        client { api_server = "\(double.url)" }
        """
    }

    private func time(_ second: Int, _ nanoseconds: Int = 0) -> String {
        "2026-01-01T00:00:\(second < 10 ? "0" : "")\(second).\("\(1_000_000_000 + nanoseconds)".dropFirst())Z"
    }

    private func short(_ second: Int) -> String { "2026-01-01T00:00:\(second < 10 ? "0" : "")\(second)Z" }

    private func append(_ double: KubernetesDouble, _ time: String, _ line: String) {
        double.appendLog("ns", "web", "main", time: time, line)
    }

    /// The pod with its container running since `started` after a run that ended at `ended`.
    private func put(_ double: KubernetesDouble, run: Int = 1, ended: Int? = nil, started: Int = 0) {
        let last = ended.map {
            #"{"terminated":{"exitCode":1,"containerID":"containerd://run\#(run - 1)","finishedAt":"\#(short($0))"}}"#
        }
        double.putPod(
            "ns", "web", ip: "1", containers: [("main", [])],
            containerState: #"{"running":{"startedAt":"\#(short(started))"}}"#, lastState: last ?? "{}")
    }

    @Test("What a run wrote while nobody was connected is read before the next run", arguments: [true, false])
    func restartedWhileAway(isRestart: Bool) async throws {
        let double = try await KubernetesDouble()
        let storage = ComponentHarness.makeTemporaryDirectory()
        put(double)
        append(double, time(5, 1), "a1")
        append(double, time(5, 2), "a2")
        var harness = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
        harness.start(body(double))
        #expect(harness.settleInTime { harness.lines == ["a1", "a2"] })
        if isRestart { #expect(harness.finish() == []) }
        // Nobody hears of these: the run has ended when it is asked for the next time.
        double.closeStreams()
        append(double, time(5, 3), "a3")
        append(double, time(8), "a4")
        double.beginRun("ns", "web", "main")
        put(double, run: 2, ended: 8, started: 8)
        append(double, time(8, 500), "b1")
        append(double, time(9), "b2")
        var expected = ["a1", "a2", "a3", "a4", "b1", "b2"]
        if isRestart {
            expected.removeFirst(2)
            harness = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
            harness.start(body(double))
        }
        #expect(harness.settleInTime { harness.lines.count >= expected.count && double.followerCount == 1 })
        #expect(harness.lines == expected)
        // Connecting again does not read the earlier run again.
        double.closeStreams()
        append(double, time(9, 1), "b3")
        #expect(harness.settleInTime { harness.lines.count > expected.count && double.followerCount == 1 })
        #expect(harness.lines == expected + ["b3"])
        #expect(double.requests.filter { $0.contains("previous=true") }.count == 1)
        #expect(harness.finish() == [])
    }

    @Test("A run that was read to its end is not asked for, and neither is one before anything was read")
    func nothingLeft() async throws {
        let double = try await KubernetesDouble()
        append(double, time(2), "old")
        double.beginRun("ns", "web", "main")
        put(double, run: 2, ended: 3, started: 4)
        append(double, time(5), "new")
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double))
        #expect(harness.settleInTime { harness.lines == ["new"] && double.followerCount == 1 })
        double.closeStreams()
        append(double, time(6), "newer")
        #expect(harness.settleInTime { harness.lines.count >= 2 && double.followerCount == 1 })
        #expect(harness.lines == ["new", "newer"])
        #expect(!double.requests.contains { $0.contains("previous=true") })
        #expect(harness.finish() == [])
    }

    @Test("Runs that end, begin and write within one second are read once each")
    func withinOneSecond() async throws {
        let double = try await KubernetesDouble()
        let storage = ComponentHarness.makeTemporaryDirectory()
        put(double)
        for index in 1...3 { append(double, time(5, index), "a\(index)") }
        let first = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
        first.start(body(double))
        #expect(first.settleInTime { first.lines.count == 3 })
        double.beginRun("ns", "web", "main")
        put(double, run: 2, ended: 5, started: 5)
        append(double, time(5, 10), "b1")
        #expect(first.settleInTime { first.lines.count >= 4 && double.followerCount == 1 })
        #expect(first.lines == ["a1", "a2", "a3", "b1"])
        #expect(first.finish() == [])
        let second = ComponentHarness(LokiSourceKubernetes.self, storagePath: storage)
        second.start(body(double))
        #expect(second.settleInTime { double.followerCount == 1 })
        append(double, time(5, 11), "b2")
        #expect(second.settleInTime { second.lines.count >= 1 })
        #expect(second.lines == ["b2"])
        #expect(second.finish() == [])
    }

    @Test("An earlier run that cannot be read is counted, and the next run goes on")
    func earlierRunGone() async throws {
        let double = try await KubernetesDouble()
        put(double)
        append(double, time(5), "a1")
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double))
        #expect(harness.settleInTime { harness.lines == ["a1"] })
        // The run before is known and its log is not there: the double answers 404.
        double.endLog("ns", "web", "main")
        put(double, run: 2, ended: 8, started: 9)
        append(double, time(9), "b1")
        #expect(harness.settleInTime { harness.lines == ["a1", "b1"] && double.followerCount == 1 })
        #expect(harness.settleInTime { harness.metric("loki_source_kubernetes_unread_runs_total") == 1 })
        #expect(harness.logSink.lines.contains { $0.contains("The rest of a container's earlier run cannot be read") })
        #expect(harness.finish() == [])
    }

    @Test(
        "What a kubelet writes in the place of lines is an error that is tried again, and no line",
        arguments: [
            "unable to retrieve container logs for containerd://0123abc",
            "failed to create fsnotify watcher: too many open files",
            "failed to try resolving symlinks in path \"/var/log/pods/x/0.log\": lstat /var/log/pods/x: no such file",
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded\n",
        ])
    func refusedInBody(text: String) async throws {
        let double = try await KubernetesDouble()
        put(double)
        append(double, time(1), "one")
        double.refuseLog("ns", "web", "main", text)
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double))
        let said = text.split(separator: "\n").map(String.init)[0]
        #expect(harness.settleInTime { (harness.metric("loki_source_kubernetes_stream_failures_total") ?? 0) >= 3 })
        #expect(harness.health?.state == .unhealthy && harness.health?.message.contains(said) == true)
        #expect(harness.lines == [])
        double.refuseLog("ns", "web", "main", nil)
        #expect(harness.settleInTime { harness.lines == ["one"] && harness.health?.state == .healthy })
        #expect(harness.finish() == [])
    }

    @Test("A refusal after lines ends their reading, and nothing is read twice")
    func refusedLater() async {
        var assembler = LineAssembler()
        var reader = ContainerTail.LineReader(filter: LogResume.Filter(nil), labels: ["a": "b"])
        await assembler.fill { $0 = Array("\(time(1)) one\nfailed to create fsnotify watcher: x".utf8) }
        let batch = reader.read(&assembler, isEnd: true)
        #expect(batch.entries.map { batch.line($0) } == ["one"])
        #expect(reader.refusal == "failed to create fsnotify watcher: x")
        #expect(reader.filter.progress == LogResume(newest: 1_767_225_601_000_000_000, count: 1))
        await assembler.fill { $0 = Array("\(time(2)) two\n".utf8) }
        let next = reader.read(&assembler, isEnd: false)
        #expect(next.entries.map { next.line($0) } == ["two"])
        let overtaken = reader.takeOvertakenRefusal()
        #expect(reader.refusal == nil && overtaken == "failed to create fsnotify watcher: x")
    }

    @Test("A pod of the same name and another UID is not taken for the earlier pod")
    func recreated() async throws {
        let double = try await KubernetesDouble()
        put(double)
        append(double, time(5), "old")
        let harness = ComponentHarness(LokiSourceKubernetes.self)
        harness.start(body(double))
        #expect(harness.settleInTime { harness.lines == ["old"] && double.followerCount == 1 })
        double.beginRun("ns", "web", "main")
        double.putPod("ns", "web", ip: "2", containers: [("main", [])], uid: "uid-second")
        append(double, time(3), "first of the new pod")
        #expect(harness.settleInTime { harness.logSink.lines.contains { $0.contains("Container has ended") } })
        harness.advance(by: .seconds(120))
        #expect(harness.lines == ["old"])
        harness.update(body(double, uid: "uid-second"))
        #expect(harness.settleInTime { harness.lines.count >= 2 })
        #expect(harness.lines == ["old", "first of the new pod"])
        #expect(!double.requests.contains { $0.contains("previous=true") })
        #expect(harness.finish() == [])
    }

    @Test("The run before is what the API tells of it")
    func earlierRun() throws {
        func run(_ status: String) throws -> ContainerState.EarlierRun? {
            let pod = try JSONValue(parsing: #"{"status":{"initContainerStatuses":[{"name":"c",\#(status)}]}}"#)
            return ContainerState.earlierRun(pod, container: "c")
        }
        let last = #""lastState":{"terminated":{"containerID":"x://1","finishedAt":"1970-01-01T00:01:00Z"}}"#
        #expect(try run(last) == .init(id: "x://1", ended: 60, nextStarted: nil))
        #expect(
            try run(#""state":{"running":{"startedAt":"1970-01-01T00:02:00Z"}},"# + last)
                == .init(id: "x://1", ended: 60, nextStarted: 120))
        #expect(try run(#""lastState":{}"#) == nil)
        #expect(try run(#""lastState":{"terminated":{"containerID":"","finishedAt":"1970-01-01T00:01:00Z"}}"#) == nil)
    }
}
