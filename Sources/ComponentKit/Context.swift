package import AlloySyntax
package import Essentials
package import SelfMetrics
package import Telemetry

/// A component's side of the graph: who it is and everything it may use.
package struct Context<Exports: WritableBlock>: Sendable {
    /// The node's full ID within its module, such as `prometheus.scrape.default`, with the module's path in front.
    package let componentID: String
    /// The block's label; empty for a singleton.
    package let label: String
    package let services: EngineServices
    package let log: Log
    /// Metrics labelled with the component's ID, removed with the component.
    package let metrics: MetricScope
    package let ledger: ComponentLedger
    /// This component's share of the process's memory budget.
    package let memory: MemoryAccount

    private let sink: any ContextSink

    package init(
        componentID: String, label: String, services: EngineServices, ledger: ComponentLedger, sink: any ContextSink
    ) {
        self.componentID = componentID
        self.label = label
        self.services = services
        self.ledger = ledger
        self.sink = sink
        let path = componentID.lastIndex(of: "/").map { "/" + componentID[..<$0] } ?? "/"
        let id =
            componentID.lastIndex(of: "/").map { String(componentID[componentID.index(after: $0)...]) } ?? componentID
        log = Log(
            sink: services.logSink, clock: services.clock, metadata: [(.componentPath, path), (.componentID, id)])
        metrics = services.metrics.scope(labels: [("component_id", id), ("component_path", path)])
        memory = services.budget.account(componentID)
    }

    package var clock: EngineClock { services.clock }

    /// The directory this component may write to; not made until the component makes it.
    package var storagePath: String {
        services.storagePath + (services.storagePath.hasSuffix("/") ? "" : "/") + componentID
    }

    /// Publishes exports; dependents are evaluated again when they changed.
    package func export(_ exports: Exports) { sink.exported(exports) }

    /// Reports health. Per-request failures are counters, not health.
    package func report(_ health: Health) { sink.reported(health) }

    /// A handle for others to send to. Install a consumer on it in the component's initialiser, with weak captures.
    package func makeReceiver<Items: Batch>(_ items: Items.Type = Items.self) -> Receiver<Items> {
        Receiver(ledger: ledger)
    }

    /// Where the component shows items by itself when somebody looks, in the place of what passes its edges: for
    /// components that can say more. Make it in the initialiser.
    package func makeLiveView() -> LiveView {
        ledger.tap.replace()
        return LiveView(hub: services.liveData, componentID: componentID)
    }

    /// Serves pages below `/api/v0/component/<id>/` until the component is gone.
    package func serve(_ handler: @escaping ComponentHandlers.Handler) {
        services.handlers.install(handler, for: componentID)
    }

    /// The URL path of the pages served by ``serve(_:)``, ending in a slash.
    package var servedPath: String { ComponentHandlers.prefix + componentID + "/" }
}

/// Who hears what a component exports and reports: its node in the graph, or a test.
package protocol ContextSink: Sendable {
    func exported(_ exports: any WritableBlock)
    func reported(_ health: Health)
}
