package import AlloySyntax
package import ComponentKit
import Telemetry

/// A component as it is now, for the HTTP interface.
package struct ComponentSnapshot: Sendable {
    /// The ID within its module.
    package let localID: String
    /// The module's ID; empty for the root.
    package let moduleID: String
    /// The block's name: `prometheus.scrape`.
    package let name: String
    package let label: String
    /// False for custom components and `foreach`.
    package let isBuiltin: Bool
    package let health: Health
    /// When the health was noticed, in nanoseconds since 1970.
    package let healthTime: Int64
    /// Components of the module this one refers to, and those that refer to it.
    package let referencesTo: [String]
    package let referencedBy: [String]
    /// Components of the module that data goes to from here.
    package let dataFlowsTo: [String]
    /// Modules this component has made.
    package let moduleIDs: [String]
    /// When it was started last, in nanoseconds since 1970; nil before.
    package let startTime: Int64?
    /// Whether items are shown while they pass: the configuration allows it and the component has something to show.
    package let isLiveDebuggingEnabled: Bool
    /// Changes of health, the oldest first; a bounded number of them.
    package let healthHistory: [TimedHealth]
    private let record: NodeRecord

    init(_ record: NodeRecord, _ liveData: LiveDataHub) {
        let state = record.snapshot
        let health = record.health
        self.record = record
        localID = record.localID
        moduleID = record.moduleID
        name = record.name
        label = record.label
        isBuiltin = record.isBuiltin
        self.health = health.health
        healthTime = health.time
        healthHistory = state.history.changes
        referencesTo = state.referencesTo
        referencedBy = state.referencedBy
        dataFlowsTo = state.dataFlowsTo
        moduleIDs = state.moduleIDs
        startTime = state.startTime
        isLiveDebuggingEnabled = liveData.isEnabled && record.instance?.ledger.tap.hasSights == true
    }

    /// The ID with the module's in front.
    package var id: String { record.globalID }

    /// The arguments as last evaluated; printing them masks secrets. Computed when asked for, as are the two below.
    package var arguments: EffectiveValues { record.instance?.arguments ?? record.snapshot.arguments }
    package var exports: EffectiveValues { record.instance?.exports ?? record.snapshot.exports }
    package var debugInfo: EffectiveValues { record.instance?.debugInfo ?? EffectiveValues() }
}

/// The components of a module and the edges data takes between them.
package struct GraphView: Sendable {
    package struct Node: Sendable {
        package let id: String
        package let name: String
        package let health: Health.State
    }

    /// One edge; the counts are zero where data does not pass through receivers.
    package struct Edge: Sendable {
        package let from: String
        package let to: String
        package var accepted = 0
        package var bytes = 0
        package var refused = 0
    }

    package let nodes: [Node]
    package let edges: [Edge]

    init(_ records: [NodeRecord]) {
        nodes = records.map { Node(id: $0.localID, name: $0.name, health: $0.health.health.state) }
        var edges: [Edge] = []
        for record in records {
            let books = record.instance?.ledger.statement.edges ?? []
            for target in record.snapshot.dataFlowsTo {
                let full = record.moduleID.isEmpty ? target : record.moduleID + "/" + target
                var edge = Edge(from: record.localID, to: target)
                for entry in books where entry.to == full {
                    edge.accepted += entry.accepted
                    edge.bytes += entry.bytes
                    edge.refused += entry.refused.reduce(0) { $0 + $1.items }
                }
                edges.append(edge)
            }
        }
        self.edges = edges
    }
}
