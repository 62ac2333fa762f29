import AlloySyntax
import Essentials
import SelfMetrics
import Telemetry
import TextFormats

// MARK: stage.metrics

struct MetricsArguments: Block, StageConfiguration {
    private let metrics: [CustomMetricArguments]

    init(from block: inout BlockReader) {
        let all: [CustomMetricArguments] = block.variants(
            "metric", "A metric made of values.",
            [
                Variant("counter", "A number that only grows.") { CustomMetricArguments(counter: &$0) },
                Variant("gauge", "A number that goes up and down.") { CustomMetricArguments(gauge: &$0) },
                Variant("histogram", "Observations counted in buckets.") { CustomMetricArguments(histogram: &$0) },
            ])
        // Of several metrics with one name the last counts.
        var last: [String: CustomMetricArguments] = [:]
        for metric in all { last[metric.name] = metric }
        metrics = last.values.sorted { $0.name < $1.name }
    }

    func add(to program: inout ProgramBuilder) {
        let targets = metrics.map { metric in
            MetricsStage.Target(
                arguments: metric, slot: program.slot(metric.source),
                family: program.services.metrics.custom.family(
                    metric.prefix + metric.name, metric.kind, help: metric.description,
                    maxIdleSeconds: metric.maxIdle.components.seconds))
        }
        program.append(MetricsStage(targets, program.services.metrics.refusedObservations))
    }
}

/// A `metric.*` block.
struct CustomMetricArguments: Sendable {
    enum Action: String, Sendable { case inc, dec, add, sub, set, observe }

    let name: String
    let description: String
    let source: String
    let prefix: String
    let maxIdle: Duration
    let value: String
    var action = Action.observe
    var matchesAll = false
    var countsBytes = false
    var kind: CustomMetricKind

    init(counter block: inout BlockReader) {
        self.init(shared: &block, .counter)
        let word: String = block.required("action", "`inc` adds one, `add` adds the value.")
        matchesAll = block.optional(
            "match_all", default: false, "Whether every line counts, with or without the source.")
        countsBytes = block.optional(
            "count_entry_bytes", default: false, "Whether the bytes of every line are added.")
        switch Action(rawValue: word) {
        case .inc: action = .inc
        case .add: action = .add
        default:
            if block.isSet("action") {
                block.reject("action", "the 'action' counter field must be either 'inc' or 'add'")
            }
        }
        if matchesAll, !value.isEmpty {
            block.reject("value", "a 'counter' metric supports either 'match_all' or a 'value', but not both")
        }
        if countsBytes, !matchesAll || action != .add {
            block.reject(
                "count_entry_bytes",
                "the 'count_entry_bytes' counter field must be specified along with match_all set to true or action set to 'add'"
            )
        }
    }

    init(gauge block: inout BlockReader) {
        self.init(shared: &block, .gauge)
        let word: String = block.required("action", "`set`, `inc`, `dec`, `add` or `sub`.")
        switch Action(rawValue: word) {
        case .observe, nil:
            if block.isSet("action") {
                block.reject(
                    "action",
                    "the 'action' gauge field must be one of the following values: [set, inc, dec, add, sub]")
            }
        case .some(let known): action = known
        }
    }

    init(histogram block: inout BlockReader) {
        self.init(shared: &block, .counter)
        let buckets: [Double] = block.required("buckets", "Upper bounds of the buckets.")
        if zip(buckets, buckets.dropFirst()).contains(where: { $0 >= $1 }) {
            block.reject("buckets", "must be in increasing order")
        }
        kind = .histogram(buckets.filter { $0 != .infinity })
    }

    private init(shared block: inout BlockReader, _ kind: CustomMetricKind) {
        self.kind = kind
        name = block.required("name", "Name of the metric, without its prefix.")
        description = block.optional("description", default: "", "Help text of the metric.")
        let source = block.optional("source", default: "", "Extracted value to use; the metric's name without it.")
        let prefix = block.optional(
            "prefix", default: CustomMetricArguments.defaultPrefix, "Goes before the name.")
        maxIdle = block.optional(
            "max_idle_duration", default: .seconds(300), "Time without a change after which a series is removed.")
        value = block.optional("value", default: "", "Only values equal to it count.")
        self.source = source.isEmpty ? name : source
        self.prefix = prefix.isEmpty ? Self.defaultPrefix : prefix
        if maxIdle < .seconds(1) {
            block.reject("max_idle_duration", "max_idle_duration must be greater or equal than 1s")
        }
    }

    static let defaultPrefix = "loki_process_custom_"
}

private final class MetricsStage: Stage {
    struct Target {
        var arguments: CustomMetricArguments
        var slot: Int
        var family: CustomMetricFamily
        /// Series by number of the entry's label set.
        var series: [CustomMetricSeries?] = []
        var value: [UInt8]

        init(arguments: CustomMetricArguments, slot: Int, family: CustomMetricFamily) {
            self.arguments = arguments
            self.slot = slot
            self.family = family
            value = Array(arguments.value.utf8)
        }
    }

    private var targets: [Target]
    private let refusals: Counter
    private var epoch = -1

    init(_ targets: [Target], _ refusals: Counter) {
        self.targets = targets
        self.refusals = refusals
    }

    func run(_ work: inout Work) -> Verdict {
        if work.table.epoch != epoch {
            epoch = work.table.epoch
            for index in targets.indices { targets[index].series.removeAll() }
        }
        for index in targets.indices { record(index, &work) }
        return .next
    }

    private func record(_ index: Int, _ work: inout Work) {
        let arguments = targets[index].arguments
        var amount: Double? = 1
        if arguments.matchesAll {
            if arguments.countsBytes {
                amount = Double(work.line.length)
            } else if arguments.action == .add {
                // There is no value to add.
                return
            }
        } else {
            let value = work.value(targets[index].slot)
            guard value.isThere else { return }
            if !targets[index].value.isEmpty {
                guard let text = work.text(of: value), work.text.bytes(text).equals(targets[index].value) else {
                    return
                }
            }
            if arguments.action != .inc, arguments.action != .dec { amount = work.number(of: value) }
        }
        guard let amount else { return }
        if case .counter = arguments.kind, !(amount >= 0) { return }
        guard let series = series(index, work) else { return refusals.add(1) }
        work.tally.isRepeatable = false
        let now = work.clock.wallNanoseconds / 1_000_000_000
        switch arguments.action {
        case .inc, .add: series.add(amount, at: now)
        case .dec, .sub: series.add(-amount, at: now)
        case .set: series.set(amount, at: now)
        case .observe: series.observe(amount, at: now)
        }
    }

    private func series(_ index: Int, _ work: borrowing Work) -> CustomMetricSeries? {
        let id = Int(work.labels)
        while targets[index].series.count <= id { targets[index].series.append(nil) }
        if let series = targets[index].series[id], !series.isRetired { return series }
        let series = targets[index].family.series(for: work.labelSet)
        targets[index].series[id] = series
        return series
    }
}
