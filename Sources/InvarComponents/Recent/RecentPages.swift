import ComponentKit
import Telemetry
import TextFormats

/// What `invar.recent` answers at `/api/v0/component/<id>/`. Every answer is JSON and bounded.
struct RecentPages {
    let store: RecentStore

    init(_ store: RecentStore) { self.store = store }

    func answer(_ request: ComponentRequest) -> ComponentResponse {
        guard request.method == "GET" else { return Self.failure(405, "only GET is answered here") }
        do throws(RecentQueryError) {
            let query = RecentQuery(request.query)
            switch request.path {
            case "/status": return Self.json(status())
            case "/series":
                try query.allow(["match", "limit"])
                return Self.json(try series(query))
            case "/range":
                try query.allow(["match", "start", "end", "points", "rate"])
                return Self.json(try range(query))
            case "/labels":
                try query.allow(["kind"])
                return Self.json(try names(query))
            case "/values":
                try query.allow(["kind", "name", "limit"])
                return Self.json(try values(query))
            case "/logs":
                try query.allow(["match", "text", "regex", "start", "end", "limit", "after"])
                return Self.json(try logs(query))
            case "/traces":
                try query.allow(["service", "name", "errors", "min_duration", "limit"])
                return Self.json(try traces(query))
            case "/trace":
                try query.allow(["id"])
                guard let found = try trace(query) else { return Self.failure(404, "there is no such trace here") }
                return Self.json(found)
            default: return Self.failure(404, "there is no \(request.path): see status, series, range, logs, traces")
            }
        } catch {
            return Self.failure(400, error.reason)
        }
    }

    private static func json(_ object: JSONObject) -> ComponentResponse {
        ComponentResponse(contentType: "application/json", body: Array(JSONWriter().text(.object(object)).utf8))
    }

    private static func failure(_ status: Int, _ reason: String) -> ComponentResponse {
        var answer = json(["error": .string(reason)])
        answer.status = status
        return answer
    }

    private func status() -> JSONObject {
        store.sweep()
        return store.read { state in
            var evicted: [RecentStore.Eviction: Int] = [:]
            for counts in [state.evicted.samples, state.evicted.entries, state.evicted.spans] {
                evicted.merge(counts, uniquingKeysWith: +)
            }
            var reasons = JSONObject()
            for why in RecentStore.Eviction.allCases { reasons[why.rawValue] = .int(evicted[why] ?? 0) }
            return [
                "retention": .int(Int(state.limits.milliseconds)), "max_size": .int(state.limits.bytes),
                "size": .int(state.byteCount), "series": .int(state.series.count), "samples": .int(state.samples),
                "entries": .int(state.entries.count), "spans": .int(state.traces.spanCount),
                "traces": .int(state.traces.traces.count), "oldest": state.oldest.map { .int(Int($0)) } ?? .null,
                "evicted": .object(reasons),
            ]
        }
    }

    static func object(_ labels: LabelSet) -> JSONValue {
        var object = JSONObject()
        for (name, value) in labels.pairs { object[name] = .string(value) }
        return .object(object)
    }
}

/// Why a question cannot be answered.
struct RecentQueryError: Error {
    var reason: String
}

/// The parameters of a question.
struct RecentQuery {
    private let items: [(name: String, value: String)]

    init(_ items: [(name: String, value: String)]) { self.items = items }

    func allow(_ names: [String]) throws(RecentQueryError) {
        for item in items where !names.contains(item.name) {
            throw RecentQueryError(reason: "\(item.name) is none of \(names.joined(separator: ", "))")
        }
    }

    /// Nil when absent or empty.
    func text(_ name: String) throws(RecentQueryError) -> String? {
        guard let value = items.first(where: { $0.name == name })?.value, !value.isEmpty else { return nil }
        guard value.utf8.count <= 8192 else { throw RecentQueryError(reason: "\(name) is longer than 8192 bytes") }
        return value
    }

    func number(_ name: String, default standard: Int64, upTo limit: Int64) throws(RecentQueryError) -> Int64 {
        guard let text = try text(name) else { return standard }
        guard let value = Int64(text), value >= 0, value <= limit else {
            throw RecentQueryError(reason: "\(name) must be a whole number up to \(limit)")
        }
        return value
    }

    func count(_ name: String, default standard: Int, upTo limit: Int) throws(RecentQueryError) -> Int {
        let value = Int(try number(name, default: Int64(standard), upTo: Int64(limit)))
        guard value > 0 else { throw RecentQueryError(reason: "\(name) must be at least 1") }
        return value
    }

    func flag(_ name: String) throws(RecentQueryError) -> Bool {
        switch try text(name) {
        case nil, "false": return false
        case "true": return true
        default: throw RecentQueryError(reason: "\(name) must be true or false")
        }
    }

    /// `name{label="value"}`; nil matches everything.
    func selector(_ name: String) throws(RecentQueryError) -> RecentSelector {
        RecentSelector(try RecentSelector.parse(try text(name) ?? ""))
    }
}
