package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry

extension LokiProcess: Explaining {
    /// Runs the entry through the stages of a pipeline that nothing else passes, and lets go at once of what a stage
    /// would hold. An entry whose line is not known passes unexplained.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .log else { return nil }
        let settings = arguments.current
        let receivers = settings.forwardTo.owners
        guard let line = item.line else {
            return Explanation(
                results: [Explanation.Result(item, .receivers(receivers))],
                notes: [
                    "the line is not known, so its \(settings.stages.count) stages are not run: give a line to see "
                        + "what they make of it"
                ])
        }
        var batch = LogBatch()
        batch.append(line, labels: item.labels, timestamp: item.timestamp, metadata: item.metadata)
        let account = MemoryBudget(limit: .mebibytes(256)).account("explain")
        let services = StageServices(
            metrics: PipelineMetrics(scope: MetricRegistry().scope(), clock: context.clock, account: account),
            memory: HeldMemory(account))
        let program = Program(settings.stages, services)
        var work = Work(program, clock: context.clock, log: Log(sink: SilentLogSink(), clock: context.clock))
        let trace = WorkTrace()
        work.trace = trace
        work.process(batch)
        work.release(dueAt: nil)
        var explanation = Explanation(trace.steps.map { Self.step($0, program, item) })
        for output in work.takeOutputs() {
            for entry in output.batch.entries {
                var left = item.with(labels: output.batch.streams[Int(entry.stream)])
                left.line = output.batch.line(entry)
                left.timestamp = entry.timestamp
                left.metadata = entry.metadata
                explanation.results.append(Explanation.Result(left, .receivers(receivers)))
            }
        }
        return explanation
    }

    private static func step(_ step: WorkTrace.Step, _ program: Program, _ item: ExplainedItem) -> ExplainedStep {
        func entry(_ moment: WorkTrace.Moment) -> ExplainedItem {
            var copy = item.with(labels: moment.labels)
            copy.line = moment.line
            copy.timestamp = moment.timestamp
            copy.metadata = moment.metadata
            return copy
        }
        let before = entry(step.before)
        let after = entry(step.after)
        let known = Dictionary(step.before.values.map { ($0.name, $0.value) }) { first, _ in first }
        let found = step.after.values.filter { known[$0.name] != $0.value }
        let isSame =
            before.labels == after.labels && before.line == after.line && before.metadata == after.metadata
            && before.timestamp == after.timestamp
        var made = ExplainedStep(
            "", path: program.path(of: step.position), isSame ? .unchanged : .changed, before: before, after: after,
            found: found)
        switch step.outcome {
        case .next:
            if program.holdsStages(step.position) {
                made.outcome = .kept
                made.detail = "the selector matches"
            } else if isSame, found.isEmpty {
                made.detail = "nothing to do for this entry"
            }
        case .skipped: made.detail = "the selector does not match: its stages are passed over"
        case .dropped(let reason):
            made.outcome = .dropped
            made.detail = reason.isEmpty ? "dropped" : "dropped, counted as \(reason)"
            made.after = nil
            made.found = []
        case .held:
            made.detail = "waits for entries that follow; here it is let go of at once"
            made.outcome = .unchanged
            made.after = before
        case .split(let count): made.detail = "\(count) entries go on in its place"
        case .unpredictable:
            made.outcome = .unknown
            made.detail = "depends on chance or on the entries before: taken as let through"
        }
        return made
    }
}
