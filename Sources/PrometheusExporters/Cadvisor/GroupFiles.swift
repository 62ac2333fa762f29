import CNode
import Essentials
import Glibc

/// The files of control groups, which stay open from scrape to scrape: finding them takes the kernel several times as
/// long as answering.
///
/// Only files of the kernel's own file systems for groups stay open, each of which is one record that a single read
/// returns whole; a descriptor of a group that is gone says so when it is read. Not for concurrent use.
final class GroupFiles {
    /// Types of the file systems of both versions, from the kernel's `linux/magic.h`.
    private static let fileSystems: Set<Int> = [0x27E0EB, 0x6367_7270]

    private struct OpenFile {
        let descriptor: Int32
        var lastScrape: UInt64
    }

    /// For every other file, which is opened anew each time.
    let others: ProcFiles

    private let capacity: Int
    private var open: [String: OpenFile] = [:]
    private var scrape: UInt64 = 0
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    /// Keeps at most `capacity` files open; without one, a quarter of what the process may have.
    init(_ others: ProcFiles, capacity: Int? = nil) {
        self.others = others
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        self.capacity = capacity ?? Int(min(limit.rlim_cur / 4, 16_384))
    }

    deinit {
        for file in open.values { close(file.descriptor) }
        buffer.deallocate()
    }

    /// How many files are open.
    var count: Int { open.count }

    func begin() { scrape += 1 }

    /// Closes what this scrape did not read.
    func end() {
        for (path, file) in open where file.lastScrape != scrape {
            close(file.descriptor)
            open[path] = nil
        }
    }

    /// Calls `body` with the content of a file, valid until it returns. Not to be called inside `body`.
    func withFile<Result>(_ path: String, _ body: (Bytes) throws -> Result) throws -> Result {
        try body(try content(path))
    }

    private func content(_ path: String) throws -> Bytes {
        guard let count = read(path) else { return try others.content(path) }
        return Bytes(rebasing: UnsafeRawBufferPointer(buffer)[..<count])
    }

    /// Reads into the buffer; nil when the file is none that stays open, or too long.
    private func read(_ path: String) -> Int? {
        if let known = open[path] {
            let got = pread(known.descriptor, buffer.baseAddress, buffer.count, 0)
            if got >= 0, got < buffer.count {
                open[path]?.lastScrape = scrape
                return got
            }
            close(known.descriptor)
            open[path] = nil
        }
        guard open.count < capacity else { return nil }
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        var system = statfs()
        guard fstatfs(descriptor, &system) == 0, Self.fileSystems.contains(Int(system.f_type)) else {
            close(descriptor)
            return nil
        }
        let got = pread(descriptor, buffer.baseAddress, buffer.count, 0)
        guard got >= 0, got < buffer.count else {
            close(descriptor)
            return nil
        }
        open[path] = OpenFile(descriptor: descriptor, lastScrape: scrape)
        return got
    }
}
