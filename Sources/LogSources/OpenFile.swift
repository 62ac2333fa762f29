package import Essentials
package import Glibc

/// A file open for reading, identified by what it is rather than by its name. Blocks.
package final class OpenFile: Sendable {
    /// Which file a name stands for, and how it looks now.
    package struct Status: Sendable, Equatable {
        package var device: UInt64
        package var inode: UInt64
        package var size: Int64
        package var modified: Int64
        package var links: UInt64
        package var isRegular: Bool
        package var isDirectory: Bool
        /// User, group and permission bits.
        package var owner: UInt32
        package var group: UInt32
        package var permissions: UInt32

        package init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
            links = UInt64(status.st_nlink)
            isRegular = status.st_mode & S_IFMT == S_IFREG
            isDirectory = status.st_mode & S_IFMT == S_IFDIR
            owner = status.st_uid
            group = status.st_gid
            permissions = status.st_mode & 0o7777
        }

        package func isSameFile(as other: Status) -> Bool { device == other.device && inode == other.inode }
    }

    package let path: String
    private let descriptor: CInt

    package init(_ path: String) throws(SystemError) {
        self.path = path
        // Opening a pipe without a writer must not wait for one.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw SystemError("open", path) }
    }

    deinit { close(descriptor) }

    /// What the name stands for now; nil when nothing has it.
    package static func status(of path: String) throws(SystemError) -> Status? {
        var status = stat()
        if stat(path, &status) == 0 { return Status(status) }
        let error = SystemError("stat", path)
        if error.isNotFound { return nil }
        throw error
    }

    package func status() throws(SystemError) -> Status {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("stat", path) }
        return Status(status)
    }

    /// Takes a shared lock (flock(2)) that goes with the file; false when somebody holds an exclusive one.
    package func tryLock() -> Bool { flock(descriptor, LOCK_SH | LOCK_NB) == 0 }

    /// Tells the kernel that what was read before byte `offset` need not stay in its cache.
    package func forgetCache(upTo offset: Int64) {
        _ = posix_fadvise(descriptor, 0, off_t(offset), POSIX_FADV_DONTNEED)
    }

    /// Fills `buffer` from byte `offset` on as far as the file goes and returns the number of bytes.
    package func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
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
    package func bytes(at offset: Int64, upTo count: Int) throws(SystemError) -> [UInt8] {
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

extension Array where Element == UInt8 {
    /// Appends up to `capacity` bytes that `fill` writes; `fill` returns how many it wrote.
    package mutating func appendUninitialized(_ capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
        append(addingCapacity: capacity) { span in
            span.withUnsafeMutableBufferPointer { buffer, initialized in
                let room = UnsafeMutableRawBufferPointer(
                    start: buffer.baseAddress.map { UnsafeMutableRawPointer($0 + initialized) },
                    count: Swift.min(capacity, buffer.count - initialized))
                initialized += Swift.min(Swift.max(0, fill(room)), room.count)
            }
        }
    }
}
