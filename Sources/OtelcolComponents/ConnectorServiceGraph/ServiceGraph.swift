import Essentials
import Telemetry
import Wire

/// The calls that wait for the span of their other side, and the series of those that have both.
struct ServiceGraph: ~Copyable {
    /// What became of the spans of a batch.
    struct Taken {
        var newEdges = 0
        /// Spans there was no room for.
        var overLimit = 0
    }

    /// A call by its trace and the span that called.
    private struct Key: Hashable {
        var trace: [UInt8]
        var span: [UInt8]
    }

    private enum Connection: String {
        case direct = ""
        case messaging = "messaging_system"
        case database
        case virtual = "virtual_node"
    }

    private struct Edge {
        var connection = Connection.direct
        var client = ""
        var server = ""
        /// Seconds.
        var clientTime = 0.0
        var serverTime = 0.0
        var hasFailed = false
        var dimensions: [String: String] = [:]
        var peer: String?
        /// Monotonic nanoseconds.
        var deadline: Int64
        var virtualSide = ""

        var isComplete: Bool { !client.isEmpty && !server.isEmpty }
    }

    private static let serviceName: OTLPKey = "service.name"
    /// Bytes of a waiting call, about.
    private static let overhead = 400

    private let settings: ServiceGraphSettings
    private let began: UInt64
    private let dimensions: [(name: String, key: OTLPKey)]
    private let peers: [OTLPKey]
    private let databases: [OTLPKey]
    private var edges: [Key: Edge] = [:]
    private var deadlines = Queue<(key: Key, time: Int64)>()
    private var tally: MetricTally
    private var writer = ProtobufWriter(capacity: 256)

    private enum Metric { static let (total, failed, client, server) = (0, 1, 2, 3) }

    /// `began` is in nanoseconds since 1970.
    init(_ settings: ServiceGraphSettings, began: Int64) {
        self.settings = settings
        self.began = UInt64(clamping: began)
        dimensions = settings.dimensions.map { ($0, OTLPKey($0)) }
        peers = settings.peerAttributes.map { OTLPKey($0) }
        databases = settings.databaseAttributes.map { OTLPKey($0) }
        let times: MetricTally.Shape =
            settings.exponentialSize > 0
            ? .exponential(maximumSize: settings.exponentialSize) : .histogram(bounds: settings.bounds)
        func metric(_ name: String, _ shape: MetricTally.Shape) -> MetricTally.Metric {
            MetricTally.Metric(name: "traces_service_graph_request_" + name, shape: shape, isDelta: false)
        }
        tally = MetricTally([
            metric("total", .sum(isMonotonic: true)), metric("failed_total", .sum(isMonotonic: true)),
            metric("client_seconds", times), metric("server_seconds", times),
        ])
    }

    /// Bytes held, about.
    var bytes: Int { edges.count * Self.overhead + tally.pointCount * (settings.bounds.count + 1) * 24 }

    // MARK: Spans

    mutating func add(_ batch: OTLPBatch, now: Int64) throws -> Taken {
        let walker = OTLPWalker()
        var taken = Taken()
        try walker.walk(batch, to: .item) { level in
            switch level {
            case .resource: return walker.resource.attributes[Self.serviceName]?.string == nil ? .skip : .keep
            case .item: add(walker, &taken, now)
            case .scope, .point: break
            }
            return .keep
        }
        return taken
    }

