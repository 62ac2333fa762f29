import Essentials
import Synchronization

/// What a metric family measures, as expositions name it.
package enum MetricKind: String, Sendable {
    case counter, gauge, histogram, summary
    case unknown = "untyped"
}

/// One series of a family at the time of collection.
package struct CollectedSample: Sendable {
    /// Appended to the family's name: `_bucket`, `_sum`, `_count` or nothing.
    package var suffix: String
    package var labels: [(name: String, value: String)]
    package var value: Double

    package init(suffix: String = "", labels: [(name: String, value: String)] = [], value: Double) {
        self.suffix = suffix
        self.labels = labels
        self.value = value
    }
}

/// A family with its series at the time of collection.
package struct CollectedFamily: Sendable {
    package var name: String
    package var help: String
    package var kind: MetricKind
    package var samples: [CollectedSample]

    package init(name: String, help: String, kind: MetricKind, samples: [CollectedSample]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.samples = samples
    }
}

/// Every metric invar keeps about itself, gathered from the scopes of components and of the program.
package final class MetricRegistry: Sendable {
    private struct Reference { weak var scope: MetricScope? }

    private struct State: ~Copyable {
        var scopes: [Reference] = []
        /// Released scopes are looked for when there are this many, so that adding one stays cheap.
        var sweepAt = 64
    }

    private let state = Mutex(State())

    package init() {}

    /// A set of metrics that share `labels` (such as `component_id`) and vanish when the scope is released.
    package func scope(labels: [(name: String, value: String)] = []) -> MetricScope {
        let scope = MetricScope(labels: labels)
        state.withLock { state in
            if state.scopes.count >= state.sweepAt {
                state.scopes.removeAll { $0.scope == nil }
                state.sweepAt = max(64, 2 * state.scopes.count)
            }
            state.scopes.append(Reference(scope: scope))
        }
        return scope
    }

    /// All families sorted by name, with equal families of different scopes merged.
    package func collect() -> [CollectedFamily] {
        let live = state.withLock { $0.scopes.compactMap(\.scope) }
        var families: [String: CollectedFamily] = [:]
        for scope in live {
            for family in scope.collect() {
                if families[family.name] == nil {
                    families[family.name] = family
                } else {
                    families[family.name]?.samples += family.samples
                }
            }
        }
        return families.values.sorted { $0.name < $1.name }
    }
}

/// The metrics of one component or one part of the program.
///
/// Asking for a metric twice by the same name and labels returns the same instrument, so that a reload goes on
/// counting.
package final class MetricScope: Sendable {
    private enum Instrument {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
    }

    private struct Family {
        var help: String
        var kind: MetricKind
        var series: [(labels: [(name: String, value: String)], instrument: Instrument)] = []
    }

    private struct State: ~Copyable {
        var families: [String: Family] = [:]
        var collectors: [(id: UInt64, collect: @Sendable () -> [CollectedFamily])] = []
        var nextID: UInt64 = 0
    }

    private let labels: [(name: String, value: String)]
    private let state = Mutex(State())

    fileprivate init(labels: [(name: String, value: String)]) { self.labels = labels }

    package func counter(
        _ name: String, _ help: String, labels: KeyValuePairs<String, String> = [:]
    ) -> Counter {
        instrument(name, help, .counter, labels, existing: { if case .counter(let found) = $0 { found } else { nil } })
        {
            let made = Counter()
            return (made, .counter(made))
        }
    }

    package func gauge(_ name: String, _ help: String, labels: KeyValuePairs<String, String> = [:]) -> Gauge {
        instrument(name, help, .gauge, labels, existing: { if case .gauge(let found) = $0 { found } else { nil } }) {
            let made = Gauge()
            return (made, .gauge(made))
        }
    }

    package func histogram(
        _ name: String, _ help: String, bounds: [Double] = Histogram.defaultBounds,
        labels: KeyValuePairs<String, String> = [:]
    ) -> Histogram {
        instrument(
            name, help, .histogram, labels,
            existing: { if case .histogram(let found) = $0 { found } else { nil } }
        ) {
            let made = Histogram(bounds: bounds)
            return (made, .histogram(made))
        }
    }

    /// Removes the series of `name` with these labels, for example when a target is gone.
    package func remove(_ name: String, labels: KeyValuePairs<String, String>) {
        let wanted = labels.map { (name: $0.key, value: $0.value) }
        state.withLock { state in
            state.families[name]?.series.removeAll { Self.equal($0.labels, wanted) }
        }
    }

    /// Removes every series that has all of these labels, for example those of an endpoint that is gone.
    package func remove(labelled labels: KeyValuePairs<String, String>) {
        state.withLock { state in
            for name in Array(state.families.keys) {
                state.families[name]?.series.removeAll { entry in
                    labels.allSatisfy { wanted in
                        entry.labels.contains { $0.name == wanted.key && $0.value == wanted.value }
                    }
                }
            }
        }
    }

    /// Metrics computed when asked for. The closure must not retain what owns this scope.
    package func collector(_ collect: @escaping @Sendable () -> [CollectedFamily]) {
        state.withLock { state in
            state.collectors.append((state.nextID, collect))
            state.nextID += 1
        }
    }

    func collect() -> [CollectedFamily] {
        let (families, collectors) = state.withLock { state in
            (state.families, state.collectors.map(\.collect))
        }
        var collected = families.map { name, family in
            CollectedFamily(
                name: name, help: family.help, kind: family.kind,
                samples: family.series.flatMap { samples(of: $0.instrument, labels + $0.labels) })
        }
        for collect in collectors {
            collected += collect().map { family in
                var family = family
                for index in family.samples.indices {
                    family.samples[index].labels = labels + family.samples[index].labels
                }
                return family
            }
        }
        return collected
    }

    private func instrument<Made>(
        _ name: String, _ help: String, _ kind: MetricKind, _ labels: KeyValuePairs<String, String>,
        existing: (Instrument) -> Made?, make: () -> (Made, Instrument)
    ) -> Made {
        let pairs = labels.map { (name: $0.key, value: $0.value) }
        return state.withLock { state in
            var family = state.families[name] ?? Family(help: help, kind: kind)
            if let entry = family.series.first(where: { Self.equal($0.labels, pairs) }),
                let found = existing(entry.instrument)
            {
                return found
            }
            let (made, instrument) = make()
            family.series.append((pairs, instrument))
            state.families[name] = family
            return made
        }
    }

    private static func equal(
        _ a: [(name: String, value: String)], _ b: [(name: String, value: String)]
    ) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    }

    private func samples(of instrument: Instrument, _ labels: [(name: String, value: String)]) -> [CollectedSample] {
        switch instrument {
        case .counter(let counter): return [CollectedSample(labels: labels, value: counter.value)]
        case .gauge(let gauge): return [CollectedSample(labels: labels, value: gauge.value)]
        case .histogram(let histogram):
            let (counts, sum) = histogram.snapshot
            var samples: [CollectedSample] = []
            var cumulative = 0
            for (index, count) in counts.enumerated() {
                cumulative += count
                let bound = index < histogram.bounds.count ? Exposition.number(histogram.bounds[index]) : "+Inf"
                samples.append(
                    CollectedSample(suffix: "_bucket", labels: labels + [("le", bound)], value: Double(cumulative)))
            }
            samples.append(CollectedSample(suffix: "_sum", labels: labels, value: sum))
            samples.append(CollectedSample(suffix: "_count", labels: labels, value: Double(cumulative)))
            return samples
        }
    }
}
