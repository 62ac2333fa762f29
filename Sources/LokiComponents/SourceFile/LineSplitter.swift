import Glibc
import LogSources
import Telemetry

/// Cuts bytes into lines and adds them to batches.
///
/// A line ends with the line break of the character set; one carriage return before it is taken off. Lines longer than
/// ``maximumLineBytes`` are cut by the callers.
struct LineSplitter {
    /// Longer lines are cut here, in bytes of the file: Loki refuses them far earlier.
    static let maximumLineBytes = 16 << 20

    var decoder: TextDecoder
    let stream: Int32
    /// The time of the next entry in nanoseconds; grows with each, because Loki takes equal lines of one time for one.
    var timestamp: Int64

    /// The first byte after the first line break at or after `start`, which is at a character's boundary.
    static func lineEnd(
        in bytes: UnsafeRawBufferPointer, from start: Int, _ decoder: TextDecoder
    ) -> (content: Int, next: Int)? {
        guard let base = bytes.baseAddress else { return nil }
        var position = start
        while position < bytes.count {
            guard let found = memchr(base + position, CInt(decoder.newlineByte), bytes.count - position) else {
                return nil
            }
            let index = UnsafeRawPointer(found) - base
            if decoder.unit == 1 { return (index, index + 1) }
            let first = index - decoder.newlineOffset
            // A wide line break stands at an even distance and its other byte is zero.
            if first >= start, (first - start) % 2 == 0, first + 2 <= bytes.count,
                bytes[first + 1 - decoder.newlineOffset] == 0
            {
                return (first, first + 2)
            }
            position = index + 1
        }
        return nil
    }

    /// Adds the whole lines of the arena from byte `start` on, without copying, and returns where the rest begins.
    mutating func addLines(inArenaOf batch: inout LogBatch, from start: Int) -> Int {
        var entries = batch.entries
        batch.entries = []
        defer { batch.entries = entries }
        var position = start
        batch.arena.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            while position < bytes.count,
                let found = memchr(base + position, 0x0A, bytes.count - position)
            {
                let next = UnsafeRawPointer(found) - base + 1
                var end = next - 1
                if end > position, bytes[end - 1] == 0x0D { end -= 1 }
                entries.append(
                    LogEntry(stream: stream, timestamp: timestamp, lineOffset: position, lineLength: end - position))
                timestamp &+= 1
                position = next
            }
        }
        return position
    }

    /// Decodes the whole lines of `bytes` into the arena and returns where the rest begins.
    mutating func addLines(of bytes: UnsafeRawBufferPointer, to batch: inout LogBatch) -> Int {
        var position = 0
        while let (content, next) = Self.lineEnd(in: bytes, from: position, decoder) {
            addLine(UnsafeRawBufferPointer(rebasing: bytes[position..<content]), to: &batch)
            position = next
        }
        return position
    }

    /// Adds one line, given without its line break.
    mutating func addLine(_ line: UnsafeRawBufferPointer, to batch: inout LogBatch) {
        let end = decoder.carriageReturn
        var content = line
        if line.count >= end.count, line[(line.count - end.count)...].elementsEqual(end) {
            content = UnsafeRawBufferPointer(rebasing: line[..<(line.count - end.count)])
        }
        let offset = batch.arena.count
        decoder.decode(content, into: &batch.arena)
        batch.entries.append(
            LogEntry(
                stream: stream, timestamp: timestamp, lineOffset: offset, lineLength: batch.arena.count - offset))
        timestamp &+= 1
    }
}
