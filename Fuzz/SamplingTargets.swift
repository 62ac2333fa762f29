import OtelcolComponents
import Wire

/// Readers of what tells clients how to sample.
enum SamplingTargets {
    static let all: [FuzzTarget] = [strategy, document]

    /// A strategy that was read is the same after it was written and read again.
    private static func checked(_ strategy: SamplingStrategy) throws -> Int {
        let written = strategy.protobuf
        let again = try written.withUnsafeBytes { try SamplingStrategy(protobuf: $0) }
        try require(again.protobuf == written, "a strategy changes when it is written and read")
        return magnitude(written.count)
    }

    private static let strategy = FuzzTarget(
        name: "sampling-strategy",
        seeds: [
            [0x08, 0x01, 0x1A, 0x02, 0x08, 0x05],
            [0x12, 0x09, 0x09, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F],
            [0x22, 0x10, 0x1A, 0x0E, 0x0A, 0x01, 0x61, 0x12, 0x09, 0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F],
        ]
    ) { input in
        try checked(try input.withUnsafeBytes { try SamplingStrategy(protobuf: $0) })
    }

    private static let document = FuzzTarget(
        name: "sampling-document",
        seeds: [
            bytes(
                #"{"default_strategy":{"type":"probabilistic","param":0.5,"operation_strategies":[{"operation":"a","type":"probabilistic","param":1}]}}"#
            ),
            bytes(#"{"service_strategies":[{"service":"a","type":"ratelimiting","param":5},null]}"#),
        ],
        dictionary: [
            "\"default_strategy\":{", "\"service_strategies\":[", "\"operation_strategies\":[",
            "\"type\":\"probabilistic\"", "\"type\":\"ratelimiting\"", "\"param\":", "1e999", "null",
        ]
    ) { input in
        let document = try SamplingDocument(parsing: String(decoding: input, as: UTF8.self))
        var size = try checked(document.fallback)
        for strategy in document.services.values { size = max(size, try checked(strategy)) }
        return size
    }
}
