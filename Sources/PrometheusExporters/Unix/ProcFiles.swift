import Essentials
import Glibc

/// Reads the files of `/proc` and `/sys` into buffers that are kept from scrape to scrape.
///
/// Not for concurrent use: the owner serialises scrapes.
final class ProcFiles {
    /// Larger files are refused; none of the kernel's comes near.
    static let maximumBytes = 16 << 20

    private struct Buffer {
        var bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)

        mutating func grow() {
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count * 2, alignment: 16)
            larger.copyMemory(from: UnsafeRawBufferPointer(bytes))
            bytes.deallocate()
            bytes = larger
        }
    }

    /// One buffer per file being looked at inside another.
    private var buffers: [Buffer] = []
    private var depth = 0
    /// `/proc/stat`, which two collectors read, as of this scrape.
    private var stat: [UInt8]?

    deinit { for buffer in buffers { buffer.bytes.deallocate() } }

    func beginScrape() { stat = nil }

    /// Calls `body` with the content of a file, valid until it returns.
    func withFile<Result>(_ path: String, _ body: (Bytes) throws -> Result) throws -> Result {
        let content = try content(path)
        depth += 1
        defer { depth -= 1 }
        return try body(content)
    }

    /// The content of a file, valid until another one is read.
    func content(_ path: String) throws -> Bytes {
        if depth == buffers.count { buffers.append(Buffer()) }
        let count = try load(path, depth)
        return Bytes(rebasing: UnsafeRawBufferPointer(buffers[depth].bytes)[..<count])
    }

    /// As ``withFile(_:_:)`` for the one file that is read once per scrape and used twice.
    func withStat<Result>(_ path: String, _ body: (Bytes) throws -> Result) throws -> Result {
        let bytes: [UInt8]
        if let stat {
            bytes = stat
        } else {
            bytes = try withFile(path) { Array($0) }
            stat = bytes
        }
        return try bytes.withUnsafeBytes(body)
    }

    /// A file that holds one text, trimmed.
    func text(_ path: String) throws -> String { try withFile(path) { $0.trimmed.string } }

    /// A file that holds one number without sign.
    func unsigned(_ path: String) throws -> UInt64 {
        try withFile(path) { bytes in
            guard let value = bytes.trimmed.unsigned else { throw MalformedFile(path: path) }
            return value
        }
    }

    /// A file that holds one number.
    func integer(_ path: String) throws -> Int64 {
        try withFile(path) { bytes in
            guard let value = bytes.trimmed.integer else { throw MalformedFile(path: path) }
            return value
        }
    }

    /// The value, or nil when the file is missing, closed to us or empty of sense.
    func optional<Value>(_ read: () throws -> Value) -> Value? { try? read() }

    private func load(_ path: String, _ slot: Int) throws -> Int {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        defer { close(descriptor) }
        var count = 0
        while true {
            if count == buffers[slot].bytes.count {
                if count >= Self.maximumBytes {
                    throw MalformedFile(path: path, reason: "larger than 16 MiB")
                }
                buffers[slot].grow()
            }
            let free = buffers[slot].bytes
            let got = read(descriptor, free.baseAddress?.advanced(by: count), free.count - count)
            if got < 0 {
                if errno == EINTR { continue }
                throw SystemError("read", path)
            }
            if got == 0 { return count }
            count += got
        }
    }
}

/// A file whose content is not what the kernel writes.
struct MalformedFile: Error, CustomStringConvertible {
    var path: String
    var reason = "unexpected content"
    var description: String { "\(path): \(reason)" }
}

/// There is nothing of the kind on this machine: the collector did not succeed, and nobody needs to act.
struct NoData: Error, CustomStringConvertible {
    var reason: String
    var description: String { "collector returned no data: \(reason)" }
}
