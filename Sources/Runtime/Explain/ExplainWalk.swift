import AlloySyntax
import ComponentKit
import Telemetry

/// Follows one item through a graph, component by component.
struct ExplainWalk {
    /// More stops than this are not followed: fan-outs multiply.
    static let stopLimit = 500
    /// Bytes of labels and lines that steps may repeat before no further stops are added.
    static let sizeLimit = 8 << 20

    let graph: ExplainGraph
    private(set) var report: ExplainReport
    private var size = 0
    private var isCut = false

    init(_ item: ExplainedItem, _ graph: ExplainGraph) {
        self.graph = graph
        report = ExplainReport(item)
    }

    // MARK: Entries

    /// Follows the item from component `id`, or from every component it can enter the graph at.
    mutating func follow(at id: String?) throws(ExplainError) {
        if report.item.kind == .target, report.item.labels["__address__"] == nil,
            let origin = origin(ofScraped: report.item.labels, at: id)
        {
            // Labels of a target as it is scraped: what was found is followed, so that every rule is told.
            report.notes.append(
                "these are the labels of a target as it is scraped: followed from what \(graph.nodes[origin.place].id) "
                    + "found")
            report.item = report.item.with(labels: origin.labels)
            visit(origin.place, report.item, from: nil, isEntry: true)
            return
        }
        if let id {
            guard let place = graph.places[id], graph.nodes[place].kind == .component else {
                throw ExplainError("there is no component \"\(id)\"")
            }
            visit(place, report.item, from: nil)
            return
        }
        let entries = entries(for: report.item)
        guard !entries.isEmpty else {
            switch report.item.kind {
            case .trace: throw ExplainError("no component knows this trace; only one that runs and samples can")
            case .pod where report.item.object.isEmpty:
                throw ExplainError("no component knows this pod: give the object, or ask where its discovery runs")
            default: throw ExplainError("no component of the configuration takes \(report.item.kind.phrase) in")
            }
        }
        for place in entries { visit(place, report.item, from: nil, isEntry: true) }
    }

    private func entries(for item: ExplainedItem) -> [Int] {
        let components = graph.nodes.indices.filter { graph.nodes[$0].kind == .component }
        switch item.kind {
        case .target: return targetEntries(components, item)
        case .file, .trace, .pod:
            let fed = item.kind != .trace ? fed(components) : []
            return components.filter { place in
                guard !fed.contains(place) else { return false }
                if case .explained? = graph.nodes[place].instance?.explain(item) { return true }
                return false
            }
        default: break
        }
        guard let signal = item.signal else { return [] }
        let isOTLP = item.batch != nil
        var receiving: Set<String> = []
        var sending: [Int] = []
        for place in components {
            let edges = edges(of: graph.nodes[place], signal)
            receiving.formUnion(edges)
            if !edges.isEmpty, graph.nodes[place].name.hasPrefix("otelcol.") == isOTLP { sending.append(place) }
        }
        return sending.filter { !receiving.contains(graph.nodes[$0].id) }
    }

    /// The components whose targets come from nowhere else: those that find them, and those that are told them.
    private func targetEntries(_ components: [Int], _ item: ExplainedItem) -> [Int] {
        let fed = fed(components)
        let all = components.filter { place in
            !fed.contains(place) && (graph.nodes[place].takesTargets || !arrivals(of: place, field: nil).isEmpty)
        }
        let likely = all.filter { place in
            arrivals(of: place, field: nil).isEmpty || TargetOrigins.mayCome(item.labels, from: graph.nodes[place].name)
        }
        // Targets written in the configuration may have labels like those of any discovery.
        return likely.isEmpty ? all : likely
    }

    /// Whether the component works on items of this kind instead of bringing them.
    private func isGiven(_ place: Int, _ item: ExplainedItem) -> Bool {
        item.kind == .target && graph.nodes[place].takesTargets
    }

    /// The components that bring targets into the graph.
    var targetSources: [Int] {
        let components = graph.nodes.indices.filter { graph.nodes[$0].kind == .component }
        let fed = fed(components)
        return components.filter { !fed.contains($0) && !arrivals(of: $0, field: nil).isEmpty }
    }

    /// The components that get targets from others.
    private func fed(_ components: [Int]) -> Set<Int> {
        var fed: Set<Int> = []
        for place in components { fed.formUnion(arrivals(of: place, field: nil).map(\.place)) }
        return fed
    }

    // MARK: Following

