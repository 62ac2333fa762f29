import Glibc

/// The lines of the benchmark: about 230 bytes in the container log format, every one of them different, each made of
/// nothing but its file, its number and its time, so that whoever receives one can make it again and compare.
///
///     2026-01-31T12:00:00.123456789Z stdout F level=info file=0003 seq=000000000042 ts=1769860800123456789 ...
enum LogLine {
    static let levels: [StaticString] = ["info", "info", "info", "warn", "info", "debug", "info", "error"]

    /// Where fields stand in the content, which is what is left once the container format is taken off. The level is
    /// padded to five letters with a letter's worth of spaces behind it.
    static let contentBytes = 186

    private static let hexadecimal: StaticString = "0123456789abcdef"
    private static let filler: StaticString =
        " method=GET path=/api/v1/items status=200 duration=12ms msg=\"request served from cache\" trace="

    static func level(of sequence: Int) -> StaticString { levels[sequence % levels.count] }

    /// Writes the content and returns its length.
    static func writeContent(
        _ target: UnsafeMutableRawPointer, file: Int, sequence: Int, timestamp: Int64
    ) -> Int {
        var writer = ByteWriter(target)
        writer.write("level=")
        let level = level(of: sequence)
        writer.write(level)
        writer.write("     ", count: 6 - level.utf8CodeUnitCount)
        writer.write("file=")
        writer.write(file, digits: 4)
        writer.write(" seq=")
        writer.write(sequence, digits: 12)
        writer.write(" ts=")
        writer.write(Int(timestamp), digits: 19)
        writer.write(filler)
        var state = UInt64(truncatingIfNeeded: file) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(truncatingIfNeeded: sequence)
        for _ in 0..<2 {
            state = state &* 0xD129_8FD9_2F77_3D5B &+ 0x9E37_79B9_7F4A_7C15
            var bits = state ^ (state >> 29)
            for _ in 0..<16 {
                writer.write(byte: hexadecimal.utf8Start[Int(bits & 15)])
                bits >>= 4
            }
        }
        return writer.target - target
    }

    /// Writes a whole line with its line break and returns its length.
    static func write(
        _ target: UnsafeMutableRawPointer, file: Int, sequence: Int, timestamp: Int64
    ) -> Int {
        var writer = ByteWriter(target)
        var seconds = Int(timestamp / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        writer.write(Int(parts.tm_year) + 1900, digits: 4)
        writer.write("-")
        writer.write(Int(parts.tm_mon) + 1, digits: 2)
        writer.write("-")
        writer.write(Int(parts.tm_mday), digits: 2)
        writer.write("T")
        writer.write(Int(parts.tm_hour), digits: 2)
        writer.write(":")
        writer.write(Int(parts.tm_min), digits: 2)
        writer.write(":")
        writer.write(Int(parts.tm_sec), digits: 2)
        writer.write(".")
        writer.write(Int(timestamp % 1_000_000_000), digits: 9)
        writer.write(sequence % 2 == 0 ? "Z stdout F " : "Z stderr F ")
        let head = writer.target - target
        let length = writeContent(writer.target, file: file, sequence: sequence, timestamp: timestamp)
        target.storeBytes(of: 0x0A, toByteOffset: head + length, as: UInt8.self)
        return head + length + 1
    }

    /// More than any line takes.
    static let room = 512

    /// Reads file, number and time out of a line's content; nil when they are not there.
    static func fields(of content: UnsafeRawBufferPointer) -> (file: Int, sequence: Int, timestamp: Int64)? {
        guard content.count > 70, let file = number(content, 17, 4), let sequence = number(content, 26, 12),
            let timestamp = number(content, 42, 19)
        else { return nil }
        return (file, sequence, Int64(timestamp))
    }

    private static func number(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ digits: Int) -> Int? {
        var value = 0
        for index in start..<start + digits {
            guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return nil }
            value = value * 10 + Int(bytes[index] - 0x30)
        }
        return value
    }
}

/// Writes text into memory that is known to be large enough.
struct ByteWriter {
    private(set) var target: UnsafeMutableRawPointer

    init(_ target: UnsafeMutableRawPointer) { self.target = target }

    mutating func write(_ text: StaticString) { write(text, count: text.utf8CodeUnitCount) }

    mutating func write(_ text: StaticString, count: Int) {
        target.copyMemory(from: text.utf8Start, byteCount: count)
        target += count
    }

    mutating func write(byte: UInt8) {
        target.storeBytes(of: byte, as: UInt8.self)
        target += 1
    }

    mutating func write(_ value: Int, digits: Int) {
        var rest = value
        for index in stride(from: digits - 1, through: 0, by: -1) {
            target.storeBytes(of: UInt8(rest % 10) + 0x30, toByteOffset: index, as: UInt8.self)
            rest /= 10
        }
        target += digits
    }
}
