import TextFormats
import Testing

@testable import Kubernetes

/// Reads text into an object of a kind.
func read<Object: KubernetesObject>(_ json: String, as type: Object.Type = Object.self) throws -> Object {
    var texts = TextTable()
    return try Array(json.utf8).withUnsafeBytes { bytes in
        var cursor = JSONCursor(bytes)
        let object = try Object(&cursor, &texts)
        try cursor.finish()
        return object
    }
}

@Suite("Objects")
struct ObjectTests {
    @Test("A pod keeps what targets and logs need, whatever else it has and in whatever order")
    func pod() throws {
        let pod: Pod = try read(
            #"""
            {"status": {"podIP": "10.0.0.7", "hostIP": null, "phase": "Running",
              "conditions": [{"type": "Initialized", "status": "True"}, {"status": "False", "type": "Ready"}],
              "containerStatuses": [{"name": "a", "containerID": "cri://1"}], "initContainerStatuses": [{"name": "i"}]},
             "spec": {"containers": [{"name": "a", "image": "img", "ports": [{"containerPort": 80}], "args": ["{", "\""]},
               {"name": "b", "ports": null}], "initContainers": [{"name": "i", "image": "x"}], "nodeName": "n1"},
             "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"b": "2", "a\u0041": "1"},
               "ownerReferences": [{"kind": "X", "name": "no"}, {"kind": "Job", "name": "j", "controller": true}]}}
            """#)
        #expect(pod.metadata.key == ObjectKey(namespace: "ns", name: "p"))
        #expect(pod.metadata.labels == [NamedText(name: "aA", text: "1"), NamedText(name: "b", text: "2")])
        #expect(pod.metadata.controllerKind == "Job" && pod.metadata.controllerName == "j")
        #expect(pod.ready == "false" && pod.hostIP == "" && pod.podIP == "10.0.0.7")
        #expect(pod.containers.map(\.name) == ["a", "b", "i"])
        #expect(pod.containers.map(\.id) == ["cri://1", "", ""])
        #expect(pod.containers.map(\.isInit) == [false, false, true])
        #expect(pod.containers[0].ports == [Pod.Port(name: "", number: 80, transport: "")])
    }

    @Test(
        "Values of other types than the API's count as missing",
        arguments: [
            #"{"metadata": [], "spec": 1, "status": "x"}"#, #"{"metadata": {"name": 5, "labels": {"a": {}, "b": 1}}}"#,
            #"{"spec": {"containers": [1, null, "x", {}]}}"#, "[]", "null", "{}",
        ])
    func oddTypes(json: String) throws {
        let pod: Pod = try read(json)
        #expect(pod.metadata.name == "" && pod.metadata.labels == [])
    }

    @Test(
        "Broken text is an error, wherever it breaks",
        arguments: [
            #"{"metadata": {"name": "a}"#, #"{"spec": {"containers": [{}"#, #"{"metadata" 1}"#, "{", "",
            #"{"a": [1, 2}"#, #"{"a": tru}"#, #"{"metadata": {"labels": {"x": "\q"}}}"#,
        ])
    func broken(json: String) {
        #expect(throws: TextFormatError.self) { _ = try read(json, as: Pod.self) }
    }

    @Test("Equal labels and ports share their storage")
    func sharing() throws {
        var texts = TextTable()
        let pods = try ["a", "b"].map { name in
            let text =
                #"{"metadata":{"name":"\#(name)","labels":{"app":"shop","tier":"front"}},"#
                + #""spec":{"containers":[{"ports":[{"name":"http","containerPort":80}]}]}}"#
            return try Array(text.utf8).withUnsafeBytes { bytes in
                var cursor = JSONCursor(bytes)
                return try Pod(&cursor, &texts)
            }
        }
        func storage(_ list: [some Any]) -> UnsafeRawPointer? { list.withUnsafeBytes { $0.baseAddress } }
        #expect(pods.map(\.metadata.name) == ["a", "b"] && pods[0].metadata.labels.count == 2)
        #expect(storage(pods[0].metadata.labels) == storage(pods[1].metadata.labels))
        #expect(pods[0].containers[0].ports[0].number == 80)
        #expect(storage(pods[0].containers[0].ports) == storage(pods[1].containers[0].ports))
    }

    @Test("Prefixes and mutations of a real object never trap")
    func hostile() throws {
        let text = Array(
            #"{"metadata":{"name":"n","labels":{"k":"v"},"ownerReferences":[{"controller":true}]},"spec":{"containers":[{"ports":[{"containerPort":99999999999999999999}]}]}}"#
                .utf8)
        var texts = TextTable()
        for end in 0...text.count {
            text[..<end].withUnsafeBytes { bytes in
                var cursor = JSONCursor(bytes)
                _ = try? Pod(&cursor, &texts)
            }
        }
        for index in text.indices {
            for byte in [0x22, 0x7B, 0x7D, 0x5B, 0x5D, 0x5C, 0x2C, 0xFF, 0x30] as [UInt8] {
                var changed = text
                changed[index] = byte
                changed.withUnsafeBytes { bytes in
                    var cursor = JSONCursor(bytes)
                    _ = try? Pod(&cursor, &texts)
                }
            }
        }
    }

    @Test("A node is reached under its most wanted address")
    func node() throws {
        let node: Node = try read(
            #"""
            {"metadata": {"name": "n"}, "spec": {"providerID": "p://1"}, "status": {"addresses": [
             {"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.1"}],
             "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}}
            """#)
        #expect(node.address == "10.0.0.1" && node.kubeletPort == 10250 && node.providerID == "p://1")
    }

    @Test(
        "Selectors match as the API's do and are written as it reads them",
        arguments: [
            (LabelSelector(labels: ["a": "1"]), ["a": "1", "b": "2"], true, "a in (1)"),
            (LabelSelector(labels: ["a": "1"]), ["a": "2"], false, "a in (1)"),
            (LabelSelector(requirements: [.init(key: "a", operation: .exists)]), ["a": ""], true, "a"),
            (LabelSelector(requirements: [.init(key: "a", operation: .doesNotExist)]), ["a": ""], false, "!a"),
            (
                LabelSelector(requirements: [.init(key: "a", operation: .notIn, values: ["x", "y"])]), [:], true,
                "a notin (x,y)"
            ),
            (LabelSelector(), ["z": "z"], true, ""),
        ])
    func selectors(selector: LabelSelector, labels: [String: String], matches: Bool, text: String) {
        #expect(selector.matches(labels.map { NamedText(name: $0.key, text: $0.value) }) == matches)
        #expect(selector.text == text)
    }
}
