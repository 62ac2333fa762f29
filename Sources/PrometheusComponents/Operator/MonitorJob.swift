import KubernetesKit
import Telemetry
import Transport

/// Why an object cannot be used.
struct MonitorError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// One job that an object of the operator asks for.
struct MonitorJob: Sendable, Equatable {
    /// Where the job's targets come from.
    enum Source: Sendable, Equatable {
        case kubernetes(DiscoveryRequest)
        case fixed(addresses: [String], labels: LabelSet)
        case http(url: HTTPURL, interval: Duration, client: HTTPClientSettings)
    }

    var settings: ScrapeJobSettings
    var source: Source
    var relabeling: Relabeling

    var name: String { settings.name }

    /// The target with the labels that rules may look at and change, or nil when they drop it.
    ///
    /// As Prometheus does (`scrape/target.go`), what the job says is set before the rules see the target.
    func relabelled(_ labels: LabelSet, scratch: inout LabelSetBuilder) -> LabelSet? {
        prepare(&scratch, from: labels)
        guard relabeling.apply(to: &scratch), scratch.value(of: "__address__") != nil else { return nil }
        return scratch.finish()
    }

    /// Makes of discovered labels what the rules see.
    func prepare(_ scratch: inout LabelSetBuilder, from labels: LabelSet) {
        scratch.reset(to: labels)
        var defaults: [(String, String)] = [
            ("job", settings.name), ("__metrics_path__", settings.metricsPath), ("__scheme__", settings.scheme),
        ]
        for (name, values) in settings.params {
            if let first = values.first { defaults.append(("__param_" + name, first)) }
        }
        for (name, value) in defaults where scratch.value(of: name) == nil { scratch.set(name, to: value) }
    }
}

/// Collects relabel rules; what is wrong with one is told as the object's error.
struct RuleList {
    private(set) var rules: [RelabelRule]

    init(_ rules: [RelabelRule] = []) { self.rules = rules }

    mutating func add(
        _ action: RelabelAction = .replace, _ sources: [String] = [], _ pattern: String = RelabelRule.defaultPattern,
        target: String = "", replacement: String = RelabelRule.defaultReplacement
    ) throws(MonitorError) {
        do {
            rules.append(
                try RelabelRule(
                    action: action, sourceLabels: sources, pattern: pattern, targetLabel: target,
                    replacement: replacement.isEmpty ? RelabelRule.defaultReplacement : replacement))
        } catch {
            throw MonitorError("\(error)")
        }
    }

    mutating func add(contentsOf more: [RelabelRule]) { rules += more }
}
