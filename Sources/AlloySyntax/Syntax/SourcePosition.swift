/// A place in a file as people read it.
public struct SourcePosition: Sendable, Hashable {
    /// The file's name; empty when the text had none.
    public var fileName: String

    /// The byte offset, counted from 0.
    public var offset: Int

    /// The line, counted from 1; 0 when the position is unknown.
    public var line: Int

    /// The byte within the line, counted from 1; 0 when only the line is known.
    public var column: Int

    /// Makes a position from its parts.
    public init(fileName: String, offset: Int = 0, line: Int, column: Int = 0) {
        self.fileName = fileName
        self.offset = offset
        self.line = line
        self.column = column
    }
}

extension SourcePosition: CustomStringConvertible {
    /// `file:line:column`, leaving out what is unknown; `-` when nothing is known.
    public var description: String {
        var text = fileName
        if line > 0 {
            if !text.isEmpty { text += ":" }
            text += String(line)
            if column != 0 { text += ":" + String(column) }
        }
        return text.isEmpty ? "-" : text
    }
}

/// A stretch of a file: byte offsets from `start` up to, not including, `end`.
///
/// Nodes that were built in memory carry `SourceRange.unknown`.
public struct SourceRange: Sendable {
    /// The file the offsets are in; `nil` for what was not read from a file.
    public let file: SourceFile?

    /// The offset of the first byte.
    public let start: Int

    /// The offset after the last byte.
    public let end: Int

    /// Makes a range of a file; `end` is at least `start`.
    public init(file: SourceFile?, start: Int, end: Int) {
        self.file = file
        self.start = start
        self.end = max(start, end)
    }

    /// The range of what has no place in any file.
    public static let unknown = SourceRange(file: nil, start: 0, end: 0)

    /// Whether the range lies in a file.
    public var isKnown: Bool { file != nil }

    /// The position of the first byte; without a line when the range is unknown.
    public var startPosition: SourcePosition {
        file?.position(at: start) ?? SourcePosition(fileName: "", line: 0)
    }

    /// The position of the last byte; the first one when the range is empty.
    public var lastPosition: SourcePosition {
        file?.position(at: max(start, end - 1)) ?? SourcePosition(fileName: "", line: 0)
    }

    /// The smallest range holding both; the known one when only one is known.
    public func union(_ other: SourceRange) -> SourceRange {
        guard file != nil else { return other }
        guard other.file != nil else { return self }
        return SourceRange(file: file, start: min(start, other.start), end: max(end, other.end))
    }
}

extension SourceRange: Equatable {
    /// Ranges are equal when they cover the same bytes of the same file object.
    public static func == (left: SourceRange, right: SourceRange) -> Bool {
        left.file === right.file && left.start == right.start && left.end == right.end
    }
}
