package import Compression
package import Telemetry

/// Collects entries and writes them as one Loki push request (`logproto.PushRequest`, loki `pkg/push/push.proto`).
///
/// Entries are encoded as they arrive, one behind the other, in whatever order of streams they come; writing the
/// request copies each stream's entries together in the order they were added. An instance keeps its memory from
/// request to request: appending a line allocates nothing in the long run. One owner at a time.
package struct LokiPushBuilder: Sendable {
    private struct Stream {
        var labelsOffset: Int
        var labelsLength: Int
        /// Bytes of its encoded entries, tags and lengths included.
        var entryBytes = 0
        var runs = 0
    }

    /// Entries of one stream that lie next to each other in the arena.
    private struct Run {
        var stream: Int32
        var offset: Int
        var length: Int
    }

    private var labelText: [UInt8] = []
    private var streams: [Stream] = []
    private var indices: [LabelSet: Int32] = [:]
    private var arena: [UInt8] = []
    private var runs: [Run] = []
    /// Scratch of `encode`: run indices grouped by stream.
    private var order: [Int32] = []
    private var cursors: [Int32] = []

    /// Entries added since the last reset.
    package private(set) var entryCount = 0
    /// Bytes of the lines and structured metadata added: what upstream compares with `batch_size`.
    package private(set) var contentByteCount = 0

    package init() {}

    package var isEmpty: Bool { entryCount == 0 }
    package var streamCount: Int { streams.count }

    /// Bytes kept alive by this builder, about.
    package var byteCount: Int { arena.count + labelText.count + streams.count * 96 + runs.count * 24 }

    /// Forgets all entries and streams; the memory stays.
    package mutating func reset() {
        labelText.removeAll(keepingCapacity: true)
        streams.removeAll(keepingCapacity: true)
        indices.removeAll(keepingCapacity: true)
        arena.removeAll(keepingCapacity: true)
        runs.removeAll(keepingCapacity: true)
        entryCount = 0
        contentByteCount = 0
    }

    /// True when `labels` are among the streams.
    package func contains(_ labels: LabelSet) -> Bool { indices[labels] != nil }

    /// The index of the stream of `labels`, added when new. Labels beginning with `__` are not sent, unless
    /// `keepingInternal`; sets that differ in such labels alone stay different streams, so take them off first.
    package mutating func stream(for labels: LabelSet, keepingInternal: Bool = false) -> Int32 {
        if let index = indices[labels] { return index }
        let offset = labelText.count
        LokiLabelText.append(labels, skippingInternal: !keepingInternal, to: &labelText)
        let index = Int32(streams.count)
        streams.append(Stream(labelsOffset: offset, labelsLength: labelText.count - offset))
        indices[labels] = index
        return index
    }

    /// The size that upstream books for an entry: its line and the names and values of its structured metadata.
    package static func contentSize(_ entry: LogEntry) -> Int {
        var size = entry.lineLength
        if !entry.metadata.isEmpty { entry.metadata.forEach { size += $0.count + $1.count } }
        return size
    }

    /// Encodes one entry. `timestamp` is nanoseconds since 1970; `stream` comes from ``stream(for:)`` since the reset.
    package mutating func append(
        _ line: UnsafeRawBufferPointer, timestamp: Int64, metadata: LabelSet, stream: Int32
    ) {
        let (seconds, nanoseconds) = Self.split(timestamp)
        let timeLength = Self.timeLength(seconds, nanoseconds)
        var inner = 2 + timeLength
        if !line.isEmpty { inner += 1 + Self.varintLength(UInt64(line.count)) + line.count }
        // An encoded label set is a sequence of pair messages under a one-byte tag: only the tag changes here.
        inner += metadata.encodedByteCount
        let total = 1 + Self.varintLength(UInt64(inner)) + inner
        let offset = arena.count
        if arena.capacity < offset + total { arena.reserveCapacity(max(arena.capacity * 2, offset + total)) }
        arena.append(addingCapacity: total) { span in
            span.withUnsafeMutableBufferPointer { buffer, initialized in
                guard let base = buffer.baseAddress else { return }
                var writer = PushWriter(UnsafeMutableRawPointer(base + initialized))
                writer.write(tag: 0x12, length: inner)
                writer.write(tag: 0x0A, length: timeLength)
                if seconds != 0 { writer.write(tag: 0x08, varint: UInt64(bitPattern: seconds)) }
                if nanoseconds != 0 { writer.write(tag: 0x10, varint: UInt64(nanoseconds)) }
                if !line.isEmpty {
                    writer.write(tag: 0x12, length: line.count)
                    writer.write(line)
                }
                writer.write(metadata)
                initialized += total
            }
        }
        note(Run(stream: stream, offset: offset, length: total))
        entryCount += 1
        contentByteCount += line.count
        if !metadata.isEmpty { metadata.forEach { contentByteCount += $0.count + $1.count } }
    }

    private mutating func note(_ run: Run) {
        streams[Int(run.stream)].entryBytes += run.length
        if let last = runs.indices.last, runs[last].stream == run.stream {
            runs[last].length += run.length
        } else {
            streams[Int(run.stream)].runs += 1
            runs.append(run)
        }
    }

    /// Adds every entry of `batch` as it is.
    package mutating func append(_ batch: LogBatch, keepingInternal: Bool = false) {
        var indices = [Int32](repeating: -1, count: batch.streams.count)
        batch.arena.withUnsafeBytes { arena in
            for entry in batch.entries {
                var index = indices[Int(entry.stream)]
                if index < 0 {
                    index = stream(for: batch.streams[Int(entry.stream)], keepingInternal: keepingInternal)
                    indices[Int(entry.stream)] = index
                }
                let line = UnsafeRawBufferPointer(
                    rebasing: arena[entry.lineOffset..<entry.lineOffset + entry.lineLength])
                append(line, timestamp: entry.timestamp, metadata: entry.metadata, stream: index)
            }
        }
    }

    /// Appends the request to `output`: streams in order of their first entry.
    package mutating func encode(into output: inout [UInt8]) {
        groupRuns()
        let size = encodedByteCount
        if size == 0 { return }
        output.append(addingCapacity: size) { span in
            span.withUnsafeMutableBufferPointer { buffer, initialized in
                guard let base = buffer.baseAddress else { return }
                encode(into: PushWriter(UnsafeMutableRawPointer(base + initialized)))
                initialized += size
            }
        }
    }

    /// Writes ``encodedByteCount`` bytes; the runs are grouped.
    private func encode(into writer: consuming PushWriter) {
        var writer = writer
        labelText.withUnsafeBytes { text in
            arena.withUnsafeBytes { arena in
                runs.withUnsafeBufferPointer { runs in
                    for (index, stream) in streams.enumerated() where stream.entryBytes > 0 {
                        writer.write(tag: 0x0A, length: Self.innerLength(stream))
                        writer.write(tag: 0x0A, length: stream.labelsLength)
                        let end = stream.labelsOffset + stream.labelsLength
                        writer.write(UnsafeRawBufferPointer(rebasing: text[stream.labelsOffset..<end]))
                        // After grouping a cursor stands at the end of its stream's runs.
                        let last = Int(cursors[index])
                        for position in last - stream.runs..<last {
                            let run = runs[Int(order[position])]
                            writer.write(
                                UnsafeRawBufferPointer(rebasing: arena[run.offset..<run.offset + run.length]))
                        }
                    }
                }
            }
        }
    }

    /// Appends the request as one snappy block to `output`, going through `scratch`, whose content is replaced.
    package mutating func compress(into output: inout [UInt8], scratch: inout [UInt8]) throws(CompressionError) {
        scratch.removeAll(keepingCapacity: true)
        encode(into: &scratch)
        try Snappy.compress(scratch, into: &output)
    }

    /// The size of the request before compression.
    package var encodedByteCount: Int {
        streams.reduce(0) { sum, stream in
            guard stream.entryBytes > 0 else { return sum }
            let inner = Self.innerLength(stream)
            return sum + 1 + Self.varintLength(UInt64(inner)) + inner
        }
    }

    private static func innerLength(_ stream: Stream) -> Int {
        1 + varintLength(UInt64(stream.labelsLength)) + stream.labelsLength + stream.entryBytes
    }

    /// A stable counting sort of the runs by stream.
    private mutating func groupRuns() {
        cursors.removeAll(keepingCapacity: true)
        var start: Int32 = 0
        for stream in streams {
            cursors.append(start)
            start += Int32(stream.runs)
        }
        order.removeAll(keepingCapacity: true)
        order.append(contentsOf: repeatElement(0, count: runs.count))
        for (index, run) in runs.enumerated() {
            let stream = Int(run.stream)
            order[Int(cursors[stream])] = Int32(index)
            cursors[stream] += 1
        }
    }

    /// Seconds and nanoseconds as `google.protobuf.Timestamp` has them: nanoseconds count forward.
    @inline(__always)
    private static func split(_ timestamp: Int64) -> (seconds: Int64, nanoseconds: Int64) {
        var seconds = timestamp / 1_000_000_000
        var nanoseconds = timestamp % 1_000_000_000
        if nanoseconds < 0 {
            seconds -= 1
            nanoseconds += 1_000_000_000
        }
        return (seconds, nanoseconds)
    }

    @inline(__always)
    private static func timeLength(_ seconds: Int64, _ nanoseconds: Int64) -> Int {
        (seconds == 0 ? 0 : 1 + varintLength(UInt64(bitPattern: seconds)))
            + (nanoseconds == 0 ? 0 : 1 + varintLength(UInt64(nanoseconds)))
    }

    @inline(__always)
    private static func varintLength(_ value: UInt64) -> Int {
        (64 - (value | 1).leadingZeroBitCount &+ 6) / 7
    }
}

