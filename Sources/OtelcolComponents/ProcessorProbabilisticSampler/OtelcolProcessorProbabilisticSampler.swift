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
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in
                // Metrics have no IDs to decide by.
                if batch.kind == .metrics { throw OTTLError("metrics cannot be sampled") }
                return try Sampler(arguments.current, batch.kind).sample(batch)
            })
        context.export(InputExports(input: receiver))
    }
}

/// The decisions about one batch.
private struct Sampler {
    typealias Arguments = OtelcolProcessorProbabilisticSampler.Arguments

    private static let spanPriority: OTLPKey = "sampling.priority"
    private static let logThreshold: OTLPKey = "sampling.threshold"
    private static let logRandomness: OTLPKey = "sampling.randomness"

    let arguments: Arguments
    let mode: OtelcolProcessorProbabilisticSampler.Mode
    let threshold: UInt64
    private let kind: OTLPBatch.Kind

    init(_ arguments: Arguments, _ kind: OTLPBatch.Kind) {
        self.arguments = arguments
        self.kind = kind
        mode = arguments.mode(for: kind)
        threshold = Sampling.threshold(min(arguments.percentage, 100) / 100, digits: arguments.precision)
    }

    func sample(_ batch: OTLPBatch) throws -> OTLPBatch {
        let walker = OTLPWalker()
        return try walker.edit(batch, to: .item) { level in
            guard level == .item else { return .keep }
            return (kind == .traces ? keeps(walker.span) : keeps(walker.logRecord)) ? .keep : .drop
        }
    }

    // MARK: Spans

    private func keeps(_ span: OTLPSpan) -> Bool {
        switch priority(span) {
        case .drop: return false
        case .keep: return true
        case nil: break
        }
        if mode == .hashSeed {
            guard hasID(span.traceID) else { return !arguments.failsClosed }
            return isInShare(span.traceID, percentage: arguments.percentage)
        }
        var state = SamplingState(span.traceState)
        guard
            let randomness = state["rv"].flatMap({ Sampling.randomness(fromText: $0) })
                ?? Sampling.randomness(ofTrace: span.traceID)
        else { return !arguments.failsClosed }
        let before = state["th"].flatMap { Sampling.threshold(fromText: $0) }
        if let before, before > randomness {
            // The state contradicts itself: it is not one of a sampled span.
            state["th"] = nil
            if arguments.failsClosed { return false }
        }
        let limit = combined(with: before)
        guard limit < Sampling.maximum, randomness >= limit else { return false }
        if before != limit {
            state["th"] = Sampling.text(limit)
            let text = Array(state.text.utf8)
            text.withRawBytes { span.traceState = $0 }
        }
        return true
    }

    private enum Priority { case keep, drop }

    private func priority(_ span: OTLPSpan) -> Priority? {
        let number: Double?
        switch span.attributes[Self.spanPriority] {
        case .int(let value)?: number = Double(value)
        case .double(let value)?: number = value
        case .string(let text)?: number = GoNumber.parseFloat(String(decoding: text, as: UTF8.self))
        default: number = nil
        }
        guard let number else { return nil }
        return number == 0 ? .drop : number > 0 ? .keep : nil
    }

    /// The threshold for an item that has been sampled before.
    private func combined(with before: UInt64?) -> UInt64 {
        guard let before else { return threshold }
        if mode == .equalizing { return max(before, threshold) }
        if threshold >= Sampling.maximum { return threshold }
        let probability = Sampling.probability(threshold) * Sampling.probability(before)
        return Sampling.threshold(probability, digits: arguments.precision)
    }

    // MARK: Log records

    private func keeps(_ record: OTLPLogRecord) -> Bool {
        var percentage = arguments.percentage
        if let key = arguments.priority, let value = record.attributes[key] {
            switch value {
            case .int(let number): percentage = Double(number)
            case .double(let number): percentage = number
            case .string(let text):
                percentage = GoNumber.parseFloat(String(decoding: text, as: UTF8.self)) ?? percentage
            default: break
            }
            if percentage <= 0 { return false }
            if percentage >= 100 { return true }
        }
        let source: OTLPValue? =
            arguments.usesRecord ? arguments.attribute.flatMap { record.attributes[$0] } : .bytes(record.traceID)
        let bytes: [UInt8]
        switch source {
        case .bytes(let id)?: bytes = Array(id)
        case let value?: bytes = OTLPText.bytes(value)
        case nil: bytes = []
        }
        guard bytes.contains(where: { $0 != 0 }) else { return !arguments.failsClosed }
        return bytes.withRawBytes { id in
            if mode == .hashSeed { return isInShare(id, percentage: percentage) }
            let hash = withUnsafeBytes(of: FNV1a.hash64(id).bigEndian) { Array($0) }
            let known = record.attributes[Self.logRandomness]?.string.flatMap { Sampling.randomness(fromText: $0) }
            let own = arguments.usesRecord ? hash[1...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } : nil
            guard let randomness = known ?? own ?? Sampling.randomness(ofTrace: id) else {
                return !arguments.failsClosed
            }
            let before = record.attributes[Self.logThreshold]?.string.flatMap { Sampling.threshold(fromText: $0) }
            let limit =
                percentage == arguments.percentage
                ? combined(with: before) : Sampling.threshold(percentage / 100, digits: arguments.precision)
            guard limit < Sampling.maximum, randomness >= limit else { return false }
            if before != limit { record.attributes.set(Self.logThreshold, to: Sampling.text(limit)) }
            return true
        }
    }

    // MARK: Shares

    private func hasID(_ id: UnsafeRawBufferPointer) -> Bool { id.contains { $0 != 0 } }

    private func isInShare(_ id: UnsafeRawBufferPointer, percentage: Double) -> Bool {
        Sampling.bucket(id, seed: arguments.seed) < UInt32(min(max(percentage, 0), 100) * 0x4000 / 100)
    }
}

extension OtelcolProcessorProbabilisticSampler: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let rule = OTLPExplaining.Rule("sampling") { batch in
            // Metrics have no IDs to decide by.
            if batch.kind == .metrics { throw OTTLError("metrics cannot be sampled") }
            return try Sampler(current, batch.kind).sample(batch)
        }
        return OTLPExplaining.explanation(of: item, [rule], to: current.output)
    }
}
