package import AlloySyntax
package import ComponentKit
import Telemetry

/// Changes or drops targets by rules.
package final class DiscoveryRelabel: Component, ScrapeSource {
    package static let spec = ComponentSpec(
        "discovery.relabel", .generallyAvailable, "Rewrites or drops the labels of targets by relabel rules.")

    package struct Arguments: Block {
        let targets: [Target]
        let rules: Relabeling

        package init(from block: inout BlockReader) {
            targets = block.required("targets", "Targets to relabel.")
            rules = RelabelRuleArguments.read("rule", "A relabel rule; rules apply in order.", from: &block)
        }
    }

    package struct Exports: WritableBlock {
        var output: [Target]
        var rules: RelabelRules
        package static let placeholder = Exports(output: [], rules: .placeholder)
        package func write(to block: inout BlockWriter) {
            block.attribute("output", output, "The targets that were not dropped, with their new labels.")
            block.attribute("rules", rules, "The rules, for other components to apply.")
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<Exports>
    private let live: LiveView

    package var componentID: String { context.componentID }

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        live = context.makeLiveView()
        context.services.scrapes.add(self)
        relabel()
        context.report(.healthy("ready"))
    }

    package func argumentsChanged() { relabel() }

    private func relabel() {
        let settings = arguments.current
        var scratch = LabelSetBuilder()
        var output: [Target] = []
        output.reserveCapacity(settings.targets.count)
        for (index, target) in settings.targets.enumerated() {
            let labels = target.labels
            let changed = settings.rules.apply(to: labels, scratch: &scratch)
            if index < LiveView.itemLimit { live.publish(.target) { "\(labels) => \(changed ?? .empty)" } }
            // An unchanged target keeps sharing its group's labels.
            if let changed { output.append(changed == labels ? target : Target(own: changed)) }
        }
        live.publishRest(.target, settings.targets.count - LiveView.itemLimit)
        context.export(Exports(output: output, rules: RelabelRules(settings.rules)))
    }

    package func droppedTargets(limit: Int) -> DroppedTargets {
        let settings = arguments.current
        var dropped = DroppedTargets()
        var scratch = LabelSetBuilder()
        for target in settings.targets {
            let labels = target.labels
            scratch.reset(to: labels)
            dropped.note(labels, as: &scratch, by: settings.rules, limit: limit)
        }
        return dropped
    }
}

extension DiscoveryRelabel: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        guard item.kind == .target else { return nil }
        var explanation = Explanation()
        if let left = explanation.relabel(item, by: arguments.current.rules) {
            explanation.results = [Explanation.Result(left, .targets("output"))]
        }
        return explanation
    }
}
