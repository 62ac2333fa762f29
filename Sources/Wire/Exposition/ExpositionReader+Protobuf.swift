import Essentials
import Telemetry

/// Where the reading of a protobuf body stands.
struct MessageState: Sendable {
    /// The beginning of a message whose end has not arrived.
    var carry: [UInt8] = []
    /// Bytes left of a family that is read metric by metric since it is large; nil between families.
    var remaining: Int?

    var name: [UInt8] = []
    var help: [UInt8] = []
    var unit: [UInt8] = []
    var kind = FamilyKind.counter
    var hasBegun = false
    /// The cache key of the metric being read, without what tells its series apart.
    var key: [UInt8] = []
}

/// `io.prometheus.client.MetricType`.
enum FamilyKind: Int32, Sendable {
    case counter, gauge, summary, untyped, histogram, gaugeHistogram

    var metadata: MetricMetadata.Kind {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .summary: .summary
        case .untyped: .unknown
        case .histogram: .histogram
        case .gaugeHistogram: .gaugehistogram
        }
    }
}

/// Families up to this size are read whole, with their fields in any order. Larger ones are read metric by metric as
/// they arrive; their name, help and type must come first, as every known writer has it, and a unit that comes after
/// the metrics is not available as a label.
private let wholeFamilyBytes = 1 << 20

extension ExpositionReader {
    mutating func feedMessages(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) {
        if message.carry.isEmpty {
            let read = try readMessages(bytes)
            if read < bytes.count { message.carry.append(contentsOf: bytes[read...]) }
        } else {
            var carry: [UInt8] = []
            swap(&carry, &message.carry)
            carry.append(contentsOf: bytes)
            var failed: ExpositionError?
            let read = carry.withUnsafeBytes { all -> Int in
                do throws(ExpositionError) { return try readMessages(all) } catch {
                    failed = error
                    return 0
                }
            }
            if let failed { throw failed }
            if read == carry.count {
                carry.removeAll(keepingCapacity: carry.capacity <= 1 << 17)
            } else if read > 0 {
                carry.removeFirst(read)
            }
            message.carry = carry
        }
    }

    mutating func finishMessages() throws(ExpositionError) {
        guard message.carry.isEmpty, message.remaining == nil else {
            throw ExpositionError(.malformed, "protobuf: body ends inside a metric family")
        }
    }

