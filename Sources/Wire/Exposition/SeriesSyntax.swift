/// Why a line could not be taken apart.
enum LineFailure: Error {
    /// The bytes end inside a quoted string, which may hold line feeds.
    case incomplete
    case malformed(StaticString, at: Int)
}

/// Takes `name{label="value",...}` apart, as the text formats write it.
///
/// Prometheus text allows blanks between all parts, a comma too few or one too many at the end, and line feeds in quoted
/// strings; OpenMetrics allows none of that but the comma at the end. Both allow the name as the first quoted string in
/// the braces and quoted label names.
struct SeriesSyntax: Sendable {
    /// A label by the offsets of its parts from the beginning of the series.
    struct Label: BitwiseCopyable, Sendable {
        var nameStart: Int
        var nameEnd: Int
        var valueStart: Int
        var valueEnd: Int
        var isNameEscaped: Bool
        var isValueEscaped: Bool
    }

    private(set) var labels: [Label] = []
    private(set) var nameStart = -1
    private(set) var nameEnd = -1
    private(set) var isNameEscaped = false
    /// True when the series ends in a closing brace.
    private(set) var hasBraces = false

    /// Reads the series at `start` and returns the index behind it. `end` is the end of the memory; what stands before it
    /// ends in a line feed.
    mutating func scan(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, isOpenMetrics: Bool
    ) throws(LineFailure) -> Int {
        labels.removeAll(keepingCapacity: true)
        nameStart = -1
        nameEnd = -1
        isNameEscaped = false
        hasBraces = false
        var index = start
        let first = bytes[index]
        if NameBytes.isLetter(first) || first == UInt8(ascii: ":") {
            index = Self.skipName(bytes, index, end, allowsColon: true)
            nameStart = 0
            nameEnd = index - start
            var next = index
            if !isOpenMetrics { next = Self.skipBlanks(bytes, next, end) }
            guard next < end, bytes[next] == UInt8(ascii: "{") else { return index }
            index = next
        } else if first != UInt8(ascii: "{") {
            throw .malformed("expected a metric name", at: index)
        }
        hasBraces = true
        index = try scanLabels(bytes, index + 1, end, origin: start, isOpenMetrics: isOpenMetrics, isExemplar: false)
        if nameStart < 0 { throw .malformed("no metric name in the braces", at: start) }
        return index
    }

    /// Reads the labels of an exemplar behind its opening brace and returns the index behind the closing one.
    mutating func scanExemplar(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int
    ) throws(LineFailure) -> Int {
        labels.removeAll(keepingCapacity: true)
        return try scanLabels(bytes, start, end, origin: start, isOpenMetrics: true, isExemplar: true)
    }

