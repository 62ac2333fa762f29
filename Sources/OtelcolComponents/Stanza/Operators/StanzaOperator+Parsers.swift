import OTTL
import TextFormats
import Wire

/// Operators that read the text of a field.
extension StanzaOperator {
    private static func parser(_ parser: StanzaParser) -> StanzaOperator {
        .transform { (entry) throws(StanzaError) in try parser.apply(&entry) }
    }

    static func jsonParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let keepsIntegers = reader.bool("parse_ints", default: false)
        return parser(
            StanzaParser(&reader) { (value, _) throws(StanzaError) in
                let text = try StanzaParser.text(value, "JSON")
                guard case .object(let object) = try json(text) else { throw StanzaError("JSON is no object") }
                return OTLPAnyValue(.object(object), keepsIntegers: keepsIntegers)
            })
    }

    private static func json(_ text: [UInt8]) throws(StanzaError) -> JSONValue {
        do throws(TextFormatError) {
            return try JSONValue(parsing: text, maximumDepth: 100)
        } catch {
            throw StanzaError("\(error)")
        }
    }

    static func regexParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let pattern = reader.pattern("regex")
        if pattern == nil, !reader.isSet("regex") { reader.reject("'regex' is required") }
        var cache: RegexCache?
        if var inner = reader.object("cache") {
            let size = inner.int("size", default: 0)
            if !(0...65535).contains(size) { inner.reject("'size' must be from 0 to 65535") }
            if size > 0 { cache = RegexCache(size: size) }
            inner.finish()
        }
        let known = cache
        let made: RegularExpression? = pattern
        if let made, made.groupNames.allSatisfy({ $0 == nil }) {
            reader.reject("'regex' must have one named group at least")
        }
        let parsing = StanzaParser(&reader) { (value, _) throws(StanzaError) in
            let text = try StanzaParser.text(value, "text")
            guard let known else { return .map(try matches(text, made)) }
            return .map(try known.value(of: text) { (text) throws(StanzaError) in try matches(text, made) })
        }
        return made == nil ? nil : parser(parsing)
    }

    /// The named groups of a match.
    static func matches(_ text: [UInt8], _ pattern: RegularExpression?) throws(StanzaError) -> OTLPAnyValue.Map {
        guard let pattern else { return OTLPAnyValue.Map() }
        let found: OTLPAnyValue.Map? = text.withUnsafeBytes { bytes in
            var captures = RegularExpression.Captures()
            guard pattern.firstMatch(in: bytes, into: &captures) else { return nil }
            var map = OTLPAnyValue.Map()
            for (group, name) in pattern.groupNames.enumerated() {
                guard let name else { continue }
                map[name] = .text(captures[group].map { Array(bytes[$0]) } ?? [])
            }
            return map
        }
        guard let found else { throw StanzaError("regex pattern does not match") }
        return found
    }

    static func keyValueParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let delimiter = reader.string("delimiter") ?? "="
        let pairs = reader.string("pair_delimiter") ?? ""
        if delimiter.isEmpty { reader.reject("'delimiter' must not be empty") }
        if delimiter == pairs { reader.reject("'delimiter' and 'pair_delimiter' must differ") }
        let parsing = StanzaParser(&reader) { (value, _) throws(StanzaError) in
            var text = try StanzaParser.text(value, "pairs")
            if text.isEmpty { throw StanzaError("parse from field is empty") }
            if pairs.isEmpty, !text.contains(0x22), !text.contains(0x27) {
                // Any white space stands between pairs.
                for index in text.indices where (0x09...0x0D).contains(text[index]) { text[index] = 0x20 }
            }
            do {
                return .map(
                    try KeyValueText.parse(text, Array(delimiter.utf8), pairs.isEmpty ? [0x20] : Array(pairs.utf8)))
            } catch {
                throw unnamed(error)
            }
        }
        return delimiter.isEmpty ? nil : parser(parsing)
    }

    /// An error without the name of the function that makes the same of statements.
    private static func unnamed(_ error: any Error) -> StanzaError {
        let text = (error as? OTTLError)?.message ?? "\(error)"
        for name in ["ParseKeyValue: ", "ParseCSV: "] where text.hasPrefix(name) {
            return StanzaError(String(text.dropFirst(name.count)))
        }
        return StanzaError(text)
    }

    static func csvParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let header = reader.string("header") ?? ""
        let attribute = reader.string("header_attribute") ?? ""
        let delimiterText = reader.string("delimiter") ?? ","
        let headerDelimiterText = reader.string("header_delimiter") ?? delimiterText
        let isLazy = reader.bool("lazy_quotes", default: false)
        let ignoresQuotes = reader.bool("ignore_quotes", default: false)
        if header.isEmpty == attribute.isEmpty { reader.reject("one of 'header' and 'header_attribute' is required") }
        if isLazy, ignoresQuotes { reader.reject("only one of 'ignore_quotes' or 'lazy_quotes' can be true") }
        func single(_ text: String, _ name: String) -> UInt8? {
            let bytes = Array(text.utf8)
            if bytes.count == 1, bytes[0] != 0x0A, bytes[0] != 0x0D { return bytes[0] }
            reader.reject("'\(name)' must be one character and no line break")
            return nil
        }
        let delimiter = single(delimiterText, "delimiter")
        let headerDelimiter = single(headerDelimiterText, "header_delimiter")
        let fixed = headerDelimiter.map { names(Array(header.utf8), $0) }
        let parsing = StanzaParser(&reader) { (value, entry) throws(StanzaError) in
            let text = try StanzaParser.text(value, "CSV")
            var names = fixed ?? []
            if !attribute.isEmpty {
                names = Self.names(try StanzaField.attribute(attribute).string(entry), headerDelimiter ?? 0x2C)
            }
            let fields: [[UInt8]]
            do {
                fields = try CSVText.fields(
                    of: text, delimiter ?? 0x2C, ignoresQuotes ? .ignoreQuotes : isLazy ? .lazyQuotes : .strict)
            } catch {
                throw unnamed(error)
            }
            guard fields.count == names.count else {
                throw StanzaError("wrong number of fields: expected \(names.count), found \(fields.count)")
            }
            var map = OTLPAnyValue.Map()
            for (name, field) in zip(names, fields) { map[name] = .text(field) }
            return .map(map)
        }
        return delimiter == nil || headerDelimiter == nil ? nil : parser(parsing)
    }

    private static func names(_ header: [UInt8], _ delimiter: UInt8) -> [[UInt8]] {
        header.split(separator: delimiter, omittingEmptySubsequences: false).map { Array($0) }
    }

    static func jsonArrayParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let header = reader.string("header") ?? ""
        let names = header.isEmpty ? [] : Self.names(Array(header.utf8), 0x2C)
        if !reader.isSet("parse_to") { reader.reject("'parse_to' is required") }
        return parser(
            StanzaParser(&reader, to: .body) { (value, _) throws(StanzaError) in
                let text = try StanzaParser.text(value, "a JSON array")
                guard case .array(let elements) = try json(text) else { throw StanzaError("JSON is no array") }
                let values = elements.map { element -> OTLPAnyValue in
                    switch element {
                    case .array, .object: .string(JSONWriter(escapesHTML: false).text(element))
                    default: OTLPAnyValue(element, keepsIntegers: true)
                    }
                }
                if names.isEmpty { return .array(values) }
                guard names.count == values.count else {
                    throw StanzaError("wrong number of fields: expected \(names.count), found \(values.count)")
                }
                var map = OTLPAnyValue.Map()
                for (name, value) in zip(names, values) { map[name] = value }
                return .map(map)
            })
    }

    static func syslogParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let format = reader.required("protocol").lowercased()
        if !["rfc3164", "rfc5424"].contains(format) { reader.reject("unsupported protocol version: \(format)") }
        let countsOctets = reader.bool("enable_octet_counting", default: false)
        let maximum = reader.int("max_octets", default: 8192)
        let allowsMissing = reader.bool("allow_skip_pri_header", default: false)
        let trailerName = reader.string("non_transparent_framing_trailer")
        let trailer = trailerName.flatMap { SyslogEntryParser.Trailer(rawValue: $0) }
        if trailerName != nil, trailer == nil {
            reader.reject("invalid non_transparent_framing_trailer: must be either 'LF' or 'NUL'")
        }
        if format == "rfc3164", countsOctets || trailerName != nil {
            reader.reject("octet_counting and non_transparent_framing are only compatible with rfc5424")
        }
        if countsOctets, trailerName != nil {
            reader.reject("only one of octet_counting or non_transparent_framing can be enabled")
        }
        var zone = GoTimeZone.utc
        do throws(TextFormatError) {
            zone = try GoTimeZone.load(reader.string("location") ?? "UTC")
        } catch {
            reader.reject("'location': \(error)")
        }
        let syslog = SyslogEntryParser(
            parser: SyslogParser(format == "rfc3164" ? .rfc3164 : .rfc5424), zone: zone, countsOctets: countsOctets,
            maximumOctets: maximum > 0 ? maximum : 8192, allowsMissingPriority: allowsMissing, trailer: trailer)
        let parsing = StanzaParser(&reader) { (value, entry) throws(StanzaError) in
            .map(try syslog.fields(of: try StanzaParser.text(value, "syslog"), now: entry.observed).attributes)
        }
        let from = reader.field("parse_from", default: .body)
        return .transform { (entry) throws(StanzaError) in
            // Severity and time are of the message; blocks of the parser come after them.
            let fields = try syslog.fields(of: try from.string(entry), now: entry.observed)
            if let timestamp = fields.timestamp { entry.timestamp = timestamp }
            if let severity = fields.severity {
                entry.severity = severity.number
                entry.severityText = Array(severity.text.utf8)
            }
            try parsing.apply(&entry)
        }
    }

    static func timeParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        guard let timestamp = StanzaTimestamp(&reader) else { return nil }
        return .transform { (entry) throws(StanzaError) in try timestamp.parse(&entry) }
    }

    static func severityParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        guard let severity = StanzaSeverity(&reader) else { return nil }
        return .transform { (entry) throws(StanzaError) in try severity.parse(&entry) }
    }

    static func traceParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let trace = StanzaTrace(&reader)
        return .transform { (entry) throws(StanzaError) in try trace.parse(&entry) }
    }

    static func scopeNameParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.requiredField("parse_from")
        return .transform { (entry) throws(StanzaError) in entry.scopeName = try field.string(entry) }
    }

    static func uriParser(_ reader: inout OperatorReader) -> StanzaOperator? {
        parser(
            StanzaParser(&reader) { (value, _) throws(StanzaError) in
                .map(try URIParts.map(String(decoding: try StanzaParser.text(value, "a URI"), as: UTF8.self)))
            })
    }
}
