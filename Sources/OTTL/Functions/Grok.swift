import TextFormats
import Wire

/// A grok expression: a regular expression that names others, `%{NAME}`, `%{NAME:field}` and `%{NAME:field:type}`.
struct Grok: Sendable {
    private enum Conversion: String { case int, long, double, float, bool, boolean, string }

    /// Characters an expression may grow to.
    private static let maximumLength = 256 << 10

    private let expression: RegularExpression
    /// For each group the field it fills and the type it has.
    private let fields: [(name: String, type: String)?]

    init(_ pattern: String, _ isNamedOnly: Bool, _ definitions: [String: String]) throws {
        var builder = Builder(isNamedOnly: isNamedOnly, definitions: definitions)
        let source = try builder.expand(pattern, depth: 0)
        do {
            expression = try RegularExpression(source)
        } catch {
            throw OTTLError("invalid pattern: \(error)")
        }
        let names = builder.fields
        fields = expression.groupNames.map { name in
            guard let name else { return nil }
            return names[name] ?? (name, "")
        }
        if isNamedOnly, fields.allSatisfy({ $0 == nil }) {
            throw OTTLError("needs one named capture at least: %{NAME:field}")
        }
    }

    func map(of text: UnsafeRawBufferPointer) -> OTLPAnyValue.Map {
        var map = OTLPAnyValue.Map()
        var captures = RegularExpression.Captures()
        guard expression.firstMatch(in: text, into: &captures) else { return map }
        for (group, field) in fields.enumerated() {
            guard let field else { continue }
            guard let range = captures[group] else {
                if map[field.name] == nil { map[field.name] = .string([]) }
                continue
            }
            map[field.name] = Self.convert(Array(text[range]), field.type)
        }
        return map
    }

    private static func convert(_ text: [UInt8], _ type: String) -> OTLPAnyValue {
        let string = String(decoding: text, as: UTF8.self)
        switch Conversion(rawValue: type) {
        case .int, .long: return GoNumber.parseInt(string).map { .int($0) } ?? .string(text)
        case .double, .float: return GoNumber.parseFloat(string).map { .double($0) } ?? .string(text)
        case .bool, .boolean:
            switch string.lowercased() {
            case "true", "t", "1": return .bool(true)
            case "false", "f", "0": return .bool(false)
            default: return .string(text)
            }
        case .string, nil: return .string(text)
        }
    }

    private struct Builder {
        let isNamedOnly: Bool
        let definitions: [String: String]
        var fields: [String: (name: String, type: String)] = [:]
        private var length = 0

        init(isNamedOnly: Bool, definitions: [String: String]) {
            self.isNamedOnly = isNamedOnly
            self.definitions = definitions
        }

        mutating func expand(_ pattern: String, depth: Int) throws -> String {
            if depth > 20 { throw OTTLError("patterns refer to each other without end") }
            var output = ""
            var rest = pattern[...]
            while let mark = rest.firstRange(of: "%{") {
                output += rest[..<mark.lowerBound]
                guard let end = rest[mark.upperBound...].firstIndex(of: "}") else {
                    throw OTTLError("%{ is not closed")
                }
                let parts = rest[mark.upperBound..<end].split(separator: ":", omittingEmptySubsequences: false).map {
                    String($0)
                }
                rest = rest[rest.index(after: end)...]
                guard let definition = definitions[parts[0]] ?? GrokPatterns.base[parts[0]] else {
                    throw OTTLError("unknown pattern \(parts[0]): define it in pattern_definitions")
                }
                if parts.count > 3 || (parts.count == 3 && Conversion(rawValue: parts[2]) == nil) {
                    throw OTTLError(
                        "%{\(parts.joined(separator: ":"))} is not %{NAME:field:type} with type int, long, "
                            + "double, float or bool")
                }
                let inner = try expand(definition, depth: depth + 1)
                let field = parts.count > 1 ? parts[1] : isNamedOnly ? "" : parts[0]
                if field.isEmpty {
                    output += "(?:\(inner))"
                } else {
                    let group = "grok\(fields.count)"
                    fields[group] = (field, parts.count > 2 ? parts[2] : "")
                    output += "(?P<\(group)>\(inner))"
                }
                length += inner.utf8.count
                if length > Grok.maximumLength { throw OTTLError("the pattern grows beyond 256 KiB") }
            }
            return output + rest
        }
    }
}

