import ComponentKit
import KubernetesKit
import Telemetry

/// What jobs that come from objects of the operator make of a pod or a target.
enum MonitorExplanation {
    typealias Job = (job: MonitorJob, targets: [LabelSet], forwardTo: Fanout<MetricBatch>)

    /// Targets that are dropped are told up to this number; there may be as many as there are jobs.
    private static let dropLimit = 20

    static func explanation(of item: ExplainedItem, _ jobs: [Job]) -> Explanation? {
        guard item.kind == .pod || item.kind == .target, !jobs.isEmpty else { return nil }
        var explanation = Explanation()
        var withoutTarget = 0
        var dropped = 0
        for job in jobs {
            let targets = targets(of: item, job)
            if targets.isEmpty { withoutTarget += 1 }
            for labels in targets {
                var target = item.with(labels: labels)
                target.kind = .target
                target.object = []
                var part = Explanation()
                part.follow(target, job)
                if part.results.isEmpty {
                    dropped += 1
                    if dropped > dropLimit { continue }
                }
                explanation.steps += part.steps
                explanation.results += part.results
                explanation.notes += part.notes
            }
        }
        if withoutTarget > 0 { explanation.notes.append("\(withoutTarget) of \(jobs.count) jobs do not look at it") }
        if dropped > dropLimit { explanation.notes.append("\(dropped - dropLimit) more targets are dropped") }
        return explanation
    }

    /// The targets that a job has of the item.
    private static func targets(of item: ExplainedItem, _ job: Job) -> [LabelSet] {
        if item.kind == .target { return [item.labels] }
        if case .kubernetes(let request) = job.job.source, request.role == .pod, !item.object.isEmpty {
            guard let question = try? PodQuestion(json: item.object), question.refusal(by: request) == nil else {
                return []
            }
            return question.targets
        }
        return job.targets.filter {
            $0["__meta_kubernetes_namespace"] == item.labels["namespace"]
                && $0["__meta_kubernetes_pod_name"] == item.labels["name"]
        }
    }
}

extension Explanation {
    /// Relabels a target of a job and tells what is scraped of it.
    fileprivate mutating func follow(_ target: ExplainedItem, _ job: MonitorExplanation.Job) {
        var scratch = LabelSetBuilder()
        job.job.prepare(&scratch, from: target.labels)
        let begun = target.with(labels: scratch.finish())
        steps.append(
            ExplainedStep(
                "job \(job.job.name)", begun.labels == target.labels ? .unchanged : .changed, "", before: target,
                after: begun))
        guard let left = relabel(begun, by: job.job.relabeling, named: "relabeling") else { return }
        let scrape = ScrapeExplanation.explanation(
            of: left, PrometheusScrape.Arguments(job: job.job.settings, forwardTo: job.forwardTo),
            jobName: job.job.name)
        steps += scrape.steps
        results += scrape.results
        notes += scrape.notes
    }
}
