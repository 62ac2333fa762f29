import Essentials
import Telemetry
import Wire

/// Telemetry as text for people.
enum DebugText {
    struct Counts {
        var resources = 0
        var metrics = 0
        var items = 0
        var kind: OTLPBatch.Kind

        /// The parts by name.
        private var parts: [(name: String, count: Int)] {
            switch kind {
            case .traces: [("resource spans", resources), ("spans", items)]
            case .metrics: [("resource metrics", resources), ("metrics", metrics), ("data points", items)]
            case .logs: [("resource logs", resources), ("log records", items)]
            }
        }

        var fields: KeyValuePairs<LogKey, String> { ["counts": text] }
        var text: String { parts.map { "\($0.name)=\($0.count)" }.joined(separator: " ") }
    }

    static func counts(_ batch: OTLPBatch) -> Counts {
        var counts = Counts(items: batch.itemCount, kind: batch.kind)
        let level: OTLPWalker.Level = batch.kind == .metrics ? .item : .resource
        try? OTLPWalker().walk(batch, to: level) { level in
            if level == .resource { counts.resources += 1 }
            if level == .item { counts.metrics += 1 }
            return .keep
        }
        return counts
    }

    /// A line for each item, or everything there is of each.
    static func text(_ batch: OTLPBatch, isDetailed: Bool) -> String {
        if isDetailed {
            let json = batch.chunks.map { chunk in
                chunk.bytes.withRawBytes { String(decoding: OTLPJSON.encode($0, of: batch.kind), as: UTF8.self) }
            }
            return json.joined(separator: "\n")
        }
        var lines: [String] = []
        let walker = OTLPWalker()
        try? walker.walk(batch, to: batch.kind == .metrics ? .point : .item) { level in
            switch (level, batch.kind) {
            case (.resource, _): lines.append("Resource " + OTLPLines.attributes(walker.resource.attributes))
            case (.scope, _): lines.append("Scope " + walker.scope.string(OTLPField.Scope.name))
            case (.item, .traces):
                let span = walker.span
                lines.append(
                    "\(walker.item.string(OTLPField.Span.name)) \(OTLPBytes.hex(span.traceID)) "
                        + "\(OTLPBytes.hex(span.spanID)) \(OTLPLines.attributes(span.attributes))")
            case (.item, .logs):
                lines.append(
                    "\(OTLPLines.text(of: walker.logRecord.body)) \(OTLPLines.attributes(walker.item.attributes))")
            case (.point, .metrics):
                lines.append(
                    "\(walker.item.string(OTLPField.Metric.name)){\(OTLPLines.attributes(walker.point.attributes))} "
                        + OTLPLines.value(walker)
                )
            default: break
            }
            return .keep
        }
        return lines.joined(separator: "\n")
    }
}
