/// Something to scrape or read, described by labels: its own over those its group shares.
package struct Target: Sendable, Hashable {
    package var own: LabelSet
    package var group: LabelSet

    package init(own: LabelSet, group: LabelSet = .empty) {
        self.own = own
        self.group = group
    }

    /// The value of `name`: the target's own before the group's.
    package subscript(name: String) -> String? { own[name] ?? group[name] }

    /// Own and group labels in one set.
    package var labels: LabelSet {
        if group.isEmpty { return own }
        if own.isEmpty { return group }
        var builder = LabelSetBuilder(group)
        own.forEach { builder.set($0, to: $1) }
        return builder.finish()
    }

    package static func == (left: Target, right: Target) -> Bool {
        if left.own == right.own, left.group == right.group { return true }
        return left.labels == right.labels
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(labels) }
}
