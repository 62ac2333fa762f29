package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Wire

/// Changes attributes of spans, log records and data points.
package final class OtelcolProcessorAttributes: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.attributes", .generallyAvailable,
        "Changes attributes of spans, log records and data points.")

    package struct Arguments: Block, Sendable {
        let include: MatchArguments?
        let exclude: MatchArguments?
        let actions: [AttributeAction]
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            include = block.optionalBlock("include", "The items whose attributes are changed.")
            exclude = block.optionalBlock("exclude", "The items whose attributes are left alone.")
            actions = block.blocks("action", "What is done, in order.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            for kind in OTLPBatch.Kind.allCases where output.accepts(kind) {
                MatchArguments.check(include, "include", kind, &block)
                MatchArguments.check(exclude, "exclude", kind, &block)
            }
        }
    }

    private let arguments: Live<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in
                let current = arguments.current
                return try Self.change(batch, current, current.actions)
            })
        context.export(InputExports(input: receiver))
    }

    private static func change(
        _ batch: OTLPBatch, _ arguments: Arguments, _ actions: [AttributeAction]
    ) throws -> OTLPBatch {
        if actions.isEmpty { return batch }
        let walker = OTLPWalker()
        let wanted: OTLPWalker.Level = batch.kind == .metrics ? .point : .item
        return try walker.edit(batch, to: wanted) { level in
            if level == .item {
                if let include = arguments.include, !include.matches(walker) { return .skip }
                if let exclude = arguments.exclude, exclude.matches(walker) { return .skip }
            }
            guard level == wanted else { return .keep }
            let attributes = wanted == .item ? walker.item.attributes : walker.point.attributes
            for action in actions { action.run(attributes, batch.client) }
            return .keep
        }
    }
}

extension MatchArguments {
    /// Refuses a block that names something other signals have, or nothing at all.
    static func check(
        _ match: MatchArguments?, _ name: String, _ kind: OTLPBatch.Kind, _ block: inout BlockReader
    ) {
        guard let match else { return }
        for argument in match.misplaced(for: kind) {
            block.reject(name, "cannot have \(argument): the component sends \(kind) on, which have none")
        }
        if kind == .metrics, !match.attributes.isEmpty {
            block.reject(name, "cannot have attribute blocks for metrics")
        }
        if match.isEmpty { block.reject(name, "must name something to match") }
    }
}

extension OtelcolProcessorAttributes: Explaining {
    /// A step for each action.
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let rules = current.actions.indices.map { index in
            OTLPExplaining.Rule("action \(index + 1)", path: RulePath("action", index)) { batch in
                try Self.change(batch, current, Array(current.actions.prefix(index + 1)))
            }
        }
        return OTLPExplaining.explanation(of: item, rules, to: current.output)
    }
}
