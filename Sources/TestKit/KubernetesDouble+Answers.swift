import Synchronization
import TextFormats
import Transport

/// Which objects a request selects.
struct DoubleSelection {
    var labels: [(name: String, operation: String, values: [String])] = []
    var fields: [(path: [String], isEqual: Bool, value: String)] = []

    init(labels text: String, fields: String) {
        var rest = Substring(text)
        while !rest.isEmpty {
            // A comma inside parentheses separates values.
            var depth = 0
            let end = rest.firstIndex { character in
                if character == "(" { depth += 1 }
                if character == ")" { depth -= 1 }
                return character == "," && depth == 0
            }
            labels.append(Self.condition(String(rest[..<(end ?? rest.endIndex)])))
            rest = end.map { rest[rest.index(after: $0)...] } ?? ""
        }
        for part in fields.split(separator: ",") {
            let isEqual = !part.contains("!=")
            let sides = part.split(separator: "=", omittingEmptySubsequences: true).map(String.init)
            var name = sides.first ?? ""
            if name.hasSuffix("!") { name.removeLast() }
            self.fields.append(
                (name.split(separator: ".").map(String.init), isEqual, sides.count > 1 ? sides[1] : ""))
        }
    }

    private static func condition(_ text: String) -> (name: String, operation: String, values: [String]) {
        let words = text.split(whereSeparator: { $0 == " " || $0 == "(" || $0 == ")" || $0 == "," }).map(String.init)
        if words.count > 2, words[1] == "in" || words[1] == "notin" { return (words[0], words[1], Array(words[2...])) }
        if text.hasPrefix("!") { return (String(text.dropFirst()), "missing", []) }
        if text.contains("!=") {
            let sides = text.split(separator: "!", maxSplits: 1).map(String.init)
            return (sides[0], "notin", [String(sides[1].dropFirst())])
        }
        let sides = text.split(separator: "=").map(String.init)
        return sides.count > 1 ? (sides[0], "in", [sides[1]]) : (text, "exists", [])
    }

    static func key(of object: JSONValue) -> String {
        let metadata = object["metadata"]
        return "\(metadata?["namespace"]?.stringValue ?? "")/\(metadata?["name"]?.stringValue ?? "")"
    }

    func matches(_ object: JSONValue, namespace: String?) -> Bool {
        if let namespace, object["metadata"]?["namespace"]?.stringValue != namespace { return false }
        for (name, operation, values) in labels {
            let value = object["metadata"]?["labels"]?[name]?.stringValue
            switch operation {
            case "in": if value.map(values.contains) != true { return false }
            case "notin": if value.map(values.contains) == true { return false }
            case "missing": if value != nil { return false }
            default: if value == nil { return false }
            }
        }
        for (path, isEqual, value) in fields {
            var found: JSONValue? = object
            for name in path { found = found?[name] }
            if (found?.stringValue ?? "" == value) != isEqual { return false }
        }
        return true
    }
}

/// Answers the requests of a double.
struct DoubleAnswers {
    private let box: KubernetesDouble.Box

    init(_ box: KubernetesDouble.Box) { self.box = box }

    static func status(_ code: Int, _ reason: String, _ message: String) -> [UInt8] {
        Array(
            """
            {"kind":"Status","apiVersion":"v1","status":"Failure","message":"\(message)","reason":"\(reason)",\
            "code":\(code)}
            """.utf8)
    }

    private static func refusal(_ code: Int, _ reason: String, _ message: String) -> HTTPServerResponse {
        .json(HTTPStatus(code), status(code, reason, message))
    }

    func answer(_ request: HTTPServerRequest) -> HTTPServerResponse {
        let parts = request.path.split(separator: "/").map(String.init)
        let authorization = request.fields["authorization"] ?? ""
        let early: HTTPServerResponse? = box.state.withLock { state in
            state.requests.append(
                "\(request.method.name) \(request.path)" + (request.rawQuery.isEmpty ? "" : "?\(request.rawQuery)"))
            if let index = state.failures.firstIndex(where: { request.path.contains($0.path) }) {
                let status = state.failures.remove(at: index).status
                return Self.refusal(status, status == 410 ? "Expired" : "InternalError", "told to")
            }
            if let tokens = state.tokens, !tokens.contains(where: { authorization == "Bearer \($0)" }) {
                return Self.refusal(401, "Unauthorized", "Unauthorized")
            }
            return nil
        }
        if let early { return early }
        if parts == ["version"] { return .json(.ok, Array("{\"gitVersion\":\"v1.36.0\"}".utf8)) }
        // Pods of the double serve a page of metrics, too.
        if parts.last == "metrics" || parts == ["probe"] {
            return .bytes(.ok, Array("answered 1\n".utf8), type: "text/plain; version=0.0.4")
        }
        // /api/v1/... or /apis/group/version/...
        guard parts.count >= 3, parts[0] == "api" || (parts[0] == "apis" && parts.count >= 4) else {
            return Self.refusal(404, "NotFound", "the server could not find the requested resource")
        }
        var rest = Array(parts.dropFirst(parts[0] == "api" ? 2 : 3))
        var namespace: String?
        if rest.count >= 3, rest[0] == "namespaces" {
            namespace = rest[1]
            rest.removeFirst(2)
        }
        let query = request.query
        let verb = rest.count > 1 ? "get" : query["watch"] == "1" ? "watch" : "list"
        let plural = rest.count > 2 ? "\(rest[0])/\(rest[2])" : rest[0]
        if box.state.withLock({ $0.forbidden.contains("\(verb) \(plural)") }) {
            return Self.refusal(
                403, "Forbidden", "\(plural) is forbidden: User \\\"double\\\" cannot \(verb) resource \(plural)")
        }
        switch (rest.count, verb) {
        case (1, "list"): return list(plural, namespace, query)
        case (1, _): return watch(plural, namespace, query)
        case (2, _): return get(plural, namespace, rest[1])
        case (3, _) where rest[2] == "log": return log(namespace ?? "", rest[1], query)
        default: return Self.refusal(404, "NotFound", "the server could not find the requested resource")
        }
    }

