package import AlloySyntax
import Essentials
import Synchronization
package import Telemetry

/// A component in the graph, whatever its type: what the controller evaluates, runs and asks.
package protocol ComponentInstance: AnyObject, Sendable {
    var componentID: String { get }
    var spec: ComponentSpec { get }
    var ledger: ComponentLedger { get }

    /// Decodes the block in `scope` and gives the component its new arguments. The first success makes the component.
    /// After a failure the component keeps the arguments it had.
    func evaluate(_ block: BlockStatement, in scope: Scope) -> Evaluation

    /// What is wrong with the block in `scope`; the component keeps the arguments it has.
    func check(_ block: BlockStatement, in scope: Scope) -> Diagnostics

    /// Lets the component fetch what dependents need at once; only the first call after the component was made does.
    func prepare() async

    /// The component's life; waits for the first successful evaluation's component. Throws what it throws.
    func run() async throws

    /// Whether others connect to the component, which reports its health once they can.
    var listens: Bool { get }

    /// Whether an evaluation has succeeded.
    var isMade: Bool { get }

    /// The arguments of the last successful evaluation, secrets masked when printed.
    var arguments: EffectiveValues { get }

    /// Whether the component has exported, or has nothing to export. Until then nobody knows whether a list is empty.
    var hasExported: Bool { get }

    /// The exports as expressions see them; placeholders (empty lists, empty text) until the component exported.
    var exportsValue: Value { get }
    var exports: EffectiveValues { get }

    /// What the inside looks like now.
    var debugInfo: EffectiveValues { get }

    /// What the component would do with `item`, by its arguments as they are now; see ``Explaining``.
    func explain(_ item: ExplainedItem) -> ExplainAnswer

    /// Gives back what the component demanded of the memory budget: called when it is about to leave the graph.
    func withdrawDemand()

    /// Drops what the component serves to others: called when it leaves the graph, after `run()` has ended.
    func retire()
}

/// What an evaluation did.
package struct Evaluation: Sendable {
    package var diagnostics: Diagnostics
    /// False when the arguments are equal to those before: the component was not disturbed.
    package var isChanged: Bool

    package init(diagnostics: Diagnostics, isChanged: Bool) {
        self.diagnostics = diagnostics
        self.isChanged = isChanged
    }
}

/// Hears what an instance exports and reports.
package protocol ComponentObserver: AnyObject, Sendable {
    /// The component exported something new; called on the component's task.
    func exportsChanged(of instance: any ComponentInstance)
    func healthChanged(of instance: any ComponentInstance, to health: Health)
}

extension Component {
    /// A node for a component of this type. The observer is held weakly.
    package static func makeInstance(
        id: String, label: String, services: EngineServices, observer: (any ComponentObserver)?
    ) -> any ComponentInstance {
        TypedInstance<Self>(id: id, label: label, services: services, observer: observer)
    }

    /// What the component's block accepts.
    package static var argumentSchema: BlockSchema { BlockSchema.describe(Arguments.self) }

    /// What the component exports.
    package static var exportSchema: BlockSchema { BlockSchema.describe(writable: Exports.self) }

    /// What the component shows of its inside.
    package static var debugSchema: BlockSchema { BlockSchema.describe(writable: DebugInfo.self) }
}

private final class TypedInstance<C: Component>: ComponentInstance, ContextSink {
    let componentID: String
    let ledger: ComponentLedger
    private let label: String
    private let services: EngineServices

    private struct State {
        var component: C?
        var live: Live<C.Arguments>?
        var arguments = EffectiveValues()
        var exports: C.Exports?
        var isPrepared = false
    }

    private let state = Mutex(State())
    private let observer: WeakObserver

    init(id: String, label: String, services: EngineServices, observer: (any ComponentObserver)?) {
        componentID = id
        self.label = label
        self.services = services
        self.observer = WeakObserver(observer)
        ledger = ComponentLedger(componentID: id)
        services.liveData.connect(ledger)
    }

    var spec: ComponentSpec { C.spec }
    var listens: Bool { C.self is any ListeningComponent.Type }
    var isMade: Bool { state.withLock { $0.component != nil } }
    var arguments: EffectiveValues { state.withLock { $0.arguments } }

