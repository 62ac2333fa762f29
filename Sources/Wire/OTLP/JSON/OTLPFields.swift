package import Telemetry
import TextFormats

/// OpenTelemetry data as names and values, for people who look at one record.
package enum OTLPFields {
    /// The fields of the first record: `resource.attributes.NAME`, `scope.name`, `attributes.NAME` and the record's own by
    /// their names in OTLP/JSON. What is empty is left out, as label sets do.
    package static func labels(of batch: OTLPBatch) -> LabelSet {
        let json = batch.requestBytes.withRawBytes { OTLPJSON.encode($0, of: batch.kind) }
        guard let document = try? JSONValue(parsing: json), let root = document.objectValue?.members.first?.value[0]
        else { return .empty }
        var builder = LabelSetBuilder()
        add(root["resource"], "resource.", to: &builder)
        guard let group = (root.objectValue ?? [:]).first(where: { $0.key.hasPrefix("scope") })?.value[0] else {
            return builder.finish()
        }
        add(group["scope"], "scope.", to: &builder)
        let records = (group.objectValue ?? [:]).first { $0.value.arrayValue != nil }?.value
        add(records?[0], "", to: &builder)
        return builder.finish()
    }

    /// A request written as OTLP/JSON, of whichever signal it is.
    package static func batch(ofJSON text: [UInt8]) throws(OTLPJSONError) -> OTLPBatch {
        guard let document = try? JSONValue(parsing: text), let object = document.objectValue else {
            throw OTLPJSONError("not a JSON object")
        }
        for (name, other, kind) in [
            ("resourceSpans", "resource_spans", OTLPBatch.Kind.traces),
            ("resourceMetrics", "resource_metrics", .metrics), ("resourceLogs", "resource_logs", .logs),
        ] where object[name] != nil || object[other] != nil {
            let bytes = try text.withRawBytes { (raw) throws(OTLPJSONError) in try OTLPJSON.decode(raw, as: kind) }
            let batch: OTLPBatch
            do throws(ProtobufError) {
                batch = try OTLPScanner.batch(bytes, as: kind)
            } catch {
                throw OTLPJSONError("\(error)")
            }
            guard !batch.isEmpty else { throw OTLPJSONError("it has no record") }
            return batch
        }
        throw OTLPJSONError("there is none of resourceSpans, resourceMetrics and resourceLogs")
    }

    private static func add(_ message: JSONValue?, _ prefix: String, to builder: inout LabelSetBuilder) {
        for (name, value) in message?.objectValue ?? [:] {
            if name == "attributes" {
                for attribute in value.arrayValue ?? [] {
                    guard let key = attribute["key"]?.stringValue else { continue }
                    builder.set(prefix + "attributes." + key, to: text(ofAny: attribute["value"]))
                }
            } else if name == "body" {
                builder.set(prefix + name, to: text(ofAny: value))
            } else if let points = value["dataPoints"] {
                builder.set(prefix + "type", to: name)
                add(points[0], prefix, to: &builder)
            } else {
                builder.set(prefix + name, to: text(of: value))
            }
        }
    }

    /// The content of an `AnyValue`.
    private static func text(ofAny value: JSONValue?) -> String {
        guard let member = value?.objectValue?.members.first else { return "" }
        return text(of: member.value)
    }

    private static func text(of value: JSONValue) -> String {
        value.stringValue ?? JSONWriter(escapesHTML: false).text(value)
    }
}
