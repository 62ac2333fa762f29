package import AlloySyntax

/// What the planner knows of a graph: its nodes, each after those it depends on.
package struct GraphOutline: Sendable {
    /// One node.
    package struct Node: Sendable {
        package let id: String
        /// Nodes of one ID but different types are different nodes.
        package let type: String
        package let block: BlockStatement
        package let dependencies: [String]

        package init(id: String, type: String, block: BlockStatement, dependencies: [String]) {
            self.id = id
            self.type = type
            self.block = block
            self.dependencies = dependencies
        }
    }

    /// The nodes, each after those it depends on.
    package let nodes: [Node]

    package init(_ nodes: [Node]) { self.nodes = nodes }
}

/// How to get from the running graph to the wanted one.
package struct ReloadPlan: Sendable, Equatable {
    /// Nodes whose block is as before and that depend on nothing that changes. They are evaluated all the same, since
    /// the world outside may have changed, but are not expected to notice.
    package var kept: [String] = []
    /// Nodes that go on running and may get new arguments.
    package var updated: [String] = []
    package var added: [String] = []
    package var removed: [String] = []
    /// Nodes that end and begin anew because they became something else under the same ID.
    package var replaced: [String] = []
    /// Every wanted node, what is referred to first.
    package var evaluationOrder: [String] = []
    /// Added and replaced nodes, consumers before their producers.
    package var startOrder: [String] = []
    /// Removed and replaced nodes in groups that may stop together, producers before their consumers.
    package var stopOrder: [[String]] = []

    /// Whether nothing is added, removed or changed.
    package var isEmpty: Bool { updated.isEmpty && added.isEmpty && removed.isEmpty && replaced.isEmpty }
}

extension ReloadPlan: CustomStringConvertible {
    /// One line per node that changes: `+ id`, `- id`, `~ id`, `! id` for a replaced one.
    package var description: String {
        var lines: [String] = []
        lines += removed.map { "- \($0)" }
        lines += replaced.map { "! \($0)" }
        lines += added.map { "+ \($0)" }
        lines += updated.map { "~ \($0)" }
        lines.append(
            "\(added.count) to add, \(updated.count) to update, \(replaced.count) to replace, "
                + "\(removed.count) to remove, \(kept.count) unchanged")
        return lines.joined(separator: "\n")
    }
}

/// Compares the running graph with the wanted one.
package struct GraphPlanner {
    private let running: GraphOutline
    private let wanted: GraphOutline

    package init(running: GraphOutline, wanted: GraphOutline) {
        self.running = running
        self.wanted = wanted
    }

    /// The plan; O(nodes + edges).
    package func plan() -> ReloadPlan {
        var plan = ReloadPlan()
        let before = Dictionary(running.nodes.map { ($0.id, $0) }) { first, _ in first }
        var wantedIDs: Set<String> = []
        var changed: Set<String> = []
        for node in wanted.nodes {
            wantedIDs.insert(node.id)
            plan.evaluationOrder.append(node.id)
            if let old = before[node.id] {
                if old.type != node.type {
                    plan.replaced.append(node.id)
                    plan.startOrder.append(node.id)
                    changed.insert(node.id)
                } else if old.block != node.block || node.dependencies.contains(where: changed.contains) {
                    plan.updated.append(node.id)
                    changed.insert(node.id)
                } else {
                    plan.kept.append(node.id)
                }
            } else {
                plan.added.append(node.id)
                plan.startOrder.append(node.id)
                changed.insert(node.id)
            }
        }
        plan.removed = running.nodes.map(\.id).filter { !wantedIDs.contains($0) }
        plan.stopOrder = GraphPlanner.stopGroups(of: Set(plan.removed + plan.replaced), in: running)
        return plan
    }

    /// The stopping nodes in groups: each node is in a later group than every node that depends on it, directly or not.
    package static func stopGroups(of stopping: Set<String>, in outline: GraphOutline) -> [[String]] {
        // What leads to a node passes through nodes that go on, too.
        var level: [String: Int] = [:]
        var groups: [[String]] = []
        for node in outline.nodes.reversed() {
            let own = level[node.id] ?? 0
            let isStopping = stopping.contains(node.id)
            if isStopping {
                while groups.count <= own { groups.append([]) }
                groups[own].append(node.id)
            }
            let next = isStopping ? own + 1 : own
            for dependency in node.dependencies { level[dependency] = max(level[dependency] ?? 0, next) }
        }
        return groups.filter { !$0.isEmpty }
    }
}