/// Writes protobuf fields to memory whose size was computed before.
private struct PushWriter {
    private var target: UnsafeMutableRawPointer

    init(_ target: UnsafeMutableRawPointer) { self.target = target }

    @inline(__always)
    mutating func write(tag: UInt8, length: Int) { write(tag: tag, varint: UInt64(length)) }

    @inline(__always)
    mutating func write(tag: UInt8, varint: UInt64) {
        target.storeBytes(of: tag, as: UInt8.self)
        target += 1
        var rest = varint
        while rest >= 0x80 {
            target.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
            target += 1
            rest >>= 7
        }
        target.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        target += 1
    }

    @inline(__always)
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        target.copyMemory(from: base, byteCount: bytes.count)
        target += bytes.count
    }

    /// Structured metadata, field 3: pairs of name (1) and value (2).
    @inline(__always)
    mutating func write(_ metadata: LabelSet) {
        if metadata.isEmpty { return }
        metadata.withEncoded { bytes in
            guard let base = bytes.baseAddress else { return }
            target.copyMemory(from: base, byteCount: bytes.count)
            var offset = 0
            while offset < bytes.count {
                target.storeBytes(of: 0x1A, toByteOffset: offset, as: UInt8.self)
                offset += 1
                var length = 0
                var shift = 0
                while true {
                    let byte = Int(bytes[offset])
                    offset += 1
                    length |= (byte & 0x7F) << shift
                    if byte < 0x80 { break }
                    shift += 7
                }
                offset += length
            }
            target += bytes.count
        }
    }
}
