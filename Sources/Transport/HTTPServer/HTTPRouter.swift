/// Chooses the route that answers a request by its method and path.
///
/// A pattern is a path with `{name}` for one segment, or `{name...}` at the end for the rest (which may be empty).
/// Literal segments win over parameters, and longer patterns over shorter ones. A path that matches with another
/// method only is answered with 405.
package struct HTTPRouter: Sendable {
    /// Answers a request; what it throws becomes 500, or the status of an `HTTPBodyError`.
    package typealias Route = @Sendable (HTTPServerRequest) async throws -> HTTPServerResponse

    private enum Segment: Equatable {
        case literal(String)
        case parameter(String)
        case rest(String)
    }

    private struct Entry {
        let method: HTTPMethod?
        let pattern: String
        let segments: [Segment]
        let route: Route
    }

    private var entries: [Entry] = []
    private var exact: [String: [Int]] = [:]
    private var fallback: Route?

    /// A router that answers everything with 404.
    package init() {}

    /// Adds a route for a method; nil is any method. HEAD is answered by a route for GET.
    package mutating func on(_ method: HTTPMethod?, _ pattern: String, _ route: @escaping Route) {
        let segments = Self.split(pattern).map { segment -> Segment in
            guard segment.hasPrefix("{"), segment.hasSuffix("}") else { return .literal(String(segment)) }
            let name = segment.dropFirst().dropLast()
            return name.hasSuffix("...") ? .rest(String(name.dropLast(3))) : .parameter(String(name))
        }
        entries.append(Entry(method: method, pattern: pattern, segments: segments, route: route))
        if segments.allSatisfy({ if case .literal = $0 { true } else { false } }) {
            exact[pattern, default: []].append(entries.count - 1)
        }
    }

    /// Answers every path below `path` (and `path` itself) that no longer pattern matches.
    package mutating func onPrefix(_ method: HTTPMethod?, _ path: String, _ route: @escaping Route) {
        on(method, (path.hasSuffix("/") ? String(path.dropLast()) : path) + "/{rest...}", route)
    }

    /// Answers what no pattern matches.
    package mutating func otherwise(_ route: @escaping Route) { fallback = route }

    /// Every pattern with its method, in the order they were added.
    package var patterns: [(method: HTTPMethod?, pattern: String)] { entries.map { ($0.method, $0.pattern) } }

    enum Match {
        case route(Route, pattern: String, parameters: [String: String])
        case methodNotAllowed(allowed: [HTTPMethod])
        case none
    }

    func match(_ method: HTTPMethod, rawPath: String) -> Match {
        var allowed: [HTTPMethod] = []
        if let indices = exact[rawPath] {
            for index in indices where accepts(entries[index], method, &allowed) {
                return .route(entries[index].route, pattern: entries[index].pattern, parameters: [:])
            }
        }
        let path = Self.split(rawPath).map { Percent.decode($0) }
        var best: (index: Int, rank: [Int], parameters: [String: String])?
        for (index, entry) in entries.enumerated() {
            guard let (rank, parameters) = Self.fit(entry.segments, path), accepts(entry, method, &allowed) else {
                continue
            }
            if let best, !best.rank.lexicographicallyPrecedes(rank) { continue }
            best = (index, rank, parameters)
        }
        if let best {
            return .route(entries[best.index].route, pattern: entries[best.index].pattern, parameters: best.parameters)
        }
        if !allowed.isEmpty { return .methodNotAllowed(allowed: allowed) }
        if let fallback { return .route(fallback, pattern: "", parameters: [:]) }
        return .none
    }

    private func accepts(_ entry: Entry, _ method: HTTPMethod, _ allowed: inout [HTTPMethod]) -> Bool {
        guard let wanted = entry.method else { return true }
        if wanted == method || (method == .head && wanted == .get) { return true }
        if !allowed.contains(wanted) { allowed.append(wanted) }
        return false
    }

    /// The parameters when the path fits, with a rank that orders literal before parameter before rest.
    private static func fit(_ segments: [Segment], _ path: [String]) -> (rank: [Int], parameters: [String: String])? {
        var rank: [Int] = []
        var parameters: [String: String] = [:]
        for (index, segment) in segments.enumerated() {
            switch segment {
            case .literal(let text):
                guard index < path.count, path[index] == text else { return nil }
                rank.append(3)
            case .parameter(let name):
                guard index < path.count, !path[index].isEmpty else { return nil }
                parameters[name] = path[index]
                rank.append(2)
            case .rest(let name):
                guard index <= path.count else { return nil }
                parameters[name] = path[index...].joined(separator: "/")
                rank.append(1)
                return (rank, parameters)
            }
        }
        return segments.count == path.count ? (rank, parameters) : nil
    }

    private static func split(_ path: String) -> [Substring] {
        (path.hasPrefix("/") ? path.dropFirst() : path[...]).split(separator: "/", omittingEmptySubsequences: false)
    }
}
