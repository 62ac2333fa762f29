/// Prints diagnostics with the lines of the configuration they are about, in the layout Alloy uses.
///
/// Notes follow the excerpt, one `= note` line each. Long lines are shown in part, and long ranges at both ends.
public struct DiagnosticRenderer: Sendable {
    /// Whether to use the colours of a terminal.
    public var usesColor: Bool

    /// How many lines are shown before and after the place itself.
    public var contextLines: Int

    private static let tabWidth = 4
    /// Ranges of more lines than this are shown without their middle.
    private static let maximumLines = 60
    /// In bytes; of longer lines the part around the place is shown.
    private static let maximumLineLength = 400

    /// Makes a renderer.
    public init(usesColor: Bool = false, contextLines: Int = 1) {
        self.usesColor = usesColor
        self.contextLines = max(0, contextLines)
    }

    /// The text of all diagnostics, an empty line between them; ends in a newline unless there is nothing to tell.
    public func render(_ diagnostics: Diagnostics) -> String {
        diagnostics.items.map(render).joined(separator: "\n")
    }

    /// The text of one diagnostic, ending in a newline.
    public func render(_ diagnostic: Diagnostic) -> String {
        var text = header(of: diagnostic)
        if let file = diagnostic.range.file { appendExcerpt(of: diagnostic.range, in: file, to: &text) }
        for note in diagnostic.notes { text += "  = \(note)\n" }
        return text
    }

    private func header(of diagnostic: Diagnostic) -> String {
        let severity = diagnostic.severity == .error ? "Error: " : "Warning: "
        let place = diagnostic.range.isKnown ? "\(diagnostic.range.startPosition): " : ""
        guard usesColor else { return "\(severity)\(place)\(diagnostic.message)\n" }
        let color = diagnostic.severity == .error ? "31;1" : "33;1"
        return "\u{1B}[\(color)m\(severity)\u{1B}[0m\u{1B}[1m\(place)\(diagnostic.message)\u{1B}[0m\n"
    }

    // MARK: Excerpt

    private func appendExcerpt(of range: SourceRange, in file: SourceFile, to text: inout String) {
        let start = range.startPosition
        let last = range.lastPosition
        let firstLine = max(start.line - contextLines, 1)
        let lastLine = min(last.line + contextLines, file.lineCount)
        let isMultiline = last.line > start.line
        let width = String(lastLine).utf8.count
        let margin = String(repeating: " ", count: width)
        var isEliding = false

        text += "\n"
        for number in firstLine...max(firstLine, lastLine) {
            if lastLine - firstLine > Self.maximumLines, number > firstLine + Self.maximumLines / 2,
                number < lastLine - Self.maximumLines / 2
            {
                if !isEliding { text += "\(margin) | \(isMultiline ? "| " : "")...\n" }
                isEliding = true
                continue
            }
            let line = Line(file.line(number), around: number == last.line ? last.column : start.column)
            let label = String(number)
            text += String(repeating: " ", count: width - label.utf8.count) + label + " | "
            if isMultiline { text += number > start.line && number <= last.line ? "| " : "  " }
            text += line.shown + "\n"
            guard number == start.line || number == last.line else { continue }
            text += margin
            text += isMultiline ? (number == start.line ? " |  _" : " | |_") : " | "
            text += line.focus(
                from: number == start.line ? start.column : 1,
                to: number == last.line ? last.column : Int.max,
                blank: isMultiline ? "_" : " ")
            text += "\n"
        }
    }

    /// One line of the configuration, or the part of it that is shown.
    private struct Line {
        /// The columns of the characters shown, counted in bytes from 1, and the characters.
        private var characters: [(column: Int, scalar: Unicode.Scalar)] = []
        private var prefix = ""
        private var suffix = ""

        init(_ bytes: ArraySlice<UInt8>, around column: Int) {
            var start = 0
            var end = bytes.count
            if bytes.count > maximumLineLength {
                start = min(max(0, column - maximumLineLength / 2), bytes.count - maximumLineLength)
                end = start + maximumLineLength
                // Do not begin or end within a character.
                while start < end, bytes[bytes.startIndex + start] & 0xC0 == 0x80 { start += 1 }
                while end < bytes.count, bytes[bytes.startIndex + end] & 0xC0 == 0x80 { end += 1 }
                if start > 0 { prefix = "..." }
                if end < bytes.count { suffix = "..." }
            }
            let shown = bytes[(bytes.startIndex + start)..<(bytes.startIndex + end)]
            var offset = start
            for scalar in String(decoding: shown, as: UTF8.self).unicodeScalars {
                characters.append((offset + 1, scalar))
                // A replacement stands for one malformed byte unless the file says it itself.
                offset += scalar == "\u{FFFD}" ? replacementLength(bytes, at: offset) : scalar.utf8.count
            }
        }

        private func replacementLength(_ bytes: ArraySlice<UInt8>, at offset: Int) -> Int {
            bytes.dropFirst(offset).starts(with: [0xEF, 0xBF, 0xBD]) ? 3 : 1
        }

        /// The characters; tabs are widened, carriage returns left out and other controls made harmless.
        var shown: String {
            var text = String.UnicodeScalarView()
            for (_, scalar) in characters {
                switch scalar {
                case "\r": break
                case "\t", "\u{0B}": text.append(contentsOf: repeatElement(" ", count: tabWidth))
                default: text.append(scalar.value < 0x20 || scalar.value == 0x7F ? "\u{FFFD}" : scalar)
                }
            }
            return prefix + String(text) + suffix
        }

        /// Carets under the characters from one column to another; one caret behind the line for a place there.
        func focus(from first: Int, to last: Int, blank: Character) -> String {
            var text = String(repeating: blank, count: prefix.utf8.count)
            var hasCaret = false
            for (column, scalar) in characters where column <= last {
                if scalar == "\t" || scalar == "\u{0B}" {
                    text += String(repeating: blank, count: tabWidth)
                } else if scalar == "\r" {
                    continue
                } else if column >= first {
                    text += "^"
                    hasCaret = true
                } else {
                    text.append(blank)
                }
            }
            return hasCaret ? text : text + "^"
        }
    }
}
