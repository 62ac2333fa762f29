import Essentials
import Wire

/// What tells one stream of data points from all others, as 128 bits of hash with a secret of the process.
///
/// The identifying properties are those of the metrics data model (opentelemetry.io, "Metrics Data Model", "Timeseries
/// Model"): attributes of the resource, name, version and attributes of the scope, name, unit, kind, temporality and
/// monotony of the metric, and the attributes of the point, in any order.
struct StreamID: Hashable, Sendable {
    var low: UInt64
    var high: UInt64

    static func + (left: StreamID, right: StreamID) -> StreamID {
        StreamID(low: left.low &+ right.low, high: left.high &+ right.high)
    }
}

/// Computes the identities of streams while a walk goes through metrics.
struct StreamIdentity {
    private static let ownSecret = StreamID(low: .random(in: .min ... .max), high: .random(in: .min ... .max))

    private let secret: StreamID
    /// Identity of the resource group reached last.
    private(set) var resource: StreamID
    /// Identity of the scope reached last, its resource included.
    private(set) var scope: StreamID
    /// Identity of the metric reached last, its scope included.
    private(set) var metric: StreamID

    /// Identities with the secret of the process, or with one that others share.
    init(secret: StreamID? = nil) {
        let secret = secret ?? Self.ownSecret
        self.secret = secret
        resource = secret
        scope = secret
        metric = secret
    }

    mutating func begin(resourceOf walker: OTLPWalker) {
        resource = hash(attributesOf: walker.resource, secret)
    }

    mutating func begin(scopeOf walker: OTLPWalker) {
        scope = Self.hash(walker.scope.bytes(OTLPField.Scope.name), resource)
        scope = Self.hash(walker.scope.bytes(OTLPField.Scope.version), scope)
        scope = hash(attributesOf: walker.scope, scope)
    }

    mutating func begin(metricOf walker: OTLPWalker) {
        let (item, view) = (walker.item, walker.metric)
        metric = Self.hash(item.bytes(OTLPField.Metric.name), scope)
        metric = Self.hash(item.bytes(OTLPField.Metric.unit), metric)
        let nature =
            UInt64(walker.metricKind?.rawValue ?? 0) << 8 | UInt64(view.aggregationTemporality) << 1
            | (view.isMonotonic ? 1 : 0)
        metric = Self.hash(nature, metric)
    }

    /// Follows a visit of any level but points.
    mutating func begin(_ level: OTLPWalker.Level, _ walker: OTLPWalker) {
        switch level {
        case .resource: begin(resourceOf: walker)
        case .scope: begin(scopeOf: walker)
        case .item: begin(metricOf: walker)
        case .point: break
        }
    }

    /// The stream of the data point being visited.
    func stream(of walker: OTLPWalker) -> StreamID { hash(attributesOf: walker.point, metric) }

    // MARK: Hashing

    private static func hash(_ bytes: UnsafeRawBufferPointer, _ seed: StreamID) -> StreamID {
        StreamID(low: ByteHash.hash(bytes, seed: seed.low), high: ByteHash.hash(bytes, seed: seed.high))
    }

    private static func hash(_ number: UInt64, _ seed: StreamID) -> StreamID {
        withUnsafeBytes(of: number.littleEndian) { hash($0, seed) }
    }

    /// Sums over the attributes, so that their order is of no matter.
    private func hash(attributesOf message: OTLPMessage, _ seed: StreamID) -> StreamID {
        var sum = StreamID(low: 0, high: 0)
        message.forEachMessage(message.shape.attributesField) { content in
            let pair = OTLPKeyValue(content: content)
            sum = sum + Self.hash(pair.valueContent ?? OTLPBytes.empty, Self.hash(pair.key, secret))
        }
        return Self.hash(sum.high, Self.hash(sum.low, seed))
    }
}
