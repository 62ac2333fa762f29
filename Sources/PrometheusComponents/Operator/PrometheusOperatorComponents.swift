package import AlloySyntax
package import ComponentKit

/// Scrapes the pods that PodMonitor objects of a Kubernetes cluster describe.
package final class PrometheusOperatorPodMonitors: Component {
    package static let spec = ComponentSpec(
        "prometheus.operator.podmonitors", .generallyAvailable,
        "Scrapes the pods that PodMonitor objects of a Kubernetes cluster describe.")

    package struct Arguments: Block, Sendable {
        let shared: OperatorArguments
        package init(from block: inout BlockReader) { shared = OperatorArguments(from: &block, kind: .podMonitors) }
    }

    private let arguments: Live<Arguments>
    private let engine: MonitorEngine<PodMonitorResource>

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        engine = MonitorEngine(context) { arguments.current.shared }
    }

    package func run() async throws {
        try await engine.run { [arguments] body in try await arguments.whileCurrent(\.shared.watched, body) }
    }

    package func argumentsChanged() { engine.argumentsChanged() }
    package var debugInfo: MonitorDebugInfo { engine.debugInfo }
}

/// Scrapes the services that ServiceMonitor objects of a Kubernetes cluster describe.
package final class PrometheusOperatorServiceMonitors: Component {
    package static let spec = ComponentSpec(
        "prometheus.operator.servicemonitors", .generallyAvailable,
        "Scrapes the services that ServiceMonitor objects of a Kubernetes cluster describe.")

    package struct Arguments: Block, Sendable {
        let shared: OperatorArguments
        package init(from block: inout BlockReader) { shared = OperatorArguments(from: &block, kind: .serviceMonitors) }
    }

    private let arguments: Live<Arguments>
    private let engine: MonitorEngine<ServiceMonitorResource>

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        engine = MonitorEngine(context) { arguments.current.shared }
    }

    package func run() async throws {
        try await engine.run { [arguments] body in try await arguments.whileCurrent(\.shared.watched, body) }
    }

    package func argumentsChanged() { engine.argumentsChanged() }
    package var debugInfo: MonitorDebugInfo { engine.debugInfo }
}

/// Scrapes the probes that Probe objects of a Kubernetes cluster describe.
package final class PrometheusOperatorProbes: Component {
    package static let spec = ComponentSpec(
        "prometheus.operator.probes", .generallyAvailable,
        "Scrapes the probes that Probe objects of a Kubernetes cluster describe.")

    package struct Arguments: Block, Sendable {
        let shared: OperatorArguments
        package init(from block: inout BlockReader) { shared = OperatorArguments(from: &block, kind: .probes) }
    }

    private let arguments: Live<Arguments>
    private let engine: MonitorEngine<ProbeResource>

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        engine = MonitorEngine(context) { arguments.current.shared }
    }

    package func run() async throws {
        try await engine.run { [arguments] body in try await arguments.whileCurrent(\.shared.watched, body) }
    }

    package func argumentsChanged() { engine.argumentsChanged() }
    package var debugInfo: MonitorDebugInfo { engine.debugInfo }
}

/// Scrapes what ScrapeConfig objects of a Kubernetes cluster describe.
package final class PrometheusOperatorScrapeConfigs: Component {
    package static let spec = ComponentSpec(
        "prometheus.operator.scrapeconfigs", .experimental,
        "Scrapes what ScrapeConfig objects of a Kubernetes cluster describe.")

    package struct Arguments: Block, Sendable {
        let shared: OperatorArguments
        package init(from block: inout BlockReader) { shared = OperatorArguments(from: &block, kind: .scrapeConfigs) }
    }

    private let arguments: Live<Arguments>
    private let engine: MonitorEngine<ScrapeConfigResource>

    package init(_ arguments: Live<Arguments>, _ context: Context<NoValues>) throws {
        self.arguments = arguments
        engine = MonitorEngine(context) { arguments.current.shared }
    }

    package func run() async throws {
        try await engine.run { [arguments] body in try await arguments.whileCurrent(\.shared.watched, body) }
    }

    package func argumentsChanged() { engine.argumentsChanged() }
    package var debugInfo: MonitorDebugInfo { engine.debugInfo }
}

extension PrometheusOperatorPodMonitors: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? { engine.explain(item) }
}

extension PrometheusOperatorServiceMonitors: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? { engine.explain(item) }
}

extension PrometheusOperatorProbes: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? { engine.explain(item) }
}

extension PrometheusOperatorScrapeConfigs: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? { engine.explain(item) }
}