    /// Reads what is there whole and returns how much that was.
    private mutating func readMessages(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) -> Int {
        var offset = 0
        while offset < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            if message.remaining != nil {
                let read = try readLargeFamily(rest)
                if read == 0 { return offset }
                offset += read
                continue
            }
            guard let (length, prefix) = try Self.length(rest) else { return offset }
            if length <= wholeFamilyBytes {
                guard rest.count - prefix >= length else { return offset }
                try readFamily(UnsafeRawBufferPointer(rebasing: rest[prefix..<prefix + length]))
                offset += prefix + length
            } else {
                message.remaining = length
                resetFamily()
                offset += prefix
            }
        }
        return offset
    }

    /// A length-prefix and its own size; nil while it is incomplete.
    private static func length(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) -> (length: Int, prefix: Int)? {
        var value: UInt64 = 0
        for index in 0..<min(bytes.count, 10) {
            let byte = bytes[index]
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 {
                guard value <= UInt64(Int32.max), index < 5 else { break }
                return (Int(value), index + 1)
            }
        }
        if bytes.count < 10, bytes.allSatisfy({ $0 >= 0x80 }) { return nil }
        throw ExpositionError(.malformed, "protobuf: metric family with an impossible length")
    }

    // MARK: Families

    private mutating func resetFamily() {
        message.name.removeAll(keepingCapacity: true)
        message.help.removeAll(keepingCapacity: true)
        message.unit.removeAll(keepingCapacity: true)
        message.kind = .counter
        message.hasBegun = false
    }

    private mutating func readFamily(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) {
        resetFamily()
        var hasMetrics = false
        do throws(ProtobufError) {
            var reader = ProtobufReader(bytes)
            while let tag = try reader.nextTag() {
                if tag.field == 4 {
                    hasMetrics = true
                    try reader.skip(tag)
                } else {
                    try readFamilyField(tag, &reader)
                }
            }
        } catch {
            throw Self.translate(error)
        }
        guard hasMetrics else { return }
        try beginFamily()
        var reader = ProtobufReader(bytes)
        while true {
            var metric: UnsafeRawBufferPointer?
            do throws(ProtobufError) {
                guard let tag = try reader.nextTag() else { return }
                if tag.field == 4 { metric = try reader.bytes(tag) } else { try reader.skip(tag) }
            } catch {
                throw Self.translate(error)
            }
            if let metric { try readMetric(metric) }
        }
    }

    /// Reads the next field of a large family if it is there whole; returns its size, or 0.
    private mutating func readLargeFamily(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) -> Int {
        guard let remaining = message.remaining else { return 0 }
        let window = UnsafeRawBufferPointer(rebasing: bytes.prefix(remaining))
        var reader = ProtobufReader(window)
        var metric: UnsafeRawBufferPointer?
        do throws(ProtobufError) {
            guard let tag = try reader.nextTag() else { return 0 }
            if tag.field == 4 {
                metric = try reader.bytes(tag)
            } else {
                try readFamilyField(tag, &reader)
            }
        } catch {
            guard error == .truncated, bytes.count < remaining else { throw Self.translate(error) }
            guard bytes.count <= options.limits.messageBytes else {
                throw ExpositionError(.lineTooLong, "protobuf: metric longer than \(options.limits.messageBytes) bytes")
            }
            return 0
        }
        if let metric {
            if !message.hasBegun { try beginFamily() }
            try readMetric(metric)
        }
        let left = remaining - reader.position
        message.remaining = left > 0 ? left : nil
        return reader.position
    }

    private mutating func readFamilyField(_ tag: ProtobufTag, _ reader: inout ProtobufReader) throws(ProtobufError) {
        switch tag.field {
        case 1: message.name = Array(try reader.bytes(tag))
        case 2: message.help = Array(try reader.bytes(tag))
        case 3:
            let raw = try reader.int32(tag)
            guard let kind = FamilyKind(rawValue: raw) else { throw .invalid("metric type \(raw)") }
            message.kind = kind
        case 5: message.unit = Array(try reader.bytes(tag))
        default: try reader.skip(tag)
        }
    }

    /// Checks what is known of the family and notes its metadata.
    private mutating func beginFamily() throws(ExpositionError) {
        message.hasBegun = true
        let name = message.name
        let isNamed = name.withUnsafeBytes { !$0.isEmpty && ByteText.isUTF8($0) }
        guard isNamed else { throw ExpositionError(.invalidName, "protobuf: metric family without a valid name") }
        guard message.help.withUnsafeBytes({ ByteText.isUTF8($0) }) else {
            throw ExpositionError(.malformed, "protobuf: help of \(String(decoding: name, as: UTF8.self)) is not UTF-8")
        }
        // No text and no metric begins with this byte.
        var key: [UInt8] = [0xFC, UInt8(message.kind.rawValue)]
        key.append(contentsOf: name)
        key.append(0xFF)
        key.append(contentsOf: message.help)
        key.append(0xFF)
        key.append(contentsOf: message.unit)
        let known = key.withUnsafeBytes { cache.find($0, after: previous) }
        if let known {
            cache.setLastSeen(known)
            previous = known
            if families.repeatLine(cache.entries[Int(known)].payload, entry: known) { return }
        }
        let added =
            known ?? key.withUnsafeBytes { cache.insert($0, ref: SeriesCache.Code.metadata, after: previous) }
        guard let entry = added else { throw ExpositionError(.tooManySeries, "too many series") }
        previous = entry
        cache.setPayload(
            entry,
            families.note(
                family: String(decoding: name, as: UTF8.self), .all, kind: message.kind.metadata,
                text: options.collectsMetadata ? String(decoding: message.help, as: UTF8.self) : "",
                unit: String(decoding: message.unit, as: UTF8.self), entry: entry,
                reusing: cache.entries[Int(entry)].payload))
    }

    static func translate(_ error: ProtobufError) -> ExpositionError { ExpositionError(.malformed, "\(error)") }

    // MARK: Metrics

    private mutating func readMetric(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) {
        var metric = MetricMessage()
        message.key.removeAll(keepingCapacity: true)
        message.key.append(0xFD)
        message.key.append(UInt8(message.kind.rawValue))
        message.key.append(contentsOf: message.name)
        message.key.append(0xFF)
        do throws(ProtobufError) {
            var reader = ProtobufReader(bytes)
            while let tag = try reader.nextTag() {
                switch tag.field {
                case 1:
                    let label = try reader.bytes(tag)
                    withUnsafeBytes(of: UInt32(truncatingIfNeeded: label.count)) { message.key.append(contentsOf: $0) }
                    message.key.append(contentsOf: label)
                    metric.labelCount += 1
                case 6: metric.timestamp = try reader.int64(tag)
                case 2, 3, 4, 5, 7:
                    let value = try reader.bytes(tag)
                    if tag.field == message.kind.payloadField { try metric.read(value, message.kind) }
                default: try reader.skip(tag)
                }
            }
        } catch {
            throw Self.translate(error)
        }
        guard metric.labelCount <= maximumLabelsPerSeries else { throw failure(.malformed, "too many labels") }
        switch message.kind {
        case .counter, .gauge, .untyped:
            try store(metric, .value, metric.value, exemplar: metric.exemplar)
        case .summary:
            try store(metric, .count, Double(metric.sampleCount))
            try store(metric, .sum, metric.sampleSum)
            for quantile in metric.quantiles { try store(metric, .quantile(quantile.bound), quantile.value) }
        case .histogram, .gaugeHistogram: try storeHistogram(metric)
        }
    }

    private mutating func storeHistogram(_ metric: borrowing MetricMessage) throws(ExpositionError) {
        let isNative = options.scrapesNativeHistograms && metric.isNative
        if isNative {
            guard let histogram = metric.nativeHistogram(isGauge: message.kind == .gaugeHistogram) else {
                throw ExpositionError(
                    .malformed,
                    "native histogram \(String(decoding: message.name, as: UTF8.self)): spans and buckets disagree")
            }
            try storeNative(metric, histogram)
            if options.keepsClassicHistograms, !metric.buckets.isEmpty { try storeClassic(metric) }
            return
        }
        if !options.convertsClassicHistograms || options.keepsClassicHistograms { try storeClassic(metric) }
        guard options.convertsClassicHistograms else { return }
        var classic = ClassicHistogram()
        classic.setCount(metric.count)
        classic.setSum(metric.sampleSum)
        for bucket in metric.buckets { classic.setBucket(bucket.bound, bucket.count) }
        guard var histogram = classic.convert() else {
            throw ExpositionError(
                .malformed, "histogram \(String(decoding: message.name, as: UTF8.self)): buckets contradict each other")
        }
        if message.kind == .gaugeHistogram { histogram.resetHint = .gauge }
        try storeNative(metric, histogram)
    }

    private mutating func storeClassic(_ metric: borrowing MetricMessage) throws(ExpositionError) {
        try store(metric, .count, metric.count)
        try store(metric, .sum, metric.sampleSum)
        var hasInfinity = false
        for bucket in metric.buckets {
            try store(metric, .bucket(bucket.bound), bucket.count, exemplar: bucket.exemplar)
            if bucket.bound == .infinity {
                hasInfinity = true
                break
            }
        }
        if !hasInfinity { try store(metric, .bucket(.infinity), metric.count) }
    }

    private mutating func storeNative(
        _ metric: borrowing MetricMessage, _ histogram: consuming NativeHistogram
    ) throws(ExpositionError) {
        let (entry, isNew) = try series(.native)
        cache.setLastSeen(entry)
        let stated = metric.timestamp == 0 ? nil : metric.timestamp
        let ref = cache.entries[Int(entry)].ref
        guard let ref = try store(ref, histogram, explicit: stated, isNew: isNew) else { return }
        noteStart(metric, ref)
        if metric.exemplars.isEmpty {
            for bucket in metric.buckets {
                if let exemplar = bucket.exemplar { try store(exemplar, of: ref, stated, isNative: true) }
            }
        } else {
            for exemplar in metric.exemplars { try store(exemplar, of: ref, stated, isNative: true) }
        }
    }

    private mutating func store(
        _ metric: borrowing MetricMessage, _ part: SeriesPart, _ value: Double, exemplar: UnsafeRawBufferPointer? = nil
    ) throws(ExpositionError) {
        let (entry, isNew) = try series(part)
        let stated = metric.timestamp == 0 ? nil : metric.timestamp
        guard let ref = store(entry, value, explicit: stated, isNew: isNew) else { return }
        noteStart(metric, ref)
        if let exemplar { try store(exemplar, of: ref, stated, isNative: false) }
    }

    private mutating func noteStart(_ metric: borrowing MetricMessage, _ ref: SeriesRef) {
        guard options.readsStartTimestamps, let start = metric.start else { return }
        starts.append(StartTimestamp(series: ref, milliseconds: start))
    }

    private mutating func store(
        _ bytes: UnsafeRawBufferPointer, of ref: SeriesRef, _ stated: Int64?, isNative: Bool
    ) throws(ExpositionError) {
        let identity = ByteHash.hash(bytes)
        if lastExemplars[ref] == identity { return }
        do throws(ProtobufError) {
            builder.reset()
            var length = 0
            var value = 0.0
            var timestamp: Int64?
            var reader = ProtobufReader(bytes)
            while let tag = try reader.nextTag() {
                switch tag.field {
                case 1:
                    let (name, text) = try LabelPair.read(try reader.bytes(tag))
                    length += name.count + text.count
                    guard length <= 128 * 4 else { return }
                    builder.set(name, to: text)
                case 2: value = try reader.double(tag)
                case 3: timestamp = try MetricMessage.milliseconds(try reader.bytes(tag))
                default: try reader.skip(tag)
                }
            }
            if isNative, timestamp == nil { return }
            store(
                ExemplarSample(
                    series: ref, labels: builder.finish(), value: value,
                    timestamp: timestamp ?? (options.honorsTimestamps ? stated : nil) ?? scrapeTime),
                identity: identity)
        } catch {
            throw Self.translate(error)
        }
    }

    // MARK: Series

    /// The entry of one series of the metric whose key stands in `message.key`.
    private mutating func series(_ part: SeriesPart) throws(ExpositionError) -> (entry: UInt32, isNew: Bool) {
        var key: [UInt8] = []
        swap(&key, &message.key)
        let base = key.count
        part.append(to: &key)
        let found = key.withUnsafeBytes { cache.find($0, after: previous) }
        let entry = found ?? key.withUnsafeBytes { cache.insert($0, ref: SeriesCache.Code.unmapped, after: previous) }
        key.removeLast(key.count - base)
        swap(&key, &message.key)
        guard let entry else { throw ExpositionError(.tooManySeries, "too many series") }
        previous = entry
        guard cache.entries[Int(entry)].ref == SeriesCache.Code.unmapped else { return (entry, false) }
        try fillBuilder(part)
        cache.setRef(entry, try mapBuilder())
        return (entry, true)
    }

    private mutating func fillBuilder(_ part: SeriesPart) throws(ExpositionError) {
        builder.reset()
        let name = String(decoding: message.name, as: UTF8.self) + part.suffix
        builder.set("__name__", to: name)
        var skipsType = false
        var skipsUnit = false
        if options.addsTypeAndUnitLabels {
            let kind = message.kind.metadata
            skipsType = kind != .unknown
            skipsUnit = !message.unit.isEmpty
            if skipsType { builder.set("__type__", to: kind.rawValue) }
            if skipsUnit { builder.set("__unit__", to: String(decoding: message.unit, as: UTF8.self)) }
        }
        let key = message.key
        var failed: ExpositionError?
        key.withUnsafeBytes { bytes in
            var offset = 3 + message.name.count
            while offset + 4 <= bytes.count {
                let length = Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
                offset += 4
                guard length <= bytes.count - offset else { return }
                let raw = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
                offset += length
                do throws(ProtobufError) {
                    let (name, value) = try LabelPair.read(raw)
                    if skipsType, ByteText.equal(name, "__type__") { continue }
                    if skipsUnit, ByteText.equal(name, "__unit__") { continue }
                    if builder.withValue(of: name, { $0 != nil }) {
                        failed = ExpositionError(.malformed, "label name \(ByteText.excerpt(name)) is not unique")
                        return
                    }
                    builder.appendUnchecked(name, value)
                } catch {
                    failed = Self.translate(error)
                    return
                }
            }
        }
        if let failed { throw failed }
        switch part {
        case .bucket(let bound): builder.set("le", to: FloatText.bound(bound))
        case .quantile(let bound): builder.set("quantile", to: FloatText.bound(bound))
        default: break
        }
    }
}

/// Which series of a metric.
private enum SeriesPart {
    case value, count, sum, native
    case bucket(Double)
    case quantile(Double)

    var suffix: String {
        switch self {
        case .value, .native, .quantile: ""
        case .count: "_count"
        case .sum: "_sum"
        case .bucket: "_bucket"
        }
    }

    func append(to key: inout [UInt8]) {
        switch self {
        case .value: key.append(1)
        case .count: key.append(2)
        case .sum: key.append(3)
        case .native: key.append(4)
        case .bucket(let bound):
            withUnsafeBytes(of: bound.bitPattern) { key.append(contentsOf: $0) }
            key.append(5)
        case .quantile(let bound):
            withUnsafeBytes(of: bound.bitPattern) { key.append(contentsOf: $0) }
            key.append(6)
        }
    }
}
