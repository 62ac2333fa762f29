import AlloySyntax
import Essentials
import Telemetry
import Wire

/// What decides which endpoint an item goes to.
enum RoutingKey: String, AlloyWord, Sendable {
    case traceID, service, resource, metric, streamID
    static var placeholder: RoutingKey { .traceID }

    /// Whether items of a kind can be routed by the key. Metrics are an experimental feature, as upstream.
    func routes(_ kind: OTLPBatch.Kind, minimumStability: Stability) -> Bool {
        switch (self, kind) {
        case (.traceID, .traces), (.traceID, .logs), (.service, .traces), (.service, .logs): true
        case (.service, .metrics), (.resource, .metrics), (.metric, .metrics), (.streamID, .metrics):
            minimumStability == .experimental
        default: false
        }
    }
}

/// Cuts batches into parts for the endpoints of a ring.
///
/// Keys, and what is hashed of them, are upstream's for trace IDs (their sixteen bytes), services (`service.name`) and
/// names of metrics. Resources and streams are hashed in this program's own way, the same in every process. Log records
/// without a trace ID go to an endpoint drawn for each resource of a batch; what has no `service.name` is routed by the
/// empty name.
struct BatchRouter: Sendable {
    let key: RoutingKey

    private static let service: OTLPKey = "service.name"
    private static let noTrace = [UInt8](repeating: 0, count: 16)

    /// The parts by index of the ring's endpoints; together they are the batch. The ring must not be empty.
    func split(_ batch: OTLPBatch, over ring: HashRing) throws -> [(endpoint: Int, part: OTLPBatch)] {
        let targets = try positions(of: batch).map { ring.endpoint(at: $0) }
        var whole = batch
        whole.takenBy = ReceiverSet()
        guard let first = targets.first else { return [(ring.endpoint(at: 0), whole)] }
        if targets.allSatisfy({ $0 == first }) { return [(first, whole)] }
        return key == .streamID ? try split(points: batch, by: targets) : try split(items: batch, by: targets)
    }

    private func split(items batch: OTLPBatch, by targets: [Int]) throws -> [(endpoint: Int, part: OTLPBatch)] {
        var assemblers: [Int: OTLPAssembler] = [:]
        let walker = OTLPWalker()
        var next = 0
        try walker.walk(batch, to: .item) { level in
            guard level == .item else { return .keep }
            assemblers[targets[next], default: OTLPAssembler(kind: batch.kind)].append(walker)
            next += 1
            return .keep
        }
        return assemblers.keys.sorted().map { ($0, assemblers[$0]?.finish(client: batch.client)) }
            .compactMap { endpoint, part in part.map { (endpoint, $0) } }
    }

    private func split(points batch: OTLPBatch, by targets: [Int]) throws -> [(endpoint: Int, part: OTLPBatch)] {
        try Set(targets).sorted().map { endpoint in
            let walker = OTLPWalker()
            var next = 0
            var part = try walker.edit(batch, to: .point) { level in
                guard level == .point else { return .keep }
                defer { next += 1 }
                return targets[next] == endpoint ? .keep : .drop
            }
            part.takenBy = ReceiverSet()
            return (endpoint, part)
        }
    }

    /// The positions of the items on the ring, in order; of the points when streams are routed.
    private func positions(of batch: OTLPBatch) throws -> [UInt32] {
        var positions: [UInt32] = []
        positions.reserveCapacity(batch.itemCount)
        let walker = OTLPWalker()
        var identity = StreamIdentity(secret: StreamID(low: 0, high: 0))
        var current: UInt32 = 0
        try walker.walk(batch, to: key == .streamID ? .point : .item) { level in
            switch (key, level) {
            case (.traceID, .resource):
                if batch.kind == .logs { current = .random(in: 0..<HashRing.positionCount) }
            case (.traceID, .item):
                positions.append(position(ofTraceIn: walker, batch.kind, drawn: current))
            case (.service, .resource): current = Self.position(ofServiceIn: walker)
            case (.resource, .resource):
                identity.begin(level, walker)
                current = Self.position(of: identity.resource)
            case (.service, .item), (.resource, .item): positions.append(current)
            case (.metric, .item): positions.append(HashRing.position(of: walker.item.bytes(OTLPField.Metric.name)))
            case (.streamID, .point): positions.append(Self.position(of: identity.stream(of: walker)))
            case (.streamID, _): identity.begin(level, walker)
            default: break
            }
            return .keep
        }
        return positions
    }

    private func position(ofTraceIn walker: OTLPWalker, _ kind: OTLPBatch.Kind, drawn: UInt32) -> UInt32 {
        let trace =
            kind == .logs ? walker.item.bytes(OTLPField.LogRecord.traceID) : walker.span.traceID
        if trace.count == Self.noTrace.count, kind == .traces || trace.contains(where: { $0 != 0 }) {
            return HashRing.position(of: trace)
        }
        return kind == .logs ? drawn : HashRing.position(of: Self.noTrace)
    }

    private static func position(ofServiceIn walker: OTLPWalker) -> UInt32 {
        guard case .string(let name)? = walker.resource.attributes[service] else {
            return HashRing.position(of: EmptyCollection())
        }
        return HashRing.position(of: name)
    }

    private static func position(of id: StreamID) -> UInt32 {
        withUnsafeBytes(of: (id.low.littleEndian, id.high.littleEndian)) { HashRing.position(of: $0) }
    }
}
