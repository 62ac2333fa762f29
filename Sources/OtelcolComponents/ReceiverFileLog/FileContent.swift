import Compression
import Essentials
import LogSources

/// The bytes of a file as they are read, decompressed where that is asked for. Blocks.
///
/// Positions of a compressed file count decompressed bytes, so that a file that was compressed after it had been read in
/// part goes on where it stood. Reading backwards decompresses again from the beginning.
final class FileContent {
    let file: OpenFile
    let isCompressed: Bool
    private var decompressor: StreamingDecompressor?
    private var fileOffset: Int64 = 0
    /// Decompressed bytes from `start` on that were not given up yet.
    private var window: [UInt8] = []
    private var start: Int64 = 0
    private var isAtEnd = false

    init(_ file: OpenFile, isCompressed: Bool) {
        self.file = file
        self.isCompressed = isCompressed
    }

    /// Up to `count` bytes from `position` on; fewer at the end.
    func bytes(at position: Int64, upTo count: Int) throws -> [UInt8] {
        guard isCompressed else { return try file.bytes(at: position, upTo: count) }
        if decompressor == nil || position < start { try restart() }
        while start + Int64(window.count) < position + Int64(count), !isAtEnd {
            let surplus = min(Int64(window.count), position - start)
            if surplus > 0 {
                window.removeFirst(Int(surplus))
                start += surplus
            }
            try pull()
        }
        let offset = position - start
        guard offset >= 0, offset < Int64(window.count) else { return [] }
        return Array(window[Int(offset)..<min(Int(offset) + count, window.count)])
    }

    /// The number of bytes there are; of a compressed file all of it is read.
    func count(_ status: OpenFile.Status) throws -> Int64 {
        guard isCompressed else { return status.size }
        try restart()
        while !isAtEnd {
            start += Int64(window.count)
            window = []
            try pull()
        }
        return start + Int64(window.count)
    }

    /// Starts over, for a file that has grown.
    func restart() throws {
        decompressor = try StreamingDecompressor(.gzip)
        (fileOffset, start, window, isAtEnd) = (0, 0, [], false)
    }

    /// Gives up what decompressing needs, until the next reading.
    func pause() {
        decompressor = nil
        window = []
    }

    private func pull() throws {
        guard let decompressor else { return }
        if try decompressor.pull(into: &window, atMost: 65_536) > 0 { return }
        let chunk = try file.bytes(at: fileOffset, upTo: 65_536)
        if chunk.isEmpty {
            isAtEnd = true
        } else {
            decompressor.push(chunk)
            fileOffset += Int64(chunk.count)
        }
    }

    /// Whether bytes begin as gzip does.
    static func isGzip(_ head: [UInt8]) -> Bool { head.starts(with: [0x1F, 0x8B]) }
}
