import TextFormats
import Testing

@testable import LokiComponents

@Suite("ContainerState")
struct ContainerStateTests {
    private func pod(
        policy: String, list: String = "containerStatuses", state: String, owner: String = "ReplicaSet",
        more: String = ""
    ) throws -> JSONValue {
        try JSONValue(
            parsing: #"""
                {"metadata":{"uid":"u","ownerReferences":[{"kind":"\#(owner)","controller":true}]\#(more)},\#
                "spec":{"restartPolicy":"\#(policy)"},"status":{"\#(list)":[{"name":"c","state":\#(state)}]}}
                """#)
    }

    private static let done = #"{"terminated":{"exitCode":0,"finishedAt":"1970-01-01T00:16:40Z"}}"#
    private static let failed = #"{"terminated":{"exitCode":1,"finishedAt":"1970-01-01T00:16:40Z"}}"#

    @Test(
        "A container has ended when it will not run again",
        arguments: [
            ("Always", "containerStatuses", done, false), ("OnFailure", "containerStatuses", done, true),
            ("OnFailure", "containerStatuses", failed, false), ("Never", "containerStatuses", failed, true),
            ("Always", "containerStatuses", #"{"running":{}}"#, false),
            ("Never", "containerStatuses", #"{"waiting":{}}"#, false),
            ("Always", "initContainerStatuses", done, true), ("Always", "initContainerStatuses", failed, false),
            ("Never", "initContainerStatuses", failed, true),
            ("Always", "ephemeralContainerStatuses", failed, true),
        ])
    func states(policy: String, list: String, state: String, expected: Bool) throws {
        let pod = try pod(policy: policy, list: list, state: state)
        #expect(ContainerState.hasEnded(pod, container: "c", uid: "u", now: 1_001) == expected)
    }

    @Test("A job's container is read for a minute after its end, or until its pod is deleted")
    func jobs() throws {
        let job = try pod(policy: "Never", state: Self.done, owner: "Job")
        #expect(!ContainerState.hasEnded(job, container: "c", uid: "u", now: 1_060))
        #expect(ContainerState.hasEnded(job, container: "c", uid: "u", now: 1_061))
        let deleted = try pod(
            policy: "Never", state: Self.done, owner: "Job", more: #","deletionTimestamp":"1970-01-01T00:16:41Z""#)
        #expect(ContainerState.hasEnded(deleted, container: "c", uid: "u", now: 1_001))
    }

    @Test("Another pod of the same name ends the container; an unknown one does not")
    func identity() throws {
        let pod = try pod(policy: "Always", state: #"{"running":{}}"#)
        #expect(ContainerState.hasEnded(pod, container: "c", uid: "other", now: 0))
        #expect(!ContainerState.hasEnded(pod, container: "unknown", uid: "u", now: 0))
        #expect(!ContainerState.hasEnded(.null, container: "c", uid: "u", now: 0))
    }
}
