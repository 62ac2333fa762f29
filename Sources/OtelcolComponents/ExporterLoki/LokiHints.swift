import Essentials
import Wire

/// Attributes that say how a record becomes an entry, and the labels they ask for.
enum LokiHints {
    static let format = "loki.format"
    private static let attributeLabels = "loki.attribute.labels"
    private static let resourceLabels = "loki.resource.labels"
    private static let tenant = "loki.tenant"
    private static let all: Set<String> = [format, attributeLabels, resourceLabels, tenant]
    private static let level = "level"

    /// Names of the severities 1 to 24: four of each kind.
    private static let severities = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]

    // MARK: Labels

    /// The labels by the names of the attributes they come from.
    static func labels(record: OTLPAnyValue.Map, resource: OTLPAnyValue.Map) -> [String: String] {
        var labels = ["exporter": "OTLP"]
        if let name = resource["service.name"] {
            let space = resource["service.namespace"].map { OTLPText.string($0) + "/" } ?? ""
            labels["job"] = space + OTLPText.string(name)
        }
        if let instance = resource["service.instance.id"] { labels["instance"] = OTLPText.string(instance) }
        add(resource[resourceLabels], from: resource, to: &labels)
        add(record[resourceLabels], from: resource, to: &labels)
        add(record[attributeLabels], from: record, to: &labels)
        if let hint = resource[tenant] {
            add(hint, from: resource, to: &labels)
        } else {
            add(record[tenant], from: record, to: &labels)
        }
        return labels
    }

    /// Whether an attribute is a hint or has become a label, and so is left out of the line.
    static func isUsed(_ key: [UInt8], _ labels: [String: String]) -> Bool {
        let name = String(decoding: key, as: UTF8.self)
        return all.contains(name) || labels[name] != nil
    }

    private static func add(
        _ hint: OTLPAnyValue?, from attributes: OTLPAnyValue.Map, to labels: inout [String: String]
    ) {
        guard let hint else { return }
        for name in names(hint) {
            if let value = attributes[name] ?? nested(name[...], in: attributes) {
                labels[name] = OTLPText.string(value)
            }
        }
    }

    /// The attributes a hint names: a list, or a text with commas.
    private static func names(_ hint: OTLPAnyValue) -> [String] {
        let parts: [Substring]
        switch hint {
        case .array(let elements): parts = elements.map { OTLPText.string($0)[...] }
        default: parts = OTLPText.string(hint).split(separator: ",", omittingEmptySubsequences: false)
        }
        return parts.map { part in
            String(part.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        }
    }

    /// The value in maps within maps, whose keys the dots of `path` divide.
    private static func nested(_ path: Substring, in map: OTLPAnyValue.Map) -> OTLPAnyValue? {
        guard let dot = path.firstIndex(of: ".") else { return map[String(path)] }
        guard let value = map[String(path[..<dot])] else { return nil }
        let rest = path[path.index(after: dot)...]
        if rest.isEmpty { return value }
        guard case .map(let inner) = value else { return nil }
        return nested(rest, in: inner)
    }

    /// An attribute's name as Prometheus allows it: `2 cents` is `key_2_cents`, `_name` is `key_name`.
    static func labelName(_ name: String) -> String {
        var text = ""
        for scalar in name.unicodeScalars {
            let isKept = scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
            text.unicodeScalars.append(isKept ? scalar : "_")
        }
        guard let first = text.unicodeScalars.first else { return text }
        if ("0"..."9").contains(first) { return "key_" + text }
        return first == "_" && !text.hasPrefix("__") ? "key" + text : text
    }

    // MARK: Level

    /// Makes the severity, where there is one, an attribute and a label.
    static func addLevel(_ severity: UInt32, to attributes: inout OTLPAnyValue.Map) {
        guard severity != 0 else { return }
        switch attributes[attributeLabels] {
        case .array(let names)?: attributes[attributeLabels] = .array(names + [.string(level)])
        case .string(let names)?: attributes[attributeLabels] = .string(names + Array(",level".utf8))
        case nil: attributes[attributeLabels] = .string(level)
        default: break
        }
        if attributes[level] == nil { attributes[level] = .string(name(of: severity)) }
    }

    private static func name(of severity: UInt32) -> String {
        guard (1...24).contains(severity) else { return "" }
        let (kind, step) = Int(severity - 1).quotientAndRemainder(dividingBy: 4)
        return severities[kind] + (step == 0 ? "" : String(step + 1))
    }
}
