import Synchronization
package import Telemetry

/// Hands items that pass a component to whoever looks at it now; costs one atomic load while nobody does.
///
/// Two sources feed it: the edges of a component, whatever it is (``EdgeTap``), and components that have more to say than
/// what passes their edges and say it through a ``LiveView``.
package final class LiveDataHub: Sendable {
    /// Who looks at one component.
    package struct Observer: Sendable {
        /// Items the component shows by itself.
        package var item: @Sendable (LiveDatum) -> Void
        /// Batches at the edges of a component that does not.
        package var edge: @Sendable (EdgeSight) -> Void

        package init(
            item: @escaping @Sendable (LiveDatum) -> Void, edge: @escaping @Sendable (EdgeSight) -> Void = { _ in }
        ) {
            self.item = item
            self.edge = edge
        }
    }

    private struct State {
        var observers: [String: [UInt64: Observer]] = [:]
        var ledgers: [String: Reference] = [:]
    }

    private struct Reference { weak var ledger: ComponentLedger? }

    private let watchers = Atomic<Int>(0)
    private let state = Mutex(State())
    private let nextID = Atomic<UInt64>(0)
    private let enabled = Atomic<Bool>(false)

    package init() {}

    /// Whether the configuration's `livedebugging` block allows looking.
    package var isEnabled: Bool {
        get { enabled.load(ordering: .relaxed) }
        set { enabled.store(newValue, ordering: .relaxed) }
    }

    /// True while somebody looks at `componentID`: test before building text.
    func isWatched(_ componentID: String) -> Bool {
        guard watchers.load(ordering: .relaxed) > 0, isEnabled else { return false }
        return state.withLock { $0.observers[componentID]?.isEmpty == false }
    }

    /// Shows an item to the observers of `componentID`. `text` is built only when there are any.
    func publish(_ componentID: String, _ kind: LiveDatum.Kind, count: Int = 1, _ text: () -> String) {
        guard isWatched(componentID) else { return }
        let datum = LiveDatum(componentID: componentID, kind: kind, count: count, text: text())
        for observer in observers(of: componentID) { observer.item(datum) }
    }

    /// Starts looking; call the returned closure to stop. Observers are called on the tasks that move the items.
    package func observe(_ componentID: String, _ observer: Observer) -> @Sendable () -> Void {
        let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        let ledger = state.withLock { state in
            state.observers[componentID, default: [:]][id] = observer
            return state.ledgers[componentID]?.ledger
        }
        watchers.add(1, ordering: .relaxed)
        if let ledger { show(ledger) }
        return { [self] in
            let (isRemoved, unwatched) = state.withLock { state -> (Bool, ComponentLedger?) in
                guard state.observers[componentID]?.removeValue(forKey: id) != nil else { return (false, nil) }
                guard state.observers[componentID]?.isEmpty == true else { return (true, nil) }
                state.observers[componentID] = nil
                return (true, state.ledgers[componentID]?.ledger)
            }
            if isRemoved { watchers.subtract(1, ordering: .relaxed) }
            unwatched?.tap.show(to: nil)
        }
    }

    /// Makes the edges of a component visible under the ID of its books.
    package func connect(_ ledger: ComponentLedger) {
        let isWatched = state.withLock { state in
            state.ledgers[ledger.componentID] = Reference(ledger: ledger)
            return state.observers[ledger.componentID] != nil
        }
        if isWatched { show(ledger) }
    }

    /// Forgets a component that is gone, unless another one has its ID by now.
    func disconnect(_ ledger: ComponentLedger) {
        state.withLock { state in
            guard state.ledgers[ledger.componentID]?.ledger === ledger else { return }
            state.ledgers[ledger.componentID] = nil
        }
    }

    private func show(_ ledger: ComponentLedger) {
        let componentID = ledger.componentID
        ledger.tap.show { [weak self] sight in
            guard let self, isEnabled else { return }
            for observer in observers(of: componentID) { observer.edge(sight) }
        }
    }

    private func observers(of componentID: String) -> [Observer] {
        state.withLock { Array($0.observers[componentID, default: [:]].values) }
    }
}

/// Where a component shows its items by itself, in the place of what passes its edges: made by ``Context/makeLiveView()``.
package struct LiveView: Sendable {
    /// Items of one batch that are shown; of the others only how many there are.
    package static let itemLimit = 100

    let hub: LiveDataHub
    let componentID: String

    /// True while somebody looks: test before building text.
    package var isWatched: Bool { hub.isWatched(componentID) }

    /// Shows an item that stands for `count` items. `text` is built only when somebody looks.
    package func publish(_ kind: LiveDatum.Kind, count: Int = 1, _ text: () -> String) {
        hub.publish(componentID, kind, count: count, text)
    }

    /// Says that `count` items of a batch are not shown; nothing when there are none.
    package func publishRest(_ kind: LiveDatum.Kind, _ count: Int) {
        if count > 0 { publish(kind, count: count) { "\(count) more of the same batch are not shown" } }
    }
}

/// One item shown by ``LiveDataHub``.
package struct LiveDatum: Sendable {
    package enum Kind: String, Sendable {
        case target
        case prometheusMetric = "prometheus_metric"
        case lokiLog = "loki_log"
        case otelLog = "otel_log"
        case otelMetric = "otel_metric"
        case otelTrace = "otel_trace"
        case profile
    }

    package var componentID: String
    package var kind: Kind
    /// Items the text stands for.
    package var count: Int
    package var text: String
}
