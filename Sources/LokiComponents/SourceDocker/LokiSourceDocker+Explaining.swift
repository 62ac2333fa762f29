package import ComponentKit
import Telemetry

extension LokiSourceDocker: Explaining {
    /// Of a target, which container's log is read and which labels the lines of either stream get; a log entry is taken
    /// as it was read.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let receivers = current.forwardTo.owners
        switch item.kind {
        case .log:
            return Explanation(
                results: [Explanation.Result(item, .receivers(receivers))],
                notes: ["taken as it is read from a container, with the labels given"])
        case .target: break
        default: return nil
        }
        let (found, _) = DockerTarget.all(
            [Target(own: item.labels)], labels: current.labels.map { ($0.key, $0.value) }, rules: current.relabeling)
        guard let target = found.first else {
            return Explanation([
                ExplainedStep(
                    "target", .dropped, "not read: it has no label __meta_docker_container_id", before: item, after: nil
                )
            ])
        }
        var explanation = Explanation()
        for (stream, labels) in zip(DockerStream.allCases, target.streams) {
            var builder = LabelSetBuilder(target.labels)
            builder.set("__meta_docker_container_log_stream", to: stream.name)
            let begun = item.with(labels: builder.finish())
            explanation.steps.append(
                ExplainedStep(
                    "stream \(stream.name)", .changed, "reads the log of container \(target.containerID)", before: item,
                    after: begun))
            guard let relabelled = explanation.relabel(begun, by: current.relabeling, named: "relabel_rules"),
                let labels
            else { continue }
            var entry = item.with(labels: labels)
            entry.kind = .log
            explanation.steps.append(
                ExplainedStep(
                    "labels", .changed, "labels that begin with __ are not those of lines", before: relabelled,
                    after: entry))
            explanation.results.append(Explanation.Result(entry, .receivers(receivers)))
        }
        return explanation
    }
}
