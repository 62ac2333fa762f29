import AlloySyntax
import ComponentKit

/// The blocks of one module as nodes, with what refers to what.
///
/// Node IDs are Alloy's: the block's name and label joined by dots.
struct Graph: Sendable {
    /// What a node is.
    enum Kind: Sendable {
        case component(any Component.Type)
        /// An instance of a `declare` block, by imported namespace and name.
        case custom(namespace: String?, name: String)
        case declare
        case argument
        case export
        case foreach
        case importing(ImportKind)
        case logging, tracing, http, liveDebugging

        /// Whether the node is listed as a component.
        var isComponent: Bool {
            switch self {
            case .component, .custom, .foreach: true
            default: false
            }
        }
    }

    /// Where an expression uses another node.
    struct Reference: Sendable {
        /// The node's place in ``Graph/nodes``.
        var target: Int
        /// What follows the node's ID: `receiver`.
        var field: [String]
        var range: SourceRange
    }

    /// One block.
    struct Node: Sendable {
        let id: String
        let kind: Kind
        /// Distinguishes nodes of one ID that cannot turn into each other.
        let typeName: String
        let label: String
        let block: BlockStatement
        var references: [Reference] = []
        /// Nodes this one is evaluated after: sorted, unique.
        var dependencies: [Int] = []
        /// Nodes evaluated again when this one's exports change: sorted, unique.
        var dependants: [Int] = []
    }

    var nodes: [Node] = []
    /// Places by node ID.
    var places: [String: Int] = [:]
    /// Places in evaluation order: what is referred to comes first; otherwise as in the source.
    var order: [Int] = []
    /// Where in ``order`` each node is.
    var rank: [Int] = []

    static let empty = Graph()

    /// The IDs of all nodes in evaluation order.
    var nodeIDs: [String] { order.map { nodes[$0].id } }

    subscript(id: String) -> Node? { places[id].map { nodes[$0] } }

    /// Adds a node; its ID must be new.
    mutating func append(_ node: Node) {
        places[node.id] = nodes.count
        nodes.append(node)
    }

    /// Connects the nodes by the given dependencies and orders them; false when there is a cycle.
    mutating func connect(_ dependencies: [[Int]]) -> Bool {
        for (place, targets) in dependencies.enumerated() {
            let unique = Set(targets).sorted()
            nodes[place].dependencies = unique
            for target in unique { nodes[target].dependants.append(place) }
        }
        order = []
        order.reserveCapacity(nodes.count)
        var waiting = nodes.map(\.dependencies.count)
        var ready = PlaceHeap()
        for place in nodes.indices where waiting[place] == 0 { ready.push(place) }
        while let place = ready.pop() {
            order.append(place)
            for dependant in nodes[place].dependants {
                waiting[dependant] -= 1
                if waiting[dependant] == 0 { ready.push(dependant) }
            }
        }
        rank = Array(repeating: 0, count: nodes.count)
        for (position, place) in order.enumerated() { rank[place] = position }
        return order.count == nodes.count
    }

    /// The nodes with what the planner compares.
    var outline: GraphOutline {
        GraphOutline(
            order.map { place in
                let node = nodes[place]
                return GraphOutline.Node(
                    id: node.id, type: node.typeName, block: node.block,
                    dependencies: node.dependencies.map { nodes[$0].id })
            })
    }
}

/// A min-heap of small numbers: gives the earliest block first among those that may come next.
struct PlaceHeap {
    private var heap: [Int] = []

    var isEmpty: Bool { heap.isEmpty }

    mutating func push(_ value: Int) {
        heap.append(value)
        var index = heap.count - 1
        while index > 0, heap[index] < heap[(index - 1) / 2] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func pop() -> Int? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var index = 0
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            if smallest == index { return first }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
