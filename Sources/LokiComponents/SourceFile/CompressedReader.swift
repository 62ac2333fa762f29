import Compression
import Essentials
import LogSources
import Telemetry

/// Reads the lines of a compressed file from its beginning to its end. Blocks.
///
/// Positions count decompressed bytes, so a file that was read in part is decompressed again up to there.
final class CompressedReader {
    struct Progress {
        /// Decompressed bytes up to the end of the last line read.
        var position: Int64
        var isAtEnd: Bool
        var cutLines: Int
    }

    private static let chunkBytes = 64 << 10

    private let decompressor: StreamingDecompressor
    private var fileOffset: Int64 = 0
    /// Decompressed bytes still to be thrown away.
    private var toSkip: Int64
    /// Decompressed bytes up to the beginning of `rest`.
    private var position: Int64
    /// Decompressed bytes not yet made into lines.
    private var rest: [UInt8] = []
    private var isInputAtEnd = false
    private var isSkippingLine = false
    /// Bytes of a line that was cut, skipped so far.
    private var skippedBytes: Int64 = 0
    private var hasSeenHead = false
    /// Bytes of the head looked at for a byte order mark while they are skipped.
    private var head: [UInt8] = []

    init(_ format: CompressionFormat, from position: Int64) throws(CompressionError) {
        decompressor = try StreamingDecompressor(format, maximumWindowLog: 27)
        toSkip = position
        self.position = position
    }

    /// Adds lines of about `limit` bytes to `batch`.
    func read(
        from file: OpenFile?, into batch: inout LogBatch, _ splitter: inout LineSplitter,
        configured: TextDecoder, limit: Int, maximumLineBytes: Int
    ) throws -> Progress {
        var cut = 0
        let before = batch.entries.count
        while batch.entries.count == before {
            let isAtEnd = try fill(from: file, upTo: limit)
            if !hasSeenHead, rest.count >= 4 || isAtEnd { detectByteOrder(&splitter, configured) }
            if isSkippingLine { skipLine(splitter.decoder) }
            let used = rest.withUnsafeBytes { splitter.addLines(of: $0, to: &batch) }
            rest.removeFirst(used)
            position += Int64(used)
            if isAtEnd {
                if !rest.isEmpty, !isSkippingLine {
                    rest.withUnsafeBytes { splitter.addLine($0, to: &batch) }
                    position += Int64(rest.count)
                    rest = []
                }
                return Progress(position: position, isAtEnd: true, cutLines: cut)
            }
            if rest.count >= maximumLineBytes, !isSkippingLine {
                rest[..<maximumLineBytes].withUnsafeBytes { splitter.addLine($0, to: &batch) }
                cut += 1
                isSkippingLine = true
            }
        }
        return Progress(position: position, isAtEnd: false, cutLines: cut)
    }

    /// Decompresses until `count` more bytes are there; true at the end of the file.
    private func fill(from file: OpenFile?, upTo count: Int) throws -> Bool {
        var added = 0
        while added < count {
            let got = try decompressor.pull(into: &rest, atMost: min(count - added, Self.chunkBytes))
            if got > 0 {
                let dropped = Int(min(Int64(got), toSkip))
                if dropped > 0 {
                    let start = rest.count - got
                    if head.count < 4 { head.append(contentsOf: rest[start..<start + min(4 - head.count, dropped)]) }
                    rest.removeSubrange(start..<start + dropped)
                    toSkip -= Int64(dropped)
                }
                added += got - dropped
                continue
            }
            guard !isInputAtEnd else {
                try decompressor.finish()
                return true
            }
            let chunk = try file?.bytes(at: fileOffset, upTo: Self.chunkBytes) ?? []
            if chunk.isEmpty { isInputAtEnd = true } else { decompressor.push(chunk) }
            fileOffset += Int64(chunk.count)
        }
        return false
    }

    private func detectByteOrder(_ splitter: inout LineSplitter, _ configured: TextDecoder) {
        hasSeenHead = true
        let (length, found) = FileTail.byteOrder(Array((head + rest.prefix(4)).prefix(4)))
        splitter.decoder = found ?? configured
        let within = Int(max(0, length - Int64(head.count)))
        if within > 0, within <= rest.count, position < length {
            rest.removeFirst(within)
            position = length
        }
    }

    private func skipLine(_ decoder: TextDecoder) {
        if let end = rest.withUnsafeBytes({ LineSplitter.lineEnd(in: $0, from: 0, decoder) }) {
            rest.removeFirst(end.next)
            position += skippedBytes + Int64(end.next)
            skippedBytes = 0
            isSkippingLine = false
        } else {
            let whole = rest.count & ~1
            rest.removeFirst(whole)
            skippedBytes += Int64(whole)
        }
    }
}
