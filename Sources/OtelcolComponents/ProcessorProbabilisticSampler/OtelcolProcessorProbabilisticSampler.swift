package import AlloySyntax
package import ComponentKit
import Essentials
import OTTL
import Telemetry
import TextFormats
import Wire

/// Keeps a share of traces and log records, the same ones wherever it runs with the same arguments.
package final class OtelcolProcessorProbabilisticSampler: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.probabilistic_sampler", .generallyAvailable,
        "Keeps a share of traces and log records by their IDs.")

    enum Mode: String, AlloyWord {
        case proportional, equalizing
        case hashSeed = "hash_seed"
        case unset = ""
        static var placeholder: Mode { .proportional }
    }

    package struct Arguments: Block, Sendable {
        let percentage: Double
        let seed: UInt32
        let mode: Mode
        /// Whether the mode is the configuration's choice and not the default.
        let isModeGiven: Bool
        let failsClosed: Bool
        let precision: Int
        let usesRecord: Bool
        let attribute: OTLPKey?
        let priority: OTLPKey?
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            percentage = block.optional("sampling_percentage", default: 0.0, "The share that is kept, in percent.")
            seed = block.optional(
                "hash_seed", default: UInt32(0), "Changes which IDs are kept, for the hash_seed mode.")
            mode = block.optional("mode", default: Mode.proportional, "How the decision is made.")
            isModeGiven = block.isSet("mode") && mode != .unset
            failsClosed = block.optional(
                "fail_closed", default: true, "Whether items that cannot be decided about are dropped.")
            precision = block.optional("sampling_precision", default: 4, "Hexadecimal digits of the threshold.")
            let source = block.optional(
                "attribute_source", default: "traceID", "Where the ID of log records comes from: traceID or record.")
            let attribute = block.optional(
                "from_attribute", default: "", "The attribute of log records that is their ID, for record.")
            let priority = block.optional(
                "sampling_priority", default: "", "The attribute of log records that is their own percentage.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            usesRecord = source == "record"
            self.attribute = attribute.isEmpty ? nil : OTLPKey(attribute)
            self.priority = priority.isEmpty ? nil : OTLPKey(priority)
            if percentage < 0 || !percentage.isFinite {
                block.reject("sampling_percentage", "must not be negative")
            } else if percentage > 0, percentage < 100 / Double(Sampling.maximum) {
                block.reject("sampling_percentage", "is smaller than what can be decided")
            }
            if !(1...14).contains(precision) { block.reject("sampling_precision", "must be 1 to 14") }
            if source != "record", source != "traceID" {
                block.reject("attribute_source", "must be \"traceID\" or \"record\"")
            }
            if usesRecord, attribute.isEmpty {
                block.reject("from_attribute", "is required when attribute_source is \"record\"")
            }
        }

        /// The mode for a signal: a seed or another ID asks for the older one, unless a mode is given.
        func mode(for kind: OTLPBatch.Kind) -> Mode {
            if isModeGiven { return mode }
            return seed != 0 || (kind == .logs && usesRecord) ? .hashSeed : .proportional
        }
    }

    private let arguments: Live<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        let metrics = SamplerMetrics(context.metrics)
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in
                // Metrics have no IDs to decide by.
                if batch.kind == .metrics { throw OTTLError("metrics cannot be sampled") }
                return try Sampler(arguments.current, batch.kind).sample(batch, metrics)
            })
        context.export(InputExports(input: receiver))
    }
}

extension OtelcolProcessorProbabilisticSampler: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let rule = OTLPExplaining.Rule("sampling") { batch in
            // Metrics have no IDs to decide by.
            if batch.kind == .metrics { throw OTTLError("metrics cannot be sampled") }
            return try Sampler(current, batch.kind).sample(batch, nil)
        }
        return OTLPExplaining.explanation(of: item, [rule], to: current.output)
    }
}
