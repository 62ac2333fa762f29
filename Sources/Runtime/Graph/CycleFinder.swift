/// Finds nodes that depend on themselves; takes time proportional to nodes and edges and no stack.
struct CycleFinder {
    private let edges: [[Int]]

    init(edges: [[Int]]) { self.edges = edges }

    /// One cycle for each group of nodes that depend on each other, each in the order of its edges and beginning at its
    /// earliest node. A node that depends on itself alone is a cycle of one.
    func cycles() -> [[Int]] {
        var found: [[Int]] = []
        for component in stronglyConnected() {
            if component.count == 1 {
                let node = component[0]
                if edges[node].contains(node) { found.append([node]) }
            } else if let cycle = shortestCycle(in: Set(component)) {
                found.append(cycle)
            }
        }
        return found.sorted { ($0.first ?? 0) < ($1.first ?? 0) }
    }

    /// Tarjan's algorithm with a stack of its own.
    private func stronglyConnected() -> [[Int]] {
        var result: [[Int]] = []
        var number = [Int](repeating: -1, count: edges.count)
        var low = [Int](repeating: 0, count: edges.count)
        var isOpen = [Bool](repeating: false, count: edges.count)
        var open: [Int] = []
        var next = 0
        var frames: [(node: Int, edge: Int)] = []
        for root in edges.indices where number[root] < 0 {
            frames.append((root, 0))
            while let (node, edge) = frames.last {
                if edge == 0 {
                    number[node] = next
                    low[node] = next
                    next += 1
                    open.append(node)
                    isOpen[node] = true
                }
                if edge < edges[node].count {
                    frames[frames.count - 1].edge += 1
                    let target = edges[node][edge]
                    if number[target] < 0 {
                        frames.append((target, 0))
                    } else if isOpen[target] {
                        low[node] = min(low[node], number[target])
                    }
                    continue
                }
                frames.removeLast()
                if let parent = frames.last { low[parent.node] = min(low[parent.node], low[node]) }
                guard low[node] == number[node] else { continue }
                var component: [Int] = []
                while let member = open.popLast() {
                    isOpen[member] = false
                    component.append(member)
                    if member == node { break }
                }
                result.append(component)
            }
        }
        return result
    }

    /// The shortest way from the earliest member back to itself, by breadth-first search.
    private func shortestCycle(in members: Set<Int>) -> [Int]? {
        guard let start = members.min() else { return nil }
        var cameFrom: [Int: Int] = [:]
        var queue = [start]
        var head = 0
        while head < queue.count {
            let node = queue[head]
            head += 1
            for target in edges[node] where members.contains(target) {
                if target == start {
                    var path = [node]
                    while let last = path.last, last != start, let previous = cameFrom[last] { path.append(previous) }
                    return path.reversed()
                }
                if cameFrom[target] == nil {
                    cameFrom[target] = node
                    queue.append(target)
                }
            }
        }
        return nil
    }
}