/// The patterns every grok expression can name.
enum GrokPatterns {
    static let base: [String: String] = [
        "WORD": #"\b\w+\b"#,
        "NOTSPACE": #"\S+"#,
        "SPACE": #"\s*"#,
        "DATA": #".*?"#,
        "GREEDYDATA": #".*"#,
        "GREEDYMULTILINE": #"(?s:.*)"#,
        "INT": #"[+-]?[0-9]+"#,
        "POSINT": #"\b[1-9][0-9]*\b"#,
        "NONNEGINT": #"\b[0-9]+\b"#,
        "BASE10NUM": #"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"#,
        "NUMBER": "%{BASE10NUM}",
        "BASE16NUM": #"[+-]?(?:0x)?[0-9A-Fa-f]+"#,
        "BASE16FLOAT": #"\b[+-]?(?:0x)?(?:[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?|\.[0-9A-Fa-f]+)\b"#,
        "BOOL": #"(?i:true|false)"#,
        "QUOTEDSTRING": #"(?:"(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*'|`(?:\\.|[^\\`])*`)"#,
        "QS": "%{QUOTEDSTRING}",
        "UUID": #"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"#,
        "URN": #"urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:(?:%[0-9a-fA-F]{2}|[0-9A-Za-z()+,.:=@;$_!*'/?#-])+"#,
        "USERNAME": #"[a-zA-Z0-9._-]+"#,
        "USER": "%{USERNAME}",
        "EMAILLOCALPART": #"[a-zA-Z0-9!#$%&'*+/=?^_{|}~.-]+"#,
        "EMAILADDRESS": "%{EMAILLOCALPART}@%{HOSTNAME}",
        "MAC": #"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"#,
        "IPV4": #"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"#,
        "IPV6": #"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:%{IPV4}|[0-9A-Fa-f]{0,4})(?:%[0-9A-Za-z]+)?"#,
        "IP": "(?:%{IPV6}|%{IPV4})",
        "HOSTNAME": #"\b[0-9A-Za-z](?:[0-9A-Za-z-]{0,62})(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]{0,62}))*\.?"#,
        "IPORHOST": "(?:%{IP}|%{HOSTNAME})",
        "HOSTPORT": "%{IPORHOST}:%{POSINT}",
        "UNIXPATH": #"(?:/[\w_%!$@:.,+~-]*)+"#,
        "WINPATH": #"(?:[A-Za-z]:|\\)(?:\\[^\\?*]*)+"#,
        "PATH": "(?:%{UNIXPATH}|%{WINPATH})",
        "TTY": #"/dev/(?:pts|tty(?:[pq])?)(?:\w+)?/?(?:[0-9]+)"#,
        "URIPROTO": #"[A-Za-z][A-Za-z0-9+.-]+"#,
        "URIHOST": "%{IPORHOST}(?::%{POSINT})?",
        "URIPATH": #"(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_-]*)+"#,
        "URIQUERY": #"[A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\[\]<>-]*"#,
        "URIPARAM": #"\?%{URIQUERY}"#,
        "URIPATHPARAM": "%{URIPATH}(?:%{URIPARAM})?",
        "URI": "%{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?",
        "MONTH":
            #"\b(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b"#,
        "MONTHNUM": "(?:0[1-9]|1[0-2]|[1-9])",
        "MONTHDAY": "(?:0[1-9]|[12][0-9]|3[01]|[1-9])",
        "DAY":
            #"\b(?i:mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)\b"#,
        "YEAR": "(?:[0-9]{4}|[0-9]{2})",
        "HOUR": "(?:2[0-3]|[01]?[0-9])",
        "MINUTE": "[0-5][0-9]",
        "SECOND": "(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?",
        "TIME": "%{HOUR}:%{MINUTE}(?::%{SECOND})?",
        "DATE_US": "%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}",
        "DATE_EU": "%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}",
        "DATE_X": "%{YEAR}/%{MONTHNUM}/%{MONTHDAY}",
        "ISO8601_TIMEZONE": "(?:Z|[+-]%{HOUR}(?::?%{MINUTE})?)",
        "ISO8601_SECOND": "%{SECOND}",
        "ISO8601_HOUR": "(?:2[0-3]|[01][0-9])",
        "TIMESTAMP_ISO8601":
            "%{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?(?:%{ISO8601_TIMEZONE})?",
        "DATE": "(?:%{DATE_US}|%{DATE_EU}|%{DATE_X})",
        "DATESTAMP": "%{DATE}[- ]%{TIME}",
        "TZ": #"\b[A-Z]{3,4}\b"#,
        "DATESTAMP_RFC822": "%{DAY} %{MONTH} %{MONTHDAY} %{YEAR} %{TIME} %{TZ}",
        "DATESTAMP_RFC2822": "%{DAY}, %{MONTHDAY} %{MONTH} %{YEAR} %{TIME} %{ISO8601_TIMEZONE}",
        "DATESTAMP_OTHER": "%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{TZ} %{YEAR}",
        "DATESTAMP_EVENTLOG": "[0-9]{14}",
        "HTTPDATE": "%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} [+-][0-9]{4}",
        "SYSLOGTIMESTAMP": "%{MONTH} +%{MONTHDAY} %{TIME}",
        "PROG": #"[\x21-\x5a\x5c\x5e-\x7e]+"#,
        "SYSLOGPROG": #"%{PROG:process.name}(?:\[%{POSINT:process.pid:int}\])?"#,
        "SYSLOGHOST": "%{IPORHOST}",
        "SYSLOGFACILITY": "<%{NONNEGINT:log.syslog.facility.code:int}.%{NONNEGINT:log.syslog.priority:int}>",
        "SYSLOGBASE":
            "%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:host.name} %{SYSLOGPROG}:",
        "LOGLEVEL":
            "(?i:trace|debug|info(?:rmation)?|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|alert|emerg(?:ency)?)",
        "COMMONAPACHELOG":
            #"%{IPORHOST:source.address} %{NOTSPACE:apache.access.user.identity} %{NOTSPACE:user.name} \[%{HTTPDATE:timestamp}\] "(?:%{WORD:http.request.method} %{NOTSPACE:url.original}(?: HTTP/%{NUMBER:http.version})?|%{DATA})" (?:-|%{INT:http.response.status_code:int}) (?:-|%{INT:http.response.body.size:int})"#,
        "COMBINEDAPACHELOG":
            #"%{COMMONAPACHELOG} "(?:-|%{DATA:http.request.referrer})" "(?:-|%{DATA:user_agent.original})""#,
    ]
}
