import Wire

/// Accessors for what only data points have; which field that is depends on the kind of the metric.
enum DataPointFields {
    static func valueDouble() -> Accessor {
        Accessor(
            .double,
            get: { frame in
                guard isNumber(frame) else { return .none }
                if case .double(let value)? = OTLPNumberPoint(frame.point).value { return .double(value) }
                return .double(0)
            },
            set: { frame, value in
                guard case .double(let number) = value else { throw Fields.mismatch("double", value) }
                if isNumber(frame) { OTLPNumberPoint(frame.point).value = .double(number) }
            })
    }

    static func valueInt() -> Accessor {
        Accessor(
            .int,
            get: { frame in
                guard isNumber(frame) else { return .none }
                if case .int(let value)? = OTLPNumberPoint(frame.point).value { return .int(value) }
                return .int(0)
            },
            set: { frame, value in
                guard case .int(let number) = value else { throw Fields.mismatch("int", value) }
                if isNumber(frame) { OTLPNumberPoint(frame.point).value = .int(number) }
            })
    }

    private static func isNumber(_ frame: OTTLFrame) -> Bool {
        frame.metricKind == .gauge || frame.metricKind == .sum
    }

    static func flags() -> Accessor {
        @Sendable func field(_ frame: OTTLFrame) -> Int {
            switch frame.metricKind {
            case .histogram, .exponentialHistogram: OTLPField.HistogramPoint.flags
            case .gauge, .sum, .summary, nil: OTLPField.NumberPoint.flags
            }
        }
        return Accessor(
            .int, get: { .int(Int64(bitPattern: $0.point.varint(field($0)))) },
            set: { frame, value in
                guard case .int(let number) = value else { throw Fields.mismatch("int", value) }
                frame.point.set(field(frame), varint: UInt64(UInt32(truncatingIfNeeded: number)))
            })
    }

    /// The count of histograms, exponential histograms and summaries: field 4 of all three.
    static func count() -> Accessor {
        Accessor(
            .int,
            get: { frame in
                guard hasDistribution(frame) else { return .none }
                return .int(Int64(bitPattern: frame.point.fixed64(OTLPField.HistogramPoint.count)))
            },
            set: { frame, value in
                guard case .int(let number) = value else { throw Fields.mismatch("int", value) }
                if hasDistribution(frame) {
                    frame.point.set(OTLPField.HistogramPoint.count, fixed64: UInt64(bitPattern: number))
                }
            })
    }

    /// The sum of histograms, exponential histograms and summaries: field 5 of all three.
    static func sum() -> Accessor {
        Accessor(
            .double,
            get: { frame in
                hasDistribution(frame) ? .double(frame.point.double(OTLPField.HistogramPoint.sum)) : .none
            },
            set: { frame, value in
                guard case .double(let number) = value else { throw Fields.mismatch("double", value) }
                guard hasDistribution(frame) else { return }
                frame.point.set(
                    OTLPField.HistogramPoint.sum, double: number, keepsZero: frame.metricKind != .summary)
            })
    }

    private static func hasDistribution(_ frame: OTTLFrame) -> Bool {
        switch frame.metricKind {
        case .histogram, .exponentialHistogram, .summary: true
        case .gauge, .sum, nil: false
        }
    }

    static func bucketCounts() -> Accessor {
        Accessor(
            .list,
            get: { frame in
                guard frame.metricKind == .histogram else { return .none }
                var counts: [OTLPAnyValue] = []
                frame.point.forEachFixed64(OTLPField.HistogramPoint.bucketCounts) {
                    counts.append(.int(Int64(bitPattern: $0)))
                }
                return .ownList(counts)
            },
            set: { frame, value in
                guard frame.metricKind == .histogram else { return }
                let counts = try integers(value)
                frame.point.set(OTLPField.HistogramPoint.bucketCounts, packedFixed64: counts)
            })
    }

    static func explicitBounds() -> Accessor {
        Accessor(
            .list,
            get: { frame in
                guard frame.metricKind == .histogram else { return .none }
                var bounds: [OTLPAnyValue] = []
                frame.point.forEachFixed64(OTLPField.HistogramPoint.explicitBounds) {
                    bounds.append(.double(Double(bitPattern: $0)))
                }
                return .ownList(bounds)
            },
            set: { frame, value in
                guard frame.metricKind == .histogram else { return }
                let bounds = try value.requireList("value").map { element in
                    guard case .double(let bound) = element else { throw OTTLError("bounds are doubles") }
                    return bound.bitPattern
                }
                frame.point.set(OTLPField.HistogramPoint.explicitBounds, packedFixed64: bounds)
            })
    }

