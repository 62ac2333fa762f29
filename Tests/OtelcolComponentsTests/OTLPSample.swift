import Telemetry
import TestKit
import Testing
import Wire

@testable import OtelcolComponents

/// Batches from OTLP/JSON, and metrics as lines of text.
enum OTLPSample {
    /// A batch from the JSON of a request.
    static func batch(_ kind: OTLPBatch.Kind, _ json: String) throws -> OTLPBatch {
        let bytes = try Array(json.utf8).withUnsafeBytes { try OTLPJSON.decode($0, as: kind) }
        return try OTLPScanner.batch(bytes, as: kind)
    }

    /// One metric of one resource: `points` is the JSON of its points, `data` what else the metric's data has.
    static func metric(
        _ name: String, _ field: String, _ points: String, _ data: String = "", service: String = "shop"
    ) throws -> OTLPBatch {
        let more = data.isEmpty ? "" : ",\(data)"
        return try batch(
            .metrics,
            """
            {"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"\(service)"}}]},
            "scopeMetrics":[{"metrics":[{"name":"\(name)","\(field)":{"dataPoints":[\(points)]\(more)}}]}]}]}
            """)
    }

    /// Every data point as `name start-time value`, in order.
    static func points(_ batches: [OTLPBatch]) -> [String] {
        var lines: [String] = []
        let walker = OTLPWalker()
        for batch in batches {
            try? walker.walk(batch, to: .point) { level in
                guard level == .point else { return .keep }
                let times = PointTimes(walker)
                let temporality = ["", "delta ", "cumulative "][Int(walker.metric.aggregationTemporality)]
                lines.append(
                    "\(temporality)\(String(decoding: walker.metric.name, as: UTF8.self)) \(times.start)-\(times.time) \(value(walker))"
                )
                return .keep
            }
        }
        return lines
    }

    private static func value(_ walker: OTLPWalker) -> String {
        if walker.hasNoRecordedValue { return "none" }
        switch PointValue(walker) {
        case .number(.int(let value)): return "\(value)"
        case .number(.double(let value)): return "\(value)"
        case .histogram(let value):
            return
                "count=\(value.count) sum=\(text(value.sum)) \(value.counts) \(value.bounds) \(text(value.min))..\(text(value.max))"
        case .exponential(let value):
            return
                "count=\(value.count) sum=\(text(value.sum)) scale=\(value.scale) zero=\(value.zeroCount)@\(value.zeroThreshold) "
                + "+\(value.positive.offset)\(value.positive.counts) -\(value.negative.offset)\(value.negative.counts)"
        case .summary(let count, let sum): return "count=\(count) sum=\(sum)"
        case nil: return "empty"
        }
    }

    private static func text(_ value: Double?) -> String { value.map { "\($0)" } ?? "-" }
}

extension ComponentHarness {
    /// Sends a batch to the component's `input`.
    func send(_ batch: OTLPBatch) throws {
        let input: Receiver<OTLPBatch> = try #require(export("input"))
        try run { try await input.consume(batch) }
    }

    /// The data points that arrived since last asked.
    func takePoints() -> [String] { OTLPSample.points(otlp.take()) }
}