    private func get(_ plural: String, _ namespace: String?, _ name: String) -> HTTPServerResponse {
        guard let entry = box.state.withLock({ $0.objects[plural]?["\(namespace ?? "")/\(name)"] }) else {
            return Self.refusal(404, "NotFound", "\(plural) \\\"\(name)\\\" not found")
        }
        return .json(.ok, entry.text)
    }

    private func list(_ plural: String, _ namespace: String?, _ query: QueryItems) -> HTTPServerResponse {
        let selection = DoubleSelection(
            labels: query["labelSelector"] ?? "", fields: query["fieldSelector"] ?? "")
        let limit = query["limit"].flatMap { Int($0) } ?? Int.max
        let after = query["continue"] ?? ""
        return box.state.withLock { state in
            let entries = (state.objects[plural] ?? [:]).sorted { $0.key < $1.key }
                .filter { $0.key > after && selection.matches($0.value.object, namespace: namespace) }
            var body = Array("{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{".utf8)
            body += Array("\"resourceVersion\":\"\(state.version)\"".utf8)
            if entries.count > limit { body += Array(",\"continue\":\"\(entries[limit - 1].key)\"".utf8) }
            body += Array("},\"items\":[".utf8)
            for (index, entry) in entries.prefix(limit).enumerated() {
                if index > 0 { body.append(UInt8(ascii: ",")) }
                body += entry.value.text
            }
            body += Array("]}".utf8)
            return .json(.ok, body)
        }
    }

    private func watch(_ plural: String, _ namespace: String?, _ query: QueryItems) -> HTTPServerResponse {
        let selection = DoubleSelection(
            labels: query["labelSelector"] ?? "", fields: query["fieldSelector"] ?? "")
        let version = query["resourceVersion"].flatMap { Int($0) } ?? 0
        let (chunks, continuation) = KubernetesDouble.Chunks.makeStream()
        let id: Int? = box.state.withLock { state in
            guard version >= state.oldest else { return nil }
            for event in state.events[plural] ?? []
            where event.version > version && selection.matches(event.object, namespace: namespace) {
                continuation.yield(KubernetesDouble.eventLine(event.type, event.text))
            }
            state.nextID += 1
            state.watchers[state.nextID] = KubernetesDouble.Watcher(
                plural: plural, namespace: namespace, selection: selection, chunks: continuation)
            return state.nextID
        }
        guard let id else { return Self.refusal(410, "Expired", "too old resource version: \(version)") }
        return stream(chunks, type: "application/json") { state in state.watchers[id] = nil }
    }

    private func log(_ namespace: String, _ pod: String, _ query: QueryItems) -> HTTPServerResponse {
        let log = "\(namespace)/\(pod)/\(query["container"] ?? "")"
        let showsTime = query["timestamps"] == "true"
        let since = query["sinceTime"] ?? ""
        let (chunks, continuation) = KubernetesDouble.Chunks.makeStream()
        let id: Int? = box.state.withLock { state in
            let isEarlier = query["previous"] == "true"
            guard let lines = isEarlier ? state.earlierLogs[log] : state.logs[log] else { return nil }
            if let text = state.logRefusals[log] {
                continuation.yield(Array(text.utf8))
                continuation.finish()
                return 0
            }
            // The API drops what is older than the second it is asked for.
            for line in lines where since.isEmpty || line.time.prefix(19) >= since.prefix(19) {
                continuation.yield(Array((showsTime ? "\(line.time) \(line.line)\n" : "\(line.line)\n").utf8))
            }
            state.nextID += 1
            if query["follow"] == "true" {
                state.followers[state.nextID] = (log, showsTime, continuation)
            } else {
                continuation.finish()
            }
            return state.nextID
        }
        guard let id else { return Self.refusal(404, "NotFound", "pods \\\"\(pod)\\\" not found") }
        return stream(chunks, type: "text/plain") { state in state.followers[id] = nil }
    }

    private func stream(
        _ chunks: KubernetesDouble.Chunks, type: String,
        _ ended: @escaping @Sendable (inout KubernetesDouble.State) -> Void
    ) -> HTTPServerResponse {
        .stream(.ok, type: type) { [box] writer in
            defer { box.state.withLock { ended(&$0) } }
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await chunk in chunks {
                        do { try await writer.write(chunk) } catch { return }
                    }
                }
                group.addTask { await writer.waitForDisconnection() }
                await group.next()
                group.cancelAll()
            }
        }
    }
}
