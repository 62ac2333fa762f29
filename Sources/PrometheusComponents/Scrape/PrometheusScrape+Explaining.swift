package import ComponentKit
import Essentials
import Telemetry
import TextFormats
import Transport

extension PrometheusScrape: Explaining {
    /// Of a target, what it is scraped as; the series `up`, which every target gets, then stands for what it exposes. A
    /// series is taken as it comes out of a scrape.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let settings = pool.arguments.current
        switch item.kind {
        case .metric:
            return Explanation(
                results: [Explanation.Result(item, .receivers(settings.forwardTo.owners))],
                notes: ["taken as it comes out of a scrape, with the labels of its target"])
        case .target:
            let jobName = settings.jobName ?? pool.context.componentID
            return ScrapeExplanation.explanation(of: item, settings, jobName: jobName)
        default: return nil
        }
    }
}

/// What becomes of a target of a job.
enum ScrapeExplanation {
    static func explanation(
        of item: ExplainedItem, _ settings: PrometheusScrape.Arguments, jobName: String
    ) -> Explanation {
        var explanation = Explanation()
        let made: ScrapeTarget
        var scratch = LabelSetBuilder()
        do throws(ScrapeTargetError) {
            made = try ScrapeTarget(Target(own: item.labels), settings, jobName: jobName, scratch: &scratch)
        } catch {
            explanation.steps.append(
                ExplainedStep("target", .dropped, "not scraped: \(error)", before: item, after: nil))
            return explanation
        }
        let scraped = item.with(labels: made.labels)
        explanation.steps.append(
            ExplainedStep(
                "target", .changed,
                "scraped at \(made.url.text) every \(PrometheusDuration.format(made.interval)), "
                    + "\(settings.honorLabels ? "labels of its series win" : "its labels win") over equal names",
                before: item, after: scraped))
        var series = ExplainedItem(.metric, TargetLabels.report("up", made.labels))
        series.timestamp = item.timestamp
        explanation.steps.append(
            ExplainedStep(
                "series", .changed, "the series up, which every target gets, stands for what the target exposes",
                before: scraped, after: series))
        if settings.targetLimit > 0 {
            explanation.notes.append(
                "with more than \(settings.targetLimit) targets (target_limit) every scrape fails")
        }
        explanation.results = [Explanation.Result(series, .receivers(settings.forwardTo.owners))]
        return explanation
    }
}
