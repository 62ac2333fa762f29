import Essentials
import Glibc

/// The pages of the program's code that only its start needed.
enum StartCode {
    /// Gives them back to the system; what is needed again comes back from the page cache, a page at a time.
    ///
    /// Reading the command line and loading the configuration touch most of the program, and the kernel maps what lies
    /// around: two thirds of what an idle process has resident. Under a debugger nothing happens, as breakpoints are
    /// changes of such pages.
    static func release() {
        guard let status = try? Files.readText("/proc/self/status"), status.contains("TracerPid:\t0\n"),
            let maps = try? Files.readText("/proc/self/maps"), let program = programPath
        else { return }
        for line in maps.split(separator: "\n") {
            guard let range = codeRange(line, of: program) else { continue }
            madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }

    private static var programPath: String? {
        var path = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = path.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress else { return 0 }
            return readlink("/proc/self/exe", start.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        return count > 0 ? String(decoding: path[..<count], as: UTF8.self) : nil
    }

    /// The addresses of a line of `/proc/self/maps` if it is code of `program`, private and not writable: pages that are
    /// the same in the file.
    static func codeRange(_ line: Substring, of program: String) -> Range<UInt>? {
        guard line.hasSuffix(" " + program) else { return nil }
        let fields = line.split(separator: " ", maxSplits: 2)
        guard fields.count == 3, fields[1] == "r-xp" else { return nil }
        let ends = fields[0].split(separator: "-")
        guard ends.count == 2, let start = UInt(ends[0], radix: 16), let end = UInt(ends[1], radix: 16), start < end
        else { return nil }
        return start..<end
    }
}
