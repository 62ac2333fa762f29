import AlloySyntax
import ComponentKit
package import Runtime
import Telemetry
package import TextFormats

/// What an item meets, as JSON.
package enum ExplainJSON {
    package static func value(_ report: ExplainReport) -> JSONValue {
        var object = JSONObject()
        object["item"] = value(report.item)
        object["verdict"] = .string(report.verdict.rawValue)
        object["notes"] = .array(report.notes.map { .string($0) })
        object["stops"] = .array(report.stops.map(value))
        return .object(object)
    }

    private static func value(_ stop: ExplainReport.Stop) -> JSONValue {
        var object = JSONObject()
        object["number"] = .int(stop.number)
        object["from"] = stop.previous.map { .int($0) } ?? .null
        object["component"] = .string(stop.componentID)
        object["name"] = .string(stop.name)
        add(stop.position, to: &object)
        object["explained"] = .bool(stop.isExplained)
        object["verdict"] = .string(stop.verdict.rawValue)
        object["item"] = value(stop.item)
        object["notes"] = .array(stop.notes.map { .string($0) })
        object["steps"] = .array(stop.steps.map(value))
        object["results"] = .array(stop.results.map(value))
        return .object(object)
    }

    private static func value(_ resolved: ExplainReport.Step) -> JSONValue {
        let step = resolved.step
        var object = JSONObject()
        object["title"] = .string(step.title)
        object["text"] = .string(resolved.text)
        add(resolved.position, to: &object)
        object["outcome"] = .string(step.outcome.rawValue)
        object["detail"] = .string(step.detail)
        object["changes"] = .array(step.after.map { changes(from: step.before, to: $0) } ?? [])
        object["found"] = .array(
            step.found.map { pair in .object(["name": .string(pair.name), "value": .string(pair.value)]) })
        object["after"] = step.after.map { value($0) } ?? .null
        return .object(object)
    }

    private static func value(_ result: ExplainReport.Result) -> JSONValue {
        var object = JSONObject()
        object["verdict"] = .string(result.verdict.rawValue)
        object["to"] = .array(result.receivers.map { .string($0) })
        object["destination"] = .string(result.destination)
        object["item"] = value(result.item)
        return .object(object)
    }

    private static func add(_ position: SourcePosition?, to object: inout JSONObject) {
        guard let position else { return }
        object["file"] = .string(position.fileName)
        object["line"] = .int(position.line)
        object["column"] = .int(position.column)
    }

    static func value(_ item: ExplainedItem) -> JSONValue {
        var object = JSONObject()
        object["kind"] = .string(item.kind.rawValue)
        object["labels"] = labels(item.labels)
        switch item.kind {
        case .log:
            object["line"] = item.line.map { .string($0) } ?? .null
            object["metadata"] = labels(item.metadata)
            object["timestamp"] = .string(GoTimeLayout("RFC3339Nano").format(unixNanoseconds: item.timestamp))
        case .target, .pod, .file:
            if let line = item.line { object["line"] = .string(line) }
        default: break
        }
        return .object(object)
    }

    private static func labels(_ labels: LabelSet) -> JSONValue {
        var object = JSONObject()
        for (name, value) in labels.pairs { object[name] = .string(value) }
        return .object(object)
    }

    /// What differs between two items: labels and metadata by name, line, time and kind.
    private static func changes(from before: ExplainedItem, to after: ExplainedItem) -> [JSONValue] {
        var changes: [JSONValue] = []
        func note(_ field: String, _ name: String, _ old: String?, _ new: String?) {
            if old == new { return }
            changes.append(
                .object([
                    "field": .string(field), "name": .string(name), "before": old.map { .string($0) } ?? .null,
                    "after": new.map { .string($0) } ?? .null,
                ]))
        }
        func compare(_ field: String, _ old: LabelSet, _ new: LabelSet) {
            for name in Set(old.pairs.map(\.name)).union(new.pairs.map(\.name)).sorted() {
                note(field, name, old[name], new[name])
            }
        }
        note("kind", "", before.kind.rawValue, after.kind.rawValue)
        compare("label", before.labels, after.labels)
        note("line", "", before.line, after.line)
        compare("metadata", before.metadata, after.metadata)
        if before.timestamp != after.timestamp {
            let layout = GoTimeLayout("RFC3339Nano")
            note(
                "timestamp", "", layout.format(unixNanoseconds: before.timestamp),
                layout.format(unixNanoseconds: after.timestamp))
        }
        return changes
    }
}
