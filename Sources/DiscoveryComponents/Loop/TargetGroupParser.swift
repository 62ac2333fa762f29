import Telemetry
import TextFormats

/// Reads lists of target groups as Prometheus defines them for file and HTTP discovery: each group has `targets`, a
/// list of addresses, and optionally `labels`, a map of strings. Any other field is an error.
///
/// Agrees with prometheus/prometheus `discovery/targetgroup`: JSON field names match in any case, YAML ones exactly,
/// and YAML numbers and Booleans count as their text. Deviation: a label name must not be empty, in both formats.
enum TargetGroupParser {
    /// Reads JSON; every group also gets `extra`, which wins over its own labels.
    static func json(_ bytes: [UInt8], adding extra: (name: String, value: String)) throws(TextFormatError)
        -> [TargetGroup]
    {
        let document = try JSONValue(parsing: bytes)
        if document == .null { return [] }
        guard let elements = document.arrayValue else {
            throw TextFormatError("a list of target groups is expected")
        }
        var groups: [TargetGroup] = []
        groups.reserveCapacity(elements.count)
        for element in elements { groups.append(try group(element, extra)) }
        return groups
    }

    /// Reads YAML; every group also gets `extra`, which wins over its own labels.
    static func yaml(_ bytes: [UInt8], adding extra: (name: String, value: String)) throws(TextFormatError)
        -> [TargetGroup]
    {
        // The dialect only matters for duplicate keys, which are errors here: values are taken as text.
        let document = try bytes.span.bytes.withUnsafeBytes { (raw) throws(TextFormatError) in
            try YAMLParser(.v3).parse(raw)
        }
        if document.isNull { return [] }
        guard let elements = document.sequenceValue else {
            throw TextFormatError("yaml: a list of target groups is expected")
        }
        var groups: [TargetGroup] = []
        groups.reserveCapacity(elements.count)
        for element in elements { groups.append(try group(element, extra)) }
        return groups
    }

    // MARK: JSON

    private static func group(
        _ value: JSONValue, _ extra: (name: String, value: String)
    ) throws(TextFormatError) -> TargetGroup {
        if value == .null { throw TextFormatError("nil target group item found") }
        guard let object = value.objectValue else { throw TextFormatError("json: a target group must be an object") }
        var addresses: [String] = []
        var labels: [(String, String)] = []
        for (key, value) in object {
            switch key.lowercased() {
            case "targets":
                addresses = []
                if value == .null { continue }
                guard let elements = value.arrayValue else {
                    throw TextFormatError("json: targets must be a list of strings")
                }
                for element in elements { addresses.append(try text(element, "targets must be strings")) }
            case "labels":
                labels = []
                if value == .null { continue }
                guard let object = value.objectValue else {
                    throw TextFormatError("json: labels must be an object of strings")
                }
                for (name, value) in object {
                    labels.append((try checked(name), try text(value, "label values must be strings")))
                }
            default: throw TextFormatError("json: unknown field \"\(key)\"")
            }
        }
        labels.append(extra)
        return TargetGroup(labels: LabelSet(labels), addresses: addresses)
    }

    private static func text(_ value: JSONValue, _ problem: String) throws(TextFormatError) -> String {
        if value == .null { return "" }
        guard let text = value.stringValue else { throw TextFormatError("json: \(problem)") }
        return text
    }

    // MARK: YAML

    private static func group(
        _ value: YAMLValue, _ extra: (name: String, value: String)
    ) throws(TextFormatError) -> TargetGroup {
        if value.isNull { throw TextFormatError("nil target group item found") }
        guard let mapping = value.mappingValue else { throw TextFormatError("yaml: a target group must be a mapping") }
        var addresses: [String] = []
        var labels: [(String, String)] = []
        for entry in mapping {
            let line = entry.line
            switch text(entry.key) {
            case "targets":
                if entry.value.isNull { continue }
                guard let elements = entry.value.sequenceValue else {
                    throw TextFormatError("yaml: line \(line): targets must be a list of strings", line: line)
                }
                for element in elements {
                    guard let address = text(element) else {
                        throw TextFormatError("yaml: line \(line): targets must be strings", line: line)
                    }
                    addresses.append(address)
                }
            case "labels":
                if entry.value.isNull { continue }
                guard let values = entry.value.mappingValue else {
                    throw TextFormatError("yaml: line \(line): labels must be a mapping of strings", line: line)
                }
                for label in values {
                    guard let name = text(label.key), let value = text(label.value) else {
                        throw TextFormatError(
                            "yaml: line \(label.line): label names and values must be strings", line: label.line)
                    }
                    labels.append((try checked(name), value))
                }
            case let other:
                throw TextFormatError(
                    "yaml: line \(line): field \(other ?? "") not found in a target group", line: line)
            }
        }
        labels.append(extra)
        return TargetGroup(labels: LabelSet(labels), addresses: addresses)
    }

    /// The text of a scalar, empty for null; nil for lists and mappings.
    private static func text(_ value: YAMLValue) -> String? {
        guard case .scalar(let scalar) = value else { return nil }
        return value.isNull ? "" : scalar.text
    }

    private static func checked(_ name: String) throws(TextFormatError) -> String {
        if name.isEmpty { throw TextFormatError("\"\" is not a valid label name") }
        return name
    }
}
