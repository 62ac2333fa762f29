import Essentials
import Kubernetes
import SelfMetrics
import Synchronization

/// Pods by what they are found by, and what else their attributes come from.
///
/// A pod is described when something of it first comes along; its object is the cache's own. Pods that are gone stay
/// for the grace period, because what they sent may still be under way.
final class PodIndex: Sendable {
    private struct State {
        var pods = PodTable()
        var isComplete = false
    }

    let objects: ObjectTables
    private let rules: ExtractionRules
    private let matcher: PodMatcher
    private let keys = AttributeKeys()
    private let excluded: @Sendable (DescribedPod) -> Bool
    private let graceNanoseconds: Int64
    private let state = Mutex(State())
    private let metrics: PodMetrics

    init(
        _ rules: ExtractionRules, _ matcher: PodMatcher, grace: Duration, metrics: PodMetrics,
        excluded: @escaping @Sendable (DescribedPod) -> Bool
    ) {
        self.rules = rules
        self.matcher = matcher
        self.excluded = excluded
        self.metrics = metrics
        graceNanoseconds = grace.nanoseconds
        objects = ObjectTables(rules, keys, graceNanoseconds: graceNanoseconds)
    }

    /// Pods that are there.
    var count: Int { state.withLock { $0.pods.count } }

    /// Whether everything has been listed once.
    var isComplete: Bool { state.withLock { $0.isComplete } }
    func complete() { state.withLock { $0.isComplete = true } }

    /// What is known of the pod with the identifier; nil also for excluded ones.
    func description(for identifier: PodIdentifier) -> PodDescription? {
        guard let (slot, entry) = state.withLock({ $0.pods.entry(of: identifier) }), !entry.isExcluded else {
            metrics.misses.add()
            return nil
        }
        if let known = entry.description { return known }
        let made = describe(entry.pod.object)
        state.withLock { $0.pods.describe(entry.pod, at: slot, made) }
        return made
    }

    private func describe(_ pod: DescribedPod) -> PodDescription {
        PodDescription(pod, rules, objects.surroundings(of: pod.metadata), keys)
    }

    // MARK: Changes

    /// Takes over pods that came or changed (a value) or went (nil). `now` is monotonic.
    func update(_ changes: [(key: ObjectKey, pod: KeptObject<DescribedPod>?)], now: Int64) {
        // Made outside of the lock: lookups go on meanwhile.
        let made = changes.map { change in (key: change.key, entry: change.pod.map { makeEntry($0) }) }
        let (events, size) = state.withLock { state in
            let events = made.compactMap { key, entry in
                state.pods.put(entry, at: key, forgetOld: now + graceNanoseconds)
            }
            state.pods.forget(now)
            return (events, state.pods.identifierCount)
        }
        metrics.count(events, size)
    }

    /// Describes pods anew when they are asked for: something their attributes come from has changed. Those that are gone
    /// stay as they were.
    func redescribe() {
        guard matcher.readsAttributes else {
            state.withLock { $0.pods.forgetDescriptions() }
            return
        }
        let made = state.withLock { $0.pods.present }.map { (slot: $0.slot, entry: makeEntry($0.pod)) }
        state.withLock { state in
            for (slot, entry) in made { state.pods.renew(entry, at: slot) }
        }
    }

    /// Forgets what has been gone for the grace period, and tells when the next pod's time is over.
    func forget(now: Int64) -> Int64? {
        objects.forget(now: now)
        return state.withLock { $0.pods.forget(now) }
    }

    private func makeEntry(_ pod: KeptObject<DescribedPod>) -> PodTable.Entry {
        let isExcluded = excluded(pod.object)
        var description: PodDescription?
        if matcher.readsAttributes, !isExcluded { description = describe(pod.object) }
        let identifiers = matcher.identifiers(of: pod.object) { key in
            description?.attributes.first { $0.key == key }?.text
        }
        return PodTable.Entry(pod: pod, description: description, identifiers: identifiers, isExcluded: isExcluded)
    }
}
