package import Essentials
import Telemetry
import TextFormats
package import Wire

/// The record a statement runs on, with everything around it.
///
/// Made once per walk; ``begin(_:)`` turns it to the record the walk has reached. Not for use by several tasks.
package final class OTTLFrame {
    let resourceGroup: OTLPMessage
    let resource: OTLPMessage
    let scopeGroup: OTLPMessage
    let scope: OTLPMessage
    let item: OTLPMessage
    let data: OTLPMessage
    let point: OTLPMessage
    let clock: EngineClock
    /// What the metric is.
    var metricKind: OTLPMetricKind?
    /// Whether the statement is about one data point.
    private(set) var isAtPoint = false
    /// The place of a span event among those of its span.
    var eventIndex = 0
    /// The statement's own storage, empty at each record.
    var cache = OTLPAnyValue.Map()
    /// Metrics made by the functions that copy or extract: contents of `Metric` messages.
    var made: [[UInt8]] = []
    var captures = RegularExpression.Captures()
    /// What a converter given by name is applied to.
    var functionInput = Datum.none
    private let walker: OTLPWalker?

    package init(_ walker: OTLPWalker, clock: EngineClock) {
        self.walker = walker
        self.clock = clock
        resourceGroup = walker.resourceGroup
        resource = walker.resource
        scopeGroup = walker.scopeGroup
        scope = walker.scope
        item = walker.item
        data = walker.data
        point = walker.point
    }

    /// A frame on a metric that was made, inside the resource and scope of another.
    private init(inside other: OTTLFrame) {
        walker = nil
        clock = other.clock
        resourceGroup = other.resourceGroup
        resource = other.resource
        scopeGroup = other.scopeGroup
        scope = other.scope
        item = OTLPMessage()
        data = OTLPMessage()
        point = OTLPMessage()
    }

    /// Turns to the record that the walk has reached.
    @inline(__always)
    package func begin(_ level: OTLPWalker.Level) {
        if !cache.isEmpty { cache = OTLPAnyValue.Map() }
        isAtPoint = level == .point
        if level == .item {
            eventIndex = -1
            metricKind = walker?.metricKind
        } else if level == .point {
            eventIndex += 1
        }
    }

    /// Gives a metric's new kind to the walk, runs `body` on every metric that was made and adds them to the batch.
    package func finishMetric(_ body: (OTTLFrame) throws -> Void) throws {
        guard let walker else { return }
        if walker.metricKind != metricKind { walker.metricKind = metricKind }
        guard !made.isEmpty else { return }
        let inner = OTTLFrame(inside: self)
        var count = 0
        while !made.isEmpty {
            let content = made.removeFirst()
            count += 1
            if count > 1000 { throw OTTLError("more than 1000 metrics were made from one: add a where clause") }
            try content.withRawBytes { bytes in
                try inner.load(metric: bytes)
                try body(inner)
                made.append(contentsOf: inner.made)
                inner.made.removeAll()
                inner.encodedMetric().withRawBytes { walker.insert($0) }
            }
        }
    }

    /// Adds the metrics that were made from a data point to the batch.
    package func finishPoint() {
        for content in made { content.withRawBytes { walker?.insert($0) } }
        made.removeAll()
    }

    private func load(metric content: UnsafeRawBufferPointer) throws {
        try item.load(content, as: .metric)
        cache = OTLPAnyValue.Map()
        metricKind = nil
        data.clear(as: .metricData)
        for kind in OTLPMetricKind.allCases where item.has(kind.rawValue) {
            try data.load(item.bytes(kind.rawValue), as: .metricData)
            metricKind = kind
        }
    }

    /// The metric as it is now.
    func encodedMetric() -> [UInt8] {
        for kind in OTLPMetricKind.allCases { item.remove(kind.rawValue) }
        if let metricKind { data.encoded.withRawBytes { item.set(metricKind.rawValue, message: $0) } }
        return item.encoded
    }

    /// The messages a field is read from.
    enum Part: Sendable {
        case resourceGroup, resource, scopeGroup, scope, item, data, point
    }

    @inline(__always)
    func message(_ part: Part) -> OTLPMessage {
        switch part {
        case .item: item
        case .point: point
        case .resource: resource
        case .scope: scope
        case .data: data
        case .resourceGroup: resourceGroup
        case .scopeGroup: scopeGroup
        }
    }
}
