import Compression
import Essentials
import Foundation
import LogSources
import Telemetry
import Testing

@testable import LokiComponents

@Suite("File tail")
struct FileTailTests {
    /// A tail with what a component does around it: look, read, deliver, commit.
    private final class Reader {
        var tail: FileTail

        init(_ path: String, position: Int64? = nil, _ options: FileTail.Options = .init()) {
            tail = FileTail(
                path: path, position: position, options: options,
                decoder: options.characterSet.flatMap { TextDecoder($0) } ?? .verbatim)
        }

        var position: Int64 { tail.position }
        var problem: String? { tail.problem }
        var isOpen: Bool { tail.isOpen }
        var cutLines: Int { tail.cutLines }
        func look() -> FileTail.Activity { tail.look() }

        /// The lines found by `looks` looks.
        func lines(looks: Int = 1, limit: Int = 65_536) -> [String] {
            var lines: [String] = []
            for _ in 0..<looks {
                guard tail.look() == .readable else { continue }
                lines += read(limit: limit)
            }
            return lines
        }

        func read(limit: Int, commits: Bool = true) -> [String] {
            var lines: [String] = []
            var hasMore = true
            while hasMore {
                var batch = LogBatch()
                let stream = batch.stream(for: ["a": "b"])
                hasMore = tail.read(into: &batch, stream: stream, limit: limit, now: 0).hasMore
                lines += batch.entries.map { batch.line($0) }
                guard commits else { return lines }
                tail.commit()
            }
            return lines
        }
    }

    @Test("Whole lines are read once, the rest when it is complete")
    func growth() {
        let directory = TemporaryDirectory()
        directory.write("one\r\ntwo\n\nthr", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines() == ["one", "two", ""])
        #expect(reader.position == 10)
        #expect(reader.lines(looks: 3) == [])
        directory.append("ee\r\r\nfour", to: "log")
        #expect(reader.lines(looks: 2) == ["three\r"])
        directory.append("\n", to: "log")
        #expect(reader.lines(looks: 2) == ["four"])
        #expect(reader.position == 23)
    }

    @Test("What was read and not delivered is read again")
    func withoutCommit() {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo\n", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.look() == .readable)
        #expect(reader.read(limit: 65_536, commits: false) == ["one", "two"])
        #expect(reader.position == 0)
        #expect(Reader(directory["log"], position: reader.position).lines() == ["one", "two"])
    }

    @Test("A file renamed away is read to its end, unfinished line included, before the new one")
    func renamed() {
        let directory = TemporaryDirectory()
        directory.write("one\n", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines() == ["one"])
        directory.move("log", to: "log.1")
        directory.append("two\n", to: "log.1")
        directory.write("one\nnew\n", to: "log")
        #expect(reader.lines() == ["two"])
        // The writer still holds the old file.
        directory.append("three\nunfini", to: "log.1")
        #expect(reader.lines() == ["three"])
        #expect(reader.lines(looks: 5) == ["unfini", "one", "new"])
        #expect(reader.position == 8)
    }

