import AlloySyntax
import OTTL
import Telemetry
import TextFormats
import Wire

/// The `include` and `exclude` blocks of processors: which spans, log records and metrics are meant.
///
/// Everything that is given must match; of a list one entry.
struct MatchArguments: Block, Sendable {
    /// A condition on one attribute.
    struct Attribute: Block, Sendable {
        let key: String
        let value: Value?

        init(from block: inout BlockReader) {
            key = block.required("key", "The name of the attribute.")
            value = block.optional("value", "The value it must have; any when left out.")
        }
    }

    /// A condition on the instrumentation scope.
    struct Library: Block, Sendable {
        let name: String
        let version: String?

        init(from block: inout BlockReader) {
            name = block.required("name", "The name of the scope.")
            version = block.optional("version", "Its version; any when left out.")
        }
    }

    /// The cache of results that upstream may keep.
    struct Regexp: Block, Sendable {
        init(from block: inout BlockReader) {
            let isEnabled = block.optional("cache_enabled", default: false, "Whether results of matching are cached.")
            let limit = block.optional("cache_max_num_entries", default: 0, "How many results are cached.")
            if isEnabled || limit != 0 {
                block.warn("cache_enabled", "has no effect: expressions are matched without a cache")
            }
        }
    }

    /// The lowest severity that matches.
    struct Severity: Block, Sendable {
        let minimum: UInt32
        let matchesUndefined: Bool

        init(from block: inout BlockReader) {
            let name: String = block.required("min", "The lowest severity that matches.")
            matchesUndefined = block.required("match_undefined", "Whether records without a severity match.")
            let number = Self.number(of: name)
            if number == nil, block.isSet("min") { block.reject("min", "unknown severity \"\(name)\"") }
            minimum = number ?? 0
        }

        private static func number(of name: String) -> UInt32? {
            for (place, word) in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].enumerated() {
                for step in 1...4 where name.uppercased() == word + (step == 1 ? "" : String(step)) {
                    return UInt32(place * 4 + step)
                }
            }
            return nil
        }
    }

    let services: TextSet?
    let spanNames: TextSet?
    let spanKinds: Set<UInt32>?
    let logBodies: TextSet?
    let severityTexts: TextSet?
    let metricNames: TextSet?
    let severity: Severity?
    let attributes: [AttributeMatch]
    let resources: [AttributeMatch]
    let libraries: [LibraryMatch]

    init(from block: inout BlockReader) {
        let type: String = block.required("match_type", "How texts are compared: strict or regexp.")
        let services: [String] = block.optional("services", default: [], "Values of the resource's service.name.")
        let spanNames: [String] = block.optional("span_names", default: [], "Names of spans.")
        let bodies: [String] = block.optional("log_bodies", default: [], "Bodies of log records.")
        let texts: [String] = block.optional("log_severity_texts", default: [], "Severity texts of log records.")
        let metrics: [String] = block.optional("metric_names", default: [], "Names of metrics.")
        let kinds: [String] = block.optional("span_kinds", default: [], "Kinds of spans, such as SPAN_KIND_SERVER.")
        let _: Regexp? = block.optionalBlock("regexp", "How expressions are matched.")
        severity = block.optionalBlock("log_severity", "The severities of log records that match.")
        let attributes: [Attribute] = block.blocks("attribute", "An attribute that must be there.")
        let resources: [Attribute] = block.blocks("resource", "An attribute of the resource that must be there.")
        let libraries: [Library] = block.blocks("library", "An instrumentation scope, one of which must match.")
        if type != "strict", type != "regexp", block.isSet("match_type") {
            block.reject("match_type", "must be \"strict\" or \"regexp\"")
        }
        let isRegexp = type == "regexp"
        func set(_ name: String, _ list: [String]) -> TextSet? {
            if list.isEmpty { return nil }
            do {
                return try TextSet(list, isRegexp)
            } catch {
                block.reject(name, "\(error)")
                return nil
            }
        }
        self.services = set("services", services)
        self.spanNames = set("span_names", spanNames)
        logBodies = set("log_bodies", bodies)
        severityTexts = set("log_severity_texts", texts)
        metricNames = set("metric_names", metrics)
        let names = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"].map { "SPAN_KIND_" + $0 }
        var numbers: Set<UInt32> = []
        for kind in kinds {
            guard let number = names.firstIndex(of: kind) else {
                block.reject("span_kinds", "\"\(kind)\" is not one of \(names.joined(separator: ", "))")
                continue
            }
            numbers.insert(UInt32(number))
        }
        spanKinds = kinds.isEmpty ? nil : numbers
        func matches(_ name: String, _ list: [Attribute]) -> [AttributeMatch] {
            list.compactMap { attribute in
                do {
                    return try AttributeMatch(attribute.key, attribute.value, isRegexp)
                } catch {
                    block.reject(name, "\(error)")
                    return nil
                }
            }
        }
        self.attributes = matches("attribute", attributes)
        self.resources = matches("resource", resources)
        self.libraries = libraries.compactMap { library in
            do {
                return LibraryMatch(
                    name: try TextSet([library.name], isRegexp),
                    version: try library.version.map { try TextSet([$0], isRegexp) })
            } catch {
                block.reject("library", "\(error)")
                return nil
            }
        }
    }

    /// Names of the arguments given that mean nothing for a signal.
    func misplaced(for kind: OTLPBatch.Kind) -> [String] {
        var names: [String] = []
        if kind != .traces {
            if spanNames != nil { names.append("span_names") }
            if spanKinds != nil { names.append("span_kinds") }
        }
        if kind != .logs {
            if logBodies != nil { names.append("log_bodies") }
            if severityTexts != nil { names.append("log_severity_texts") }
            if severity != nil { names.append("log_severity") }
        }
        if kind != .metrics, metricNames != nil { names.append("metric_names") }
        return names
    }

    /// Whether nothing is given that could match.
    var isEmpty: Bool {
        services == nil && spanNames == nil && spanKinds == nil && logBodies == nil && severityTexts == nil
            && metricNames == nil && severity == nil && attributes.isEmpty && resources.isEmpty && libraries.isEmpty
    }

    private static let serviceName: OTLPKey = "service.name"

    /// Whether the item the walk has reached is meant.
    func matches(_ walker: OTLPWalker) -> Bool {
        if let services {
            guard let name = walker.resource.attributes[Self.serviceName]?.stringBytes, services.contains(name) else {
                return false
            }
        }
        for resource in resources where !resource.matches(walker.resource.attributes) { return false }
        if !libraries.isEmpty {
            let scope = OTLPScope(walker.scope)
            guard libraries.contains(where: { $0.matches(scope) }) else { return false }
        }
        switch walker.kind {
        case .traces:
            if let spanNames, !spanNames.contains(walker.span.name) { return false }
            if let spanKinds, !spanKinds.contains(walker.span.kind) { return false }
            return attributes.allSatisfy { $0.matches(walker.item.attributes) }
        case .logs:
            let record = walker.logRecord
            if let logBodies, !(record.body.stringBytes.map { logBodies.contains($0) } ?? false) { return false }
            if let severityTexts, !severityTexts.contains(record.severityText) { return false }
            if let severity {
                let number = record.severityNumber
                if number == 0 ? !severity.matchesUndefined : number < severity.minimum { return false }
            }
            return attributes.allSatisfy { $0.matches(walker.item.attributes) }
        case .metrics:
            return metricNames?.contains(walker.metric.name) ?? true
        }
    }
}