    private mutating func scanLabels(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, origin: Int, isOpenMetrics: Bool, isExemplar: Bool
    ) throws(LineFailure) -> Int {
        var index = start
        while true {
            if !isOpenMetrics { index = Self.skipBlanks(bytes, index, end) }
            guard index < end else { throw .incomplete }
            let byte = bytes[index]
            var label = Label(
                nameStart: index - origin, nameEnd: 0, valueStart: 0, valueEnd: 0, isNameEscaped: false,
                isValueEscaped: false)
            if byte == UInt8(ascii: "}") { return index + 1 }
            if byte == UInt8(ascii: "\"") {
                let (close, isEscaped) = try Self.skipQuoted(bytes, index, end, allowsLineFeed: !isOpenMetrics)
                label.nameStart += 1
                label.nameEnd = close - origin
                label.isNameEscaped = isEscaped
                index = close + 1
                if !isOpenMetrics { index = Self.skipBlanks(bytes, index, end) }
                guard index < end else { throw .incomplete }
                let next = bytes[index]
                if next == UInt8(ascii: ",") || next == UInt8(ascii: "}") {
                    if isExemplar { throw .malformed("expected a label name", at: index) }
                    if nameStart >= 0 { throw .malformed("metric name given twice", at: index) }
                    nameStart = label.nameStart
                    nameEnd = label.nameEnd
                    isNameEscaped = isEscaped
                    index += 1
                    if next == UInt8(ascii: "}") { return index }
                    continue
                }
            } else if NameBytes.isLetter(byte) {
                index = Self.skipName(bytes, index, end, allowsColon: false)
                label.nameEnd = index - origin
                if !isOpenMetrics { index = Self.skipBlanks(bytes, index, end) }
            } else {
                throw .malformed("expected a label name", at: index)
            }
            guard index < end else { throw .incomplete }
            guard bytes[index] == UInt8(ascii: "=") else {
                throw .malformed("expected = after a label name", at: index)
            }
            index += 1
            if !isOpenMetrics { index = Self.skipBlanks(bytes, index, end) }
            guard index < end else { throw .incomplete }
            guard bytes[index] == UInt8(ascii: "\"") else {
                throw .malformed("expected a quoted label value", at: index)
            }
            let (close, isEscaped) = try Self.skipQuoted(bytes, index, end, allowsLineFeed: !isOpenMetrics)
            label.valueStart = index + 1 - origin
            label.valueEnd = close - origin
            label.isValueEscaped = isEscaped
            guard ByteText.isUTF8(UnsafeRawBufferPointer(start: bytes + index + 1, count: close - index - 1)) else {
                throw .malformed("label value is not UTF-8", at: index)
            }
            guard labels.count < maximumLabelsPerSeries else { throw .malformed("too many labels", at: index) }
            labels.append(label)
            index = close + 1
            if !isOpenMetrics { index = Self.skipBlanks(bytes, index, end) }
            guard index < end else { throw .incomplete }
            if bytes[index] == UInt8(ascii: ",") {
                index += 1
            } else if isOpenMetrics, bytes[index] != UInt8(ascii: "}") {
                throw .malformed("expected a comma or a closing brace", at: index)
            }
        }
    }

    @inline(__always)
    static func skipBlanks(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var index = start
        while index < end, bytes[index] == 32 || bytes[index] == 9 { index += 1 }
        return index
    }

    @inline(__always)
    static func skipName(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, allowsColon: Bool) -> Int {
        var index = start
        while index < end {
            let byte = bytes[index]
            guard NameBytes.isLetter(byte) || NameBytes.isDigit(byte) || (allowsColon && byte == UInt8(ascii: ":"))
            else { break }
            index += 1
        }
        return index
    }

    /// The index of the closing quote of the string that opens at `start`, and whether it has escapes.
    static func skipQuoted(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, allowsLineFeed: Bool
    ) throws(LineFailure) -> (close: Int, isEscaped: Bool) {
        var index = start + 1
        var isEscaped = false
        while index < end {
            switch bytes[index] {
            case UInt8(ascii: "\""): return (index, isEscaped)
            case UInt8(ascii: "\\"):
                isEscaped = true
                index += 2
                if index <= end, bytes[index - 1] == 10 {
                    throw .malformed("line feed after a backslash", at: index - 1)
                }
            case 10 where !allowsLineFeed: throw .malformed("quoted string without an end", at: start)
            default: index += 1
            }
        }
        throw .incomplete
    }

    /// Appends `source` with `\"`, `\\` and `\n` replaced; other escapes stay as they are.
    static func unescape(_ source: UnsafeRawBufferPointer, into target: inout [UInt8], keepsQuotes: Bool = false) {
        var index = 0
        while index < source.count {
            let byte = source[index]
            if byte == UInt8(ascii: "\\"), index + 1 < source.count {
                switch source[index + 1] {
                case UInt8(ascii: "n"):
                    target.append(10)
                    index += 2
                    continue
                case UInt8(ascii: "\\"):
                    target.append(byte)
                    index += 2
                    continue
                case UInt8(ascii: "\"") where !keepsQuotes:
                    target.append(UInt8(ascii: "\""))
                    index += 2
                    continue
                default: break
                }
            }
            target.append(byte)
            index += 1
        }
    }
}
