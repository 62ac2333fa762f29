import AlloySyntax
package import ComponentKit
import Essentials
import KubernetesKit
import SelfMetrics
import Telemetry

/// Finds targets by watching objects of the Kubernetes API.
///
/// Semantics agree with prometheus/prometheus `discovery/kubernetes`. Components that watch the same objects share one
/// watch and one copy of them. Deviations: what is found at first is exported as a whole, and lists are read in pages.
package final class DiscoveryKubernetes: Component {
    package static let spec = ComponentSpec(
        "discovery.kubernetes", .generallyAvailable, "Finds targets among the objects of a Kubernetes cluster.")

    package typealias Exports = DiscoveryExports

    let arguments: Live<Arguments>
    private let context: Context<DiscoveryExports>
    let feed: TargetFeed
    private let failures: Counter
    private let events: [DiscoveryRole: EventCounters]

    private struct EventCounters {
        var add: Counter
        var update: Counter
        var delete: Counter
    }

    package init(_ arguments: Live<Arguments>, _ context: Context<DiscoveryExports>) throws {
        self.arguments = arguments
        self.context = context
        feed = TargetFeed(context)
        failures = context.metrics.counter(
            "prometheus_sd_kubernetes_failures_total", "The number of failed WATCH/LIST requests.")
        func counter(_ role: DiscoveryRole, _ event: String) -> Counter {
            context.metrics.counter(
                "prometheus_sd_kubernetes_events_total", "The number of Kubernetes events handled.",
                labels: ["role": role.rawValue, "event": event])
        }
        events = Dictionary(
            uniqueKeysWithValues: DiscoveryRole.allCases.map { role in
                (
                    role,
                    EventCounters(
                        add: counter(role, "add"), update: counter(role, "update"), delete: counter(role, "delete"))
                )
            })
    }

    package func run() async throws {
        try await feed.run(following: arguments, \.request) { [self] request in
            let discovery = KubernetesDiscovery(request, context.services.kubernetes, clock: context.clock)
            try await discovery.run { news in self.hear(news) }
        }
    }

    private func hear(_ news: DiscoveryNews) {
        switch news {
        case .groups(let groups):
            var changes: [TargetGroup.Key: TargetGroup?] = [:]
            changes.reserveCapacity(groups.count)
            for (source, group) in groups {
                let made = group.targets.isEmpty ? nil : TargetGroup(labels: group.labels, targets: group.targets)
                changes[TargetGroup.Key(source: source)] = .some(made)
            }
            feed.update(changes)
        case .complete: context.report(.healthy("discovered targets"))
        case .failed(let error):
            failures.add()
            context.log.error("Failed to list or watch objects", error)
            context.report(.unhealthy("unable to list or watch objects: \(error)"))
        case .counted(let role, let added, let modified, let deleted):
            guard let counters = events[role] else { return }
            if added > 0 { counters.add.add(added) }
            if modified > 0 { counters.update.add(modified) }
            if deleted > 0 { counters.delete.add(deleted) }
        }
    }
}
