package import TextFormats

/// One condition on a label, as in `{job="a", env!~"dev|test"}`.
package struct LabelMatcher: Sendable {
    package enum Operation: String, Sendable, CaseIterable {
        case equal = "="
        case notEqual = "!="
        case matches = "=~"
        case doesNotMatch = "!~"
    }

    package let name: String
    package let operation: Operation
    package let value: String
    private let expression: RegularExpression?
    private let nameBytes: [UInt8]
    private let valueBytes: [UInt8]

    /// Compiles the value where the operation asks for a pattern, which must match the whole label value.
    package init(_ name: String, _ operation: Operation, _ value: String) throws(RegularExpressionError) {
        self.name = name
        self.operation = operation
        self.value = value
        nameBytes = Array(name.utf8)
        valueBytes = Array(value.utf8)
        switch operation {
        case .equal, .notEqual: expression = nil
        case .matches, .doesNotMatch: expression = try RegularExpression(value, dotMatchesNewline: true)
        }
    }

    /// Whether `labels` meets the condition; a missing label counts as empty.
    package func isMet(by labels: LabelSet) -> Bool {
        nameBytes.withUnsafeBytes { name in
            labels.withValue(of: name) { found in
                let value = found ?? UnsafeRawBufferPointer(start: nil, count: 0)
                switch operation {
                case .equal: return valueBytes.withUnsafeBytes { LabelReader.equal(value, $0) }
                case .notEqual: return valueBytes.withUnsafeBytes { !LabelReader.equal(value, $0) }
                case .matches: return expression?.matchesWhole(value) ?? false
                case .doesNotMatch: return !(expression?.matchesWhole(value) ?? false)
                }
            }
        }
    }
}

extension LabelMatcher: Equatable {
    package static func == (left: LabelMatcher, right: LabelMatcher) -> Bool {
        left.name == right.name && left.operation == right.operation && left.value == right.value
    }
}
