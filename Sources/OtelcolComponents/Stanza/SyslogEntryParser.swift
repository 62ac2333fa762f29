import TextFormats
import Wire

/// Makes attributes, severity and time of an entry of a syslog message, for the syslog receiver and the `syslog_parser`
/// operator.
///
/// Messages: RFC 5424 and RFC 3164, read by ``SyslogParser``; frames of RFC 6587 where asked for. Names of attributes are
/// those of the collector's `pkg/stanza`. Unlike there, a message whose time is `-` has no time, instead of counting as
/// one that could not be read.
struct SyslogEntryParser: Sendable {
    enum Trailer: String, Sendable { case lineFeed = "LF", null = "NUL" }

    let parser: SyslogParser
    /// The zone of times that do not say theirs.
    let zone: GoTimeZone
    /// Whether messages begin with their length.
    let countsOctets: Bool
    let maximumOctets: Int
    /// Whether messages may come without a priority.
    let allowsMissingPriority: Bool
    let trailer: Trailer?

    /// What a message says.
    struct Fields {
        var timestamp: Int64?
        var severity: (number: Int, text: String)?
        var attributes: OTLPAnyValue.Map
    }

    /// The number OpenTelemetry has for a severity and its short name, by severity of syslog.
    private static let severities: [(number: Int, text: String)] = [
        (21, "emerg"), (19, "alert"), (18, "crit"), (17, "err"), (13, "warning"), (10, "notice"), (9, "info"),
        (5, "debug"),
    ]

    /// Reads a message; `now` is nanoseconds since 1970.
    func fields(of text: [UInt8], now: Int64) throws(StanzaError) -> Fields {
        var bytes = text[...]
        if countsOctets { bytes = try withoutLength(bytes) }
        switch trailer {
        case .lineFeed: if bytes.last == 0x0A { bytes.removeLast() }
        case .null: if bytes.last == 0 { bytes.removeLast() }
        case nil: break
        }
        let lacksPriority = !countsOctets && allowsMissingPriority && bytes.count > 1 && bytes.first != 0x3C
        var message = Array(bytes)
        if allowsMissingPriority, !Self.hasPriority(bytes) { message.insert(contentsOf: Array("<0>".utf8), at: 0) }
        do {
            return try message.withUnsafeBytes { raw in
                fields(try parser.parse(raw), raw, hasPriority: !lacksPriority, now: now)
            }
        } catch {
            throw StanzaError("\(error)")
        }
    }

    private func withoutLength(_ bytes: ArraySlice<UInt8>) throws(StanzaError) -> ArraySlice<UInt8> {
        var length = 0
        var index = bytes.startIndex
        while index < bytes.endIndex, (0x30...0x39).contains(bytes[index]) {
            length = min(length * 10 + Int(bytes[index] - 0x30), 1 << 40)
            index += 1
        }
        guard index > bytes.startIndex, index < bytes.endIndex, bytes[index] == 0x20 else {
            throw StanzaError("expecting the length of a message and a space")
        }
        guard length <= maximumOctets else {
            throw StanzaError("message of \(length) bytes is longer than max_octets, \(maximumOctets)")
        }
        let content = bytes[(index + 1)...]
        // White space at the end may have been trimmed off.
        return content.prefix(length)
    }

    private static func hasPriority(_ bytes: ArraySlice<UInt8>) -> Bool {
        var index = bytes.startIndex
        while let open = bytes[index...].firstIndex(of: 0x3C) {
            let digits = bytes[(open + 1)...].prefix { (0x30...0x39).contains($0) }
            if (1...3).contains(digits.count), digits.endIndex < bytes.endIndex, bytes[digits.endIndex] == 0x3E {
                return true
            }
            index = open + 1
        }
        return false
    }

    private func fields(
        _ message: SyslogMessage, _ bytes: UnsafeRawBufferPointer, hasPriority: Bool, now: Int64
    ) -> Fields {
        var entries: [OTLPAnyValue.Map.Entry] = []
        func add(_ key: String, _ value: OTLPAnyValue) {
            entries.append(OTLPAnyValue.Map.Entry(key: Array(key.utf8), value: value))
        }
        func add(_ key: String, _ range: Range<Int>?) { if let range { add(key, .text(Array(bytes[range]))) } }
        var severity: (number: Int, text: String)?
        if hasPriority, let priority = message.priority {
            add("priority", .int(Int64(priority)))
            add("facility", .int(Int64(priority >> 3)))
            severity = Self.severities[priority & 7]
        }
        if parser.format == .rfc5424 { add("version", .int(Self.version(bytes))) }
        add("hostname", message.hostName)
        add("appname", message.appName)
        add("proc_id", message.processID)
        add("msg_id", message.messageID)
        add("message", message.message)
        if !message.structuredData.isEmpty {
            var data = OTLPAnyValue.Map()
            for parameter in message.structuredData {
                let id = Array(bytes[parameter.element])
                var element = OTLPAnyValue.Map()
                if case .map(let present)? = data[id] { element = present }
                element[Array(bytes[parameter.name])] = .text(parameter.value)
                data[id] = .map(element)
            }
            add("structured_data", .map(data))
        }
        return Fields(
            timestamp: timestamp(of: message, now: now), severity: severity,
            attributes: OTLPAnyValue.Map(unique: entries))
    }

    /// The number behind the priority.
    private static func version(_ bytes: UnsafeRawBufferPointer) -> Int64 {
        guard let end = bytes.firstIndex(of: 0x3E) else { return 1 }
        return bytes[(end + 1)...].prefix { (0x30...0x39).contains($0) }.prefix(3)
            .reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }

    /// A time without a year is of the current one, or of the year before where that were more than a week ahead.
    private func timestamp(of message: SyslogMessage, now: Int64) -> Int64? {
        guard case .yearless(let month, let day, let nanoseconds) = message.time else {
            return message.timestamp(near: now)
        }
        let (seconds, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        let nowSeconds = now / 1_000_000_000
        let year = CivilTime(localSeconds: nowSeconds &+ Int64(zone.span(at: nowSeconds).offset)).year
        func time(_ year: Int64) -> Int64 {
            let midnight = CivilTime(year: year, month: month, day: day).localSeconds
            return zone.unixSeconds(ofLocal: midnight &+ seconds).seconds
        }
        let isAhead = time(year) > nowSeconds + 7 * 86_400
        return time(isAhead ? year - 1 : year) * 1_000_000_000 + fraction
    }
}

extension SyslogEntryParser: Equatable {
    static func == (left: SyslogEntryParser, right: SyslogEntryParser) -> Bool {
        left.parser == right.parser && left.zone.name == right.zone.name && left.countsOctets == right.countsOctets
            && left.maximumOctets == right.maximumOctets
            && left.allowsMissingPriority == right.allowsMissingPriority && left.trailer == right.trailer
    }
}

extension StanzaEntry {
    /// Puts what a syslog message says into the entry.
    mutating func take(_ fields: SyslogEntryParser.Fields) {
        if let timestamp = fields.timestamp { self.timestamp = timestamp }
        if let severity = fields.severity {
            self.severity = severity.number
            severityText = Array(severity.text.utf8)
        }
        for entry in fields.attributes.entries { attributes[entry.key] = entry.value }
    }
}
