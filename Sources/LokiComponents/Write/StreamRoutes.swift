import Synchronization
import Telemetry
import Wire

/// Where a stream goes: the tenant it names and the labels it is sent with.
struct StreamRoute: Sendable {
    /// The value of `__tenant_id__`, if there is one.
    var tenant: String?
    /// The labels without those that begin with `__`.
    var labels: LabelSet
}

/// Finds the routes of streams; remembers them by label set, up to a bound.
final class StreamRoutes: Sendable {
    private static let capacity = 20_000

    private struct State: ~Copyable {
        var routes: [LabelSet: StreamRoute] = [:]
        var builder = LabelSetBuilder()
    }

    private let externalLabels: LabelSet
    private let state = Mutex(State())

    init(externalLabels: LabelSet) { self.externalLabels = externalLabels }

    /// The routes of the batch's streams.
    func routes(of batch: LogBatch) -> [StreamRoute] {
        state.withLock { state in
            batch.streams.map { labels in
                if let known = state.routes[labels] { return known }
                if state.routes.count >= Self.capacity { state.routes.removeAll(keepingCapacity: true) }
                let route = Self.route(labels, externalLabels, &state.builder)
                state.routes[labels] = route
                return route
            }
        }
    }

    /// The labels with the external ones added, those that begin with `__` included.
    func merged(_ labels: LabelSet) -> LabelSet {
        if externalLabels.isEmpty { return labels }
        return state.withLock { state in
            Self.merge(labels, externalLabels, &state.builder)
            return state.builder.finish()
        }
    }

    private static func merge(_ labels: LabelSet, _ external: LabelSet, _ builder: inout LabelSetBuilder) {
        guard !external.isEmpty else { return builder.reset(to: labels) }
        builder.reset(to: external)
        labels.forEach { builder.set($0, to: $1) }
    }

    private static func route(
        _ labels: LabelSet, _ external: LabelSet, _ builder: inout LabelSetBuilder
    ) -> StreamRoute {
        merge(labels, external, &builder)
        let tenant = builder.value(of: "__tenant_id__")
        builder.filter { name, _ in !LokiLabelText.isInternal(name) }
        return StreamRoute(tenant: tenant, labels: builder.finish())
    }
}
