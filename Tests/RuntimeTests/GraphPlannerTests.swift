import AlloySyntax
import Testing

@testable import Runtime

/// Small numbers that look random and are the same on every run.
private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

@Suite struct GraphPlannerTests {
    private func node(_ id: String, _ dependencies: [String] = [], type: String = "t", content: Int64 = 0)
        -> GraphOutline.Node
    {
        let body = Body([.attribute(Attribute("x", Expression(.literal(Literal(kind: .integer, text: "\(content)")))))])
        return GraphOutline.Node(id: id, type: type, block: BlockStatement(id, body: body), dependencies: dependencies)
    }

    @Test("A plan keeps what is the same, updates what it reaches, and orders starts and stops")
    func plan() {
        let running = GraphOutline([
            node("sink"), node("relabel", ["sink"]), node("scrape", ["relabel"]), node("other"), node("was", type: "a"),
        ])
        let wanted = GraphOutline([
            node("other"), node("sink2"), node("relabel", ["sink2"], content: 1), node("scrape", ["relabel"]),
            node("was", type: "b"),
        ])
        let plan = GraphPlanner(running: running, wanted: wanted).plan()
        #expect(plan.kept == ["other"])
        #expect(plan.updated == ["relabel", "scrape"])
        #expect(plan.added == ["sink2"])
        #expect(plan.removed == ["sink"])
        #expect(plan.replaced == ["was"])
        #expect(plan.startOrder == ["sink2", "was"])
        #expect(plan.stopOrder == [["was", "sink"]])
        #expect(plan.evaluationOrder == ["other", "sink2", "relabel", "scrape", "was"])
        #expect(plan.description.hasSuffix("1 to add, 2 to update, 1 to replace, 1 to remove, 1 unchanged"))
    }

    @Test("Taking everything away stops producers before their consumers")
    func emptyWanted() {
        let running = GraphOutline([
            node("sink"), node("a", ["sink"]), node("b", ["sink"]), node("source", ["a", "b"]),
        ])
        let plan = GraphPlanner(running: running, wanted: GraphOutline([])).plan()
        #expect(plan.stopOrder == [["source"], ["b", "a"], ["sink"]])
    }

    private func random(_ numbers: inout Numbers) -> GraphOutline {
        var nodes: [GraphOutline.Node] = []
        for index in 0..<Int.random(in: 0...12, using: &numbers) where Bool.random(using: &numbers) {
            let dependencies = nodes.map(\.id).filter { _ in Int.random(in: 0..<4, using: &numbers) == 0 }
            nodes.append(
                node(
                    "n\(index)", dependencies, type: Int.random(in: 0..<8, using: &numbers) == 0 ? "u" : "t",
                    content: Int64.random(in: 0..<2, using: &numbers)))
        }
        return GraphOutline(nodes)
    }

    @Test("Random plans account for every node once and respect every dependency")
    func properties() {
        var numbers = Numbers(state: 42)
        for _ in 0..<2_000 {
            let (running, wanted) = (random(&numbers), random(&numbers))
            let plan = GraphPlanner(running: running, wanted: wanted).plan()
            let before = Dictionary(uniqueKeysWithValues: running.nodes.map { ($0.id, $0) })
            let after = Dictionary(uniqueKeysWithValues: wanted.nodes.map { ($0.id, $0) })

            #expect((plan.kept + plan.updated + plan.added + plan.replaced).sorted() == after.keys.sorted())
            #expect((plan.kept + plan.updated + plan.removed + plan.replaced).sorted() == before.keys.sorted())
            #expect(plan.evaluationOrder == wanted.nodes.map(\.id))
            #expect(Set(plan.startOrder) == Set(plan.added + plan.replaced))
            #expect(plan.stopOrder.flatMap { $0 }.sorted() == (plan.removed + plan.replaced).sorted())

            for id in plan.kept {
                #expect(before[id]?.type == after[id]?.type && before[id]?.block == after[id]?.block)
                for dependency in after[id]?.dependencies ?? [] { #expect(plan.kept.contains(dependency)) }
            }
            for id in plan.startOrder {
                for dependency in after[id]?.dependencies ?? [] where plan.startOrder.contains(dependency) {
                    let (own, other) = (plan.startOrder.firstIndex(of: id), plan.startOrder.firstIndex(of: dependency))
                    #expect((other ?? 0) < (own ?? 0), "consumers start first")
                }
            }
            var group: [String: Int] = [:]
            for (index, ids) in plan.stopOrder.enumerated() { for id in ids { group[id] = index } }
            for (id, own) in group {
                for dependency in before[id]?.dependencies ?? [] {
                    if let other = group[dependency] { #expect(own < other, "producers stop first") }
                }
            }
            #expect(GraphPlanner(running: wanted, wanted: wanted).plan().isEmpty)
        }
    }

    @Test("Cycle finding agrees with a plain search on random graphs")
    func cycles() {
        var numbers = Numbers(state: 7)
        for _ in 0..<1_000 {
            let count = Int.random(in: 0...8, using: &numbers)
            let edges = (0..<count).map { _ in
                Set((0..<count).filter { _ in Int.random(in: 0..<5, using: &numbers) == 0 }).sorted()
            }
            func reaches(_ from: Int, _ to: Int) -> Bool {
                var seen: Set<Int> = []
                var open = edges[from]
                while let next = open.popLast() {
                    if next == to { return true }
                    if seen.insert(next).inserted { open += edges[next] }
                }
                return false
            }
            let cycles = CycleFinder(edges: edges).cycles()
            for cycle in cycles {
                for (index, node) in cycle.enumerated() {
                    #expect(edges[node].contains(cycle[(index + 1) % cycle.count]))
                }
            }
            #expect(cycles.isEmpty == !(0..<count).contains { reaches($0, $0) })
        }
    }
}
