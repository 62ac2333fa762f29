/// Cuts the bytes of a connection or datagram into syslog messages.
///
/// Protocol: RFC 6587, section 3.4. Octet counting (`123 <34>1 ...`) and non-transparent framing (a line for each
/// message) are told apart by the first byte: of the connection, or of each message in the raw format.
package struct SyslogFramer: Sendable {
    private enum Framing { case unknown, counted, delimited }

    private let isRaw: Bool
    private let delimiter: UInt8
    private let maximumLength: Int
    private var framing = Framing.unknown
    private var buffer: [UInt8] = []
    private var start = 0
    private var scanned = 0

    /// Lines without an end may grow to this size where `maximumLength` is smaller: upstream does not bound them.
    private static let minimumLineLimit = 64 << 10

    /// `maximumLength` bounds counted messages; `delimiter` ends the others.
    package init(maximumLength: Int, isRaw: Bool = false, delimiter: UInt8 = 0x0A) {
        self.maximumLength = max(1, maximumLength)
        self.isRaw = isRaw
        self.delimiter = delimiter
    }

    /// Bytes held back.
    package var heldBytes: Int { buffer.count - start }

    /// Takes more bytes; `read` appends them to the buffer it gets.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if start > 0 {
            buffer.removeSubrange(0..<start)
            scanned -= start
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// Calls `body` with the next whole message, without what frames it; false when there is none yet. With `isLast` the
    /// rest is a message too. After an error nothing more can be read.
    package mutating func next(
        isLast: Bool = false, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(SyslogError) -> Bool {
        skipLineEnds()
        guard start < buffer.count else { return false }
        if framing == .unknown || isRaw { try decideFraming() }
        let range = framing == .counted ? try countedMessage(isLast) : try delimitedMessage(isLast)
        guard let range else { return false }
        buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
        return true
    }

    /// Ends of lines between messages mean nothing.
    private mutating func skipLineEnds() {
        while start < buffer.count, buffer[start] == 0x0A || buffer[start] == 0x0D || buffer[start] == delimiter {
            start += 1
        }
        scanned = max(scanned, start)
    }

    private mutating func decideFraming() throws(SyslogError) {
        let first = buffer[start]
        if SyslogScanner.isDigit(first) {
            framing = .counted
        } else if first == 0x3C || isRaw {
            framing = .delimited
        } else {
            throw SyslogError("message begins with neither a priority nor a length")
        }
    }

    private mutating func countedMessage(_ isLast: Bool) throws(SyslogError) -> Range<Int>? {
        var index = start
        var length = 0
        while index < buffer.count, SyslogScanner.isDigit(buffer[index]) {
            length = length * 10 + Int(buffer[index] - 0x30)
            index += 1
            guard length <= maximumLength else {
                throw SyslogError("message of \(length) bytes or more is longer than \(maximumLength)")
            }
        }
        if index == buffer.count, !isLast { return nil }
        guard index < buffer.count, index > start, buffer[index] == 0x20, length > 0 else {
            throw SyslogError("expecting the length of a message and a space")
        }
        guard buffer.count - index - 1 >= length else {
            if isLast { throw SyslogError("message ends before its length") }
            return nil
        }
        start = index + 1 + length
        scanned = start
        return index + 1..<start
    }

    private mutating func delimitedMessage(_ isLast: Bool) throws(SyslogError) -> Range<Int>? {
        var index = scanned
        while index < buffer.count, buffer[index] != delimiter { index += 1 }
        guard index < buffer.count || isLast else {
            scanned = index
            let limit = max(maximumLength, Self.minimumLineLimit)
            guard index - start <= limit else { throw SyslogError("line without an end is longer than \(limit)") }
            return nil
        }
        let range = start..<index
        start = min(index + 1, buffer.count)
        scanned = start
        return range
    }
}
