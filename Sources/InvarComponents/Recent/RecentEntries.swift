import Telemetry

/// Log entries in the order they came, in pieces that are forgotten as a whole.
struct RecentEntries: Sendable {
    struct Entry: Sendable {
        var stream: Int32
        /// Nanoseconds since 1970.
        var timestamp: Int64
        var offset: Int
        var length: Int
        var metadata: LabelSet
    }

    /// Entries that came one after another, with their lines.
    struct Piece: Sendable {
        /// The number of its first entry; entries are counted from the start of the store.
        let firstNumber: Int
        var arena: [UInt8] = []
        var streams: [LabelSet] = []
        var entries: [Entry] = []
        /// When its last entry came, in milliseconds since 1970.
        var lastArrival: Int64
        /// What its labels and metadata take.
        var labelBytes = 0

        init(_ firstNumber: Int, _ arrival: Int64) {
            self.firstNumber = firstNumber
            lastArrival = arrival
        }

        var byteCount: Int { 256 + arena.capacity + entries.capacity * 48 + labelBytes }

        mutating func append(
            _ line: UnsafeRawBufferPointer, _ labels: LabelSet, _ timestamp: Int64, _ metadata: LabelSet, _ now: Int64
        ) {
            let stream: Int
            if let last = streams.last, last == labels {
                stream = streams.count - 1
            } else if let known = streams.firstIndex(of: labels) {
                stream = known
            } else {
                stream = streams.count
                streams.append(labels)
                labelBytes += labels.encodedByteCount + 32
            }
            labelBytes += metadata.encodedByteCount
            let kept = UnsafeRawBufferPointer(rebasing: line.prefix(RecentEntries.lineLimit))
            entries.append(
                Entry(
                    stream: Int32(stream), timestamp: timestamp, offset: arena.count, length: kept.count,
                    metadata: metadata))
            arena.append(contentsOf: kept)
            lastArrival = now
        }

        func line(_ entry: Entry) -> String {
            String(decoding: arena[entry.offset..<entry.offset + entry.length], as: UTF8.self)
        }
    }

    /// Bytes of lines after which a piece is full.
    static let pieceBytes = 64 << 10
    /// A longer line is cut.
    static let lineLimit = 64 << 10

    private(set) var pieces: ArraySlice<Piece> = []
    private(set) var nextNumber = 0
    private(set) var byteCount = 0
    private(set) var count = 0

    mutating func append(
        _ line: UnsafeRawBufferPointer, labels: LabelSet, timestamp: Int64, metadata: LabelSet, now: Int64
    ) {
        let isFull = pieces.last.map { $0.arena.count >= Self.pieceBytes || $0.entries.count >= 4096 } ?? true
        if isFull {
            pieces.append(Piece(nextNumber, now))
            byteCount += pieces[pieces.endIndex - 1].byteCount
        }
        let place = pieces.endIndex - 1
        let before = pieces[place].byteCount
        pieces[place].append(line, labels, timestamp, metadata, now)
        byteCount += pieces[place].byteCount - before
        nextNumber += 1
        count += 1
    }

    /// Forgets the pieces whose last entry came before `time`; returns how many entries that were.
    mutating func forget(before time: Int64) -> Int {
        var gone = 0
        while let piece = pieces.first, piece.lastArrival < time {
            pieces.removeFirst()
            byteCount -= piece.byteCount
            gone += piece.entries.count
        }
        if pieces.startIndex > 64 { pieces = ArraySlice(Array(pieces)) }
        count -= gone
        return gone
    }

    /// When the oldest piece got its last entry.
    var oldestArrival: Int64? { pieces.first?.lastArrival }
}
