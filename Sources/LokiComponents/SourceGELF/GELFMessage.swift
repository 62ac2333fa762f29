import TextFormats

/// What a GELF message says, and the JSON that entries carry.
///
/// Format: GELF 1.1, "GELF Payload Specification" of Graylog's documentation. Fields that the specification does not name
/// and that do not begin with `_` are left out, as upstream leaves them out.
struct GELFMessage: Sendable, Equatable {
    struct Invalid: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    var version = ""
    var host = ""
    var facility = ""
    var level = 0
    /// Seconds since 1970; 0 is unknown.
    var seconds = 0.0
    private var short = ""
    private var full = ""
    private var extra = JSONObject()

    init(_ bytes: [UInt8]) throws(Invalid) {
        let document: JSONValue
        do throws(TextFormatError) {
            document = try JSONValue(parsing: bytes, maximumDepth: 64)
        } catch {
            throw Invalid(description: "\(error)")
        }
        guard let object = document.objectValue else { throw Invalid(description: "message is no JSON object") }
        for (key, value) in object {
            switch key {
            case "version": version = try Self.text(key, value)
            case "host": host = try Self.text(key, value)
            case "short_message": short = try Self.text(key, value)
            case "full_message": full = try Self.text(key, value)
            case "facility": facility = try Self.text(key, value)
            case "timestamp": seconds = try Self.number(key, value)
            case "level":
                let number = try Self.number(key, value)
                guard let whole = Int32(exactly: number.rounded(.towardZero)) else {
                    throw Invalid(description: "level is out of range")
                }
                level = Int(whole)
            default: if key.utf8.first == 0x5F { extra[key] = value }
            }
        }
    }

    private static func text(_ key: String, _ value: JSONValue) throws(Invalid) -> String {
        guard let text = value.stringValue else { throw Invalid(description: "\(key) is no string") }
        return text
    }

    private static func number(_ key: String, _ value: JSONValue) throws(Invalid) -> Double {
        guard let number = value.doubleValue, number.isFinite else { throw Invalid(description: "\(key) is no number") }
        return number
    }

    /// Nanoseconds since 1970, nil when the message does not say.
    var timestamp: Int64? {
        guard seconds != 0 else { return nil }
        return Int64(exactly: (seconds * 1e9).rounded(.towardZero))
    }

    /// The name of the level; nil for a number that is none.
    var levelName: String? {
        let names = ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"]
        return names.indices.contains(level) ? names[level] : nil
    }

    /// The message as upstream writes it again: named fields in a fixed order, then the others by name.
    var line: [UInt8] {
        var object = JSONObject()
        object["version"] = .string(version)
        object["host"] = .string(host)
        object["short_message"] = .string(short)
        if !full.isEmpty { object["full_message"] = .string(full) }
        object["timestamp"] = .double(seconds)
        if level != 0 { object["level"] = .int(level) }
        if !facility.isEmpty { object["facility"] = .string(facility) }
        for member in extra.members.sorted(by: { $0.key < $1.key }) { object[member.key] = member.value }
        var output: [UInt8] = []
        JSONWriter().append(.object(object), to: &output)
        return output
    }
}
