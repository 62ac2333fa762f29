import Compression
import TextFormats

/// A ZIP archive built in memory (PKWARE APPNOTE 6.3.3, methods stored and deflated).
struct ZipArchive {
    private var bytes: [UInt8] = []
    private var directory: [UInt8] = []
    private var count: UInt16 = 0

    /// Adds a file; `path` uses forward slashes.
    mutating func add(_ path: String, _ content: [UInt8]) {
        let name = Array(path.utf8)
        let checksum = CRC32.checksum(content)
        let offset = UInt32(truncatingIfNeeded: bytes.count)
        var common: [UInt8] = []
        append16(20, to: &common)
        append16(0x0800, to: &common)
        append16(0, to: &common)
        append16(0, to: &common)
        append16(0x21, to: &common)
        append32(checksum, to: &common)
        append32(UInt32(truncatingIfNeeded: content.count), to: &common)
        append32(UInt32(truncatingIfNeeded: content.count), to: &common)
        append16(UInt16(truncatingIfNeeded: name.count), to: &common)
        append16(0, to: &common)
        append32(0x0403_4b50, to: &bytes)
        bytes += common
        bytes += name
        bytes += content
        append32(0x0201_4b50, to: &directory)
        append16(0x0314, to: &directory)
        directory += common
        append16(0, to: &directory)
        append16(0, to: &directory)
        append16(0, to: &directory)
        append32(0o100_644 << 16, to: &directory)
        append32(offset, to: &directory)
        directory += name
        count += 1
    }

    /// The whole archive.
    func finished() -> [UInt8] {
        var archive = bytes + directory
        append32(0x0605_4b50, to: &archive)
        append16(0, to: &archive)
        append16(0, to: &archive)
        append16(count, to: &archive)
        append16(count, to: &archive)
        append32(UInt32(truncatingIfNeeded: directory.count), to: &archive)
        append32(UInt32(truncatingIfNeeded: bytes.count), to: &archive)
        append16(0, to: &archive)
        return archive
    }

    private func append16(_ value: UInt16, to target: inout [UInt8]) {
        target.append(UInt8(truncatingIfNeeded: value))
        target.append(UInt8(truncatingIfNeeded: value >> 8))
    }

    private func append32(_ value: UInt32, to target: inout [UInt8]) {
        append16(UInt16(truncatingIfNeeded: value), to: &target)
        append16(UInt16(truncatingIfNeeded: value >> 16), to: &target)
    }
}
