/// Lines whose cells are padded so that they stand in columns.
///
/// The rules are those of Go's `text/tabwriter` with minimum width 0, tab width 8, padding 1, blanks as padding, tabs
/// for indentation and empty soft columns discarded. A column is a run of lines that all have a further cell to the
/// right; the last cell of a line belongs to no column. Blanks and tabs at the end of a line are dropped unless they
/// are protected. Memory is bounded by the longest run of lines that share columns.
struct ColumnLayout {
    private struct Cell {
        var length = 0
        /// In characters.
        var width = 0
        /// How many leading bytes are kept even when they are blanks at the end of a line.
        var protectedLength = 0
        /// Whether the cell ends in a tab rather than in a soft column stop.
        var isHard = false
    }

    private static let tabWidth = 8
    private static let padding = 1

    private var output: [UInt8] = []
    /// The text of the lines not yet laid out, cell after cell.
    private var text: [UInt8] = []
    private var cells: [Cell] = []
    /// Where each finished line's cells end in `cells`.
    private var lineEnds: [Int] = []
    private var current = Cell()

    /// Adds to the current cell.
    mutating func append(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { append(byte) }
    }

    /// Adds one byte to the current cell.
    mutating func append(_ byte: UInt8) {
        text.append(byte)
        current.length += 1
        if byte & 0xC0 != 0x80 { current.width += 1 }
    }

    /// Adds text that is kept as it is, newlines included, to the current cell.
    mutating func appendProtected(_ bytes: some Sequence<UInt8>) {
        append(bytes)
        current.protectedLength = current.length
    }

    /// Adds text that is kept as it is; its newlines end lines.
    mutating func appendLiteral(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                current.protectedLength = current.length
                endLine(endingColumns: false)
            } else {
                append(byte)
            }
        }
        current.protectedLength = current.length
    }

    /// Ends the current cell.
    mutating func endCell(isHard: Bool) {
        current.isHard = isHard
        cells.append(current)
        current = Cell()
    }

    /// Ends the current line, and all columns with it when asked to.
    mutating func endLine(endingColumns: Bool) {
        endCell(isHard: false)
        let start = lineEnds.last ?? 0
        lineEnds.append(cells.count)
        // A line of one cell takes part in no column, so none goes on below it.
        if endingColumns || cells.count - start == 1 { layOut() }
    }

    /// The text laid out; the last line is not ended.
    mutating func finish() -> [UInt8] {
        if current.length > 0 || cells.count > (lineEnds.last ?? 0) {
            endCell(isHard: false)
            lineEnds.append(cells.count)
            layOut()
            output.removeLast()
        } else {
            layOut()
        }
        return output
    }

    private mutating func layOut() {
        let widths = columnWidths()
        var textStart = 0
        var cell = 0
        for end in lineEnds {
            textStart = write(cell..<end, widths: widths, textStart: textStart)
            cell = end
        }
        text.removeAll(keepingCapacity: true)
        cells.removeAll(keepingCapacity: true)
        lineEnds.removeAll(keepingCapacity: true)
    }

    /// The width of the column each cell is in; 0 for the last cell of a line.
    private func columnWidths() -> [Int] {
        var widths = [Int](repeating: 0, count: cells.count)
        var column = 0
        var isPresent = lineEnds.count > 0
        while isPresent {
            isPresent = false
            var run: [Int] = []
            var lineStart = 0
            for end in lineEnds {
                if end - lineStart - 1 > column {
                    run.append(lineStart + column)
                    isPresent = true
                } else {
                    setWidth(of: run, in: &widths)
                    run.removeAll(keepingCapacity: true)
                }
                lineStart = end
            }
            setWidth(of: run, in: &widths)
            column += 1
        }
        return widths
    }

    private func setWidth(of column: [Int], in widths: inout [Int]) {
        var width = 0
        var isDiscarded = true
        for index in column {
            width = max(width, cells[index].width + Self.padding)
            if cells[index].width > 0 || cells[index].isHard { isDiscarded = false }
        }
        for index in column { widths[index] = isDiscarded ? 0 : width }
    }

    /// Writes one line and returns where the next one's text starts.
    private mutating func write(_ line: Range<Int>, widths: [Int], textStart: Int) -> Int {
        var textStart = textStart
        var keptEnd = output.count
        var isIndentation = true
        for index in line {
            let cell = cells[index]
            if cell.length > 0 {
                isIndentation = false
                if cell.protectedLength > 0 { keptEnd = output.count + cell.protectedLength }
                output.append(contentsOf: text[textStart..<(textStart + cell.length)])
                textStart += cell.length
            }
            guard index + 1 < line.upperBound else { break }
            if isIndentation {
                let tabs = (widths[index] + Self.tabWidth - 1) / Self.tabWidth
                output.append(contentsOf: repeatElement(UInt8(ascii: "\t"), count: tabs))
            } else {
                let blanks = max(0, widths[index] - cell.width)
                output.append(contentsOf: repeatElement(UInt8(ascii: " "), count: blanks))
            }
        }
        while output.count > keptEnd, let last = output.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") {
            output.removeLast()
        }
        output.append(UInt8(ascii: "\n"))
        return textStart
    }
}
