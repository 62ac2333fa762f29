import Glibc

/// The log files of one run.
struct LogFiles {
    let directory: String
    let count: Int

    func path(_ file: Int) -> String { "\(directory)/\(Self.padded(file)).log" }

    private static func padded(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 4 - text.utf8.count)) + text
    }

    /// Writes `linesPerFile` lines to every file, as if they had come a microsecond apart, and returns the bytes.
    func writeBacklog(linesPerFile: Int, start: Int64) throws -> Int {
        var total = 0
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: (1 << 20) + LogLine.room, alignment: 16)
        defer { buffer.deallocate() }
        for file in 0..<count {
            let descriptor = open(path(file) + ".hidden", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            guard descriptor >= 0 else { throw BenchmarkError("cannot create \(path(file))") }
            var used = 0
            for sequence in 0..<linesPerFile {
                used += LogLine.write(
                    buffer + used, file: file, sequence: sequence, timestamp: start + Int64(sequence) * 1000)
                if used >= 1 << 20 {
                    try Self.write(buffer, used, to: descriptor)
                    total += used
                    used = 0
                }
            }
            try Self.write(buffer, used, to: descriptor)
            total += used
            close(descriptor)
        }
        return total
    }

    /// Puts the files of a backlog where they are looked for.
    func reveal() throws {
        for file in 0..<count {
            guard rename(path(file) + ".hidden", path(file)) == 0 else {
                throw BenchmarkError("cannot rename \(path(file))")
            }
        }
    }

    /// Appends lines at an even pace over all files and returns the bytes written: `linesPerSecond` in steps of 20 ms.
    func writeLive(linesPerSecond: Int, seconds: Int) throws -> Int {
        var descriptors: [CInt] = []
        for file in 0..<count { descriptors.append(open(path(file), O_WRONLY | O_CREAT | O_APPEND, 0o644)) }
        defer { for descriptor in descriptors { close(descriptor) } }
        let perStep = max(1, linesPerSecond / 50 / count)
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: perStep * LogLine.room, alignment: 16)
        defer { buffer.deallocate() }
        var total = 0
        let begin = Clocks.monotonic()
        for step in 0..<seconds * 50 {
            let due = begin + Int64(step) * 20_000_000
            let wait = due - Clocks.monotonic()
            if wait > 0 { usleep(UInt32(wait / 1000)) }
            for file in 0..<count {
                var used = 0
                let now = Clocks.wall()
                for index in 0..<perStep {
                    used += LogLine.write(
                        buffer + used, file: file, sequence: step * perStep + index, timestamp: now + Int64(index))
                }
                try Self.write(buffer, used, to: descriptors[file])
                total += used
            }
        }
        return total
    }

    /// Lines ``writeLive(linesPerSecond:seconds:)`` writes to every file.
    func liveLinesPerFile(linesPerSecond: Int, seconds: Int) -> Int {
        max(1, linesPerSecond / 50 / count) * seconds * 50
    }

    func createEmpty() {
        for file in 0..<count { close(open(path(file), O_WRONLY | O_CREAT | O_TRUNC, 0o644)) }
    }

    func remove() {
        for file in 0..<count {
            unlink(path(file))
            unlink(path(file) + ".hidden")
        }
    }

    private static func write(_ bytes: UnsafeMutableRawPointer, _ count: Int, to descriptor: CInt) throws {
        var offset = 0
        while offset < count {
            let written = Glibc.write(descriptor, bytes + offset, count - offset)
            guard written > 0 else { throw BenchmarkError("cannot write") }
            offset += written
        }
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

enum Clocks {
    static func wall() -> Int64 { read(CLOCK_REALTIME) }
    static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

    static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
