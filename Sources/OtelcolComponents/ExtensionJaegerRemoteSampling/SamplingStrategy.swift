import Essentials
import TextFormats
package import Wire

/// How a service samples: `SamplingStrategyResponse` of Jaeger (jaegertracing/jaeger-idl `proto/api_v2/sampling.proto`).
package struct SamplingStrategy: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        /// The share of traces, from 0 to 1.
        case probabilistic(Double)
        /// Traces in a second.
        case rateLimiting(Int32)
    }

    /// The share of traces of some operations of a service.
    struct Operations: Sendable, Equatable {
        var defaultProbability = SamplingStrategy.fallbackProbability
        var lowerBound = 0.0
        var upperBound = 0.0
        var probabilities: [(operation: String, probability: Double)] = []

        static func == (left: Operations, right: Operations) -> Bool {
            left.defaultProbability == right.defaultProbability && left.lowerBound == right.lowerBound
                && left.upperBound == right.upperBound
                && left.probabilities.elementsEqual(right.probabilities) { $0 == $1 }
        }
    }

    /// What Jaeger samples when nobody says how much.
    static let fallbackProbability = 0.001

    var kind = Kind.probabilistic(fallbackProbability)
    var operations: Operations?
}

// MARK: Protobuf

extension SamplingStrategy {
    /// The gRPC method that returns a strategy.
    static let method = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy"

    /// `SamplingStrategyParameters`: the service that is asked for.
    static func request(for service: String) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, string: service)
        return writer.withBytes { Array($0) }
    }

    /// The service of `SamplingStrategyParameters`, empty when it is not given.
    static func service(inRequest bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> String {
        var reader = ProtobufReader(bytes)
        var service = ""
        while let tag = try reader.nextTag() {
            if tag.field == 1 { service = try reader.string(tag) } else { try reader.skip(tag) }
        }
        return service
    }

    /// The encoded message.
    package var protobuf: [UInt8] {
        var writer = ProtobufWriter()
        switch kind {
        case .probabilistic(let share): Self.write(share, as: 2, to: &writer)
        case .rateLimiting(let limit):
            writer.field(1, varint: 1)
            let mark = writer.beginMessage(3)
            if limit != 0 { writer.field(1, int64: Int64(limit)) }
            writer.endMessage(mark)
        }
        if let operations {
            let mark = writer.beginMessage(4)
            if operations.defaultProbability != 0 { writer.field(1, double: operations.defaultProbability) }
            if operations.lowerBound != 0 { writer.field(2, double: operations.lowerBound) }
            for (operation, probability) in operations.probabilities {
                let inner = writer.beginMessage(3)
                if !operation.isEmpty { writer.field(1, string: operation) }
                Self.write(probability, as: 2, to: &writer)
                writer.endMessage(inner)
            }
            if operations.upperBound != 0 { writer.field(4, double: operations.upperBound) }
            writer.endMessage(mark)
        }
        return writer.withBytes { Array($0) }
    }

    /// A `ProbabilisticSamplingStrategy` in a field.
    private static func write(_ share: Double, as field: Int, to writer: inout ProtobufWriter) {
        let mark = writer.beginMessage(field)
        if share != 0 { writer.field(1, double: share) }
        writer.endMessage(mark)
    }

    /// Reads the encoded message.
    package init(protobuf bytes: UnsafeRawBufferPointer) throws(ProtobufError) {
        var reader = ProtobufReader(bytes)
        var isLimiting = false
        var share = 0.0
        var limit: Int32 = 0
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: isLimiting = try reader.uint64(tag) == 1
            case 2: share = try Self.share(try reader.message(tag))
            case 3:
                var inner = try reader.message(tag)
                while let tag = try inner.nextTag() {
                    if tag.field == 1 { limit = try inner.int32(tag) } else { try inner.skip(tag) }
                }
            case 4: operations = try Operations(try reader.message(tag))
            default: try reader.skip(tag)
            }
        }
        kind = isLimiting ? .rateLimiting(limit) : .probabilistic(share)
    }

    fileprivate static func share(_ message: ProtobufReader) throws(ProtobufError) -> Double {
        var reader = message
        var share = 0.0
        while let tag = try reader.nextTag() {
            if tag.field == 1 { share = try reader.double(tag) } else { try reader.skip(tag) }
        }
        return share
    }
}

extension SamplingStrategy.Operations {
    init(_ message: ProtobufReader) throws(ProtobufError) {
        var reader = message
        defaultProbability = 0
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: defaultProbability = try reader.double(tag)
            case 2: lowerBound = try reader.double(tag)
            case 3:
                var inner = try reader.message(tag)
                var entry = (operation: "", probability: 0.0)
                while let tag = try inner.nextTag() {
                    switch tag.field {
                    case 1: entry.operation = try inner.string(tag)
                    case 2: entry.probability = try SamplingStrategy.share(try inner.message(tag))
                    default: try inner.skip(tag)
                    }
                }
                probabilities.append(entry)
            case 4: upperBound = try reader.double(tag)
            default: try reader.skip(tag)
            }
        }
    }
}

// MARK: JSON

extension SamplingStrategy {
    /// As Jaeger's agent and collector answer over HTTP, kinds by name: what Jaeger's clients read.
    var json: JSONValue {
        var object = JSONObject()
        switch kind {
        case .probabilistic(let share):
            object["strategyType"] = .string("PROBABILISTIC")
            object["probabilisticSampling"] = .object(["samplingRate": .double(share)])
        case .rateLimiting(let limit):
            object["strategyType"] = .string("RATE_LIMITING")
            object["rateLimitingSampling"] = .object(["maxTracesPerSecond": .int(Int(limit))])
        }
        if let operations {
            object["operationSampling"] = .object([
                "defaultSamplingProbability": .double(operations.defaultProbability),
                "defaultLowerBoundTracesPerSecond": .double(operations.lowerBound),
                "perOperationStrategies": .array(
                    operations.probabilities.map { operation, probability in
                        .object([
                            "operation": .string(operation),
                            "probabilisticSampling": .object(["samplingRate": .double(probability)]),
                        ])
                    }),
                "defaultUpperBoundTracesPerSecond": .double(operations.upperBound),
            ])
        }
        return .object(object)
    }
}
