import CLinux
import Glibc

/// A failed system call: which, on what, and the error number.
package struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    package let operation: String
    package let path: String
    package let code: CInt

    package init(_ operation: String, _ path: String, code: CInt = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    package var isNotFound: Bool { code == ENOENT || code == ENOTDIR }

    /// As Go prints it: `open /x: no such file or directory`.
    package var description: String {
        var text = String(cString: strerror(code))
        if let first = text.first { text = first.lowercased() + text.dropFirst() }
        return "\(operation) \(path): \(text)"
    }
}

/// A file was larger than the caller allows.
package struct FileTooLarge: Error, Sendable, CustomStringConvertible {
    package let path: String
    package let limit: ByteCount
    package var description: String { "read \(path): larger than \(limit)" }
}

/// Whole-file operations. They block: call them from a ``BlockingPool`` where a disk may be slow.
package enum Files {
    /// Reads all of a file (also of `/proc` files, which have no size), at most `limit`.
    package static func read(_ path: String, limit: ByteCount = .mebibytes(64)) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_size > 0 {
            if Int(status.st_size) > limit.bytes { throw FileTooLarge(path: path, limit: limit) }
            content.reserveCapacity(Int(status.st_size) + 1)
        }
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { chunk.deallocate() }
        while true {
            let count = Glibc.read(descriptor, chunk.baseAddress, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("read", path)
            }
            if count == 0 { return content }
            if content.count + count > limit.bytes { throw FileTooLarge(path: path, limit: limit) }
            content.append(contentsOf: UnsafeRawBufferPointer(rebasing: chunk[0..<count]))
        }
    }

    /// Reads a file as text; invalid UTF-8 is replaced.
    package static func readText(_ path: String, limit: ByteCount = .mebibytes(64)) throws -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// Replaces a file so that a crash leaves the old or the new content, never a mixture.
    package static func replace(_ path: String, with content: [UInt8], mode: UInt32 = 0o640) throws {
        let temporary = "\(path).tmp.\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError("open", temporary) }
        do {
            try write(content, to: descriptor, path: temporary)
            guard fsync(descriptor) == 0 else { throw SystemError("fsync", temporary) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else {
            let failure = SystemError("rename", path)
            unlink(temporary)
            throw failure
        }
        synchroniseDirectory(of: path)
    }

    /// Creates a directory and its parents; succeeds when it is there.
    package static func makeDirectory(_ path: String, mode: UInt32 = 0o750) throws {
        var built = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            built += "/" + part
            if mkdir(built, mode) != 0, errno != EEXIST { throw SystemError("mkdir", built) }
        }
    }

    /// Names in a directory without `.` and `..`, sorted.
    package static func list(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw SystemError("open", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Bytes that may still be written to the file system of `path`, nil when that cannot be known.
    package static func availableBytes(_ path: String) -> ByteCount? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        let (bytes, overflow) = Int(status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
        return ByteCount(bytes: overflow ? .max : bytes)
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private static func write(_ content: [UInt8], to descriptor: CInt, path: String) throws {
        try content.withUnsafeBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw SystemError("write", path)
                }
                offset += count
            }
        }
    }

    private static func synchroniseDirectory(of path: String) {
        let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
