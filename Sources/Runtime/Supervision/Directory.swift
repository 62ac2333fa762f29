import AlloySyntax
import ComponentKit
import Essentials
import SelfMetrics
import Synchronization
import Telemetry

/// The nodes that exist now, for everyone who only looks. Replaced as a whole after every change of the graph.
final class Directory: Sendable {
    /// More retired IDs than this are added up as one: `foreach` may make new ones without end.
    private static let retiredLimit = 10_000
    /// What the books of those say they are of.
    private static let retiredID = "retired"

    private struct State {
        var records: [NodeRecord] = []
        /// Nodes that have left the graph and are stopping.
        var leaving: [ObjectIdentifier: NodeRecord] = [:]
        /// The closed books of components that are gone, by ID.
        var retired: [String: LedgerStatement] = [:]
    }

    private let state = Mutex(State())

    /// In evaluation order, modules after what made them.
    var all: [NodeRecord] { state.withLock { $0.records } }

    func publish(_ nodes: [NodeRecord]) { state.withLock { $0.records = nodes } }

    /// Notes nodes that leave the graph: their books are still open.
    func leave(_ nodes: [NodeRecord]) {
        state.withLock { state in
            for node in nodes where node.instance != nil { state.leaving[ObjectIdentifier(node)] = node }
        }
    }

    /// Closes the books of a node that has left and stopped. They count on: totals never fall.
    func close(_ node: NodeRecord) {
        guard let statement = node.instance?.ledger.statement else { return }
        state.withLock { state in
            state.leaving[ObjectIdentifier(node)] = nil
            var key = statement.componentID
            if state.retired[key] == nil, state.retired.count >= Self.retiredLimit { key = Self.retiredID }
            var closed = statement
            closed.componentID = key
            state.retired[key] = state.retired[key].map { $0.adding(closed) } ?? closed
        }
    }

    /// The books of every component there is or was, each ID once.
    var ledgers: [LedgerStatement] {
        let (records, leaving, closed) = state.withLock { ($0.records, $0.leaving, $0.retired) }
        var statements: [LedgerStatement] = []
        var places: [String: Int] = [:]
        func add(_ statement: LedgerStatement) {
            if let place = places[statement.componentID] {
                statements[place] = statements[place].adding(statement)
            } else {
                places[statement.componentID] = statements.count
                statements.append(statement)
            }
        }
        for record in records where leaving[ObjectIdentifier(record)] == nil {
            if let instance = record.instance { add(instance.ledger.statement) }
        }
        for record in leaving.values.sorted(by: { $0.globalID < $1.globalID }) {
            if let instance = record.instance { add(instance.ledger.statement) }
        }
        for (_, statement) in closed.sorted(by: { $0.key < $1.key }) { add(statement) }
        return statements
    }

    // MARK: Metrics

    /// How many components are in which health, by module, and which are connected.
    func graphFamilies() -> [CollectedFamily] {
        var running: [String: [String: Int]] = [:]
        var connections: [CollectedSample] = []
        for record in all {
            let (path, id) = ControllerMetrics.split(record.moduleID)
            if record.isComponent || record.name.hasPrefix("import.") {
                running[record.moduleID, default: [:]][record.health.health.state.rawValue, default: 0] += 1
            }
            for target in record.snapshot.dataFlowsTo {
                connections.append(
                    CollectedSample(
                        labels: [
                            ("controller_path", path), ("controller_id", id), ("from", record.localID), ("to", target),
                        ], value: 1))
            }
        }
        var counts: [CollectedSample] = []
        for (moduleID, states) in running.sorted(by: { $0.key < $1.key }) {
            let (path, id) = ControllerMetrics.split(moduleID)
            for (state, count) in states.sorted(by: { $0.key < $1.key }) {
                counts.append(
                    CollectedSample(
                        labels: [("controller_path", path), ("controller_id", id), ("health_type", state)],
                        value: Double(count)))
            }
        }
        return [
            CollectedFamily(
                name: "alloy_component_controller_running_components", help: "Total number of running components.",
                kind: .gauge, samples: counts),
            CollectedFamily(
                name: "alloy_component_graph_connection",
                help: "Indicates that two components are connected in the graph", kind: .gauge, samples: connections),
        ]
    }

