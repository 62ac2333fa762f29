import Essentials
import Glibc
package import Telemetry

/// A remote-write request, decoded.
package struct RemoteWriteRequest: Sendable {
    package var batch: MetricBatch
    package var counts = RemoteWriteCounts()
    /// Series refused for their labels (an empty or repeated name, no metric name, invalid UTF-8), and what they held.
    package var invalidSeries = 0
    package var invalidSamples = 0
}

/// Reads remote-write requests, 1.0 and 2.0, of one sender into batches over one growing series table.
///
/// Never traps and never allocates more than a small multiple of its input, whatever the bytes: 2.0 symbols are copied per
/// series only up to ``Limits/labelBytes``. Sources as ``RemoteWriteEncoder``. One task at a time.
package struct RemoteWriteDecoder: Sendable {
    package struct Limits: Sendable {
        /// Encoded label bytes of one series.
        package var labelBytes = 256 << 10
        /// Label bytes that one 2.0 request may expand to.
        package var expandedBytes = 256 << 20
        /// Series remembered before the table starts a new epoch.
        package var series = 1 << 20

        package init() {}
    }

    private let limits: Limits
    private var writer = SeriesTable.Writer()
    private var builder = LabelSetBuilder()
    /// Series by the hash of the label bytes as received (1.0) or as encoded.
    private var index: [UInt64: SeriesRef] = [:]

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// Decodes a request that is decompressed already.
    package mutating func decode(
        _ bytes: UnsafeRawBufferPointer, as version: RemoteWriteVersion
    ) throws(ProtobufError) -> RemoteWriteRequest {
        if writer.count >= limits.series {
            writer.startEpoch()
            index.removeAll(keepingCapacity: true)
        }
        var request = RemoteWriteRequest(batch: MetricBatch(table: writer.table))
        switch version {
        case .v1: try decode1(bytes, into: &request)
        case .v2: try decode2(bytes, into: &request)
        }
        request.batch.table = writer.table
        return request
    }

    package mutating func decode(
        _ bytes: [UInt8], as version: RemoteWriteVersion
    ) throws(ProtobufError) -> RemoteWriteRequest {
        let result: Result<RemoteWriteRequest, ProtobufError> = bytes.withUnsafeBytes { bytes in
            do throws(ProtobufError) { return .success(try decode(bytes, as: version)) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    // MARK: 1.0

    private mutating func decode1(
        _ bytes: UnsafeRawBufferPointer, into request: inout RemoteWriteRequest
    ) throws(ProtobufError) {
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: try decodeSeries1(try reader.bytes(tag), into: &request)
            case 3:
                var family = MetricMetadata(family: "", kind: .unknown)
                var message = try reader.message(tag)
                while let tag = try message.nextTag() {
                    switch tag.field {
                    case 1: family.kind = .init(remoteWriteNumber: try message.uint64(tag))
                    case 2: family.family = try message.string(tag)
                    case 4: family.help = try message.string(tag)
                    case 5: family.unit = try message.string(tag)
                    default: try message.skip(tag)
                    }
                }
                request.batch.metadata.append(family)
                request.counts.metadata += 1
            default: try reader.skip(tag)
            }
        }
    }

    private mutating func decodeSeries1(
        _ bytes: UnsafeRawBufferPointer, into request: inout RemoteWriteRequest
    ) throws(ProtobufError) {
        // Labels come first in what every known sender writes; then they are one run of bytes.
        var reader = ProtobufReader(bytes)
        var labelsEnd = 0
        var isContiguous = true
        var hasOtherField = false
        while let tag = try reader.nextTag() {
            try reader.skip(tag)
            if tag.field == 1 {
                isContiguous = isContiguous && !hasOtherField
                labelsEnd = reader.position
            } else {
                hasOtherField = true
            }
        }
        let series: SeriesRef?
        if isContiguous {
            series = try lookUp1(UnsafeRawBufferPointer(rebasing: bytes[..<labelsEnd]))
        } else {
            series = try build1(bytes)
        }
        var content = RemoteWriteCounts()
        reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 2:
                let sample = try Self.readSample(reader.message(tag))
                content.samples += 1
                if let series { request.batch.append(series, sample.value, at: sample.timestamp) }
                content.note(sample.timestamp)
            case 3:
                let exemplar = try readExemplar1(try reader.bytes(tag), series ?? 0)
                content.exemplars += 1
                if series != nil { request.batch.exemplars.append(exemplar) }
            case 4:
                let (histogram, timestamp, _) = try RemoteWriteHistogram.read(reader.message(tag))
                content.histograms += 1
                if let series {
                    request.batch.histograms.append(
                        HistogramSample(series: series, timestamp: timestamp, histogram: histogram))
                }
                content.note(timestamp)
            default: try reader.skip(tag)
            }
        }
        finish(content, isValid: series != nil, &request)
    }

    private mutating func lookUp1(_ labels: UnsafeRawBufferPointer) throws(ProtobufError) -> SeriesRef? {
        guard labels.count <= limits.labelBytes else { throw .tooMany("label bytes in a series") }
        let hash = ByteHash.hash(labels)
        if let known = index[hash], isEqual(writer[known], labels) { return known }
        let series = try build1(labels)
        if let series, isEqual(writer[series], labels) { index[hash] = series }
        return series
    }

    private func isEqual(_ set: LabelSet, _ labels: UnsafeRawBufferPointer) -> Bool {
        set.withEncoded { known in
            guard known.count == labels.count else { return false }
            guard let left = known.baseAddress, let right = labels.baseAddress else { return true }
            return memcmp(left, right, known.count) == 0
        }
    }

    /// Finds or adds the series of the label fields in `bytes`; nil when they are not valid labels.
    private mutating func build1(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) -> SeriesRef? {
        builder.reset()
        let labels = try readLabels(bytes)
        return labels.isValid ? series(withName: true) : nil
    }

    private mutating func readLabels(
        _ bytes: UnsafeRawBufferPointer
    ) throws(ProtobufError) -> (isValid: Bool, count: Int) {
        var reader = ProtobufReader(bytes)
        var isValid = true
        var count = 0
        var size = 0
        while let tag = try reader.nextTag() {
            guard tag.field == 1 else {
                try reader.skip(tag)
                continue
            }
            var name = UnsafeRawBufferPointer(start: nil, count: 0)
            var value = name
            var message = try reader.message(tag)
            while let tag = try message.nextTag() {
                switch tag.field {
                case 1: name = try message.bytes(tag)
                case 2: value = try message.bytes(tag)
                default: try message.skip(tag)
                }
            }
            size += name.count + value.count
            guard size <= limits.labelBytes, count < 4096 else { throw .tooMany("label bytes in a series") }
            isValid = isValid && addLabel(name, value)
            count += 1
        }
        return (isValid, count)
    }

    /// Adds a label to the builder; false when its name is empty or taken, or the text is not UTF-8.
    private mutating func addLabel(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        guard !name.isEmpty, isUTF8(name), isUTF8(value) else { return false }
        let isTaken = builder.withValue(of: name) { $0 != nil }
        if isTaken { return false }
        builder.set(name, to: value)
        return true
    }

    private mutating func series(withName needsName: Bool) -> SeriesRef? {
        if needsName, builder.value(of: "__name__") == nil { return nil }
        let labels = builder.finish()
        return labels.withEncoded { encoded in
            let hash = ByteHash.hash(encoded)
            if let known = index[hash], isEqual(writer[known], encoded) { return known }
            let series = writer.append(labels)
            index[hash] = series
            return series
        }
    }

    private static func readSample(
        _ message: ProtobufReader
    ) throws(ProtobufError) -> (value: Double, timestamp: Int64, start: Int64) {
        var reader = message
        var value = 0.0
        var timestamp: Int64 = 0
        var start: Int64 = 0
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: value = try reader.double(tag)
            case 2: timestamp = try reader.int64(tag)
            case 3: start = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
        return (value, timestamp, start)
    }

    private mutating func readExemplar1(
        _ bytes: UnsafeRawBufferPointer, _ series: SeriesRef
    ) throws(ProtobufError) -> ExemplarSample {
        builder.reset()
        _ = try readLabels(bytes)
        var exemplar = ExemplarSample(series: series, labels: builder.finish(), value: 0, timestamp: 0)
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 2: exemplar.value = try reader.double(tag)
            case 3: exemplar.timestamp = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
        return exemplar
    }

    private func finish(_ content: RemoteWriteCounts, isValid: Bool, _ request: inout RemoteWriteRequest) {
        if isValid {
            request.counts += content
        } else {
            request.invalidSeries += 1
            request.invalidSamples += content.items
        }
    }

    // MARK: 2.0

    private mutating func decode2(
        _ bytes: UnsafeRawBufferPointer, into request: inout RemoteWriteRequest
    ) throws(ProtobufError) {
        var symbols: [UnsafeRawBufferPointer] = []
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            if tag.field == 4 { symbols.append(try reader.bytes(tag)) } else { try reader.skip(tag) }
        }
        var budget = limits.expandedBytes
        var families: Set<String> = []
        reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            guard tag.field == 5 else {
                try reader.skip(tag)
                continue
            }
            try decodeSeries2(try reader.bytes(tag), symbols, &budget, &families, into: &request)
        }
    }

    private mutating func decodeSeries2(
        _ bytes: UnsafeRawBufferPointer, _ symbols: [UnsafeRawBufferPointer], _ budget: inout Int,
        _ families: inout Set<String>, into request: inout RemoteWriteRequest
    ) throws(ProtobufError) {
        builder.reset()
        var series: SeriesRef?
        if try readRefs(bytes, symbols, &budget) { series = self.series(withName: true) }
        var content = RemoteWriteCounts()
        var start: Int64 = 0
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 2:
                let sample = try Self.readSample(reader.message(tag))
                content.samples += 1
                content.note(sample.timestamp)
                if sample.start != 0 { start = sample.start }
                if let series { request.batch.append(series, sample.value, at: sample.timestamp) }
            case 3:
                let (histogram, timestamp, begun) = try RemoteWriteHistogram.read(reader.message(tag))
                content.histograms += 1
                content.note(timestamp)
                if begun != 0 { start = begun }
                if let series {
                    request.batch.histograms.append(
                        HistogramSample(series: series, timestamp: timestamp, histogram: histogram))
                }
            case 4:
                let exemplar = try readExemplar2(try reader.bytes(tag), series ?? 0, symbols, &budget)
                content.exemplars += 1
                if series != nil { request.batch.exemplars.append(exemplar) }
            case 5:
                let family = try readMetadata2(reader.message(tag), series, symbols)
                if let family, families.insert(family.family).inserted { request.batch.metadata.append(family) }
            case 6:
                // `created_timestamp` of 2.0 drafts; reserved since.
                let created = tag.type == .varint ? try reader.int64(tag) : 0
                if created != 0 { start = created }
                if tag.type != .varint { try reader.skip(tag) }
            default: try reader.skip(tag)
            }
        }
        if let series, start != 0 {
            request.batch.startTimestamps.append(StartTimestamp(series: series, milliseconds: start))
        }
        finish(content, isValid: series != nil, &request)
    }

    /// Adds the labels of `labels_refs` to the builder; false when they are not valid labels.
    private mutating func readRefs(
        _ bytes: UnsafeRawBufferPointer, _ symbols: [UnsafeRawBufferPointer], _ budget: inout Int
    ) throws(ProtobufError) -> Bool {
        var reader = ProtobufReader(bytes)
        var name: UnsafeRawBufferPointer?
        var isValid = true
        var size = 0
        var count = 0
        while let tag = try reader.nextTag() {
            guard tag.field == 1 else {
                try reader.skip(tag)
                continue
            }
            try reader.forEachVarint(tag) { (ref) throws(ProtobufError) in
                guard ref < UInt64(symbols.count) else { throw .invalid("symbol reference") }
                let symbol = symbols[Int(ref)]
                size += symbol.count
                count += 1
                guard size <= limits.labelBytes, count < 8192 else { throw .tooMany("label bytes in a series") }
                guard let known = name else {
                    name = symbol
                    return
                }
                name = nil
                if isValid { isValid = addLabel(known, symbol) }
            }
        }
        guard name == nil else { throw .invalid("odd number of label references") }
        budget -= size
        guard budget >= 0 else { throw .tooMany("label bytes in a request") }
        return isValid
    }

    private mutating func readExemplar2(
        _ bytes: UnsafeRawBufferPointer, _ series: SeriesRef, _ symbols: [UnsafeRawBufferPointer], _ budget: inout Int
    ) throws(ProtobufError) -> ExemplarSample {
        builder.reset()
        _ = try readRefs(bytes, symbols, &budget)
        var exemplar = ExemplarSample(series: series, labels: builder.finish(), value: 0, timestamp: 0)
        var reader = ProtobufReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 2: exemplar.value = try reader.double(tag)
            case 3: exemplar.timestamp = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
        return exemplar
    }

    private func readMetadata2(
        _ message: ProtobufReader, _ series: SeriesRef?, _ symbols: [UnsafeRawBufferPointer]
    ) throws(ProtobufError) -> MetricMetadata? {
        var reader = message
        var kind = MetricMetadata.Kind.unknown
        var help: UInt64 = 0
        var unit: UInt64 = 0
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: kind = .init(remoteWriteNumber: try reader.uint64(tag))
            case 3: help = try reader.uint64(tag)
            case 4: unit = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
        guard help < UInt64(max(symbols.count, 1)), unit < UInt64(max(symbols.count, 1)) else {
            throw .invalid("symbol reference")
        }
        guard let series, let name = writer[series]["__name__"] else { return nil }
        // Text of a family is short; a hostile megabyte is cut rather than copied per series.
        func text(_ ref: UInt64) -> String {
            guard ref < UInt64(symbols.count) else { return "" }
            return String(decoding: symbols[Int(ref)].prefix(4096), as: UTF8.self)
        }
        let family = MetricMetadata(family: name, kind: kind, help: text(help), unit: text(unit))
        return family.kind == .unknown && family.help.isEmpty && family.unit.isEmpty ? nil : family
    }
}

/// True when `bytes` are well-formed UTF-8.
func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
    for byte in bytes where byte >= 0x80 {
        return String(validating: bytes, as: UTF8.self) != nil
    }
    return true
}
