import TextFormats

/// The strategies of a Jaeger sampling document, by service.
///
/// jaegertracing.io, "Sampling", "File Sampling": a `default_strategy` and `service_strategies`, each with a `type` of
/// `probabilistic` or `ratelimiting`, a `param` and `operation_strategies`. Operations of the default strategy count for
/// services that have operations of their own too, and for those without whose type is probabilistic. Operations can be
/// sampled by probability only.
package struct SamplingDocument: Sendable, Equatable {
    /// What every other service has.
    package private(set) var fallback = SamplingStrategy()
    package private(set) var services: [String: SamplingStrategy] = [:]
    /// What of the document does not count, for people.
    private(set) var warnings: [String] = []

    /// A document that says nothing.
    init() {}

    /// Reads JSON; `null` says nothing. Throws when it is no document.
    package init(parsing text: String) throws {
        let value = try JSONValue(parsing: text)
        if value == .null { return }
        guard case .object = value else { throw SamplingDocumentError("the document is no JSON object") }
        if let given = try Self.object(value["default_strategy"], "default_strategy") {
            fallback = try strategy(given, "default_strategy")
        }
        for entry in try Self.list(value["service_strategies"], "service_strategies") {
            guard let given = try Self.object(entry, "service_strategies") else { continue }
            let name = try Self.string(given["service"], "service")
            var own = try strategy(given, "service \(name)")
            inherit(&own)
            services[name] = own
        }
    }

    func strategy(for service: String) -> SamplingStrategy { services[service] ?? fallback }

    /// Adds the operations of the default strategy that a service has none of its own for.
    private func inherit(_ strategy: inout SamplingStrategy) {
        guard let inherited = fallback.operations else { return }
        guard var own = strategy.operations else {
            guard case .probabilistic(let share) = strategy.kind else { return }
            strategy.operations = inherited
            strategy.operations?.defaultProbability = share
            return
        }
        let known = Set(own.probabilities.map(\.operation))
        own.probabilities += inherited.probabilities.filter { !known.contains($0.operation) }
        strategy.operations = own
    }

    private mutating func strategy(_ given: JSONObject, _ place: String) throws -> SamplingStrategy {
        var strategy = SamplingStrategy(kind: try kind(given, place))
        let entries = try Self.list(given["operation_strategies"], "operation_strategies")
        if entries.isEmpty { return strategy }
        var operations = SamplingStrategy.Operations()
        if case .probabilistic(let share) = strategy.kind { operations.defaultProbability = share }
        for entry in entries {
            guard let each = try Self.object(entry, "operation_strategies") else { continue }
            let name = try Self.string(each["operation"], "operation")
            switch try kind(each, "\(place), operation \(name)") {
            case .probabilistic(let share): operations.probabilities.append((name, share))
            case .rateLimiting:
                warnings.append(
                    "\(place), operation \(name): operations can only be sampled by probability, its is the default")
            }
        }
        strategy.operations = operations
        return strategy
    }

    private mutating func kind(_ given: JSONObject, _ place: String) throws -> SamplingStrategy.Kind {
        let param: Double
        switch given["param"] {
        case nil, .null?: param = 0
        case .number(let number)?: param = number.doubleValue
        default: throw SamplingDocumentError("\(place): param is no number")
        }
        switch try Self.string(given["type"], "type") {
        case "probabilistic": return .probabilistic(param)
        case "ratelimiting": return .rateLimiting(Int32(max(-2_147_483_648, min(2_147_483_647, param))))
        case let type:
            warnings.append("\(place): type \"\(type)\" is not known, sampling with the default probability")
            return .probabilistic(SamplingStrategy.fallbackProbability)
        }
    }

    private static func object(_ value: JSONValue?, _ name: String) throws -> JSONObject? {
        switch value {
        case nil, .null?: return nil
        case .object(let object)?: return object
        default: throw SamplingDocumentError("\(name) is no object")
        }
    }

    private static func list(_ value: JSONValue?, _ name: String) throws -> [JSONValue] {
        switch value {
        case nil, .null?: return []
        case .array(let list)?: return list
        default: throw SamplingDocumentError("\(name) is no list")
        }
    }

    private static func string(_ value: JSONValue?, _ name: String) throws -> String {
        switch value {
        case nil, .null?: return ""
        case .string(let text)?: return text
        default: throw SamplingDocumentError("\(name) is no string")
        }
    }
}

struct SamplingDocumentError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