    /// `isEntry` says that the item is what the component itself brings into the graph.
    private mutating func visit(
        _ place: Int, _ item: ExplainedItem, from previous: Int?, isEntry: Bool = false, note: String? = nil
    ) {
        guard report.stops.count < Self.stopLimit, size < Self.sizeLimit else {
            if !isCut {
                report.notes.append("the ways beyond the first \(report.stops.count) components are left out")
            }
            isCut = true
            return
        }
        let node = graph.nodes[place]
        let number = report.stops.count + 1
        let position = node.block.nameRange.isKnown ? node.block.nameRange.startPosition : nil
        var stop = ExplainReport.Stop(
            number: number, previous: previous, componentID: node.id, name: node.name, position: position, item: item,
            isExplained: false)
        if let note { stop.notes.append(note) }
        var ways: [Way] = []
        switch node.instance?.explain(item) ?? .notMade {
        case .explained(let explanation): ways = take(explanation, of: place, in: &stop)
        case .cannot where isEntry && !isGiven(place, item), .otherKind where isEntry && !isGiven(place, item):
            // What a source brings needs no explanation.
            stop.isExplained = true
            stop.notes.append("taken as it comes out of it")
            ways = passOn(item, place, in: &stop)
        case .notMade:
            let reason = node.problem.isEmpty ? "its arguments have not been evaluated" : node.problem
            stop.notes.append("not explained: \(reason)")
            ways = passOn(item, place, in: &stop)
        case .cannot:
            stop.notes.append("not explained: \(node.name) does not tell what it does")
            ways = passOn(item, place, in: &stop)
        case .otherKind:
            stop.notes.append("not explained: \(node.name) does not tell what it does with \(item.kind.phrase)")
            ways = passOn(item, place, in: &stop)
        }
        noteUnknowns(of: node, in: &stop)
        size += stop.steps.reduce(0) { $0 + $1.step.size }
        report.stops.append(stop)
        for way in ways { visit(way.place, way.item, from: number, note: way.note) }
    }

    /// The way to one of the next components.
    private struct Way {
        var place: Int
        var item: ExplainedItem
        var note: String?
    }

    private func take(_ explanation: Explanation, of place: Int, in stop: inout ExplainReport.Stop) -> [Way] {
        let node = graph.nodes[place]
        stop.isExplained = true
        stop.notes += explanation.notes
        stop.steps = explanation.steps.map { step in
            let statement = step.path.flatMap { node.block.statement(at: $0) }
            let range = statement?.range
            var step = step
            if step.title.isEmpty, case .block(let block)? = statement { step.title = block.name }
            return ExplainReport.Step(
                step: step, text: statement?.text() ?? "",
                position: range.flatMap { $0.isKnown ? $0.startPosition : nil })
        }
        var ways: [Way] = []
        for result in explanation.results {
            var noted = ExplainReport.Result(item: result.item, receivers: [], destination: "", verdict: .passed)
            switch result.exit {
            case .receivers(let ids):
                noted.receivers = ids
                for id in ids {
                    guard let next = graph.places[id] else { continue }
                    ways.append(Way(place: next, item: result.item))
                }
                if ids.isEmpty { noted.verdict = .dropped; noted.destination = "no receivers" }
            case .targets(let field):
                let arrivals = arrivals(of: place, field: field)
                noted.receivers = arrivals.map { graph.nodes[$0.place].id }
                ways += arrivals.map { Way(place: $0.place, item: result.item, note: $0.note) }
                if arrivals.isEmpty {
                    noted.verdict = .dropped
                    noted.destination = "nothing uses \(node.id).\(field)"
                }
            case .destination(let name):
                noted.verdict = .delivered
                noted.destination = name
            case .held(let reason):
                noted.verdict = .held
                noted.destination = reason
            case .ends(let reason):
                noted.verdict = .unknown
                noted.destination = reason
            }
            stop.results.append(noted)
        }
        stop.verdict = stop.results.isEmpty ? .dropped : stop.results.count == 1 ? stop.results[0].verdict : .passed
        return ways
    }

    /// Lets an item pass a component that does not tell what it does.
    private func passOn(_ item: ExplainedItem, _ place: Int, in stop: inout ExplainReport.Stop) -> [Way] {
        let node = graph.nodes[place]
        var next: [(place: Int, note: String?)] = []
        if let signal = item.signal {
            next = edges(of: node, signal).compactMap { id in graph.places[id].map { ($0, nil) } }
        } else if item.kind == .target {
            next = arrivals(of: place, field: nil)
        }
        var result = ExplainReport.Result(
            item: item, receivers: next.map { graph.nodes[$0.place].id }, destination: "", verdict: .passed)
        if next.isEmpty {
            result.verdict = .unknown
            result.destination = "ends here as far as is known"
        } else if !stop.isExplained {
            stop.notes.append("passed on unchanged as far as is known")
        }
        stop.results = [result]
        stop.verdict = result.verdict
        return next.map { Way(place: $0.place, item: item, note: $0.note) }
    }

