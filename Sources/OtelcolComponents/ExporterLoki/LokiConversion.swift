import Essentials
import Telemetry
import Wire

/// Makes Loki entries of OTLP log records, as the OpenTelemetry Collector's `pkg/translator/loki` does: hints among the
/// attributes say which attributes become labels and how the line is written.
///
/// Two differences: labels have ASCII letters only, as others make Loki refuse the request, and numbers that JSON cannot
/// carry are null instead of the end of their record.
struct LokiConversion {
    /// What has been made so far.
    private(set) var entries = LogBatch()
    /// Why the last of the records that were left out was.
    private(set) var problem: String?
    private let now: Int64
    private var resource = OTLPAnyValue.Map()
    private var ordinal = -1

    /// `now` is the time of records without one, in nanoseconds since 1970.
    init(now: Int64) { self.now = now }

    /// Adds the records of `batch`, which must be one of logs.
    mutating func append(_ batch: OTLPBatch) throws {
        let walker = OTLPWalker()
        ordinal = -1
        try walker.walk(batch, to: .item) { level in
            guard level == .item else { return .keep }
            if walker.resourceOrdinal != ordinal {
                ordinal = walker.resourceOrdinal
                resource = walker.resource.attributes.map
            }
            append(walker.logRecord, OTLPScope(walker.scope))
            return .keep
        }
    }

    private mutating func append(_ record: OTLPLogRecord, _ scope: OTLPScope) {
        var attributes = record.attributes.map
        LokiHints.addLevel(record.severityNumber, to: &attributes)
        let hint = resource[LokiHints.format] ?? attributes[LokiHints.format]
        guard let format = LokiLine.Format(rawValue: hint.map(OTLPText.string) ?? "json") else {
            problem = "\(LokiHints.format) must be json or logfmt"
            return
        }
        let labels = LokiHints.labels(record: attributes, resource: resource)
        var rest = resource
        rest.filter { !LokiHints.isUsed($0.key, labels) }
        attributes.filter { !LokiHints.isUsed($0.key, labels) }
        let line = LokiLine(record: record, scope: scope, attributes: attributes, resource: rest)
        let set = LabelSet(labels.sorted { $0.key < $1.key }.map { (LokiHints.labelName($0.key), $0.value) })
        let stream = entries.stream(for: set)
        line.text(format).withUnsafeBytes { entries.append($0, stream: stream, timestamp: time(of: record)) }
    }

    private func time(of record: OTLPLogRecord) -> Int64 {
        let time = record.timeUnixNano != 0 ? record.timeUnixNano : record.observedTimeUnixNano
        return time == 0 ? now : Int64(clamping: time)
    }
}