    func evaluate(_ block: BlockStatement, in scope: Scope) -> Evaluation {
        let decoded = ComponentLedger.$evaluating.withValue(ledger) {
            BlockDecoder.decode(C.Arguments.self, body: block.body, range: block.nameRange, in: scope)
        }
        guard let value = decoded.value else {
            return Evaluation(diagnostics: decoded.diagnostics, isChanged: false)
        }
        let before = state.withLock { ($0.live, $0.arguments) }
        if before.0 != nil, before.1 == decoded.values {
            return Evaluation(diagnostics: decoded.diagnostics, isChanged: false)
        }
        if let demanding = value as? any MemoryDemanding,
            let shortage = services.budget.setMinimum(
                demanding.minimumMemory.bytes, of: componentID, for: self)
        {
            var diagnostics = decoded.diagnostics
            diagnostics.append(Diagnostic(.error, "\(componentID) \(shortage)", at: block.nameRange))
            return Evaluation(diagnostics: diagnostics, isChanged: false)
        }
        if let live = before.0 {
            state.withLock { $0.arguments = decoded.values }
            live.replace(with: value)
            state.withLock { $0.component }?.argumentsChanged()
            return Evaluation(diagnostics: decoded.diagnostics, isChanged: true)
        }
        let live = Live(value)
        let context = Context<C.Exports>(
            componentID: componentID, label: label, services: services, ledger: ledger, sink: WeakSink(self))
        do {
            let component = try C(live, context)
            state.withLock { state in
                state.component = component
                state.live = live
                state.arguments = decoded.values
            }
            return Evaluation(diagnostics: decoded.diagnostics, isChanged: true)
        } catch {
            var diagnostics = decoded.diagnostics
            diagnostics.append(Diagnostic(.error, "\(componentID): \(error)", at: block.nameRange))
            return Evaluation(diagnostics: diagnostics, isChanged: false)
        }
    }

    func check(_ block: BlockStatement, in scope: Scope) -> Diagnostics {
        ComponentLedger.$evaluating.withValue(ledger) {
            BlockDecoder.decode(C.Arguments.self, body: block.body, range: block.nameRange, in: scope).diagnostics
        }
    }

    func prepare() async {
        let component = state.withLock { state -> C? in
            guard state.component != nil, !state.isPrepared else { return nil }
            state.isPrepared = true
            return state.component
        }
        await component?.prepare()
    }

    func run() async throws {
        guard let component = state.withLock({ $0.component }) else { return }
        try await component.run()
    }

    func explain(_ item: ExplainedItem) -> ExplainAnswer {
        guard let component = state.withLock({ $0.component }) else { return .notMade }
        guard let explaining = component as? any Explaining else { return .cannot }
        return explaining.explain(item).map { .explained($0) } ?? .otherKind
    }

    func withdrawDemand() { _ = services.budget.setMinimum(0, of: componentID, for: self) }

    func retire() {
        withdrawDemand()
        services.handlers.install(nil, for: componentID)
        services.liveData.disconnect(ledger)
        state.withLock { state in
            state.component = nil
            state.live = nil
        }
    }

    var hasExported: Bool { C.Exports.self == NoValues.self || state.withLock { $0.exports != nil } }

    var exportsValue: Value {
        BlockWriter.value(of: state.withLock { $0.exports } ?? C.Exports.placeholder)
    }

    var exports: EffectiveValues {
        state.withLock { $0.exports }.map { BlockWriter.values(of: $0) } ?? EffectiveValues()
    }

    var debugInfo: EffectiveValues {
        state.withLock { $0.component }.map { BlockWriter.values(of: $0.debugInfo) } ?? EffectiveValues()
    }

    func exported(_ exports: any WritableBlock) {
        guard let exports = exports as? C.Exports else { return }
        let isNew = state.withLock { state in
            if state.exports == exports { return false }
            state.exports = exports
            return true
        }
        if isNew { observer.value?.exportsChanged(of: self) }
    }

    func reported(_ health: Health) { observer.value?.healthChanged(of: self, to: health) }
}

/// Breaks the cycle component -> context -> instance -> component.
private final class WeakSink<C: Component>: ContextSink {
    private struct Reference { weak var instance: TypedInstance<C>? }
    private let reference: Mutex<Reference>

    init(_ instance: TypedInstance<C>) { reference = Mutex(Reference(instance: instance)) }

    func exported(_ exports: any WritableBlock) { reference.withLock { $0.instance }?.exported(exports) }
    func reported(_ health: Health) { reference.withLock { $0.instance }?.reported(health) }
}

private final class WeakObserver: Sendable {
    private struct Reference { weak var observer: (any ComponentObserver)? }
    private let reference: Mutex<Reference>

    init(_ observer: (any ComponentObserver)?) { reference = Mutex(Reference(observer: observer)) }

    var value: (any ComponentObserver)? { reference.withLock { $0.observer } }
}