    /// Says which arguments nobody knows as long as nothing runs. The lists items come from do not matter.
    private func noteUnknowns(of node: ExplainGraph.Node, in stop: inout ExplainReport.Stop) {
        for use in node.uses where use.isUnknown && !use.isList {
            let line = use.range.isKnown ? " (line \(use.range.startPosition.line))" : ""
            let source = graph.nodes[use.target].id + (use.field.isEmpty ? "" : "." + use.field)
            stop.notes.append(
                "\(use.attribute)\(line) depends on \(source), which only a running component could tell: "
                    + "taken as empty")
        }
    }

    // MARK: Edges

    /// The full IDs of the components behind a node's receivers of a signal.
    private func edges(of node: ExplainGraph.Node, _ signal: Telemetry.Signal) -> [String] {
        var seen: Set<String> = []
        return (node.instance?.ledger.statement.edges ?? []).filter { $0.signal == signal }.map(\.to)
            .filter { seen.insert($0).inserted }
    }

    /// The components that targets exported by a node arrive at, through the arguments and exports of modules.
    func arrivals(of place: Int, field: String?) -> [(place: Int, note: String?)] {
        var found: [(place: Int, note: String?)] = []
        var seen: Set<String> = []
        arrive(from: place, field: field, depth: 0, &seen, &found)
        return found
    }

    private func arrive(
        from place: Int, field: String?, depth: Int, _ seen: inout Set<String>,
        _ found: inout [(place: Int, note: String?)]
    ) {
        guard depth < 64, seen.insert("\(place) \(field ?? "")").inserted else { return }
        for userPlace in graph.nodes[place].users {
            let user = graph.nodes[userPlace]
            for use in user.uses where use.target == place && use.isList && (field == nil || use.field == field) {
                switch user.kind {
                case .component:
                    if user.takesTargets(in: use.attribute), !found.contains(where: { $0.place == userPlace }) {
                        found.append((userPlace, nil))
                    }
                case .custom:
                    for module in user.modules {
                        guard let inner = graph.place("argument." + use.attribute, in: module) else { continue }
                        arrive(from: inner, field: "value", depth: depth + 1, &seen, &found)
                    }
                case .export:
                    guard let owner = user.owner else { continue }
                    arrive(from: owner, field: user.label, depth: depth + 1, &seen, &found)
                case .foreach, .argument, .other: continue
                }
            }
        }
    }
}

extension ExplainGraph.Node {
    private static let targetAttributes: Set<String> = ["targets", "path_targets"]

    /// Whether targets that come in this attribute are what the component works on.
    func takesTargets(in attribute: String) -> Bool { Self.targetAttributes.contains(attribute) }

    var takesTargets: Bool { block.body.attributes.contains { takesTargets(in: $0.name.name) } }
}

extension ExplainedStep {
    /// About what the step takes of an answer.
    fileprivate var size: Int {
        let items = [before, after].compactMap { $0 }
        return found.reduce(title.utf8.count + detail.utf8.count) { $0 + $1.name.utf8.count + $1.value.utf8.count }
            + items.reduce(0) { $0 + $1.labels.encodedByteCount + ($1.line?.utf8.count ?? 0) }
    }
}

extension ExplainedItem.Kind {
    /// The kind as a sentence names it.
    var phrase: String {
        switch self {
        case .target: "a target"
        case .metric: "a metric"
        case .log: "a log entry"
        case .otelLog: "an OpenTelemetry log record"
        case .otelMetric: "an OpenTelemetry metric"
        case .span: "a span"
        case .trace: "the ID of a trace"
        case .file: "a file"
        case .pod: "a pod"
        }
    }
}

/// Which components targets of given labels come from, as far as their reserved labels tell.
enum TargetOrigins {
    /// What stands between `__meta_` and the next underscore, where that is not the component's own name.
    private static let words = [
        "discovery.kubelet": "kubernetes", "discovery.http": "url", "discovery.file": "filepath",
        "discovery.dockerswarm": "dockerswarm",
    ]

    static func mayCome(_ labels: LabelSet, from component: String) -> Bool {
        let names = labels.pairs.map(\.name).filter { $0.hasPrefix("__meta_") }
        guard !names.isEmpty else { return true }
        guard component.hasPrefix("discovery.") else { return false }
        let word = words[component] ?? String(component.dropFirst("discovery.".count))
        return names.contains { $0.dropFirst("__meta_".count).prefix { $0 != "_" } == word }
    }
}