    /// The delivery ledger as metrics.
    func ledgerFamilies() -> [CollectedFamily] {
        var books = LedgerFamilies()
        for statement in ledgers { books.add(statement) }
        return books.families
    }
}

/// Turns the books of components into metric families.
private struct LedgerFamilies {
    private var incoming: [CollectedSample] = []
    private var outgoing: [CollectedSample] = []
    private var restored: [CollectedSample] = []
    private var created: [CollectedSample] = []
    private var merged: [CollectedSample] = []
    private var dropped: [CollectedSample] = []
    private var refused: [CollectedSample] = []
    private var held: [CollectedSample] = []
    private var unaccounted: [CollectedSample] = []
    private var edgeAccepted: [CollectedSample] = []
    private var edgeBytes: [CollectedSample] = []
    private var edgeRefused: [CollectedSample] = []
    private var edgeDropped: [CollectedSample] = []

    mutating func add(_ statement: LedgerStatement) {
        let (path, id) = ControllerMetrics.split(statement.componentID)
        let own = [(name: "component_path", value: path), (name: "component_id", value: id)]
        func sample(_ more: [(name: String, value: String)], _ count: Int) -> CollectedSample {
            CollectedSample(labels: own + more, value: Double(count))
        }
        incoming.append(sample([], statement.incoming))
        outgoing.append(sample([], statement.outgoing))
        if statement.restored > 0 { restored.append(sample([], statement.restored)) }
        unaccounted.append(sample([], statement.unaccounted))
        if statement.created > 0 { created.append(sample([], statement.created)) }
        if statement.merged > 0 { merged.append(sample([], statement.merged)) }
        for drop in statement.dropped {
            dropped.append(sample([("reason", drop.reason.name), ("rule", drop.rule)], drop.items))
        }
        for refusal in statement.refused { refused.append(sample([("reason", refusal.reason.name)], refusal.items)) }
        for holding in statement.held { held.append(sample([("buffer", holding.name)], holding.items)) }
        for edge in statement.edges {
            let ends = [(name: "to", value: edge.to), (name: "signal", value: edge.signal.rawValue)]
            edgeAccepted.append(sample(ends, edge.accepted))
            edgeBytes.append(sample(ends, edge.bytes))
            for refusal in edge.refused {
                edgeRefused.append(sample(ends + [("reason", refusal.reason.name)], refusal.items))
            }
            for drop in edge.dropped {
                edgeDropped.append(sample(ends + [("reason", drop.reason.name)], drop.items))
            }
        }
    }

    var families: [CollectedFamily] {
        [
            counter("invar_component_items_in_total", "Items a component accepted or originated.", incoming),
            counter("invar_component_items_out_total", "Items a component passed on or had confirmed.", outgoing),
            counter(
                "invar_component_items_restored_total", "Items found in queues on disk: held before.", restored),
            counter("invar_component_items_created_total", "Items made beyond those taken in.", created),
            counter("invar_component_items_merged_total", "Items that went into others.", merged),
            counter("invar_component_items_dropped_total", "Items whose life ended other than by delivery.", dropped),
            counter("invar_component_items_refused_total", "Items a component's receivers refused.", refused),
            CollectedFamily(
                name: "invar_component_items_held", help: "Items waiting inside a component.", kind: .gauge,
                samples: held),
            CollectedFamily(
                name: "invar_component_items_unaccounted",
                help: "Items taken in that nothing accounts for; zero whenever nothing is moving.", kind: .gauge,
                samples: unaccounted),
            counter("invar_edge_items_accepted_total", "Items the receiving end of an edge accepted.", edgeAccepted),
            counter("invar_edge_bytes_accepted_total", "Bytes the receiving end of an edge accepted.", edgeBytes),
            counter("invar_edge_items_refused_total", "Items the receiving end of an edge refused.", edgeRefused),
            counter("invar_edge_items_dropped_total", "Items that will never pass an edge.", edgeDropped),
        ]
    }

    private func counter(_ name: String, _ help: String, _ samples: [CollectedSample]) -> CollectedFamily {
        CollectedFamily(name: name, help: help, kind: .counter, samples: samples)
    }
}
