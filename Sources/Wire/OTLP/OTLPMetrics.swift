// Metrics by the names of their fields: thin views on an `OTLPMessage`, whose rules of validity hold.

/// A metric by its fields.
package struct OTLPMetric {
    package let message: OTLPMessage
    /// The metric's `Gauge`, `Sum`, ...
    package let data: OTLPMessage

    package init(_ message: OTLPMessage, _ data: OTLPMessage) {
        self.message = message
        self.data = data
    }

    /// The metric's metadata.
    package var metadata: OTLPAttributes { message.attributes }

    package var name: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Metric.name) }
        nonmutating set { message.set(OTLPField.Metric.name, bytes: newValue) }
    }

    package var description: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Metric.description) }
        nonmutating set { message.set(OTLPField.Metric.description, bytes: newValue) }
    }

    package var unit: UnsafeRawBufferPointer {
        get { message.bytes(OTLPField.Metric.unit) }
        nonmutating set { message.set(OTLPField.Metric.unit, bytes: newValue) }
    }

    /// 0 unspecified, 1 delta, 2 cumulative.
    package var aggregationTemporality: UInt32 {
        get { UInt32(truncatingIfNeeded: data.varint(OTLPField.MetricData.aggregationTemporality)) }
        nonmutating set { data.set(OTLPField.MetricData.aggregationTemporality, varint: UInt64(newValue)) }
    }

    /// Of sums.
    package var isMonotonic: Bool {
        get { data.bool(OTLPField.MetricData.isMonotonic) }
        nonmutating set { data.set(OTLPField.MetricData.isMonotonic, bool: newValue) }
    }

    package var pointCount: Int { data.count(OTLPField.MetricData.points) }

    /// Calls `body` with the content of each data point.
    package func forEachPoint(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try data.forEachMessage(OTLPField.MetricData.points, body)
    }
}

/// The value of a gauge's or sum's data point.
package enum OTLPNumber: Sendable, Equatable {
    case int(Int64)
    case double(Double)

    package var double: Double {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        }
    }
}

/// A data point of a gauge or a sum by its fields.
package struct OTLPNumberPoint {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var startTimeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.NumberPoint.startTimeUnixNano) }
        nonmutating set { message.set(OTLPField.NumberPoint.startTimeUnixNano, fixed64: newValue) }
    }

    package var timeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.NumberPoint.timeUnixNano) }
        nonmutating set { message.set(OTLPField.NumberPoint.timeUnixNano, fixed64: newValue) }
    }

    /// Bit 0: no recorded value.
    package var flags: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.NumberPoint.flags)) }
        nonmutating set { message.set(OTLPField.NumberPoint.flags, varint: UInt64(newValue)) }
    }

    /// Nil when the point has none.
    package var value: OTLPNumber? {
        get {
            if message.has(OTLPField.NumberPoint.asDouble) {
                return .double(message.double(OTLPField.NumberPoint.asDouble))
            }
            guard message.has(OTLPField.NumberPoint.asInt) else { return nil }
            return .int(Int64(bitPattern: message.fixed64(OTLPField.NumberPoint.asInt)))
        }
        nonmutating set {
            message.remove(OTLPField.NumberPoint.asDouble)
            message.remove(OTLPField.NumberPoint.asInt)
            switch newValue {
            case .int(let value)?:
                message.set(OTLPField.NumberPoint.asInt, fixed64: UInt64(bitPattern: value), keepsZero: true)
            case .double(let value)?: message.set(OTLPField.NumberPoint.asDouble, double: value, keepsZero: true)
            case nil: break
            }
        }
    }
}