    private mutating func add(_ walker: OTLPWalker, _ taken: inout Taken, _ now: Int64) {
        let span = walker.span
        guard let service = walker.resource.attributes[Self.serviceName]?.string else { return }
        let trace = Array(span.traceID)
        let (start, end) = (span.startTimeUnixNano, span.endTimeUnixNano)
        let seconds = end > start ? Double(end - start) / 1e9 : 0
        let isClient: Bool
        switch span.kind {
        case 3, 4: isClient = true
        case 2, 5: isClient = false
        default: return
        }
        let key = Key(trace: trace, span: Array(isClient ? span.spanID : span.parentSpanID))
        guard var edge = edges[key] ?? newEdge(key, &taken, now) else {
            taken.overLimit += 1
            return
        }
        // Producers and consumers talk through a messaging system.
        if span.kind >= 4 { edge.connection = .messaging }
        edge.hasFailed = edge.hasFailed || span.statusCode == 2
        note(&edge, walker, isClient ? "client_" : "server_")
        if isClient {
            edge.client = service
            edge.clientTime = seconds
            edge.peer = peers.lazy.compactMap { walker.span.attributes[$0]?.string }.first
            // A database sends no span: the caller's tells all there is.
            if let database = databases.lazy.compactMap({ Self.find($0, walker) }).first {
                edge.connection = .database
                edge.server = database
                edge.serverTime = seconds
            }
        } else {
            edge.server = service
            edge.serverTime = seconds
        }
        if edge.isComplete {
            edges[key] = nil
            count(edge, now)
        } else {
            edges[key] = edge
        }
    }

    private static func find(_ key: OTLPKey, _ walker: OTLPWalker) -> String? {
        walker.resource.attributes[key]?.string ?? walker.span.attributes[key]?.string
    }

    private func note(_ edge: inout Edge, _ walker: OTLPWalker, _ side: String) {
        for (name, key) in dimensions {
            if let value = Self.find(key, walker) { edge.dimensions[side + name] = value }
        }
    }

    private mutating func newEdge(_ key: Key, _ taken: inout Taken, _ now: Int64) -> Edge? {
        guard edges.count < settings.store.limit else { return nil }
        let deadline = now &+ settings.store.lifetime.nanoseconds
        deadlines.append((key, deadline))
        taken.newEdges += 1
        return Edge(deadline: deadline)
    }

    // MARK: Time

    /// Gives up calls whose other side has not come in time, or counts them with a virtual other side; how many.
    mutating func expire(now: Int64) -> Int {
        var expired = 0
        while let next = deadlines.first, next.time <= now {
            deadlines.popFirst()
            guard var edge = edges[next.key], edge.deadline == next.time else { continue }
            edges[next.key] = nil
            expired += 1
            guard !peers.isEmpty else { continue }
            edge.connection = .virtual
            if edge.client.isEmpty, next.key.span.allSatisfy({ $0 == 0 }) {
                // A root span of a server: somebody outside has called.
                edge.client = "user"
                edge.virtualSide = "client"
                count(edge, now)
            } else if edge.server.isEmpty {
                edge.server = edge.peer ?? "unknown"
                edge.virtualSide = "server"
                count(edge, now)
            }
        }
        return expired
    }

    /// Forgets series without calls since `oldest`.
    mutating func forget(notSeenSince oldest: Int64) { tally.forget(notSeenSince: oldest) }

    // MARK: Series

    private mutating func count(_ edge: Edge, _ now: Int64) {
        var attributes = AttributeTable()
        attributes["client"] = .string(edge.client)
        attributes["server"] = .string(edge.server)
        attributes["connection_type"] = .string(edge.connection.rawValue)
        attributes["failed"] = .bool(edge.hasFailed)
        if settings.hasVirtualLabel, !edge.virtualSide.isEmpty {
            attributes["virtual_node"] = .string(edge.virtualSide)
        }
        for name in edge.dimensions.keys.sorted() { attributes[name] = edge.dimensions[name].map { .string($0) } }
        writer.removeAll()
        attributes.map.encode(field: 1, into: &writer)
        let encoded = writer.bytes
        tally.add(Metric.total, resource: [], attributes: encoded, .int(1), now: now)
        if edge.hasFailed { tally.add(Metric.failed, resource: [], attributes: encoded, .int(1), now: now) }
        tally.add(Metric.client, resource: [], attributes: encoded, .double(edge.clientTime), now: now)
        tally.add(Metric.server, resource: [], attributes: encoded, .double(edge.serverTime), now: now)
    }

    /// All series, in nanoseconds since 1970.
    mutating func batch(now: UInt64) -> OTLPBatch {
        tally.batch(scope: "traces_service_graph", start: began, now: now)
    }
}
