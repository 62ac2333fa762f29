import Telemetry

/// Relabelled label sets by the set they were made from; the least recently used goes first.
struct RelabelCache {
    private struct Node {
        var key: LabelSet
        var value: LabelSet
        var newer: Int
        var older: Int
    }

    private(set) var capacity: Int
    private var nodes: [Node] = []
    private var places: [LabelSet: Int] = [:]
    private var newest = -1
    private var oldest = -1

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { nodes.count }

    mutating func value(of key: LabelSet) -> LabelSet? {
        guard let place = places[key] else { return nil }
        if place != newest {
            unlink(place)
            link(place)
        }
        return nodes[place].value
    }

    /// Remembers a key that is not there yet.
    mutating func insert(_ value: LabelSet, for key: LabelSet) {
        let place: Int
        if nodes.count >= capacity, oldest >= 0 {
            place = oldest
            unlink(place)
            places[nodes[place].key] = nil
            nodes[place] = Node(key: key, value: value, newer: -1, older: -1)
        } else {
            place = nodes.count
            nodes.append(Node(key: key, value: value, newer: -1, older: -1))
        }
        places[key] = place
        link(place)
    }

    mutating func resize(to capacity: Int) {
        guard capacity != self.capacity else { return }
        var kept: [(LabelSet, LabelSet)] = []
        var place = newest
        while place >= 0, kept.count < capacity {
            kept.append((nodes[place].key, nodes[place].value))
            place = nodes[place].older
        }
        self = RelabelCache(capacity: capacity)
        for (key, value) in kept.reversed() { insert(value, for: key) }
    }

    private mutating func unlink(_ place: Int) {
        let node = nodes[place]
        if node.newer >= 0 { nodes[node.newer].older = node.older } else { newest = node.older }
        if node.older >= 0 { nodes[node.older].newer = node.newer } else { oldest = node.newer }
    }

    private mutating func link(_ place: Int) {
        nodes[place].newer = -1
        nodes[place].older = newest
        if newest >= 0 { nodes[newest].newer = place } else { oldest = place }
        newest = place
    }
}
