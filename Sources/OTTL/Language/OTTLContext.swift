package import Telemetry

/// What a statement is about: the record it runs once for.
package enum OTTLContext: String, Sendable, CaseIterable {
    case resource, scope, span, spanevent, metric, datapoint, log

    /// The contexts of a signal, from the outside in.
    package static func contexts(of kind: OTLPBatch.Kind) -> [OTTLContext] {
        switch kind {
        case .traces: [.resource, .scope, .span, .spanevent]
        case .metrics: [.resource, .scope, .metric, .datapoint]
        case .logs: [.resource, .scope, .log]
        }
    }

    /// The contexts whose fields a statement of this one can reach, itself first.
    var reachable: [OTTLContext] {
        switch self {
        case .resource: [.resource]
        case .scope: [.scope, .resource]
        case .span: [.span, .scope, .resource]
        case .spanevent: [.spanevent, .span, .scope, .resource]
        case .metric: [.metric, .scope, .resource]
        case .datapoint: [.datapoint, .metric, .scope, .resource]
        case .log: [.log, .scope, .resource]
        }
    }
}
