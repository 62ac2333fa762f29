import Essentials
import Glibc

/// A file open for reading, identified by what it is rather than by its name. Blocks.
final class OpenFile: Sendable {
    /// Which file a name stands for, and how it looks now.
    struct Status: Equatable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var modified: Int64
        var links: UInt64
        var isRegular: Bool
        var isDirectory: Bool

        init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
            links = UInt64(status.st_nlink)
            isRegular = status.st_mode & S_IFMT == S_IFREG
            isDirectory = status.st_mode & S_IFMT == S_IFDIR
        }

        func isSameFile(as other: Status) -> Bool { device == other.device && inode == other.inode }
    }

    let path: String
    private let descriptor: CInt

    init(_ path: String) throws(SystemError) {
        self.path = path
        // Opening a pipe without a writer must not wait for one.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw SystemError("open", path) }
    }

    deinit { close(descriptor) }

    /// What the name stands for now; nil when nothing has it.
    static func status(of path: String) throws(SystemError) -> Status? {
        var status = stat()
        if stat(path, &status) == 0 { return Status(status) }
        let error = SystemError("stat", path)
        if error.isNotFound { return nil }
        throw error
    }

    func status() throws(SystemError) -> Status {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("stat", path) }
        return Status(status)
    }

    /// Fills `buffer` from byte `offset` on as far as the file goes and returns the number of bytes.
    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        var count = 0
        while count < buffer.count {
            let result = pread(
                descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count, off_t(offset + Int64(count)))
            if result < 0 {
                if errno == EINTR { continue }
                throw SystemError("read", path)
            }
            if result == 0 { break }
            count += result
        }
        return count
    }

    /// Up to `count` bytes from byte `offset` on.
    func bytes(at offset: Int64, upTo count: Int) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var failure: SystemError?
        bytes.appendUninitialized(count) { room in
            do throws(SystemError) {
                return try read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: room.prefix(count)))
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return bytes
    }
}
