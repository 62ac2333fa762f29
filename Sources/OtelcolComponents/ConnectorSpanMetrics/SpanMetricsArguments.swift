import AlloySyntax
import ComponentKit
import Essentials

/// A `dimension` block: an attribute of spans that tells series apart.
struct SpanDimension: Block, Sendable, Equatable {
    let name: String
    let fallback: String?
    /// A pattern of names instead of one name; empty when there is none.
    let pattern: String

    init(from block: inout BlockReader) {
        name = block.optional("name", default: "", "Name of the attribute, of the span or its resource.")
        fallback = block.optional("default", "Value where there is no such attribute.")
        pattern = block.optional("glob", default: "", "Pattern of names, instead of `name`.")
        if name.isEmpty == pattern.isEmpty { block.reject("name", "exactly one of name and glob must be set") }
        if !pattern.isEmpty, fallback != nil { block.reject("default", "is not supported with glob") }
        if !pattern.isEmpty, (try? Glob(pattern, .plain)) == nil { block.reject("glob", "is no valid pattern") }
    }
}

/// What `otelcol.connector.spanmetrics` aggregates, and how; a change of it starts all series anew.
struct SpanMetricsSettings: Sendable, Equatable {
    enum Temporality: String, AlloyWord {
        case cumulative = "CUMULATIVE"
        case delta = "DELTA"
        static var placeholder: Temporality { .cumulative }
    }

    enum Unit: String, AlloyWord {
        case milliseconds = "ms"
        case seconds = "s"
        static var placeholder: Unit { .milliseconds }

        var nanoseconds: Double { self == .milliseconds ? 1e6 : 1e9 }
    }

    enum Shape: Sendable, Equatable {
        case explicit(bounds: [Double])
        case exponential(maximumSize: Int)
        case none
    }

    /// Attributes every series has unless they are excluded.
    static let ownDimensions = ["service.name", "span.name", "span.kind", "status.code"]

    let dimensions: [SpanDimension]
    let callsDimensions: [SpanDimension]
    let histogram: Histogram
    let events: Events
    let exemplars: Exemplars
    let excluded: [String]
    let resourceLimit: Int
    let resourceKeys: [String]
    let seriesLimit: Int
    let temporality: Temporality
    let flushInterval: Duration
    let resourceExpiration: Duration
    let seriesExpiration: Duration
    let namespace: String
    let scopes: [String]
    let includesInstance: Bool

    init(from block: inout BlockReader) {
        excluded = block.optional("exclude_dimensions", default: [], "Attributes left out of every series.")
        let cacheSize = block.optional(
            "dimensions_cache_size", default: 0, "Use `aggregation_cardinality_limit`.", deprecated: true)
        resourceLimit = block.optional(
            "resource_metrics_cache_size", default: 1000, "Resources whose series are kept.")
        resourceKeys = block.optional(
            "resource_metrics_key_attributes", default: [], "Attributes that tell resources apart; all unless given.")
        seriesLimit = block.optional(
            "aggregation_cardinality_limit", default: 0,
            "Series of a resource and metric; further ones are counted together. 0 is no limit.")
        temporality = block.optional(
            "aggregation_temporality", default: .cumulative, "Whether values start anew after each flush: `DELTA`.")
        flushInterval = block.optional(
            "metrics_flush_interval", default: .seconds(60), "How often metrics are sent.")
        resourceExpiration = block.optional(
            "metrics_expiration", default: .zero, "Time without spans after which a resource is forgotten; 0 is never.")
        seriesExpiration = block.optional(
            "series_expiration", default: .zero, "Time without spans after which a series is forgotten; 0 is never.")
        let timestamps = block.optional(
            "metric_timestamp_cache_size", default: 1000,
            "Bounds upstream's memory of flush times; here a delta begins where the one before ended.")
        namespace = block.optional("namespace", default: "traces.span.metrics", "Prefix of the names of metrics.")
        scopes = block.optional(
            "include_instrumentation_scope", default: [], "Instrumentation scopes that become attributes of series.")
        includesInstance = block.optional(
            "include_collector_instance_id", default: false,
            "Whether series have a `collector.instance.id` that is made up at each start.")
        dimensions = block.blocks("dimension", "Further attributes of all series.")
        callsDimensions = block.blocks("calls_dimension", "Further attributes of the calls.")
        histogram = block.requiredBlock("histogram", "The histogram of durations.")
        exemplars = block.block("exemplars", "Spans shown as examples of a point.")
        events = block.block("events", "The metric of span events.")
        check(&block, cacheSize, timestamps)
    }