/// Texts one of which must be met, or expressions.
struct TextSet: Sendable {
    private let literals: Set<OTLPKey>
    private let expressions: [RegularExpression]

    init(_ list: [String], _ isRegexp: Bool) throws(RegularExpressionError) {
        var expressions: [RegularExpression] = []
        if isRegexp { for text in list { expressions.append(try RegularExpression(text)) } }
        self.expressions = expressions
        literals = isRegexp ? [] : Set(list.map { OTLPKey($0) })
    }

    func contains(_ text: UnsafeRawBufferPointer) -> Bool {
        expressions.contains { $0.matches(text) } || literals.contains { OTLPBytes.equal($0.bytes, text) }
    }
}

/// A condition on an attribute.
struct AttributeMatch: Sendable {
    private let key: OTLPKey
    private let value: OTLPAnyValue?
    private let expression: RegularExpression?

    init(_ key: String, _ value: Value?, _ isRegexp: Bool) throws {
        self.key = OTLPKey(key)
        guard let value else {
            self.value = nil
            expression = nil
            return
        }
        let wanted = try OTLPAnyValue(configured: value)
        if isRegexp, let text = wanted.string {
            expression = try RegularExpression(text)
            self.value = nil
        } else {
            expression = nil
            self.value = wanted
        }
    }

    func matches(_ attributes: OTLPAttributes) -> Bool {
        guard let found = attributes[key] else { return false }
        if let expression {
            if let text = found.stringBytes { return expression.matches(text) }
            return OTLPText.bytes(found).withRawBytes { expression.matches($0) }
        }
        guard let value else { return true }
        if let text = found.stringBytes, case .string(let wanted) = value {
            return wanted.withRawBytes { OTLPBytes.equal($0, text) }
        }
        return OTLPAnyValue(found) == value
    }
}

/// A condition on an instrumentation scope.
struct LibraryMatch: Sendable {
    let name: TextSet
    let version: TextSet?

    func matches(_ scope: OTLPScope) -> Bool {
        name.contains(scope.name) && (version?.contains(scope.version) ?? true)
    }
}

extension OTLPAnyValue {
    /// A value of the configuration; throws for functions, capsules and secrets.
    init(configured value: Value) throws(OTTLError) {
        switch value {
        case .null: self = .empty
        case .bool(let flag): self = .bool(flag)
        case .number(.float(let number)): self = .double(number)
        case .number(let number):
            guard let integer: Int64 = number.integer() else { throw OTTLError("an integer that does not fit 64 bits") }
            self = .int(integer)
        case .string(let text): self = .string(text)
        case .optionalSecret(.plain(let text)): self = .string(text)
        case .array(let elements):
            var list: [OTLPAnyValue] = []
            for element in elements { list.append(try OTLPAnyValue(configured: element)) }
            self = .array(list)
        case .object(let object):
            var map = Map()
            for (key, element) in object.pairs { map[key] = try OTLPAnyValue(configured: element) }
            self = .map(map)
        default: throw OTTLError("a \(value.describedType) cannot be the value of an attribute")
        }
    }
}
