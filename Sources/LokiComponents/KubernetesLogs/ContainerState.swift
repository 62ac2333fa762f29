import Kubernetes
import TextFormats

/// Whether more lines may come from a container.
///
/// Agrees with the Kubernetes documentation, "Pod Lifecycle", and grafana/alloy `kubetail`: a container goes on as long
/// as it runs, waits to run, or will be restarted. A container of a job is read for a minute after its end, because its
/// last lines may be late.
enum ContainerState {
    /// Seconds during which a job's container is read after its end.
    private static let jobGrace: Int64 = 60

    /// `pod` is the pod as the API describes it; `now` is in seconds since 1970.
    static func hasEnded(_ pod: JSONValue, container name: String, uid: String, now: Int64) -> Bool {
        let metadata = pod["metadata"]
        if isOther(pod, than: uid) { return true }
        guard let (status, kind) = find(name, in: pod["status"]), let state = status["state"],
            let terminated = state["terminated"], terminated.objectValue != nil
        else { return false }
        let controller = metadata?["ownerReferences"]?.arrayValue?.first { $0["controller"]?.boolValue == true }
        if let owner = controller?["kind"]?.stringValue, owner == "Job" || owner == "CronJob" {
            if metadata?["deletionTimestamp"]?.stringValue != nil { return true }
            guard let finished = seconds(terminated["finishedAt"]?.stringValue) else { return false }
            return now - finished > jobGrace
        }
        let failed = terminated["exitCode"]?.intValue ?? 0 != 0
        let policy = pod["spec"]?["restartPolicy"]?.stringValue ?? "Always"
        switch kind {
        case .ordinary: return !(policy == "Always" || (failed && policy != "Never"))
        case .initial: return !(failed && policy != "Never")
        case .ephemeral: return true
        }
    }

    /// Whether `pod` is another one that has the name of the pod with `uid`.
    static func isOther(_ pod: JSONValue, than uid: String) -> Bool {
        pod["metadata"]?["uid"]?.stringValue.map { $0 != uid } ?? false
    }

    /// The run of a container before the one its log is of.
    struct EarlierRun: Sendable, Equatable {
        /// As the runtime names it, with its scheme.
        var id: String
        /// When it ended, in seconds since 1970.
        var ended: Int64
        /// When the run after it began; nil when that has not begun.
        var nextStarted: Int64?
    }

    /// The run before, as far as the API tells of it.
    static func earlierRun(_ pod: JSONValue, container name: String) -> EarlierRun? {
        guard let (status, _) = find(name, in: pod["status"]), let last = status["lastState"]?["terminated"],
            let id = last["containerID"]?.stringValue, !id.isEmpty,
            let ended = seconds(last["finishedAt"]?.stringValue)
        else { return nil }
        let state = status["state"]
        let started = state?["running"]?["startedAt"] ?? state?["terminated"]?["startedAt"]
        return EarlierRun(id: id, ended: ended, nextStarted: seconds(started?.stringValue))
    }

    private enum Kind { case ordinary, initial, ephemeral }

    private static func find(_ name: String, in status: JSONValue?) -> (JSONValue, Kind)? {
        let places: [(String, Kind)] = [
            ("containerStatuses", .ordinary), ("initContainerStatuses", .initial),
            ("ephemeralContainerStatuses", .ephemeral),
        ]
        for (list, kind) in places {
            let found = status?[list]?.arrayValue?.first { $0["name"]?.stringValue == name }
            if let found { return (found, kind) }
        }
        return nil
    }

    private static func seconds(_ text: String?) -> Int64? {
        guard let text else { return nil }
        return Array(text.utf8).withUnsafeBytes { parseRFC3339($0) }.map { $0 / 1_000_000_000 }
    }
}
