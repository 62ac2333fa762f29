import Storage
import Telemetry
import TextFormats
import Wire

/// One container whose log is followed, and the labels of its lines.
///
/// Labels and the choice among targets of one container agree with grafana/alloy `loki.source.docker`. Deviation: lines
/// of a stream that the rules drop are dropped, upstream sends them without labels.
struct DockerTarget: Sendable, Equatable {
    let containerID: String
    /// The target's labels with the component's own.
    let labels: LabelSet
    /// The labels of the lines, by stream; nil when a rule drops them.
    let streams: [LabelSet?]

    struct Key: Hashable, Sendable {
        let containerID: String
        let labels: LabelSet
    }

    var key: Key { Key(containerID: containerID, labels: labels) }

    /// Where upstream keeps the second of the newest line.
    var positionKey: PositionKey { PositionKey(path: "cursor-\(containerID)", labels: "\(labels)") }

    /// Where it is kept to the line.
    var exactPositionKey: PositionKey { PositionKey(path: "cursor-\(containerID):exact", labels: "\(labels)") }

    /// The containers of `targets`, one target each. `unnamed` counts those that name none.
    static func all(
        _ targets: [Target], labels own: [(String, String)], rules: Relabeling
    ) -> (found: [DockerTarget], unnamed: Int) {
        var builder = LabelSetBuilder()
        var chosen: [String: (fingerprint: UInt64, labels: LabelSet)] = [:]
        var unnamed = 0
        for target in targets {
            builder.reset(to: target.labels)
            for (name, value) in own { builder.set(name, to: value) }
            let labels = builder.finish()
            guard let id = labels["__meta_docker_container_id"], !id.isEmpty else {
                unnamed += 1
                continue
            }
            let fingerprint = Self.fingerprint(labels)
            if let known = chosen[id], known.fingerprint <= fingerprint { continue }
            chosen[id] = (fingerprint, labels)
        }
        let found = chosen.map { id, entry in
            DockerTarget(
                containerID: id, labels: entry.labels,
                streams: DockerStream.allCases.map { Self.labels(entry.labels, $0, rules, &builder) })
        }
        return (found.sorted { $0.containerID < $1.containerID }, unnamed)
    }

    private static func labels(
        _ labels: LabelSet, _ stream: DockerStream, _ rules: Relabeling, _ builder: inout LabelSetBuilder
    ) -> LabelSet? {
        builder.reset(to: labels)
        builder.set("__meta_docker_container_log_stream", to: stream.name)
        guard rules.apply(to: &builder) else { return nil }
        builder.filter { name, _ in !LokiLabelText.isInternal(name) }
        return builder.finish()
    }

    /// The hash upstream sorts targets by: FNV-1a of names and values, each followed by a byte that no UTF-8 text has.
    private static func fingerprint(_ labels: LabelSet) -> UInt64 {
        var bytes: [UInt8] = []
        labels.forEach { name, value in
            bytes.append(contentsOf: name)
            bytes.append(0xFF)
            bytes.append(contentsOf: value)
            bytes.append(0xFF)
        }
        return bytes.withUnsafeBytes { FNV1a.hash64($0) }
    }
}
