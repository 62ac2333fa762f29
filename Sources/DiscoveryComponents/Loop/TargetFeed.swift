import ComponentKit
import Essentials
import Synchronization
import Telemetry

/// Collects the groups a discovery finds and exports their targets.
///
/// Targets are exported sorted by group, each sharing the labels of its group. The first groups after a start are
/// exported at once; from then on there are at least five seconds between two exports, as in Alloy, so that a burst of
/// changes evaluates the dependents once. Groups equal to those known change nothing.
final class TargetFeed: Sendable {
    /// Shortest time between two exports.
    static let minimumInterval = Duration.seconds(5)
    /// How long the first groups may take before none count as found.
    static let firstPatience = Duration.seconds(120)

    private struct State {
        var groups: [TargetGroup.Key: TargetGroup] = [:]
        var isPending = false
        var hasExported = false
        /// Whether the next update is the first since the start.
        var isFirst = true
        /// Whether an export is under way; whoever makes it looks again afterwards, so that exports keep their order.
        var isExporting = false
        /// Monotonic nanoseconds before which nothing more is exported.
        var nextExport: Int64 = .min
    }

    private let context: Context<DiscoveryExports>
    private let live: LiveView
    private let state = Mutex(State())

    /// Exports nothing yet: that nothing was found is not known before something was asked.
    init(_ context: Context<DiscoveryExports>) {
        self.context = context
        live = context.makeLiveView()
    }

    /// Runs `discover` with a projection of the arguments and again from an empty feed whenever that changes, while
    /// exporting what it puts in.
    func run<Arguments: Sendable, Settings: Equatable & Sendable>(
        following arguments: Live<Arguments>, _ projection: @escaping @Sendable (Arguments) -> Settings,
        _ discover: @escaping @Sendable (Settings) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await exportRegularly() }
            group.addTask { [self] in
                try await arguments.whileCurrent(projection) { settings in
                    self.restart()
                    try await discover(settings)
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Replaces or, where there is nil or a group without targets, removes groups; the others stay.
    func update(_ changes: [TargetGroup.Key: TargetGroup?]) {
        change { groups in
            var isChanged = false
            for (key, group) in changes {
                let kept = group.flatMap { $0.targets.isEmpty ? nil : $0 }
                if groups[key] == kept { continue }
                groups[key] = kept
                isChanged = true
            }
            return isChanged
        }
    }

    /// Makes `groups` all there is.
    func replace(with groups: [TargetGroup.Key: TargetGroup]) {
        change { current in
            let kept = groups.filter { !$0.value.targets.isEmpty }
            if current == kept { return false }
            current = kept
            return true
        }
    }

    /// Forgets all groups. What was exported stays until the first update, or for five seconds when none comes; where
    /// nothing was, that is what dependants wait for, at most two minutes.
    private func restart() {
        let now = context.clock.monotonicNanoseconds
        state.withLock { state in
            state.groups = [:]
            state.isFirst = true
            state.isPending = true
            let patience = state.hasExported ? Self.minimumInterval : Self.firstPatience
            state.nextExport = now &+ patience.nanoseconds
        }
    }

    private func change(_ body: (inout [TargetGroup.Key: TargetGroup]) -> Bool) {
        state.withLock { state in
            if body(&state.groups) { state.isPending = true }
            if state.isFirst {
                state.isFirst = false
                state.nextExport = .min
            }
        }
        exportIfDue()
    }

    /// The labels of every target found until now; nil before the first.
    var targets: [LabelSet]? {
        let groups = state.withLock { $0.hasExported ? $0.groups : nil }
        return groups?.sorted { $0.key < $1.key }.flatMap { _, group in
            group.targets.map { Target(own: $0, group: group.labels).labels }
        }
    }

    private func exportIfDue() {
        while let groups = takeDue() {
            var targets: [Target] = []
            targets.reserveCapacity(groups.values.reduce(0) { $0 + $1.targets.count })
            for (_, group) in groups.sorted(by: { $0.key < $1.key }) {
                for own in group.targets { targets.append(Target(own: own, group: group.labels)) }
            }
            live.publish(.target, count: targets.count) {
                let shown = targets.prefix(LiveView.itemLimit).map { "\($0.labels)" }
                let rest = targets.count - shown.count
                return "[" + shown.joined(separator: " ") + (rest > 0 ? " and \(rest) more]" : "]")
            }
            context.export(DiscoveryExports(targets: targets))
            state.withLock { $0.isExporting = false }
        }
    }

    /// The groups to export now; nil when nothing is due or somebody is exporting.
    private func takeDue() -> [TargetGroup.Key: TargetGroup]? {
        let now = context.clock.monotonicNanoseconds
        return state.withLock { state in
            guard state.isPending, !state.isExporting, now >= state.nextExport else { return nil }
            state.isPending = false
            state.isExporting = true
            state.hasExported = true
            state.nextExport = now &+ Self.minimumInterval.nanoseconds
            return state.groups
        }
    }

    private func exportRegularly() async throws {
        while true {
            let now = context.clock.monotonicNanoseconds
            let regular = now &+ Self.minimumInterval.nanoseconds
            let due = state.withLock { $0.isPending ? min(max($0.nextExport, now), regular) : regular }
            try await context.clock.sleep(untilMonotonic: due)
            exportIfDue()
        }
    }
}
