import Synchronization

/// Hands items that pass a component to whoever looks at it now; costs one atomic load while nobody does.
package final class LiveDataHub: Sendable {
    package typealias Observer = @Sendable (LiveDatum) -> Void

    private let watchers = Atomic<Int>(0)
    private let observers = Mutex<[String: [UInt64: Observer]]>([:])
    private let nextID = Atomic<UInt64>(0)
    private let enabled = Atomic<Bool>(false)

    package init() {}

    /// Whether the configuration's `livedebugging` block allows looking.
    package var isEnabled: Bool {
        get { enabled.load(ordering: .relaxed) }
        set { enabled.store(newValue, ordering: .relaxed) }
    }

    /// True while somebody looks at `componentID`: test before building text.
    package func isWatched(_ componentID: String) -> Bool {
        guard watchers.load(ordering: .relaxed) > 0, isEnabled else { return false }
        return observers.withLock { $0[componentID]?.isEmpty == false }
    }

    /// Shows an item to the observers of `componentID`. `text` is built only when there are any.
    package func publish(
        _ componentID: String, _ kind: LiveDatum.Kind, count: Int = 1, _ text: () -> String
    ) {
        guard isWatched(componentID) else { return }
        let datum = LiveDatum(componentID: componentID, kind: kind, count: count, text: text())
        let current = observers.withLock { Array($0[componentID, default: [:]].values) }
        for observer in current { observer(datum) }
    }

    /// Starts looking; call the returned closure to stop.
    package func observe(_ componentID: String, _ observer: @escaping Observer) -> @Sendable () -> Void {
        let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        observers.withLock { $0[componentID, default: [:]][id] = observer }
        watchers.add(1, ordering: .relaxed)
        return { [self] in
            let removed = observers.withLock { $0[componentID]?.removeValue(forKey: id) != nil }
            if removed { watchers.subtract(1, ordering: .relaxed) }
        }
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
