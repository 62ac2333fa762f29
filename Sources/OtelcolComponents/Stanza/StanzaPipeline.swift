import AlloySyntax
import Essentials
import Wire

/// The operators of a receiver as a graph: entries go from the first on to the outputs of each, in the end out.
///
/// An operator without `output` sends to the next in the list, the last one out. Outputs may lead forwards or backwards,
/// not round in circles. What holds parts of logs (`recombine`, `container`) is state of ``StanzaPipeline/State``, which
/// whoever runs the pipeline owns.
struct StanzaPipeline: Sendable {
    fileprivate struct Node: Sendable {
        var id: String
        var kind: StanzaOperator
        var condition: StanzaExpression?
        var onError: ErrorAction
        /// Indexes of nodes; the number of nodes is out.
        var outputs: [Int]
        /// Of a router: per route, and for the rest.
        var routes: [[Int]] = []
    }

    fileprivate let nodes: [Node]
    /// What tells pipelines apart.
    private let signature: String

    static let empty = StanzaPipeline(nodes: [], signature: "")

    private init(nodes: [Node], signature: String) {
        self.nodes = nodes
        self.signature = signature
    }

    var isEmpty: Bool { nodes.isEmpty }

    /// Reads a list of operators; what is wrong is added to `problems`.
    init(_ list: [[String: Value]], problems: inout [String]) {
        let collected = OperatorReader.Problems()
        var nodes: [Node] = []
        var wanted: [[String]?] = []
        var routes: [[[String]]] = []
        var counts: [String: Int] = [:]
        for settings in list {
            guard case .string(let type)? = settings["type"], !type.isEmpty else {
                collected.list.append("operator: missing required field 'type'")
                continue
            }
            var reader = OperatorReader(type, ObjectValue(settings), collected)
            _ = reader.value("type")
            let given = reader.string("id") ?? ""
            if StanzaOperator.sinks.contains(type) {
                for key in ["output", "if", "on_error"] where reader.isSet(key) {
                    reader.reject(
                        "'\(key)' is not supported: what arrives goes no further; set it on the operator before")
                }
            }
            let outputs: [String]? = reader.isSet("output") ? reader.strings("output") : nil
            let condition = reader.expression("if")
            let actionName = reader.string("on_error") ?? "send"
            if ErrorAction(rawValue: actionName) == nil { reader.reject("invalid on_error: \(actionName)") }
            if let reason = StanzaOperator.refused[type] {
                reader.reject(reason)
                continue
            }
            guard let make = StanzaOperator.makers[type] else {
                reader.reject("unsupported type '\(type)'")
                continue
            }
            guard let kind = make(&reader) else {
                reader.finish()
                continue
            }
            reader.finish()
            var id = given
            if id.isEmpty {
                // As upstream: the second of a type is `type1`.
                let number = counts[type, default: 0]
                id = number == 0 ? type : "\(type)\(number)"
                counts[type] = number + 1
            }
            if nodes.contains(where: { $0.id == id }) { reader.reject("duplicate id '\(id)'") }
            nodes.append(
                Node(
                    id: id, kind: kind, condition: condition, onError: ErrorAction(rawValue: actionName) ?? .send,
                    outputs: []))
            wanted.append(outputs)
            if case .router(let list, let otherwise) = kind {
                routes.append(list.map(\.outputs) + [otherwise])
            } else {
                routes.append([])
            }
        }
        func place(_ id: String, _ owner: String) -> Int? {
            if let index = nodes.firstIndex(where: { $0.id == id }) { return index }
            collected.list.append("\(owner): output '\(id)' does not exist")
            return nil
        }
        for index in nodes.indices {
            let owner = nodes[index].id
            if case .sink = nodes[index].kind { continue }
            if let outputs = wanted[index] {
                nodes[index].outputs = outputs.compactMap { place($0, owner) }
            } else {
                nodes[index].outputs = [index + 1]
            }
            nodes[index].routes = routes[index].map { $0.compactMap { place($0, owner) } }
        }
        if Self.hasCircle(nodes) { collected.list.append("operators send to each other in a circle") }
        problems += collected.list
        self.nodes = nodes
        signature = list.map { settings in
            settings.sorted { $0.key < $1.key }.map { "\($0.key)=\(String(describing: $0.value))" }
                .joined(separator: ",")
        }.joined(separator: ";")
    }

    private static func hasCircle(_ nodes: [Node]) -> Bool {
        // 1 while a node's outputs are walked, 2 once they have been.
        var marks = [Int](repeating: 0, count: nodes.count)
        func walk(_ index: Int) -> Bool {
            guard index < nodes.count, marks[index] != 2 else { return false }
            if marks[index] == 1 { return true }
            marks[index] = 1
            let next = nodes[index].outputs + nodes[index].routes.joined()
            if next.contains(where: { walk($0) }) { return true }
            marks[index] = 2
            return false
        }
        return nodes.indices.contains { walk($0) }
    }
}

extension StanzaPipeline: Equatable {
    static func == (left: StanzaPipeline, right: StanzaPipeline) -> Bool { left.signature == right.signature }
}

