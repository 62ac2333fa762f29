import Telemetry

/// Targets found together and the labels they share.
struct TargetGroup: Sendable, Equatable {
    /// Where a group comes from: two groups of one source never share an index.
    struct Key: Sendable, Hashable, Comparable {
        var source: String
        var index = 0

        static func < (left: Key, right: Key) -> Bool {
            left.source == right.source ? left.index < right.index : left.source < right.source
        }
    }

    /// Labels of every target; a target's own win over them.
    private(set) var labels: LabelSet
    /// Own labels of each target, sorted by address and then by the other labels; equal ones may repeat.
    private(set) var targets: [LabelSet]

    /// Sorts the targets, so that the same ones found in another order are an equal group.
    init(labels: LabelSet, targets: [LabelSet]) {
        self.labels = labels
        let keyed = targets.map { (address: $0["__address__"] ?? "", text: "\($0)", labels: $0) }
        self.targets = keyed.sorted { ($0.address, $0.text) < ($1.address, $1.text) }.map(\.labels)
    }

    /// A group of plain addresses.
    init(labels: LabelSet, addresses: [String]) {
        self.labels = labels
        targets = addresses.sorted().map { LabelSet([("__address__", $0)]) }
    }
}