/// A data point of a histogram by its fields.
package struct OTLPHistogramPoint {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var startTimeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.HistogramPoint.startTimeUnixNano) }
        nonmutating set { message.set(OTLPField.HistogramPoint.startTimeUnixNano, fixed64: newValue) }
    }

    package var timeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.HistogramPoint.timeUnixNano) }
        nonmutating set { message.set(OTLPField.HistogramPoint.timeUnixNano, fixed64: newValue) }
    }

    package var count: UInt64 {
        get { message.fixed64(OTLPField.HistogramPoint.count) }
        nonmutating set { message.set(OTLPField.HistogramPoint.count, fixed64: newValue) }
    }

    package var sum: Double? {
        get { message.has(OTLPField.HistogramPoint.sum) ? message.double(OTLPField.HistogramPoint.sum) : nil }
        nonmutating set {
            if let newValue {
                message.set(OTLPField.HistogramPoint.sum, double: newValue, keepsZero: true)
            } else {
                message.remove(OTLPField.HistogramPoint.sum)
            }
        }
    }

    package var min: Double? {
        get { message.has(OTLPField.HistogramPoint.min) ? message.double(OTLPField.HistogramPoint.min) : nil }
        nonmutating set {
            if let newValue {
                message.set(OTLPField.HistogramPoint.min, double: newValue, keepsZero: true)
            } else {
                message.remove(OTLPField.HistogramPoint.min)
            }
        }
    }

    package var max: Double? {
        get { message.has(OTLPField.HistogramPoint.max) ? message.double(OTLPField.HistogramPoint.max) : nil }
        nonmutating set {
            if let newValue {
                message.set(OTLPField.HistogramPoint.max, double: newValue, keepsZero: true)
            } else {
                message.remove(OTLPField.HistogramPoint.max)
            }
        }
    }

    /// Bit 0: no recorded value.
    package var flags: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.HistogramPoint.flags)) }
        nonmutating set { message.set(OTLPField.HistogramPoint.flags, varint: UInt64(newValue)) }
    }

    /// One more than bounds, or none.
    package func forEachBucketCount(_ body: (UInt64) -> Void) {
        message.forEachFixed64(OTLPField.HistogramPoint.bucketCounts, body)
    }

    /// Upper bounds, ascending.
    package func forEachBound(_ body: (Double) -> Void) {
        message.forEachFixed64(OTLPField.HistogramPoint.explicitBounds) { body(Double(bitPattern: $0)) }
    }
}

/// A data point of an exponential histogram by its fields.
package struct OTLPExponentialHistogramPoint {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var startTimeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.ExponentialHistogramPoint.startTimeUnixNano) }
        nonmutating set { message.set(OTLPField.ExponentialHistogramPoint.startTimeUnixNano, fixed64: newValue) }
    }

    package var timeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.ExponentialHistogramPoint.timeUnixNano) }
        nonmutating set { message.set(OTLPField.ExponentialHistogramPoint.timeUnixNano, fixed64: newValue) }
    }

    package var count: UInt64 {
        get { message.fixed64(OTLPField.ExponentialHistogramPoint.count) }
        nonmutating set { message.set(OTLPField.ExponentialHistogramPoint.count, fixed64: newValue) }
    }

    package var sum: Double? {
        get {
            message.has(OTLPField.ExponentialHistogramPoint.sum)
                ? message.double(OTLPField.ExponentialHistogramPoint.sum) : nil
        }
        nonmutating set {
            if let newValue {
                message.set(OTLPField.ExponentialHistogramPoint.sum, double: newValue, keepsZero: true)
            } else {
                message.remove(OTLPField.ExponentialHistogramPoint.sum)
            }
        }
    }

    package var scale: Int32 {
        get {
            Int32(
                truncatingIfNeeded: ProtobufReader.unzigzag(message.varint(OTLPField.ExponentialHistogramPoint.scale)))
        }
        nonmutating set {
            message.set(OTLPField.ExponentialHistogramPoint.scale, varint: ProtobufWriter.zigzag(Int64(newValue)))
        }
    }

    package var zeroCount: UInt64 {
        get { message.fixed64(OTLPField.ExponentialHistogramPoint.zeroCount) }
        nonmutating set { message.set(OTLPField.ExponentialHistogramPoint.zeroCount, fixed64: newValue) }
    }

    package var zeroThreshold: Double {
        get { message.double(OTLPField.ExponentialHistogramPoint.zeroThreshold) }
        nonmutating set { message.set(OTLPField.ExponentialHistogramPoint.zeroThreshold, double: newValue) }
    }

    package var min: Double? {
        get {
            message.has(OTLPField.ExponentialHistogramPoint.min)
                ? message.double(OTLPField.ExponentialHistogramPoint.min) : nil
        }
        nonmutating set {
            if let newValue {
                message.set(OTLPField.ExponentialHistogramPoint.min, double: newValue, keepsZero: true)
            } else {
                message.remove(OTLPField.ExponentialHistogramPoint.min)
            }
        }
    }

    package var max: Double? {
        get {
            message.has(OTLPField.ExponentialHistogramPoint.max)
                ? message.double(OTLPField.ExponentialHistogramPoint.max) : nil
        }
        nonmutating set {
            if let newValue {
                message.set(OTLPField.ExponentialHistogramPoint.max, double: newValue, keepsZero: true)
            } else {
                message.remove(OTLPField.ExponentialHistogramPoint.max)
            }
        }
    }

    /// Bit 0: no recorded value.
    package var flags: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.ExponentialHistogramPoint.flags)) }
        nonmutating set { message.set(OTLPField.ExponentialHistogramPoint.flags, varint: UInt64(newValue)) }
    }

    /// The offset of a side (`positive` or `negative` of ``OTLPField``) and its counts, in order.
    package func buckets(_ side: Int, _ body: (_ offset: Int32, _ counts: OTLPMessage) -> Void) {
        guard message.has(side) else { return }
        let buckets = OTLPMessage()
        guard (try? buckets.load(message.bytes(side), as: .other)) != nil else { return }
        body(Int32(truncatingIfNeeded: ProtobufReader.unzigzag(buckets.varint(OTLPField.Buckets.offset))), buckets)
    }
}

