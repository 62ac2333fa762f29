import AlloySyntax
import TextFormats
import Wire

/// How a log record is written as a syslog message: from attributes named as the OpenTelemetry Collector's syslog parser
/// names them.
enum SyslogFormat: String, AlloyWord {
    static var placeholder: SyslogFormat { .rfc5424 }

    case rfc5424, rfc3164

    private static let keys = (
        priority: "priority" as OTLPKey, version: "version" as OTLPKey, host: "hostname" as OTLPKey,
        app: "appname" as OTLPKey, process: "proc_id" as OTLPKey, id: "msg_id" as OTLPKey,
        data: "structured_data" as OTLPKey, message: "message" as OTLPKey
    )
    private static let full = GoTimeLayout("2006-01-02T15:04:05.999999999Z07:00")
    private static let short = GoTimeLayout("Jan 02 15:04:05")

    /// The message with the line feed that ends it, or its length in front as well.
    func message(_ record: OTLPLogRecord, countsOctets: Bool) -> [UInt8] {
        let attributes = record.attributes
        func field(_ key: OTLPKey, _ fallback: String) -> String {
            guard let value = attributes[key] else { return fallback }
            let text = String(decoding: OTLPText.bytes(value), as: UTF8.self)
            return text.isEmpty ? fallback : text
        }
        let time = GoTime(unixNanoseconds: Int64(clamping: record.timeUnixNano))
        let priority = field(Self.keys.priority, "165")
        let host = Self.word(field(Self.keys.host, "-"))
        var text = field(Self.keys.message, "")
        // Where a line feed ends a message, those inside are written as rsyslog writes them.
        if !countsOctets { text = text.replacing("\n", with: "#012") }
        var line: String
        switch self {
        case .rfc5424:
            line = "<\(priority)>\(field(Self.keys.version, "1")) \(Self.full.format(time)) \(host)"
            line += " \(Self.word(field(Self.keys.app, "-"))) \(Self.word(field(Self.keys.process, "-")))"
            line += " \(Self.word(field(Self.keys.id, "-"))) \(Self.data(attributes[Self.keys.data]))"
            if !text.isEmpty { line += " " + text }
        case .rfc3164:
            line = "<\(priority)>\(Self.short.format(time)) \(host) "
            let app = field(Self.keys.app, "")
            if !app.isEmpty { line += app + ":" + (text.isEmpty ? "" : " ") }
            line += text
        }
        line += "\n"
        return countsOctets ? Array("\(line.utf8.count) \(line)".utf8) : Array(line.utf8)
    }

    /// A field of the head, which ends at the next space.
    private static func word(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 <= 0x20 }) else { return text }
        return String(decoding: text.utf8.map { $0 <= 0x20 ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
    }

    /// Structured data (RFC 5424, 6.3) of a map of maps.
    private static func data(_ value: OTLPValue?) -> String {
        guard case .map(let elements)? = value else { return "-" }
        var text = ""
        elements.forEach { id, parameters in
            text += "[" + word(String(decoding: id, as: UTF8.self))
            if case .map(let parameters) = parameters {
                parameters.forEach { name, value in
                    var escaped = ""
                    for scalar in String(decoding: OTLPText.bytes(value), as: UTF8.self).unicodeScalars {
                        if scalar == "\"" || scalar == "\\" || scalar == "]" { escaped += "\\" }
                        escaped.unicodeScalars.append(scalar)
                    }
                    text += " \(word(String(decoding: name, as: UTF8.self)))=\"\(escaped)\""
                }
            }
            text += "]"
        }
        return text.isEmpty ? "-" : text
    }
}
