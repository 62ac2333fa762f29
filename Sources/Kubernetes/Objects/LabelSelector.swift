/// Which objects are meant, by their labels (meta/v1, `LabelSelector`). Without conditions all of them are.
package struct LabelSelector: Sendable, Hashable {
    package enum Operation: String, Sendable, Hashable {
        case `in` = "In"
        case notIn = "NotIn"
        case exists = "Exists"
        case doesNotExist = "DoesNotExist"
    }

    package struct Requirement: Sendable, Hashable {
        package var key: String
        package var operation: Operation
        package var values: [String]

        package init(key: String, operation: Operation, values: [String] = []) {
            self.key = key
            self.operation = operation
            self.values = values
        }

        func matches(_ value: String?) -> Bool {
            switch operation {
            case .in: value.map(values.contains) ?? false
            case .notIn: value.map { !values.contains($0) } ?? true
            case .exists: value != nil
            case .doesNotExist: value == nil
            }
        }
    }

    package var requirements: [Requirement]

    package init(labels: [String: String] = [:], requirements: [Requirement] = []) {
        self.requirements =
            labels.sorted { $0.key < $1.key }
            .map { Requirement(key: $0.key, operation: .in, values: [$0.value]) } + requirements
    }

    package var isEmpty: Bool { requirements.isEmpty }

    /// Whether an object with these labels is meant.
    package func matches(_ labels: [NamedText]) -> Bool {
        requirements.allSatisfy { requirement in
            requirement.matches(labels.first { $0.name == requirement.key }?.text)
        }
    }

    /// As the query parameter `labelSelector` has it.
    package var text: String {
        requirements.map { requirement in
            switch requirement.operation {
            case .in: "\(requirement.key) in (\(requirement.values.joined(separator: ",")))"
            case .notIn: "\(requirement.key) notin (\(requirement.values.joined(separator: ",")))"
            case .exists: requirement.key
            case .doesNotExist: "!\(requirement.key)"
            }
        }.joined(separator: ",")
    }
}
