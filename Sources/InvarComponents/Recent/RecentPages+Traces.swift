import Telemetry
import TextFormats

extension RecentPages {
    /// Traces that match, those that began to come last first.
    func traces(_ query: RecentQuery) throws(RecentQueryError) -> JSONObject {
        let (service, name) = (try query.text("service"), try query.text("name"))
        let onlyErrors = try query.flag("errors")
        let leastDuration = try query.number("min_duration", default: 0, upTo: 1 << 53)
        let limit = try query.count("limit", default: 100, upTo: 500)
        return store.read { state in
            var list: [JSONValue] = []
            var isTruncated = false
            for id in state.traces.newestFirst {
                guard let trace = state.traces.traces[id], let root = trace.root else { continue }
                if let service, !trace.spans.contains(where: { $0.service == service }) { continue }
                if let name, !trace.spans.contains(where: { $0.name.contains(name) }) { continue }
                if onlyErrors, trace.errors == 0 { continue }
                let duration = Self.milliseconds(trace.start, trace.end)
                if duration < Double(leastDuration) { continue }
                if list.count == limit {
                    isTruncated = true
                    break
                }
                let services = Set(trace.spans.map(\.service)).sorted().prefix(20)
                list.append(
                    .object([
                        "id": .string(id), "service": .string(root.service), "name": .string(root.name),
                        "start": .double(Double(trace.start) / 1e6), "duration": .double(duration),
                        "spans": .int(trace.spans.count), "errors": .int(trace.errors),
                        "services": .array(services.map { .string($0) }),
                    ]))
            }
            return ["traces": .array(list), "truncated": .bool(isTruncated)]
        }
    }

    /// One trace with its spans, by when they began; nil when it is not here.
    func trace(_ query: RecentQuery) throws(RecentQueryError) -> JSONObject? {
        guard let id = try query.text("id")?.lowercased() else { throw RecentQueryError(reason: "id is missing") }
        return store.read { state in
            guard let trace = state.traces.traces[id] else { return nil }
            let spans = trace.spans.sorted { ($0.start, $1.end) < ($1.start, $0.end) }
            return ["id": .string(id), "spans": .array(spans.map(Self.object))]
        }
    }

    private static let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"]
    private static let states = ["unset", "ok", "error"]

    private static func object(_ span: RecentTraces.Span) -> JSONValue {
        func word(_ words: [String], _ number: UInt32) -> String {
            words.indices.contains(Int(number)) ? words[Int(number)] : words[0]
        }
        let events = span.events.map { event in
            JSONValue.object([
                "time": .double(Double(event.time) / 1e6), "name": .string(event.name),
                "attributes": object(event.attributes),
            ])
        }
        return .object([
            "id": .string(span.id), "parent": .string(span.parent), "service": .string(span.service),
            "name": .string(span.name), "kind": .string(word(kinds, span.kind)),
            "start": .double(Double(span.start) / 1e6), "duration": .double(milliseconds(span.start, span.end)),
            "status": .string(word(states, span.status)), "message": .string(span.message),
            "attributes": object(span.attributes), "resource": object(span.resource.pairs), "events": .array(events),
        ])
    }

    private static func object(_ pairs: [(name: String, value: String)]) -> JSONValue {
        var object = JSONObject()
        for (name, value) in pairs { object[name] = .string(value) }
        return .object(object)
    }

    private static func milliseconds(_ start: UInt64, _ end: UInt64) -> Double {
        end > start ? Double(end - start) / 1e6 : 0
    }
}
