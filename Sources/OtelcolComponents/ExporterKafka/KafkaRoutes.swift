import AlloySyntax
import Telemetry

/// The arguments that say what is written where: the block of each signal, and the older arguments they replace.
struct KafkaRoutes {
    var routes: [OTLPBatch.Kind: KafkaRoute] = [:]
    /// Metadata of clients that become headers of records.
    var headers: [String]

    init(from block: inout BlockReader) {
        let topic = block.optional(
            "topic", default: "", "The topic of every signal without a block of its own.", deprecated: true)
        let attribute = block.optional(
            "topic_from_attribute", default: "", "The attribute of resources that names the topic.", deprecated: true)
        let encoding = block.optional(
            "encoding", default: "otlp_proto", "How records of signals without a block of their own are written.",
            deprecated: true)
        let tracesByID = block.optional(
            "partition_traces_by_id", default: false, "Whether records are written by trace, with its ID as key.",
            deprecated: true)
        let metricsByResource = block.optional(
            "partition_metrics_by_resource_attributes", default: false,
            "Whether records of metrics are written by resource, with a digest of its attributes as key.")
        let logsByResource = block.optional(
            "partition_logs_by_resource_attributes", default: false,
            "Whether records of logs are written by resource, with a digest of its attributes as key.")
        let logsByTrace = block.optional(
            "partition_logs_by_trace_id", default: false, "Whether records of logs are written by trace.")
        headers = block.optional(
            "include_metadata_keys", default: [], "Metadata of clients that become headers of records.")
        let logs: KafkaSignal<LogsTopic>? = block.optionalBlock("logs", "How logs are written.")
        let metrics: KafkaSignal<MetricsTopic>? = block.optionalBlock("metrics", "How metrics are written.")
        let traces: KafkaSignal<TracesTopic>? = block.optionalBlock("traces", "How traces are written.")
        if logsByResource, logsByTrace {
            block.reject("partition_logs_by_trace_id", "cannot be set with partition_logs_by_resource_attributes")
        }
        let older = KafkaRoute.readEncoding(encoding, "encoding", &block)
        func settle(
            _ kind: OTLPBatch.Kind, _ own: KafkaRoute?, _ standard: String, _ grouping: KafkaRoute.Grouping,
            _ block: inout BlockReader
        ) {
            var route = own ?? KafkaRoute(topic: topic.isEmpty ? standard : topic, encoding: older)
            route.topicAttribute = attribute
            if let only = route.encoding.kind, only != kind {
                let word = route.encoding.rawValue
                if own != nil { block.reject("\(kind)", "cannot have the encoding \"\(word)\", which is for \(only)") }
                return
            }
            if grouping != .together, !route.keyMetadata.isEmpty {
                block.reject("\(kind)", "cannot have message_key_from_metadata_key with records partitioned otherwise")
            }
            route.grouping = route.encoding.isByItem ? .together : grouping
            routes[kind] = route
        }
        settle(
            .logs, logs?.route, LogsTopic.topic,
            logsByTrace ? .byTrace : logsByResource ? .byResource : .together, &block)
        settle(.metrics, metrics?.route, MetricsTopic.topic, metricsByResource ? .byResource : .together, &block)
        settle(.traces, traces?.route, TracesTopic.topic, tracesByID ? .byTrace : .together, &block)
    }
}

extension KafkaRoute {
    /// Reads the word for an encoding.
    static func readEncoding(_ word: String, _ argument: String, _ block: inout BlockReader) -> KafkaEncoding {
        if let encoding = KafkaEncoding(rawValue: word) { return encoding }
        block.reject(argument, "must be one of \(KafkaEncoding.allCases.map(\.rawValue).joined(separator: ", "))")
        return .otlpProtobuf
    }
}

private protocol StandardTopic {
    static var topic: String { get }
}

private enum LogsTopic: StandardTopic { static let topic = "otlp_logs" }
private enum MetricsTopic: StandardTopic { static let topic = "otlp_metrics" }
private enum TracesTopic: StandardTopic { static let topic = "otlp_spans" }

/// A `logs`, `metrics` or `traces` block.
private struct KafkaSignal<Standard: StandardTopic>: Block {
    let route: KafkaRoute

    init(from block: inout BlockReader) {
        let topic = block.optional("topic", default: Standard.topic, "The topic records are written to.")
        var route = KafkaRoute(topic: topic.isEmpty ? Standard.topic : topic)
        route.topicMetadata = block.optional(
            "topic_from_metadata_key", default: "", "The piece of the client's metadata that names the topic.")
        let encoding = block.optional("encoding", default: "otlp_proto", "How records are written.")
        route.encoding =
            encoding.isEmpty ? .otlpProtobuf : KafkaRoute.readEncoding(encoding, "encoding", &block)
        route.keyMetadata = block.optional(
            "message_key_from_metadata_key", default: "", "The piece of the client's metadata that is the key.")
        self.route = route
    }
}
