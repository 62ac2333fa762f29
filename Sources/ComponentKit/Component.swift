package import AlloySyntax

/// One kind of node in the graph: what an author of a component writes.
///
/// The arguments are decoded by their own initialiser; exports, debug info, metrics, health and the ledger go through
/// the ``Context``. ``run()`` is the component's life: it returns or throws when the component has exited, and
/// cancellation means stop.
package protocol Component: AnyObject, Sendable {
    associatedtype Arguments: Block & Sendable
    associatedtype Exports: WritableBlock = NoValues
    associatedtype DebugInfo: WritableBlock = NoValues

    /// Name, stability and one sentence.
    static var spec: ComponentSpec { get }

    /// Makes the component from its first arguments. Installs receivers and exports what is known at once; does not
    /// start work. An error becomes a diagnostic of the component's block.
    ///
    /// What is not known yet is not exported: an empty list says that there is nothing, and dependants let go of what
    /// they had.
    init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws

    /// Called once, after the component was made and before dependents are evaluated: the place to fetch exports that
    /// dependents cannot be evaluated without. Takes no longer than the arguments allow, and fails in health only.
    func prepare() async

    /// Works until cancelled. Returning means the component has exited; throwing means it has failed.
    ///
    /// A component that has exited is run again when a configuration is loaded: on the same object, so that whatever
    /// `run()` closes it must open itself.
    func run() async throws

    /// Called by the controller right after it replaced the live arguments, before dependents are evaluated. For
    /// components whose exports follow from their arguments alone; must return quickly.
    func argumentsChanged()

    /// What the UI shows of the inside, computed when asked for.
    var debugInfo: DebugInfo { get }
}

extension Component {
    /// Waits until cancelled: all that a component with only a receiver needs.
    package func run() async throws { try await waitForCancellation() }

    /// Does nothing: most exports are known at once or may come late.
    package func prepare() async {}

    /// Does nothing: what runs reads its live arguments.
    package func argumentsChanged() {}
}

extension Component where DebugInfo == NoValues {
    package var debugInfo: NoValues { NoValues() }
}

/// Exports or debug info of a component that has none.
package struct NoValues: WritableBlock {
    package static let placeholder = NoValues()
    package init() {}
    package func write(to block: inout BlockWriter) {}
}

/// What a component is, for the graph, the reference and the command line.
package struct ComponentSpec: Sendable {
    /// The name in the configuration, such as `prometheus.scrape`.
    package let name: String
    package let stability: Stability
    /// One sentence for the reference.
    package let summary: String
    /// True when it needs `--feature.community-components.enabled`.
    package let isCommunity: Bool
    /// True when at most one may exist and its block takes no label.
    package let isSingleton: Bool

    package init(
        _ name: String, _ stability: Stability, _ summary: String, isCommunity: Bool = false, isSingleton: Bool = false
    ) {
        self.name = name
        self.stability = stability
        self.summary = summary
        self.isCommunity = isCommunity
        self.isSingleton = isSingleton
    }
}

/// Suspends until the task is cancelled, then throws `CancellationError`.
package func waitForCancellation() async throws {
    let gate = CancellationGate()
    await withTaskCancellationHandler {
        await gate.wait()
    } onCancel: {
        gate.open()
    }
    throw CancellationError()
}
