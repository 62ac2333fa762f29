import Glibc

/// What distinguishes one version of a file from the next.
struct FileStamp: Equatable, Sendable {
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int

    /// The stamp of what the path leads to (links are followed), nil when it cannot be examined.
    init?(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
        size = Int64(info.st_size)
        seconds = info.st_mtim.tv_sec
        nanoseconds = info.st_mtim.tv_nsec
    }
}

/// A small file could not be read; the message names it.
struct FileReadError: Error, CustomStringConvertible {
    let path: String
    let reason: String
    var description: String { "unable to read file \(path): \(reason)" }
}

/// Reads a small file whole, refusing one above `limit` bytes.
func readSmallFile(_ path: String, limit: Int = 1 << 20) throws(FileReadError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileReadError(path: path, reason: errorText(errno)) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
        let count = read(descriptor, &block, block.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw FileReadError(path: path, reason: errorText(errno)) }
        if count == 0 { return bytes }
        guard bytes.count + count <= limit else {
            throw FileReadError(path: path, reason: "larger than \(limit) bytes")
        }
        bytes.append(contentsOf: block[0..<count])
    }
}

/// The system's words for an error number, in lower case as Go prints them.
func errorText(_ number: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard strerror_r_portable(number, &buffer, buffer.count) else { return "error \(number)" }
    let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.lowercased()
}

private func strerror_r_portable(_ number: Int32, _ buffer: UnsafeMutablePointer<CChar>, _ size: Int) -> Bool {
    guard let text = strerror(number) else { return false }
    strncpy(buffer, text, size - 1)
    return true
}
