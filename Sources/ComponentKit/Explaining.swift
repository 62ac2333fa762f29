package import Telemetry

/// A component that can say what it would do with an item.
///
/// Explaining moves nothing: no batch is sent, nothing is counted, booked or remembered, and `run()` need not have been
/// called. The answer comes from the very rules that data passes, applied with their arguments as they are now.
package protocol Explaining {
    /// What the component would do with `item`; nil when it takes no items of its kind.
    func explain(_ item: ExplainedItem) -> Explanation?
}

/// An item somebody asks about: one target, series, log entry or piece of OpenTelemetry data.
package struct ExplainedItem: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// Labels of a target, reserved ones included.
        case target
        /// The labels of a series with its name as `__name__`.
        case metric
        /// An entry with the labels of its stream.
        case log
        /// OpenTelemetry data of one signal; `labels` show the fields of its first record.
        case otelLog = "otel_log"
        case otelMetric = "otel_metric"
        case span
        /// The ID of a trace, in hexadecimal as the label `trace_id`.
        case trace
        /// The path of a file, as the label `__path__`.
        case file
        /// A pod of Kubernetes: its `namespace` and `name` as labels and, where it is known, the whole `object`.
        case pod
    }

    package var kind: Kind
    package var labels: LabelSet
    /// The text of a log entry, or of the entries that a target, pod or file is to bring; nil when nobody knows it.
    package var line: String?
    /// Structured metadata of a log entry.
    package var metadata: LabelSet = .empty
    /// Nanoseconds since 1970.
    package var timestamp: Int64 = 0
    /// A pod as JSON.
    package var object: [UInt8] = []
    /// OpenTelemetry data.
    package var batch: OTLPBatch?

    package init(_ kind: Kind, _ labels: LabelSet = .empty, line: String? = nil, timestamp: Int64 = 0) {
        self.kind = kind
        self.labels = labels
        self.line = line
        self.timestamp = timestamp
    }

    /// The same with other labels.
    package func with(labels: LabelSet) -> ExplainedItem {
        var copy = self
        copy.labels = labels
        return copy
    }

    /// The signal whose edges the item travels on; nil for what does not travel on receivers.
    package var signal: Signal? {
        switch kind {
        case .metric, .otelMetric: .metrics
        case .log, .otelLog: .logs
        case .span: .traces
        case .target, .trace, .file, .pod: nil
        }
    }
}

/// Where a rule stands in the block of its component, from the outside in.
package struct RulePath: Sendable, Equatable {
    package struct Part: Sendable, Equatable {
        /// A block's or attribute's name; one that ends in a dot stands for all blocks whose names begin with it.
        package var name: String
        /// Which of the blocks of that name, from 0.
        package var index: Int
    }

    package var parts: [Part]

    package init(_ name: String, _ index: Int = 0) { parts = [Part(name: name, index: index)] }

    /// A block or attribute inside.
    package func inside(_ name: String, _ index: Int = 0) -> RulePath {
        var path = self
        path.parts.append(Part(name: name, index: index))
        return path
    }
}

/// What one rule would do.
package struct ExplainedStep: Sendable {
    package enum Outcome: String, Sendable {
        /// The rule asks something and the item passes.
        case kept
        case changed
        case unchanged
        case dropped
        /// Nobody can say without running: the detail tells why.
        case unknown
    }

    /// The rule in a few words.
    package var title: String
    /// Where it is written; nil for what no block says.
    package var path: RulePath?
    package var outcome: Outcome
    /// Why, in one sentence.
    package var detail: String
    package var before: ExplainedItem
    /// Nil when the rule ends the item.
    package var after: ExplainedItem?
    /// Values the rule found that are not part of the item.
    package var found: [(name: String, value: String)]

    package init(
        _ title: String, path: RulePath? = nil, _ outcome: Outcome, _ detail: String = "", before: ExplainedItem,
        after: ExplainedItem?, found: [(name: String, value: String)] = []
    ) {
        self.title = title
        self.path = path
        self.outcome = outcome
        self.detail = detail
        self.before = before
        self.after = after
        self.found = found
    }
}

/// What a component would do with an item.
package struct Explanation: Sendable {
    /// Where an item goes from here.
    package enum Exit: Sendable, Equatable {
        /// To the components of these full IDs.
        case receivers([String])
        /// Into a list that the component exports under this name.
        case targets(String)
        /// Out of the graph, with the name of the place.
        case destination(String)
        /// It stays here for the time being.
        case held(String)
        /// It goes on, but not as an item that could be shown.
        case ends(String)
    }

    package struct Result: Sendable {
        package var item: ExplainedItem
        package var exit: Exit

        package init(_ item: ExplainedItem, _ exit: Exit) {
            self.item = item
            self.exit = exit
        }
    }

    /// The rules in the order they apply.
    package var steps: [ExplainedStep]
    /// What comes out; empty when the item is dropped.
    package var results: [Result]
    /// What the answer leaves open, a sentence each.
    package var notes: [String]

    package init(_ steps: [ExplainedStep] = [], results: [Result] = [], notes: [String] = []) {
        self.steps = steps
        self.results = results
        self.notes = notes
    }
}

/// The answer of a component, whatever its type, to the question what it would do.
package enum ExplainAnswer: Sendable {
    /// Its arguments have not been evaluated without errors.
    case notMade
    /// It cannot say, about anything.
    case cannot
    /// It takes no items of this kind.
    case otherKind
    case explained(Explanation)
}

extension Fanout {
    /// The full IDs of the components behind the receivers.
    package var owners: [String] { receivers.map(\.owner) }
}
