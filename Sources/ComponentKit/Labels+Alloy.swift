package import AlloySyntax
package import Telemetry

extension LabelSet: AlloyDecodable, AlloyEncodable {
    package static var alloyTypeName: String { "map(string)" }
    package static var placeholder: LabelSet { .empty }

    package init(alloy value: AlloySyntax.Value) throws(ValueError) {
        self.init(try [String: String](alloy: value).map { ($0.key, $0.value) })
    }

    package var alloyValue: AlloySyntax.Value {
        .object(ObjectValue(ordered: pairs.map { ($0.name, .string($0.value)) }))
    }
}

extension Target: AlloyDecodable, AlloyEncodable, CapsuleValue {
    package static var alloyTypeName: String { "map(string)" }
    package static var capsuleName: String { "discovery.Target" }
    package static var placeholder: Target { Target(own: .empty) }

    /// Expressions may use a target like an object of strings.
    package var alloyObject: ObjectValue? {
        ObjectValue(ordered: labels.pairs.map { ($0.name, .string($0.value)) })
    }

    package static func converted(from value: AlloySyntax.Value) throws(ValueError) -> Target? {
        guard case .object = value else { return nil }
        return Target(own: try LabelSet(alloy: value))
    }
}
