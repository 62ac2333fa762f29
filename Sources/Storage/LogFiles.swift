package import Essentials
import Glibc

/// The file operations a ``SegmentLog`` needs, so that tests can make them fail as disks do.
package protocol LogFiles: Sendable {
    /// Opens a file that must not exist yet for appending.
    func create(_ path: String) throws(SystemError) -> CInt
    /// Opens a file for reading and writing, created when missing.
    func openOrCreate(_ path: String) throws(SystemError) -> CInt
    func openForReading(_ path: String) throws(SystemError) -> CInt
    /// Writes all of `bytes` at `offset`; what a failure leaves behind is unknown.
    func write(_ bytes: [UInt8], to descriptor: CInt, at offset: Int, path: String) throws(SystemError)
    /// Reads up to `buffer`'s size at `offset`; fewer only at the end of the file.
    func read(
        into buffer: UnsafeMutableRawBufferPointer, from descriptor: CInt, at offset: Int, path: String
    ) throws(SystemError) -> Int
    func truncate(_ descriptor: CInt, to size: Int, path: String) throws(SystemError)
    func synchronise(_ descriptor: CInt, path: String) throws(SystemError)
    func size(of descriptor: CInt, path: String) throws(SystemError) -> Int
    func remove(_ path: String) throws(SystemError)
    func rename(_ path: String, to newPath: String) throws(SystemError)
    func close(_ descriptor: CInt)
}

/// The real files.
package struct SystemLogFiles: LogFiles {
    package init() {}

    package func create(_ path: String) throws(SystemError) -> CInt {
        try open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
    }

    package func openOrCreate(_ path: String) throws(SystemError) -> CInt {
        try open(path, O_RDWR | O_CREAT | O_CLOEXEC)
    }

    package func openForReading(_ path: String) throws(SystemError) -> CInt {
        try open(path, O_RDONLY | O_CLOEXEC)
    }

    private func open(_ path: String, _ flags: CInt) throws(SystemError) -> CInt {
        let descriptor = Glibc.open(path, flags, 0o640)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        return descriptor
    }

    package func write(
        _ bytes: [UInt8], to descriptor: CInt, at offset: Int, path: String
    ) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, offset + done)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("write", path)
            }
            if count == 0 { throw SystemError("write", path, code: ENOSPC) }
            done += count
        }
    }

    package func read(
        into buffer: UnsafeMutableRawBufferPointer, from descriptor: CInt, at offset: Int, path: String
    ) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, offset + done)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("read", path)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    package func truncate(_ descriptor: CInt, to size: Int, path: String) throws(SystemError) {
        guard ftruncate(descriptor, size) == 0 else { throw SystemError("truncate", path) }
    }

    package func synchronise(_ descriptor: CInt, path: String) throws(SystemError) {
        guard fdatasync(descriptor) == 0 else { throw SystemError("fsync", path) }
    }

    package func size(of descriptor: CInt, path: String) throws(SystemError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw SystemError("stat", path) }
        return Int(status.st_size)
    }

    package func remove(_ path: String) throws(SystemError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw SystemError("unlink", path) }
    }

    package func rename(_ path: String, to newPath: String) throws(SystemError) {
        guard Glibc.rename(path, newPath) == 0 else { throw SystemError("rename", path) }
    }

    package func close(_ descriptor: CInt) { _ = Glibc.close(descriptor) }
}
