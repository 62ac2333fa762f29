/// Reads syslog messages of one format.
///
/// What is no message of the format is an error, as upstream has it, with two exceptions: control characters in the text
/// of an RFC 3164 message are part of it, and so is a carriage return at its end. Never traps; allocates for structured
/// data only.
package struct SyslogParser: Sendable, Equatable {
    package enum Format: Sendable, Equatable {
        case rfc5424, rfc3164
        /// The text as it is, with the priority taken off where there is one.
        case raw
    }

    /// What Cisco IOS puts before the text.
    package struct CiscoComponents: Sendable, Equatable {
        package var hasCounter: Bool
        package var hasSequence: Bool
        package var hasHostName: Bool
        package var hasFractions: Bool

        package init(hasCounter: Bool, hasSequence: Bool, hasHostName: Bool, hasFractions: Bool) {
            self.hasCounter = hasCounter
            self.hasSequence = hasSequence
            self.hasHostName = hasHostName
            self.hasFractions = hasFractions
        }
    }

    package let format: Format
    package let cisco: CiscoComponents?

    package init(_ format: Format, cisco: CiscoComponents? = nil) {
        self.format = format
        self.cisco = cisco
    }

    /// Reads the message that `bytes` are.
    package func parse(_ bytes: UnsafeRawBufferPointer) throws(SyslogError) -> SyslogMessage {
        switch format {
        case .rfc5424: return try Self.parseRFC5424(bytes)
        case .rfc3164: return try parseRFC3164(bytes)
        case .raw: return Self.parseRaw(bytes)
        }
    }

    // MARK: Raw

    private static func parseRaw(_ bytes: UnsafeRawBufferPointer) -> SyslogMessage {
        var message = SyslogMessage()
        var start = 0
        var scanner = SyslogScanner(bytes)
        if let priority = scanner.rawPriority() {
            message.priority = priority
            start = scanner.index
        }
        var end = bytes.count
        while start < end, isSpace(bytes[start]) { start += 1 }
        while end > start, isSpace(bytes[end - 1]) { end -= 1 }
        if end > start { message.message = start..<end }
        return message
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte >= 0x09 && byte <= 0x0D }

    // MARK: RFC 5424

    private static func parseRFC5424(_ bytes: UnsafeRawBufferPointer) throws(SyslogError) -> SyslogMessage {
        var scanner = SyslogScanner(bytes)
        var message = SyslogMessage()
        guard let priority = scanner.priority(upTo: 191) else {
            throw SyslogError("expecting a priority from 0 to 191 within angle brackets", at: scanner.index)
        }
        message.priority = priority
        guard let version = scanner.run(upTo: 3, SyslogScanner.isDigit), bytes[version.lowerBound] != 0x30,
            scanner.take(0x20)
        else { throw SyslogError("expecting a version from 1 to 999", at: scanner.index) }
        message.time = try scanner.timestamp()
        guard scanner.take(0x20) else { throw SyslogError("expecting a space after the time", at: scanner.index) }
        message.hostName = try scanner.field("host name", upTo: 255)
        message.appName = try scanner.field("app name", upTo: 48)
        message.processID = try scanner.field("process ID", upTo: 128)
        message.messageID = try scanner.field("message ID", upTo: 32)
        if !scanner.take(0x2D) { message.structuredData = try scanner.structuredData() }
        if scanner.isAtEnd { return message }
        guard scanner.take(0x20) else {
            throw SyslogError("expecting a space before the text", at: scanner.index)
        }
        if scanner.index < bytes.count { message.message = scanner.index..<bytes.count }
        return message
    }

    // MARK: RFC 3164

    private func parseRFC3164(_ bytes: UnsafeRawBufferPointer) throws(SyslogError) -> SyslogMessage {
        var scanner = SyslogScanner(bytes)
        var message = SyslogMessage()
        guard let priority = scanner.priority(upTo: 191) else {
            throw SyslogError("expecting a priority from 0 to 191 within angle brackets", at: scanner.index)
        }
        message.priority = priority
        scanner.skipSpaces()
        if let cisco {
            if cisco.hasCounter { message.counter = scanner.ciscoNumber() }
            if cisco.hasSequence { message.sequence = scanner.ciscoNumber() }
            if cisco.hasHostName { message.hostName = scanner.ciscoHostName() }
            // A clock that was never set, or has lost its source, is marked.
            if scanner.peek == 0x2A || scanner.peek == 0x2E { scanner.index += 1 }
        }
        message.time = try scanner.stamp(fractionDigits: cisco?.hasFractions == true ? 6 : 0)
        if cisco != nil { _ = scanner.take(0x3A) }
        guard scanner.peek == 0x20 else {
            throw SyslogError("expecting a space after the time", at: scanner.index)
        }
        scanner.skipSpaces()
        if let name = scanner.hostNameBeforeText() { message.hostName = name }
        if let tag = scanner.tag() {
            message.appName = tag.name
            message.processID = tag.content
        }
        var end = bytes.count
        if end > scanner.index, bytes[end - 1] == 0x0A { end -= 1 }
        if scanner.index < end { message.message = scanner.index..<end }
        return message
    }
}

