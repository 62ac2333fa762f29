/// One configuration text: its name, its bytes and where its lines begin.
///
/// The file owns its bytes for as long as any node of its tree or any diagnostic refers to it.
public final class SourceFile: Sendable {
    /// The name positions are reported with, as the caller gave it; may be empty.
    public let name: String

    /// The text; meant to be UTF-8, kept as it was read.
    public let bytes: [UInt8]

    /// The byte offset each line begins at; never empty, the first element is 0.
    public let lineStarts: [Int]

    /// Makes a file from bytes, which need not be valid UTF-8.
    public init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
        var starts = [0]
        bytes.withUnsafeBufferPointer { buffer in
            for index in buffer.indices where buffer[index] == UInt8(ascii: "\n") {
                starts.append(index + 1)
            }
        }
        lineStarts = starts
    }

    /// Makes a file from text.
    public convenience init(name: String, text: String) {
        self.init(name: name, bytes: Array(text.utf8))
    }

    /// How many lines the file has; a trailing newline begins one more, empty line.
    public var lineCount: Int { lineStarts.count }

    /// The line a byte stands on, counted from 1; O(log lines).
    public func line(at offset: Int) -> Int {
        var low = 0
        var high = lineStarts.count
        while low < high {
            let middle = low + (high - low) / 2
            if lineStarts[middle] > offset {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return max(low, 1)
    }

    /// The position of a byte; an offset past the end counts on from the last line.
    public func position(at offset: Int) -> SourcePosition {
        let line = line(at: offset)
        return SourcePosition(
            fileName: name, offset: offset, line: line, column: offset - lineStarts[line - 1] + 1)
    }

    /// The bytes of one line without its newline; empty when there is no such line.
    public func line(_ number: Int) -> ArraySlice<UInt8> {
        guard number >= 1, number <= lineStarts.count else { return [] }
        let start = lineStarts[number - 1]
        let end = number < lineStarts.count ? lineStarts[number] - 1 : bytes.count
        return bytes[start..<end]
    }

    /// The text of a range as a string; bytes that are not UTF-8 are replaced.
    public func text(in range: SourceRange) -> String {
        let start = min(max(range.start, 0), bytes.count)
        let end = min(max(range.end, start), bytes.count)
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }
}

extension SourceFile: Equatable {
    /// Files are equal when name and bytes are.
    public static func == (left: SourceFile, right: SourceFile) -> Bool {
        left === right || (left.name == right.name && left.bytes == right.bytes)
    }
}
