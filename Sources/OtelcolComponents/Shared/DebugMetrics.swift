import AlloySyntax

/// The `debug_metrics` block that every `otelcol` component has.
struct DebugMetrics: Block, Sendable, Equatable {
    /// Whether labels with many values are left out of the component's metrics: always so.
    let disablesHighCardinality: Bool

    init(from block: inout BlockReader) {
        disablesHighCardinality = block.optional(
            "disable_high_cardinality_metrics", default: true,
            "Whether labels with many values are left out of the component's metrics.")
        let level = block.optional(
            "level", default: "detailed", "Has no effect any more.", deprecated: true)
        if !["none", "basic", "normal", "detailed"].contains(level.lowercased()) {
            block.reject("level", "unrecognized debug metric level \"\(level)\"")
        }
        if !disablesHighCardinality {
            block.warn("disable_high_cardinality_metrics", "has no effect: no metric has such labels")
        }
    }

    /// Reads the block, which may be left out.
    @discardableResult
    static func read(from block: inout BlockReader) -> DebugMetrics {
        block.block("debug_metrics", "How the component's own metrics are labelled.")
    }
}