extension SyslogScanner {
    // MARK: Parts of RFC 5424

    /// A header field and the space after it; nil for `-`.
    fileprivate mutating func field(_ name: String, upTo maximum: Int) throws(SyslogError) -> Range<Int>? {
        guard let range = run(upTo: maximum, Self.isGraphic), take(0x20) else {
            throw SyslogError("expecting \(name) of 1 to \(maximum) characters and a space", at: index)
        }
        return range.count == 1 && bytes[range.lowerBound] == 0x2D ? nil : range
    }

    /// `-` or `2006-01-02T15:04:05.999999Z07:00`.
    fileprivate mutating func timestamp() throws(SyslogError) -> SyslogMessage.Time {
        if take(0x2D) { return .unknown }
        let start = index
        guard let year = digits(4), take(0x2D), let month = digits(2), take(0x2D), let day = digits(2), take(0x54),
            CivilDate.isValid(year: year, month: month, day: day), let time = timeOfDay(fractionDigits: 6),
            let offset = zoneOffset(),
            let nanoseconds = CivilDate.nanoseconds(
                days: CivilDate.days(year: year, month: month, day: day), nanosecondsOfDay: time - offset)
        else { throw SyslogError("expecting a time as in RFC 3339 with microseconds, or a hyphen", at: start) }
        return .exact(nanoseconds)
    }

