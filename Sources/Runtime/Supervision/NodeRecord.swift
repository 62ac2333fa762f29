import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization

/// Health with the time it was noticed, in nanoseconds since 1970.
package struct TimedHealth: Sendable, Equatable {
    package var health: Health
    package var time: Int64

    package init(_ health: Health, at time: Int64) {
        self.health = health
        self.time = time
    }

    /// The worse of two: exited, unhealthy, unknown, healthy; of equally bad ones the later.
    static func worse(_ first: TimedHealth, _ second: TimedHealth) -> TimedHealth {
        let (a, b) = (first.health.state.badness, second.health.state.badness)
        if a != b { return a > b ? first : second }
        return second.time > first.time ? second : first
    }
}

extension Health.State {
    fileprivate var badness: Int {
        switch self {
        case .healthy: 0
        case .unknown: 1
        case .unhealthy: 2
        case .exited: 3
        }
    }
}

/// What may be seen of a node from anywhere, while the supervisor works on it.
final class NodeRecord: ComponentObserver {
    struct State {
        var evaluation: TimedHealth
        var run: TimedHealth
        var reported: TimedHealth?
        /// How the health operators see has changed, the oldest first.
        fileprivate(set) var history = HealthHistory()
        /// Grows whenever something was exported.
        var version: UInt64 = 0
        var instance: (any ComponentInstance)?
        /// Of nodes without an instance.
        var arguments = EffectiveValues()
        var exports = EffectiveValues()
        var imported: ImportedModule?
        /// Whether nobody waits for the first export any more.
        var isOverdue = false
        var referencesTo: [String] = []
        var referencedBy: [String] = []
        var dataFlowsTo: [String] = []
        var moduleIDs: [String] = []
        var startTime: Int64?

        /// The health operators see: the worst of the last evaluation, of running, and of what the component says.
        var health: TimedHealth {
            let own = TimedHealth.worse(run, evaluation)
            return reported.map { TimedHealth.worse(own, $0) } ?? own
        }

        fileprivate mutating func noteHealth(at time: Int64) { history.note(health.health, at: time) }
    }

    /// The ID within the module.
    let localID: String
    /// The module's ID; empty for the root.
    let moduleID: String
    let name: String
    let label: String
    let isBuiltin: Bool
    let isComponent: Bool
    /// What an import is read from: set before it is read for the first time, so that one that failed is tried again.
    let importSource = Live<ImportedModule.Source?>(nil)
    /// Opens when the component has reported its health, or has ended.
    let spoke = Latch()
    private let clock: EngineClock
    private let dirty: DirtyQueue
    private let state: Mutex<State>

    init(_ node: Graph.Node, moduleID: String, clock: EngineClock, dirty: DirtyQueue) {
        localID = node.id
        self.moduleID = moduleID
        name = node.block.name
        label = node.label
        if case .component = node.kind { isBuiltin = true } else { isBuiltin = false }
        isComponent = node.kind.isComponent
        self.clock = clock
        self.dirty = dirty
        let created = TimedHealth(Health(.unknown, "component created"), at: clock.wallNanoseconds)
        var first = State(evaluation: created, run: created)
        first.noteHealth(at: created.time)
        state = Mutex(first)
    }

    /// The ID with the module's in front.
    var globalID: String { moduleID.isEmpty ? localID : moduleID + "/" + localID }

    var snapshot: State { state.withLock { $0 } }
    var version: UInt64 { state.withLock { $0.version } }
    var instance: (any ComponentInstance)? { state.withLock { $0.instance } }
    var imported: ImportedModule? { state.withLock { $0.imported } }

    /// The health operators see.
    var health: TimedHealth { state.withLock { $0.health } }

    func update(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    func evaluated(_ health: Health) {
        let now = clock.wallNanoseconds
        state.withLock { state in
            state.evaluation = TimedHealth(health, at: now)
            state.noteHealth(at: now)
        }
    }

    func ran(_ health: Health) {
        let now = clock.wallNanoseconds
        state.withLock { state in
            state.run = TimedHealth(health, at: now)
            state.noteHealth(at: now)
        }
        spoke.open()
    }

    func started() {
        let now = clock.wallNanoseconds
        state.withLock { state in
            state.run = TimedHealth(.healthy("started component"), at: now)
            state.startTime = now
            state.noteHealth(at: now)
        }
    }

    /// Notes new exports and asks for the dependants to be evaluated.
    func exported() {
        state.withLock { $0.version &+= 1 }
        dirty.insert(self)
    }

    /// Stops waiting for the first export: dependants get what stands for it.
    func becameOverdue() {
        state.withLock { $0.isOverdue = true }
        exported()
    }

    /// Notes what a watched import has become.
    func imported(_ module: ImportedModule) {
        state.withLock { state in
            state.imported = module
            state.version &+= 1
        }
        dirty.insert(self)
    }

    func exportsChanged(of instance: any ComponentInstance) { exported() }

    func healthChanged(of instance: any ComponentInstance, to health: Health) {
        let now = clock.wallNanoseconds
        state.withLock { state in
            state.reported = TimedHealth(health, at: now)
            state.noteHealth(at: now)
        }
        if !spoke.isOpen { spoke.open() }
    }
}

/// Nodes whose exports changed and whose dependants have not been told: each at most once.
final class DirtyQueue: Sendable {
    private struct State: ~Copyable {
        var members: Set<ObjectIdentifier> = []
        var order: [(record: NodeRecord, since: Int64)] = []
    }

    private let state = Mutex(State())
    private let clock: EngineClock
    let arrival = Signal()

    init(clock: EngineClock) { self.clock = clock }

    var count: Int { state.withLock { $0.order.count } }

    func insert(_ record: NodeRecord) {
        let now = clock.monotonicNanoseconds
        let isNew = state.withLock { state in
            guard state.members.insert(ObjectIdentifier(record)).inserted else { return false }
            state.order.append((record, now))
            return true
        }
        if isNew { arrival.raise() }
    }

    func take() -> [(record: NodeRecord, since: Int64)] {
        state.withLock { state in
            defer {
                state.members.removeAll()
                state.order.removeAll()
            }
            return state.order
        }
    }
}
