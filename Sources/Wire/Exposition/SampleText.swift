import Glibc
import Telemetry

/// What stands behind the series on a line: value, timestamp, exemplar.
struct SampleText {
    var value = 0.0
    /// Milliseconds since 1970.
    var timestamp: Int64?
    /// The exemplar's bytes behind its opening brace; none while the end is zero.
    var exemplarStart = 0
    var exemplarEnd = 0
    var exemplarValue = 0.0
    var exemplarTimestamp: Int64?

    /// Reads `value [timestamp]` and returns the index behind the line feed.
    mutating func scanPrometheus(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int
    ) throws(LineFailure) -> Int {
        var index = SeriesSyntax.skipBlanks(bytes, start, end)
        let first = index
        while index < end, bytes[index] > 32 || !Self.endsToken(bytes[index]), bytes[index] != UInt8(ascii: "{") {
            index += 1
        }
        guard index > first else { throw .malformed("expected a value after the series", at: first) }
        try setValue(bytes, first, index)
        index = SeriesSyntax.skipBlanks(bytes, index, end)
        if bytes[index] == 10 { return index + 1 }
        let digits = index
        var stated: Int64 = 0
        var overflows = false
        while index < end, NameBytes.isDigit(bytes[index]) {
            let (product, over) = stated.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int64(bytes[index] - 48))
            overflows = overflows || over || carry
            stated = sum
            index += 1
        }
        guard index > digits else { throw .malformed("expected a timestamp or the end of the line", at: digits) }
        if overflows { throw .malformed("timestamp out of range", at: digits) }
        timestamp = stated
        index = SeriesSyntax.skipBlanks(bytes, index, end)
        guard bytes[index] == 10 else {
            throw .malformed("expected the end of the line after the timestamp", at: index)
        }
        return index + 1
    }

    /// Reads ` value[ timestamp][ # {exemplar labels} value[ timestamp]]` and returns the index behind the line feed.
    mutating func scanOpenMetrics(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ syntax: inout SeriesSyntax
    ) throws(LineFailure) -> Int {
        var index = start
        let value = try Self.spacedToken(bytes, &index, end, "expected a value after the series")
        try setValue(bytes, value, index)
        if bytes[index] == 10 { return index + 1 }
        if !Self.opensExemplar(bytes, index, end) {
            let token = try Self.spacedToken(bytes, &index, end, "expected a timestamp or the end of the line")
            timestamp = try Self.milliseconds(bytes, token, index)
            if bytes[index] == 10 { return index + 1 }
        }
        guard Self.opensExemplar(bytes, index, end) else {
            throw .malformed("expected an exemplar or the end of the line", at: index)
        }
        exemplarStart = index + 4
        index = try syntax.scanExemplar(bytes, exemplarStart, end)
        let number = try Self.spacedToken(bytes, &index, end, "expected a value after the exemplar's labels")
        guard let parsed = FloatText.parse(UnsafeRawBufferPointer(start: bytes + number, count: index - number)) else {
            throw .malformed("invalid exemplar value", at: number)
        }
        exemplarValue = parsed.isNaN ? Sample.normalNaN : parsed
        if bytes[index] != 10 {
            let token = try Self.spacedToken(bytes, &index, end, "expected a timestamp after the exemplar's value")
            exemplarTimestamp = try Self.milliseconds(bytes, token, index)
        }
        exemplarEnd = index
        guard bytes[index] == 10 else { throw .malformed("expected the end of the line after the exemplar", at: index) }
        return index + 1
    }

    private mutating func setValue(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int
    ) throws(LineFailure) {
        var index = start
        if let quick = FloatText.scan(bytes, &index), index == end {
            value = quick
            return
        }
        guard let parsed = FloatText.parse(UnsafeRawBufferPointer(start: bytes + start, count: end - start)) else {
            throw .malformed("invalid value", at: start)
        }
        value = parsed
    }

    @inline(__always)
    private static func endsToken(_ byte: UInt8) -> Bool { byte == 32 || byte == 10 || byte == 9 }

    /// One space and what follows up to the next space or line feed; returns where it begins.
    private static func spacedToken(
        _ bytes: UnsafePointer<UInt8>, _ index: inout Int, _ end: Int, _ message: StaticString
    ) throws(LineFailure) -> Int {
        guard index < end, bytes[index] == 32 else { throw .malformed(message, at: index) }
        let start = index + 1
        index = start
        while index < end, bytes[index] != 32, bytes[index] != 10 { index += 1 }
        guard index > start else { throw .malformed(message, at: start) }
        return start
    }

    private static func opensExemplar(_ bytes: UnsafePointer<UInt8>, _ index: Int, _ end: Int) -> Bool {
        index + 4 <= end && bytes[index] == 32 && bytes[index + 1] == UInt8(ascii: "#") && bytes[index + 2] == 32
            && bytes[index + 3] == UInt8(ascii: "{")
    }

    /// Seconds with a fraction as milliseconds, truncated.
    private static func milliseconds(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int
    ) throws(LineFailure) -> Int64 {
        let token = UnsafeRawBufferPointer(start: bytes + start, count: end - start)
        guard let seconds = FloatText.parse(token), seconds.isFinite, seconds.magnitude < 9e15 else {
            throw .malformed("invalid timestamp", at: start)
        }
        return Int64(seconds * 1000)
    }
}