    /// Nanoseconds east of Greenwich.
    private mutating func zoneOffset() -> Int64? {
        if take(0x5A) { return 0 }
        let sign: Int64
        if take(0x2B) { sign = 1 } else if take(0x2D) { sign = -1 } else { return nil }
        guard let hours = digits(2), hours < 24, take(0x3A), let minutes = digits(2), minutes < 60 else { return nil }
        return sign * Int64(hours * 3600 + minutes * 60) * 1_000_000_000
    }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        isGraphic(byte) && byte != 0x3D && byte != 0x5D && byte != 0x22
    }

    /// One element or more: `[id name="value" ...]`.
    fileprivate mutating func structuredData() throws(SyslogError) -> [SyslogMessage.Parameter] {
        var parameters: [SyslogMessage.Parameter] = []
        var elements: [Range<Int>] = []
        guard peek == 0x5B else { throw SyslogError("expecting structured data or a hyphen", at: index) }
        while take(0x5B) {
            guard let element = run(upTo: 32, Self.isNamePart) else {
                throw SyslogError("expecting the ID of an element of structured data", at: index)
            }
            if elements.contains(where: { bytes[$0].elementsEqual(bytes[element]) }) {
                throw SyslogError("element of structured data appears twice", at: element.lowerBound)
            }
            elements.append(element)
            guard elements.count <= 64 else { throw SyslogError("too many elements of structured data", at: index) }
            while take(0x20) {
                parameters.append(try parameter(of: element))
                guard parameters.count <= 256 else {
                    throw SyslogError("too many parameters of structured data", at: index)
                }
            }
            guard take(0x5D) else { throw SyslogError("expecting the end of an element of structured data", at: index) }
        }
        return parameters
    }

    private mutating func parameter(of element: Range<Int>) throws(SyslogError) -> SyslogMessage.Parameter {
        guard let name = run(upTo: 32, Self.isNamePart), take(0x3D), take(0x22) else {
            throw SyslogError("expecting a parameter of structured data", at: index)
        }
        var value: [UInt8] = []
        while let byte = peek {
            index += 1
            switch byte {
            case 0x22: return SyslogMessage.Parameter(element: element, name: name, value: value)
            case 0x5D: throw SyslogError("expecting a bracket in a value to be escaped", at: index - 1)
            case 0x5C:
                guard let escaped = peek, escaped == 0x22 || escaped == 0x5C || escaped == 0x5D else {
                    throw SyslogError("expecting a quote, bracket or backslash after a backslash", at: index)
                }
                value.append(escaped)
                index += 1
            default: value.append(byte)
            }
        }
        throw SyslogError("expecting the end of a value", at: index)
    }

    // MARK: Parts of RFC 3164

    /// `Jan _2 15:04:05`.
    fileprivate mutating func stamp(fractionDigits: Int) throws(SyslogError) -> SyslogMessage.Time {
        let start = index
        guard let month = month(), take(0x20) else {
            throw SyslogError("expecting a time such as \"Jan  2 15:04:05\"", at: start)
        }
        _ = take(0x20)
        guard let range = run(upTo: 2, Self.isDigit) else {
            throw SyslogError("expecting a day of the month", at: index)
        }
        var day = 0
        for position in range { day = day * 10 + Int(bytes[position] - 0x30) }
        guard CivilDate.isValid(year: 2000, month: month, day: day), take(0x20),
            let time = timeOfDay(fractionDigits: fractionDigits)
        else { throw SyslogError("expecting a time such as \"Jan  2 15:04:05\"", at: start) }
        return .yearless(month: month, day: day, nanoseconds: time)
    }

    private static let months: [StaticString] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private mutating func month() -> Int? {
        guard bytes.count - index >= 3 else { return nil }
        for (number, name) in Self.months.enumerated()
        where (0..<3).allSatisfy({ bytes[index + $0] == name.utf8Start[$0] }) {
            index += 3
            return number + 1
        }
        return nil
    }

    /// A host name and the space after it, unless what stands here is the tag already.
    fileprivate mutating func hostNameBeforeText() -> Range<Int>? {
        let start = index
        guard let name = run(upTo: 255, { Self.isGraphic($0) && $0 != 0x3A }), take(0x20) else {
            index = start
            return nil
        }
        skipSpaces()
        return name
    }

    /// `tag: ` or `tag[content]: `; nil, and nothing taken, when the text has none.
    fileprivate mutating func tag() -> (name: Range<Int>, content: Range<Int>?)? {
        let start = index
        guard let name = run(upTo: 48, { Self.isGraphic($0) && $0 != 0x3A && $0 != 0x5B }) else { return nil }
        var content: Range<Int>?
        if take(0x5B) {
            content = run(upTo: .max) { Self.isGraphic($0) && $0 != 0x5B && $0 != 0x5D }
            guard take(0x5D) else {
                index = start
                return nil
            }
        }
        guard take(0x3A), take(0x20) else {
            index = start
            return nil
        }
        return (name, content)
    }

    /// `123: ` as Cisco counts.
    fileprivate mutating func ciscoNumber() -> UInt32? {
        let start = index
        guard let range = run(upTo: 255, Self.isDigit), take(0x3A) else {
            index = start
            return nil
        }
        skipSpaces()
        var value: UInt32 = 0
        for position in range { value = value &* 10 &+ UInt32(bytes[position] - 0x30) }
        return value
    }

    fileprivate mutating func ciscoHostName() -> Range<Int>? {
        let start = index
        guard let range = run(upTo: 255, { Self.isGraphic($0) && $0 != 0x3A }), take(0x3A) else {
            index = start
            return nil
        }
        skipSpaces()
        return range
    }

    // MARK: Raw

    /// `<n>` with digits only and n up to 255.
    fileprivate mutating func rawPriority() -> Int? {
        guard take(0x3C), let range = run(upTo: 64, Self.isDigit), take(0x3E) else { return nil }
        var value = 0
        for position in range { value = min(value * 10 + Int(bytes[position] - 0x30), 1000) }
        return value <= 255 ? value : nil
    }
}