extension StanzaPipeline {
    /// A pipeline at work, with the parts of logs it holds. One owner at a time.
    struct State {
        private let pipeline: StanzaPipeline
        private var recombiners: [Int: Recombiner] = [:]
        private var sinks: [Int: StanzaSinkBuffer] = [:]
        private var random = SystemRandomNumberGenerator()

        init(_ pipeline: StanzaPipeline) {
            self.pipeline = pipeline
            for (index, node) in pipeline.nodes.enumerated() {
                switch node.kind {
                case .recombine(let settings), .container(_, let settings): recombiners[index] = Recombiner(settings)
                default: break
                }
            }
        }

        /// Where held parts begin in their files.
        var origins: [EntryOrigin] { recombiners.values.flatMap(\.origins) }

        /// Works on an entry; what comes out is appended.
        mutating func process(_ entry: StanzaEntry, into output: inout [StanzaEntry], _ tally: inout LogTally) {
            run(entry, at: 0, &output, &tally)
        }

        /// Lets go of parts that have waited too long at `now`, nanoseconds since 1970.
        mutating func flushOld(_ now: Int64, into output: inout [StanzaEntry], _ tally: inout LogTally) {
            for index in recombiners.keys.sorted() {
                for entry in recombiners[index]?.flushOld(now) ?? [] { pass(entry, from: index, &output, &tally) }
            }
        }

        /// Lets go of all parts.
        mutating func flushAll(into output: inout [StanzaEntry], _ tally: inout LogTally) {
            for index in recombiners.keys.sorted() {
                for entry in recombiners[index]?.flushAll() ?? [] { pass(entry, from: index, &output, &tally) }
            }
        }

        /// Writes what sinks were given. To be called after entries were worked on and parts let go; blocks.
        mutating func writeSinks(_ tally: inout LogTally) {
            for index in sinks.keys.sorted() {
                if case .sink(let sink) = pipeline.nodes[index].kind { sinks[index]?.write(to: sink, &tally) }
            }
        }

        private mutating func pass(
            _ entry: StanzaEntry, from index: Int, _ output: inout [StanzaEntry], _ tally: inout LogTally
        ) {
            send(entry, to: pipeline.nodes[index].outputs, &output, &tally)
        }

        private mutating func send(
            _ entry: StanzaEntry, to outputs: [Int], _ output: inout [StanzaEntry], _ tally: inout LogTally
        ) {
            if outputs.isEmpty { tally.filtered += 1 }
            for index in outputs { run(entry, at: index, &output, &tally) }
        }

        private mutating func run(
            _ entry: StanzaEntry, at start: Int, _ output: inout [StanzaEntry], _ tally: inout LogTally
        ) {
            guard start < pipeline.nodes.count else {
                output.append(entry)
                return
            }
            let node = pipeline.nodes[start]
            var entry = entry
            do throws(StanzaError) {
                if let condition = node.condition, try !condition.holds(entry) {
                    send(entry, to: node.outputs, &output, &tally)
                    return
                }
                switch node.kind {
                case .transform(let change): try change(&entry)
                case .filter(let expression, let ratio):
                    if try matches(expression, entry), ratio >= 1 || Double.random(in: 0..<1, using: &random) < ratio {
                        tally.filtered += 1
                        return
                    }
                case .router(let routes, _):
                    route(entry, node, routes, &output, &tally)
                    return
                case .sink(let sink):
                    sinks[start, default: StanzaSinkBuffer()].add(entry, sink, &tally)
                    return
                case .recombine:
                    let whole = try recombiners[start]?.add(entry) ?? []
                    for entry in whole { send(entry, to: node.outputs, &output, &tally) }
                    return
                case .container(let parser, _):
                    if try parser.apply(&entry) {
                        let whole = try recombiners[start]?.add(entry) ?? []
                        for entry in whole { send(entry, to: node.outputs, &output, &tally) }
                        return
                    }
                }
            } catch {
                // As upstream, a filter that cannot decide drops.
                var action = node.onError
                if case .filter = node.kind { action = action.isQuiet ? .dropQuietly : .drop }
                tally.note(StanzaError("\(node.id): \(error)"), action)
                if !action.sends { return }
            }
            send(entry, to: node.outputs, &output, &tally)
        }

        private func matches(_ expression: StanzaExpression, _ entry: StanzaEntry) throws(StanzaError) -> Bool {
            try expression.holds(entry)
        }

        private mutating func route(
            _ entry: StanzaEntry, _ node: Node, _ routes: [StanzaOperator.Route], _ output: inout [StanzaEntry],
            _ tally: inout LogTally
        ) {
            for (index, route) in routes.enumerated() {
                do throws(StanzaError) {
                    guard try route.expression.holds(entry) else { continue }
                    var entry = entry
                    for (field, value) in route.attributes {
                        try field.set(.text(try value.text(entry)), in: &entry)
                    }
                    send(entry, to: node.routes[index], &output, &tally)
                    return
                } catch {
                    // As upstream, the next route is tried.
                    tally.note(StanzaError("\(node.id): \(error)"), .send)
                }
            }
            send(entry, to: node.routes.last ?? [], &output, &tally)
        }
    }
}