/// A data point of a summary by its fields.
package struct OTLPSummaryPoint {
    package let message: OTLPMessage

    package init(_ message: OTLPMessage) { self.message = message }

    package var attributes: OTLPAttributes { message.attributes }

    package var startTimeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.SummaryPoint.startTimeUnixNano) }
        nonmutating set { message.set(OTLPField.SummaryPoint.startTimeUnixNano, fixed64: newValue) }
    }

    package var timeUnixNano: UInt64 {
        get { message.fixed64(OTLPField.SummaryPoint.timeUnixNano) }
        nonmutating set { message.set(OTLPField.SummaryPoint.timeUnixNano, fixed64: newValue) }
    }

    package var count: UInt64 {
        get { message.fixed64(OTLPField.SummaryPoint.count) }
        nonmutating set { message.set(OTLPField.SummaryPoint.count, fixed64: newValue) }
    }

    package var sum: Double {
        get { message.double(OTLPField.SummaryPoint.sum) }
        nonmutating set { message.set(OTLPField.SummaryPoint.sum, double: newValue) }
    }

    /// Bit 0: no recorded value.
    package var flags: UInt32 {
        get { UInt32(truncatingIfNeeded: message.varint(OTLPField.SummaryPoint.flags)) }
        nonmutating set { message.set(OTLPField.SummaryPoint.flags, varint: UInt64(newValue)) }
    }

    package func forEachQuantile(_ body: (_ quantile: Double, _ value: Double) -> Void) {
        message.forEachMessage(OTLPField.SummaryPoint.quantiles) { content in
            var reader = ProtobufReader(content)
            var quantile = 0.0
            var value = 0.0
            while let tag = try? reader.nextTag() {
                if tag.type == .fixed64, let bits = try? reader.rawFixed64() {
                    if tag.field == OTLPField.Quantile.quantile { quantile = Double(bitPattern: bits) }
                    if tag.field == OTLPField.Quantile.value { value = Double(bitPattern: bits) }
                } else if tag.type != .fixed64, (try? reader.skip(tag)) != nil {
                    continue
                } else {
                    break
                }
            }
            body(quantile, value)
        }
    }
}
