/// Log entries of one or more streams, in the order they were read.
///
/// Lines lie one after another in a shared arena of bytes; entries point into it. Copies share the arena until changed.
package struct LogBatch: Batch {
    package static var signal: Signal { .logs }

    /// The bytes entries point into.
    package var arena: [UInt8] = []
    /// Label sets by stream index.
    package var streams: [LabelSet] = []
    package var entries: [LogEntry] = []
    package var takenBy = ReceiverSet()

    package init() {}

    package var itemCount: Int { entries.count }
    package var byteCount: Int { arena.count + entries.count * LogEntry.size }
    package var isEmpty: Bool { entries.isEmpty }

    /// Forgets everything but keeps the memory, where no copy shares it.
    package mutating func reset() {
        arena.removeAll(keepingCapacity: true)
        streams.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
        takenBy = ReceiverSet()
    }

    /// The index of `labels` among the streams, added when new. Compares with the last stream first.
    package mutating func stream(for labels: LabelSet) -> Int32 {
        if let last = streams.last, last == labels { return Int32(streams.count - 1) }
        if let index = streams.firstIndex(of: labels) { return Int32(index) }
        streams.append(labels)
        return Int32(streams.count - 1)
    }

    /// Copies `line` into the arena and adds an entry. `timestamp` is nanoseconds since 1970.
    package mutating func append(
        _ line: UnsafeRawBufferPointer, stream: Int32, timestamp: Int64, metadata: LabelSet = .empty
    ) {
        let offset = arena.count
        arena.append(contentsOf: line)
        entries.append(
            LogEntry(
                stream: stream, timestamp: timestamp, lineOffset: offset, lineLength: line.count, metadata: metadata))
    }

    package mutating func append(
        _ line: String, labels: LabelSet, timestamp: Int64, metadata: LabelSet = .empty
    ) {
        let stream = stream(for: labels)
        var line = line
        line.withUTF8 { append(UnsafeRawBufferPointer($0), stream: stream, timestamp: timestamp, metadata: metadata) }
    }

    /// Calls `body` with the bytes of an entry's line, valid until it returns.
    package func withLine<Result>(_ entry: LogEntry, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
        -> Result
    {
        try arena.withUnsafeBytes {
            try body(UnsafeRawBufferPointer(rebasing: $0[entry.lineOffset..<entry.lineOffset + entry.lineLength]))
        }
    }

    /// The line as text.
    package func line(_ entry: LogEntry) -> String {
        withLine(entry) { String(decoding: $0, as: UTF8.self) }
    }
}

/// One log line: when, which stream, and where its bytes are.
package struct LogEntry: Sendable {
    static let size = 40

    /// Index into ``LogBatch/streams``.
    package var stream: Int32
    /// Nanoseconds since 1970.
    package var timestamp: Int64
    /// Byte range in ``LogBatch/arena``.
    package var lineOffset: Int
    package var lineLength: Int
    /// Pairs that travel with the entry but are not part of its stream.
    package var metadata: LabelSet

    package init(stream: Int32, timestamp: Int64, lineOffset: Int, lineLength: Int, metadata: LabelSet = .empty) {
        self.stream = stream
        self.timestamp = timestamp
        self.lineOffset = lineOffset
        self.lineLength = lineLength
        self.metadata = metadata
    }
}