    @Test("A file that is gone is read to its end and waited for")
    func removed() {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines() == ["one"])
        directory.remove("log")
        #expect(reader.lines(looks: 5) == ["two"])
        #expect(!reader.isOpen)
        #expect(reader.position == 0)
        directory.write("one\nagain\n", to: "log")
        #expect(reader.lines() == ["one", "again"])
    }

    @Test("A truncated file is read from its beginning")
    func truncated() {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo\nthree\n", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines() == ["one", "two", "three"])
        directory.write("new\n", to: "log")
        #expect(reader.lines() == ["new"])
        directory.write("", to: "log")
        #expect(reader.lines(looks: 2) == [])
        directory.append("more\n", to: "log")
        #expect(reader.lines() == ["more"])
    }

    @Test("A file truncated and filled beyond the old position between two looks is read from its beginning")
    func copyTruncateRace() {
        let directory = TemporaryDirectory()
        directory.write("first\n", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines() == ["first"])
        directory.write("second is longer\nthird\n", to: "log")
        #expect(reader.lines() == ["second is longer", "third"])
        // The same between a look and the reading that follows it.
        directory.append("fourth\n", to: "log")
        #expect(reader.look() == .readable)
        directory.write("everything is different now, and much longer than before\n", to: "log")
        #expect(reader.read(limit: 65_536) == ["everything is different now, and much longer than before"])
        // And one of the same size.
        directory.write("everything was different now, and much longer than bef\n", to: "log")
        utimes(directory["log"], [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)])
        #expect(reader.lines() == ["everything was different now, and much longer than bef"])
    }

    @Test("An unfinished line that is cut back does not start the file over")
    func cutBack() {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines() == ["one"])
        directory.write("one\n", to: "log")
        #expect(reader.lines(looks: 2) == [])
        directory.append("2\n", to: "log")
        #expect(reader.lines() == ["2"])
    }

    @Test("A file replaced at one stroke by a longer version of itself goes on where it was")
    func replacedAtomically() {
        let directory = TemporaryDirectory()
        directory.write("one\ntwo\n", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines() == ["one", "two"])
        directory.write("one\ntwo\nthree\n", to: "next")
        directory.move("next", to: "log")
        #expect(reader.lines(looks: 4) == ["three"])
        directory.write("other\nfile\n", to: "next")
        directory.move("next", to: "log")
        #expect(reader.lines(looks: 4) == ["other", "file"])
    }

    @Test("A position beyond the file's size starts it over")
    func positionBeyondSize() {
        let directory = TemporaryDirectory()
        directory.write("one\n", to: "log")
        #expect(Reader(directory["log"], position: 400).lines() == ["one"])
        #expect(Reader(directory["log"], position: 4).lines() == [])
        #expect(Reader(directory["log"], position: 2).lines() == ["e"])
    }

    @Test("A file read from its end begins after its last line break")
    func fromEnd() {
        let directory = TemporaryDirectory()
        for prefix in [0, 1, 4090, 4096, 9000] {
            directory.write(String(repeating: "x", count: prefix) + "\nunfini", to: "log")
            var options = FileTail.Options()
            options.tailsFromEnd = true
            let reader = Reader(directory["log"], options)
            #expect(reader.lines() == [])
            directory.append("shed\nnext\n", to: "log")
            #expect(reader.lines() == ["unfinished", "next"], "\(prefix)")
        }
        directory.write("no line break", to: "log")
        var options = FileTail.Options()
        options.tailsFromEnd = true
        let reader = Reader(directory["log"], options)
        #expect(reader.lines() == [])
        directory.append("\n", to: "log")
        #expect(reader.lines() == ["no line break"])
        // A file that comes into being while it is waited for is read from its beginning.
        let waiting = Reader(directory["later"], options)
        #expect(waiting.lines() == [])
        directory.write("first\n", to: "later")
        #expect(waiting.lines() == ["first"])
        // A position counts more than the wish.
        #expect(Reader(directory["later"], position: 2, options).lines() == ["rst"])
    }

    @Test("Small limits read everything in pieces")
    func limits() {
        let directory = TemporaryDirectory()
        let wanted = (0..<5000).map { "line \($0) " + String(repeating: "y", count: $0 % 97) }
        directory.write(wanted.joined(separator: "\n") + "\n", to: "log")
        let reader = Reader(directory["log"])
        #expect(reader.lines(limit: 4096) == wanted)
    }

    @Test("A line longer than the maximum is cut once, its rest is skipped, memory stays bounded")
    func longLine() {
        let directory = TemporaryDirectory()
        var options = FileTail.Options()
        options.maximumLineBytes = 10_000
        directory.write("one\n" + String(repeating: "z", count: 35_000), to: "log")
        let reader = Reader(directory["log"], options)
        let lines = reader.lines(looks: 3, limit: 4096)
        #expect(lines.map(\.count) == [3, 10_000])
        #expect(reader.cutLines == 1)
        // Killed now, the line is read again rather than from its middle.
        #expect(reader.position == 4)
        directory.append(String(repeating: "z", count: 70_000), to: "log")
        #expect(reader.lines(looks: 2, limit: 4096) == [])
        directory.append("z\nnext\n", to: "log")
        #expect(reader.lines(looks: 2, limit: 4096) == ["next"])
        #expect(reader.position == 4 + 105_001 + 1 + 5)
        #expect(reader.cutLines == 1)
    }

    @Test("Byte order marks choose the character set and are no text")
    func byteOrderMarks() {
        let directory = TemporaryDirectory()
        func wide(_ text: String, bigEndian: Bool) -> [UInt8] {
            text.utf16.flatMap { unit -> [UInt8] in
                let bytes = [UInt8(unit >> 8), UInt8(unit & 0xFF)]
                return bigEndian ? bytes : bytes.reversed()
            }
        }
        // U+0A0A and U+0D0A contain the bytes of line breaks.
        let text = "one é\r\ntwo \u{0A0A}\u{0D0A}\u{10A0A} 😀\n"
        let expected = ["one é", "two \u{0A0A}\u{0D0A}\u{10A0A} 😀"]
        for bigEndian in [true, false] {
            let mark: [UInt8] = bigEndian ? [0xFE, 0xFF] : [0xFF, 0xFE]
            directory.write(mark + wide(text, bigEndian: bigEndian) + wide("thr", bigEndian: bigEndian), to: "log")
            let reader = Reader(directory["log"])
            #expect(reader.lines() == expected)
            directory.append(wide("ee\n", bigEndian: bigEndian), to: "log")
            #expect(reader.lines() == ["three"])
            #expect(Reader(directory["log"], position: reader.position - 12).lines() == ["three"])
            // Without a mark the configuration decides.
            directory.write(wide(text, bigEndian: bigEndian), to: "plain")
            var options = FileTail.Options()
            options.characterSet = bigEndian ? .utf16BE : .utf16LE
            #expect(Reader(directory["plain"], options).lines() == expected)
        }
        directory.write([0xEF, 0xBB, 0xBF] + Array("eight\n".utf8), to: "log")
        var options = FileTail.Options()
        options.characterSet = .windows1252
        #expect(Reader(directory["log"], options).lines() == ["eight"])
    }

    @Test("Directories and files that cannot be opened are problems, not ends")
    func problems() {
        let directory = TemporaryDirectory()
        mkdir(directory["log"], 0o755)
        let reader = Reader(directory["log"])
        #expect(reader.lines() == [])
        #expect(reader.problem == "read \(directory["log"]): is a directory")
        rmdir(directory["log"])
        directory.write("one\n", to: "log")
        #expect(reader.lines() == ["one"])
        #expect(reader.problem == nil)
    }

    @Test(
        "Compressed files are read to their end, resumed by decompressed position, unfinished line included",
        arguments: [CompressionFormat.gzip, .zlib, .zstandard])
    func compressed(_ format: CompressionFormat) throws {
        let directory = TemporaryDirectory()
        let wanted = (0..<20_000).map { "line \($0)\r" }
        let text = Array((wanted.joined(separator: "\n") + "\nlast").utf8)
        var bytes: [UInt8] = []
        switch format {
        case .gzip: try Gzip().compress(text, into: &bytes)
        case .zlib: try Deflate(.zlib).compress(text, into: &bytes)
        default: try Zstandard().compress(text, into: &bytes)
        }
        directory.write(bytes, to: "log")
        var options = FileTail.Options()
        options.compression = format
        let reader = Reader(directory["log"], options)
        let expected = wanted.map { String($0.dropLast()) } + ["last"]
        #expect(reader.lines(limit: 10_000) == expected)
        #expect(reader.position == Int64(text.count))
        #expect(reader.look() == .finished)
        let middle = Int64(wanted[..<15_000].reduce(0) { $0 + $1.utf8.count + 1 })
        let resumed = Reader(directory["log"], position: middle, options)
        #expect(resumed.lines(limit: 10_000) == Array(expected[15_000...]))
        #expect(Reader(directory["log"], position: Int64(text.count), options).lines() == [])
    }

    @Test("A damaged compressed file gives what can be read and a problem")
    func damagedCompressed() throws {
        let directory = TemporaryDirectory()
        var bytes: [UInt8] = []
        let text = (0..<100_000).map { "line \($0 &* 2_654_435_761)" }.joined(separator: "\n")
        try Gzip().compress(Array(text.utf8), into: &bytes)
        directory.write(Array(bytes[..<(bytes.count / 2)]), to: "log")
        var options = FileTail.Options()
        options.compression = .gzip
        let reader = Reader(directory["log"], options)
        let lines = reader.lines(limit: 10_000)
        #expect(lines.count > 1000 && lines.count < 100_000)
        #expect(reader.problem == "unexpected end of compressed data")
        #expect(reader.look() == .finished)
    }

    @Test("Times grow with every line of a file, whatever the clock does")
    func timestamps() {
        let directory = TemporaryDirectory()
        directory.write("a\na\na\n", to: "log")
        let reader = Reader(directory["log"])
        _ = reader.look()
        var times: [Int64] = []
        for now: Int64 in [1000, 10] {
            directory.append("a\n", to: "log")
            _ = reader.look()
            var batch = LogBatch()
            _ = reader.tail.read(into: &batch, stream: batch.stream(for: [:]), limit: 65_536, now: now)
            reader.tail.commit()
            times += batch.entries.map(\.timestamp)
        }
        #expect(times == [1000, 1001, 1002, 1003, 1004])
    }
}