    private func check(_ block: inout BlockReader, _ cacheSize: Int, _ timestamps: Int) {
        if flushInterval <= .zero { block.reject("metrics_flush_interval", "must be greater than 0") }
        for (name, value) in [
            ("metrics_expiration", resourceExpiration), ("series_expiration", seriesExpiration),
        ] where value < .zero {
            block.reject(name, "must not be negative")
        }
        for (name, value) in [("aggregation_cardinality_limit", seriesLimit), ("dimensions_cache_size", cacheSize)]
        where value < 0 {
            block.reject(name, "must not be negative")
        }
        if resourceLimit <= 0 { block.reject("resource_metrics_cache_size", "must be greater than 0") }
        if timestamps <= 0 { block.reject("metric_timestamp_cache_size", "must be greater than 0") }
        if cacheSize > 0 {
            block.warn("dimensions_cache_size", "has no effect: aggregation_cardinality_limit bounds the series")
        }
        if timestamps > 0, timestamps != 1000 {
            block.warn("metric_timestamp_cache_size", "has no effect: a delta begins where the one before ended")
        }
        for more in [callsDimensions, histogram.dimensions, events.dimensions] {
            var names = Set(Self.ownDimensions)
            for dimension in dimensions + more where !dimension.name.isEmpty {
                if !names.insert(dimension.name).inserted {
                    block.reject("dimension", "duplicate dimension name \(dimension.name)")
                }
            }
        }
    }

    /// The `histogram` block.
    struct Histogram: Block, Sendable, Equatable {
        let unit: Unit
        let shape: Shape
        let dimensions: [SpanDimension]

        init(from block: inout BlockReader) {
            let isDisabled = block.optional("disable", default: false, "Whether there is no histogram.")
            unit = block.optional("unit", default: .milliseconds, "`ms` or `s`.")
            dimensions = block.blocks("dimension", "Further attributes of durations.")
            let exponential: Exponential? = block.optionalBlock("exponential", "Buckets that grow exponentially.")
            let explicit: Explicit? = block.optionalBlock("explicit", "Buckets with bounds that are given.")
            if exponential != nil, explicit != nil {
                block.reject("explicit", "only one of exponential and explicit can be specified")
            }
            if exponential == nil, explicit == nil {
                block.reject("either exponential or explicit must be specified")
            }
            let unitNanoseconds = unit.nanoseconds
            if isDisabled {
                shape = .none
            } else if let exponential {
                shape = .exponential(maximumSize: exponential.maximumSize)
            } else {
                shape = .explicit(bounds: (explicit?.bounds ?? []).map { Double($0.nanoseconds) / unitNanoseconds })
            }
        }
    }

    private struct Exponential: Block, Sendable {
        let maximumSize: Int

        init(from block: inout BlockReader) {
            let size = block.optional("max_size", default: Int32(160), "Largest number of buckets.")
            maximumSize = Int(size)
            if !(2...16_384).contains(maximumSize) { block.reject("max_size", "must be between 2 and 16384") }
        }
    }

    private struct Explicit: Block, Sendable {
        let bounds: [Duration]

        init(from block: inout BlockReader) {
            let usual = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10_000, 15_000]
            bounds = block.optional(
                "buckets", default: usual.map { Duration.milliseconds($0) }, "Upper bounds of buckets, ascending.")
            if zip(bounds, bounds.dropFirst()).contains(where: { $0 >= $1 }) {
                block.reject("buckets", "must be ascending")
            }
        }
    }

    /// The `exemplars` block.
    struct Exemplars: Block, Sendable, Equatable {
        let isEnabled: Bool
        let limit: Int

        init(from block: inout BlockReader) {
            isEnabled = block.optional("enabled", default: false, "Whether points have exemplars.")
            limit = block.optional("max_per_data_point", default: 5, "Exemplars of a point.")
            if isEnabled, limit <= 0 { block.reject("max_per_data_point", "must be greater than 0") }
        }
    }

    /// The `events` block.
    struct Events: Block, Sendable, Equatable {
        let isEnabled: Bool
        let dimensions: [SpanDimension]

        init(from block: inout BlockReader) {
            isEnabled = block.optional("enabled", default: false, "Whether span events are counted.")
            dimensions = block.blocks("dimension", "Attributes of events that tell series apart.")
            if isEnabled, dimensions.isEmpty { block.reject("dimension", "is required when events are enabled") }
        }
    }
}
