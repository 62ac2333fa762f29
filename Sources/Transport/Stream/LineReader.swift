import Glibc

/// Splits a connection's bytes into lines with a bound on the length of one.
///
/// Lines end with LF; a CR before it is cut. What follows the last LF is a line too when the stream ends.
package struct LineReader {
    /// What happens to a line above the bound.
    package enum LongLines: Sendable {
        /// Reading ends with `TransportError.tooLarge`.
        case refuse
        /// The line is cut at the bound and the rest of it is skipped.
        case cut
    }

    /// Lines in one allocation; `ranges` point into `bytes`, in order, without line ends.
    package struct Batch: Sendable {
        /// What was received.
        package fileprivate(set) var bytes: [UInt8] = []
        /// Where the lines are.
        package fileprivate(set) var ranges: [Range<Int>] = []
        /// How many lines there are.
        package var count: Int { ranges.count }
        /// The line at an index.
        package subscript(index: Int) -> ArraySlice<UInt8> { bytes[ranges[index]] }
    }

    private let connection: TCPConnection
    private let maximumLength: Int
    private let longLines: LongLines
    private var pending: [UInt8] = []
    private var start = 0
    private var scanned = 0
    private var isSkipping = false
    private var isEnded = false

    /// Lines cut at the bound so far.
    package private(set) var cutLines = 0

    init(_ connection: TCPConnection, maximumLength: Int, longLines: LongLines) {
        self.connection = connection
        self.maximumLength = max(1, maximumLength)
        self.longLines = longLines
    }

    /// The next line, nil at the end.
    package mutating func next() async throws(TransportError) -> [UInt8]? {
        while true {
            if let line = try takeLine() { return Array(pending[line]) }
            if isEnded { return nil }
            try await receive()
        }
    }

    /// The lines that are here, at least one, at most `limit`; nil at the end.
    package mutating func nextBatch(upTo limit: Int) async throws(TransportError) -> Batch? {
        var ranges: [Range<Int>] = []
        while true {
            while ranges.count < limit, let line = try takeLine() { ranges.append(line) }
            if !ranges.isEmpty { break }
            if isEnded { return nil }
            try await receive()
        }
        return Batch(bytes: pending, ranges: ranges)
    }

    private mutating func receive() async throws(TransportError) {
        if start > 0 {
            pending.removeSubrange(0..<start)
            scanned -= start
            start = 0
        }
        if try await !connection.read(into: &pending) { isEnded = true }
    }

    /// The next whole line in `pending`, marked as taken.
    private mutating func takeLine() throws(TransportError) -> Range<Int>? {
        while true {
            guard let end = newline() else {
                if isSkipping {
                    start = pending.count
                    scanned = start
                    return nil
                }
                if pending.count - start > maximumLength {
                    if case .refuse = longLines { throw .tooLarge(limit: maximumLength) }
                    isSkipping = true
                    cutLines += 1
                    let line = start..<(start + maximumLength)
                    start = pending.count
                    scanned = start
                    return line
                }
                guard isEnded, start < pending.count else { return nil }
                defer { start = pending.count }
                return trimmed(start..<pending.count)
            }
            let line = trimmed(start..<end)
            start = end + 1
            scanned = start
            if isSkipping {
                isSkipping = false
                continue
            }
            guard line.count > maximumLength else { return line }
            if case .refuse = longLines { throw .tooLarge(limit: maximumLength) }
            cutLines += 1
            return line.lowerBound..<(line.lowerBound + maximumLength)
        }
    }

    private mutating func newline() -> Int? {
        let found: Int? = pending.withUnsafeBytes { bytes in
            guard scanned < bytes.count, let base = bytes.baseAddress,
                let hit = memchr(base + scanned, 10, bytes.count - scanned)
            else { return nil }
            return base.distance(to: UnsafeRawPointer(hit))
        }
        if found == nil { scanned = pending.count }
        return found
    }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        guard let last = range.last, pending[last] == 13 else { return range }
        return range.lowerBound..<last
    }
}
