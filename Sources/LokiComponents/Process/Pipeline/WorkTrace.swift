import Telemetry

/// Notes what each stage does to the entries of a batch, for whoever asks why.
final class WorkTrace {
    /// An entry before or after a stage.
    struct Moment {
        var labels: LabelSet
        var line: String
        var timestamp: Int64
        var metadata: LabelSet
        /// Every value later stages may ask for, by name.
        var values: [(name: String, value: String)]
    }

    enum Outcome {
        case next
        /// The stages inside are passed over.
        case skipped
        /// Dropped, with the reason it is counted under.
        case dropped(String)
        case held
        /// Several entries go on in its place.
        case split(Int)
        /// Not run: what it does depends on more than the entry.
        case unpredictable
    }

    struct Step {
        /// The stage's place in the program.
        var position: Int
        var outcome: Outcome
        var before: Moment
        /// The same entry; meaningless once it is gone.
        var after: Moment
    }

    private(set) var steps: [Step] = []
    /// Steps beyond this are not noted: entries may split.
    static let limit = 500

    var isFull: Bool { steps.count >= Self.limit }

    func add(_ step: Step) { steps.append(step) }
}

extension Work {
    /// The entry as it is now.
    mutating func moment() -> WorkTrace.Moment {
        var values: [(name: String, value: String)] = []
        for named in allValues() {
            let name = text.string(named.name)
            // What has no text is there all the same.
            values.append((name, text(of: named.value).map { text.string($0) } ?? "(no text)"))
        }
        return WorkTrace.Moment(
            labels: labelSet, line: text.string(line), timestamp: timestamp, metadata: metadata, values: values)
    }

    /// Runs a stage and notes what it did.
    mutating func runTraced(_ position: Int) -> Verdict {
        let stage = program.stages[position]
        guard let trace, !trace.isFull else { return stage.run(&self) }
        let before = moment()
        guard stage.isPredictable else {
            trace.add(WorkTrace.Step(position: position, outcome: .unpredictable, before: before, after: before))
            return .next
        }
        let (drops, held) = (tally.drops, tally.held)
        let verdict = stage.run(&self)
        let outcome: WorkTrace.Outcome
        switch verdict {
        case .next: outcome = .next
        case .jump: outcome = .skipped
        case .stop:
            let drop = tally.drops.first { drops[$0.key] != $0.value }?.key
            outcome = drop == nil && tally.held > held ? .held : .dropped(drop.map { $0.reason ?? $0.stage } ?? "")
        case .release: outcome = .held
        case .split(let lines): outcome = .split(lines.count)
        }
        let after = moment()
        trace.add(WorkTrace.Step(position: position, outcome: outcome, before: before, after: after))
        return verdict
    }
}
