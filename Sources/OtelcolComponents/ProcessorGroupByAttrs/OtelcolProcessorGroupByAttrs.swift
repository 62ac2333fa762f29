package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Wire

/// Moves attributes of spans, log records and data points to the resource and groups what then has the same one.
///
/// Without keys nothing is moved: items with equal resources and scopes are brought together.
package final class OtelcolProcessorGroupByAttrs: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.groupbyattrs", .generallyAvailable,
        "Moves attributes of items to their resource and groups the items by it.")

    package struct Arguments: Block, Sendable {
        let keys: [OTLPKey]
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            let names: [String] = block.optional("keys", default: [], "The attributes that are moved to the resource.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            var seen: Set<String> = []
            keys = names.filter { !$0.isEmpty && seen.insert($0).inserted }.map { OTLPKey($0) }
        }
    }

    private let arguments: Live<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in try ResourceGrouping.group(batch, by: arguments.current.keys) })
        context.export(InputExports(input: receiver))
    }
}

/// Sorting items by the resource they get.
enum ResourceGrouping {
    static func group(_ batch: OTLPBatch, by keys: [OTLPKey]) throws -> OTLPBatch {
        var assembler = OTLPAssembler(kind: batch.kind)
        let walker = OTLPWalker()
        if batch.kind == .metrics, !keys.isEmpty {
            try groupPoints(batch, keys, walker, &assembler)
        } else {
            let resource = OTLPMessage()
            try walker.walk(batch, to: .item) { level in
                guard level == .item else { return .keep }
                let moved = keys.filter { walker.item.attributes.contains($0) }
                guard !moved.isEmpty else {
                    assembler.append(walker)
                    return .keep
                }
                let content = walker.resource.encoded
                try content.withRawBytes { bytes in
                    try resource.load(bytes, as: .resource)
                    for key in moved {
                        if let value = walker.item.attributes[key] { resource.attributes.set(key, to: value) }
                        walker.item.attributes.remove(key)
                    }
                    assembler.begin(
                        resource: resource, schemaURL: walker.resourceGroup.bytes(OTLPField.ResourceGroup.schemaURL))
                    assembler.begin(scopeOf: walker)
                    assembler.append(walker.item)
                }
                return .keep
            }
        }
        return assembler.finish(client: batch.client)
    }

    /// Points of one metric that go to different resources make a metric in each.
    private static func groupPoints(
        _ batch: OTLPBatch, _ keys: [OTLPKey], _ walker: OTLPWalker, _ assembler: inout OTLPAssembler
    ) throws {
        let point = OTLPMessage()
        let resource = OTLPMessage()
        let metric = OTLPMessage()
        let data = OTLPMessage()
        try walker.walk(batch, to: .item) { level in
            guard level == .item else { return .keep }
            guard let kind = walker.metricKind else {
                assembler.append(walker)
                return .keep
            }
            // The moved attributes of each group in the order of the keys, and the points without them.
            var groups: [(moved: OTLPAnyValue.Map, points: [[UInt8]])] = []
            var places: [OTLPAnyValue.Map: Int] = [:]
            try walker.metric.forEachPoint { content in
                try point.load(content, as: kind.pointShape)
                var moved = OTLPAnyValue.Map()
                for key in keys {
                    guard let value = point.attributes[key] else { continue }
                    moved[Array(key.bytes)] = OTLPAnyValue(value)
                }
                for key in keys { point.attributes.remove(key) }
                if let place = places[moved] {
                    groups[place].points.append(point.encoded)
                } else {
                    places[moved] = groups.count
                    groups.append((moved, [point.encoded]))
                }
            }
            if groups.isEmpty || (groups.count == 1 && groups[0].moved.isEmpty) {
                assembler.append(walker)
                return .keep
            }
            let header = walker.data.encoded
            let whole = walker.item.encoded
            let owner = walker.resource.encoded
            for group in groups {
                try header.withRawBytes { bytes in
                    try data.load(bytes, as: .metricData)
                    data.remove(OTLPField.MetricData.points)
                    for content in group.points {
                        content.withRawBytes { data.append(OTLPField.MetricData.points, message: $0) }
                    }
                    try whole.withRawBytes { bytes in
                        try metric.load(bytes, as: .metric)
                        for other in OTLPMetricKind.allCases { metric.remove(other.rawValue) }
                        data.encoded.withRawBytes { metric.set(kind.rawValue, message: $0) }
                        try owner.withRawBytes { bytes in
                            try resource.load(bytes, as: .resource)
                            for entry in group.moved.entries {
                                entry.key.withRawBytes { resource.attributes.set($0, to: entry.value) }
                            }
                            assembler.begin(
                                resource: resource,
                                schemaURL: walker.resourceGroup.bytes(OTLPField.ResourceGroup.schemaURL))
                            assembler.begin(scopeOf: walker)
                            assembler.append(metric)
                        }
                    }
                }
            }
            return .keep
        }
    }
}

extension OtelcolProcessorGroupByAttrs: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let rule = OTLPExplaining.Rule("keys", path: RulePath("keys")) {
            try ResourceGrouping.group($0, by: current.keys)
        }
        return OTLPExplaining.explanation(of: item, [rule], to: current.output)
    }
}