    private static func integers(_ value: Datum) throws -> [UInt64] {
        try value.requireList("value").map { element in
            guard case .int(let count) = element else { throw OTTLError("counts are ints") }
            return UInt64(bitPattern: count)
        }
    }

    static func scale() -> Accessor {
        exponential(
            get: { .int(Int64($0.scale)) },
            set: { $0.scale = Int32(clamping: try $1.requireInt("value")) })
    }

    static func zeroCount() -> Accessor {
        exponential(
            get: { .int(Int64(bitPattern: $0.zeroCount)) },
            set: { $0.zeroCount = UInt64(bitPattern: try $1.requireInt("value")) })
    }

    private static func exponential(
        get: @escaping @Sendable (OTLPExponentialHistogramPoint) -> Datum,
        set: @escaping @Sendable (OTLPExponentialHistogramPoint, Datum) throws -> Void
    ) -> Accessor {
        Accessor(
            .int,
            get: { frame in
                guard frame.metricKind == .exponentialHistogram else { return .none }
                return get(OTLPExponentialHistogramPoint(frame.point))
            },
            set: { frame, value in
                guard frame.metricKind == .exponentialHistogram else { return }
                try set(OTLPExponentialHistogramPoint(frame.point), value)
            })
    }

    /// `positive` or `negative` as a whole, or a field of it.
    static func buckets(_ side: Int, _ field: String?) -> Accessor? {
        switch field {
        case nil:
            return guarded(Fields.messages(.point, side, .buckets))
        case "offset":
            return Accessor(
                .int,
                get: { frame in
                    guard let buckets = load(frame, side) else { return .none }
                    return .int(ProtobufReader.unzigzag(buckets.varint(OTLPField.Buckets.offset)))
                },
                set: { frame, value in
                    guard let buckets = load(frame, side) else { return }
                    let offset = Int32(clamping: try value.requireInt("value"))
                    buckets.set(OTLPField.Buckets.offset, varint: ProtobufWriter.zigzag(Int64(offset)))
                    buckets.encoded.withRawBytes { frame.point.set(side, message: $0) }
                })
        case "bucket_counts":
            return Accessor(
                .list,
                get: { frame in
                    guard let buckets = load(frame, side) else { return .none }
                    var counts: [OTLPAnyValue] = []
                    buckets.forEachVarint(OTLPField.Buckets.counts) { counts.append(.int(Int64(bitPattern: $0))) }
                    return .ownList(counts)
                },
                set: { frame, value in
                    guard let buckets = load(frame, side) else { return }
                    buckets.set(OTLPField.Buckets.counts, packedVarints: try integers(value))
                    buckets.encoded.withRawBytes { frame.point.set(side, message: $0) }
                })
        default: return nil
        }
    }

    private static func guarded(_ accessor: Accessor) -> Accessor {
        let inner = accessor
        return Accessor(
            accessor.kind,
            get: { frame in frame.metricKind == .exponentialHistogram ? try inner.get(frame) : .none },
            set: { frame, value in
                if frame.metricKind == .exponentialHistogram { try inner.set?(frame, value) }
            })
    }

    private static func load(_ frame: OTTLFrame, _ side: Int) -> OTLPMessage? {
        guard frame.metricKind == .exponentialHistogram else { return nil }
        let buckets = OTLPMessage()
        guard (try? buckets.load(frame.point.bytes(side), as: .other)) != nil else { return nil }
        return buckets
    }

    static func quantiles() -> Accessor {
        let inner = Fields.messages(.point, OTLPField.SummaryPoint.quantiles, .quantiles)
        return Accessor(
            .messages, get: { frame in frame.metricKind == .summary ? try inner.get(frame) : .none },
            set: { frame, value in if frame.metricKind == .summary { try inner.set?(frame, value) } })
    }

    static func exemplars() -> Accessor {
        @Sendable func inner(_ frame: OTTLFrame) -> Accessor? {
            switch frame.metricKind {
            case .gauge, .sum: Fields.messages(.point, OTLPField.NumberPoint.exemplars, .exemplars)
            case .histogram: Fields.messages(.point, OTLPField.HistogramPoint.exemplars, .exemplars)
            case .exponentialHistogram:
                Fields.messages(.point, OTLPField.ExponentialHistogramPoint.exemplars, .exemplars)
            case .summary, nil: nil
            }
        }
        return Accessor(
            .messages, get: { try inner($0)?.get($0) ?? .none }, set: { try inner($0)?.set?($0, $1) })
    }
}
