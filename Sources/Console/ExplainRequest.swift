package import ComponentKit
import Essentials
package import Runtime
import Telemetry
import TextFormats
import Wire

/// A question about an item, as the command line, a query or a JSON document asks it.
package struct ExplainRequest: Sendable {
    /// What items are called, with what their values are.
    package static let kinds: [(name: String, value: String)] = [
        ("labels", "the labels of a target: {name=\"value\", ...} or a JSON object of strings"),
        ("metric", "a series: name{label=\"value\", ...}"),
        ("log", "a log line"),
        ("file", "the path of a file"),
        ("pod", "a pod: namespace/name where invar runs, or the object as JSON or YAML"),
        ("trace", "the ID of a trace in hexadecimal"),
        ("otlp", "spans, log records or metrics as OTLP/JSON"),
    ]

    /// Bytes a pod or OTLP data may have.
    package static let documentLimit = 512 << 10
    /// Bytes any other value may have: each step of the answer repeats it.
    package static let valueLimit = 64 << 10
    /// Records of OTLP data.
    package static let recordLimit = 100

    package let item: ExplainedItem
    /// The full ID of the component the item is given to; nil for all it can enter at.
    package let component: String?

    /// Reads a question.
    ///
    /// - Parameters:
    ///   - kind: one of ``kinds``.
    ///   - labels: the stream's labels of a log line; refused with other items.
    ///   - line: a log line that a target, file or pod brings.
    ///   - component: where the item is given to; empty is everywhere.
    ///   - now: nanoseconds since 1970.
    package init(
        kind: String, value: String, labels: String = "", metadata: String = "", line: String? = nil,
        component: String = "", now: Int64
    ) throws(ExplainError) {
        let limit = kind == "pod" || kind == "otlp" ? Self.documentLimit : Self.valueLimit
        for (text, limit) in [(value, limit), (labels + metadata + (line ?? ""), Self.valueLimit)]
        where text.utf8.count > limit {
            throw ExplainError("the item is longer than \(limit) bytes")
        }
        var item: ExplainedItem
        switch kind {
        case "labels", "target": item = ExplainedItem(.target, try Self.labels(value, "labels"))
        case "metric":
            item = ExplainedItem(.metric, try Self.labels(value, "metric"))
            if item.labels["__name__"] == nil { throw ExplainError("metric: \"\(value)\" has no name") }
        case "log":
            item = ExplainedItem(.log, try labels.isEmpty ? .empty : Self.labels(labels, "labels"), line: value)
        case "file":
            guard value.hasPrefix("/") else { throw ExplainError("file: \"\(value)\" is not an absolute path") }
            item = ExplainedItem(.file, ["__path__": value])
        case "pod": item = try Self.pod(value)
        case "otlp": item = try Self.telemetry(value)
        case "trace":
            let isHex = value.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x66) }
            guard value.utf8.count == 32, isHex else {
                throw ExplainError("trace: an ID has 32 hexadecimal digits, not \"\(value)\"")
            }
            item = ExplainedItem(.trace, ["trace_id": value.lowercased()])
        default:
            let known = Self.kinds.map(\.name).joined(separator: ", ")
            throw ExplainError(
                kind.isEmpty ? "no item is given: one of \(known)" : "item \"\(kind)\" is none of \(known)")
        }
        if kind != "log" {
            if !labels.isEmpty { throw ExplainError("labels belong to an item log, not \(kind)") }
            if !metadata.isEmpty { throw ExplainError("metadata belongs to an item log, not \(kind)") }
            if line != nil, ["metric", "trace", "otlp"].contains(kind) {
                throw ExplainError("a line belongs to an item labels, file or pod, not \(kind)")
            }
            item.line = line
        } else {
            if line != nil { throw ExplainError("the line is the value of an item log") }
            if !metadata.isEmpty { item.metadata = try Self.labels(metadata, "metadata") }
        }
        item.timestamp = now
        self.item = item
        self.component = component.isEmpty ? nil : component
    }

    /// Reads a question from a JSON object with the members `item`, `value`, `labels`, `metadata`, `line` and `at`.
    package init(json: [UInt8], now: Int64) throws(ExplainError) {
        guard let document = try? JSONValue(parsing: json, maximumDepth: 50), case .object(let object) = document else {
            throw ExplainError("the body is not a JSON object")
        }
        func text(_ name: String) throws(ExplainError) -> String? {
            guard let value = object[name], value != .null else { return nil }
            if let text = value.stringValue { return text }
            // A pod may be given as it is, labels as an object.
            if case .object = value, ["value", "labels", "metadata"].contains(name) { return JSONWriter().text(value) }
            throw ExplainError("\(name) must be a string")
        }
        for name in object.keys where !Self.members.contains(name) {
            throw ExplainError("\"\(name)\" is none of \(Self.members.joined(separator: ", "))")
        }
        try self.init(
            kind: try text("item") ?? "", value: try text("value") ?? "", labels: try text("labels") ?? "",
            metadata: try text("metadata") ?? "", line: try text("line"), component: try text("at") ?? "", now: now)
    }

    /// The names of what a question consists of.
    package static let members = ["item", "value", "labels", "metadata", "line", "at"]

    private static func labels(_ text: String, _ what: String) throws(ExplainError) -> LabelSet {
        if let document = try? JSONValue(parsing: text), case .object(let object) = document {
            var pairs: [(String, String)] = []
            for (name, value) in object {
                guard let value = value.stringValue else {
                    throw ExplainError("\(what): the value of \"\(name)\" is not a string")
                }
                pairs.append((name, value))
            }
            return LabelSet(pairs)
        }
        do throws(LokiPushError) {
            return try LokiLabelText.parse(text)
        } catch {
            throw ExplainError("\(what): \(error)")
        }
    }

    private static func telemetry(_ text: String) throws(ExplainError) -> ExplainedItem {
        let batch: OTLPBatch
        do throws(OTLPJSONError) {
            batch = try OTLPFields.batch(ofJSON: Array(text.utf8))
        } catch {
            throw ExplainError("otlp: \(error)")
        }
        if batch.itemCount > Self.recordLimit {
            throw ExplainError("otlp: more than \(Self.recordLimit) records; ask about fewer")
        }
        var item: ExplainedItem
        switch batch.kind {
        case .traces: item = ExplainedItem(.span, OTLPFields.labels(of: batch))
        case .metrics: item = ExplainedItem(.otelMetric, OTLPFields.labels(of: batch))
        case .logs: item = ExplainedItem(.otelLog, OTLPFields.labels(of: batch))
        }
        item.batch = batch
        return item
    }

    private static func pod(_ text: String) throws(ExplainError) -> ExplainedItem {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, !text.contains(where: { $0.isWhitespace || $0 == "{" || $0 == ":" }),
            !parts[0].isEmpty, !parts[1].isEmpty
        {
            return ExplainedItem(.pod, LabelSet([("namespace", String(parts[0])), ("name", String(parts[1]))]))
        }
        let object: JSONValue
        if let json = try? JSONValue(parsing: text), json.objectValue != nil {
            object = json
        } else if let yaml = try? YAMLParser(maximumDepth: 50, maximumNodes: 50_000).parse(text),
            yaml.mappingValue != nil
        {
            object = yaml.json
        } else {
            throw ExplainError("pod: neither namespace/name nor an object in JSON or YAML")
        }
        guard let metadata = object["metadata"], let name = metadata["name"]?.stringValue else {
            throw ExplainError("pod: the object has no metadata.name")
        }
        if let kind = object["kind"]?.stringValue, kind != "Pod" {
            throw ExplainError("pod: the object is of kind \(kind)")
        }
        var item = ExplainedItem(
            .pod, LabelSet([("namespace", metadata["namespace"]?.stringValue ?? "default"), ("name", name)]))
        item.object = Array(JSONWriter().text(object).utf8)
        return item
    }
}
