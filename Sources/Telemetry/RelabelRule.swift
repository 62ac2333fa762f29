import TextFormats

/// What a relabel rule does; the raw values are the configuration's words.
package enum RelabelAction: String, Sendable, CaseIterable {
    case replace, keep, drop, hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase, keepequal, dropequal

    fileprivate var needsTarget: Bool {
        switch self {
        case .replace, .hashmod, .lowercase, .uppercase, .keepequal, .dropequal: true
        default: false
        }
    }
}

/// One step of relabelling, as in Prometheus (prometheus.io/docs/prometheus/latest/configuration/configuration,
/// "relabel_config"), with the legacy scheme for label names.
package struct RelabelRule: Sendable {
    package let action: RelabelAction
    package let sourceLabels: [String]
    package let separator: String
    package let pattern: String
    package let modulus: UInt64
    package let targetLabel: String
    package let replacement: String

    package static let defaultPattern = "(.*)"
    package static let defaultReplacement = "$1"
    package static let defaultSeparator = ";"

    let expression: RegularExpression
    let targetTemplate: RegularExpression.Template
    let replacementTemplate: RegularExpression.Template
    let sourceBytes: [[UInt8]]
    let separatorBytes: [UInt8]
    let targetBytes: [UInt8]

    /// What is wrong with a rule: the argument, if one is to blame, and why.
    package struct Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        package let argument: String?
        package let message: String
        package var description: String { message }
    }

    package init(
        action: RelabelAction = .replace, sourceLabels: [String] = [], separator: String = defaultSeparator,
        pattern: String = defaultPattern, modulus: UInt64 = 0, targetLabel: String = "",
        replacement: String = defaultReplacement
    ) throws(Invalid) {
        self.action = action
        self.sourceLabels = sourceLabels
        self.separator = separator
        self.pattern = pattern
        self.modulus = modulus
        self.targetLabel = targetLabel
        self.replacement = replacement
        do {
            expression = try RegularExpression(pattern, dotMatchesNewline: true)
        } catch {
            throw Invalid(argument: "regex", message: "\(error)")
        }
        targetTemplate = expression.template(targetLabel)
        replacementTemplate = expression.template(replacement)
        sourceBytes = sourceLabels.map { Array($0.utf8) }
        separatorBytes = Array(separator.utf8)
        targetBytes = Array(targetLabel.utf8)
        try validate()
    }

    private func validate() throws(Invalid) {
        let name = action.rawValue
        if action == .hashmod, modulus == 0 {
            throw Invalid(argument: "modulus", message: "relabel configuration for hashmod requires non-zero modulus")
        }
        if action.needsTarget {
            if targetLabel.isEmpty {
                throw Invalid(
                    argument: nil, message: "relabel configuration for \(name) action requires 'target_label' value")
            }
            let mayExpand = action == .replace && targetLabel.utf8.contains(UInt8(ascii: "$"))
            if mayExpand ? !LabelName.isTemplate(targetLabel) : !LabelName.isValid(targetLabel) {
                throw Invalid(
                    argument: "target_label",
                    message: "\"\(targetLabel)\" is invalid 'target_label' for \(name) action")
            }
        }
        switch action {
        case .lowercase, .uppercase, .keepequal, .dropequal:
            if replacement != Self.defaultReplacement {
                throw Invalid(argument: "replacement", message: "'replacement' can not be set for \(name) action")
            }
        case .labelmap:
            if !LabelName.isTemplate(replacement) {
                throw Invalid(
                    argument: "replacement", message: "\"\(replacement)\" is invalid 'replacement' for \(name) action")
            }
        default: break
        }
        let isPlain = modulus == 0 && separator == Self.defaultSeparator && replacement == Self.defaultReplacement
        if action == .labeldrop || action == .labelkeep {
            guard isPlain, sourceLabels.isEmpty, targetLabel.isEmpty else {
                throw Invalid(argument: nil, message: "\(name) action requires only 'regex', and no other fields")
            }
        }
        if action == .keepequal || action == .dropequal {
            guard isPlain, pattern == Self.defaultPattern else {
                throw Invalid(
                    argument: nil,
                    message: "\(name) action requires only 'source_labels' and 'target_label', and no other fields")
            }
        }
    }
}

extension RelabelRule: Equatable {
    package static func == (left: RelabelRule, right: RelabelRule) -> Bool {
        left.action == right.action && left.sourceLabels == right.sourceLabels && left.separator == right.separator
            && left.pattern == right.pattern && left.modulus == right.modulus
            && left.targetLabel == right.targetLabel && left.replacement == right.replacement
    }
}

/// The legacy rule for label names: a letter or underscore, then letters, digits and underscores, all ASCII.
package enum LabelName {
    package static func isValid(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { isValid(UnsafeRawBufferPointer($0)) }
    }

    package static func isValid(_ name: UnsafeRawBufferPointer) -> Bool {
        guard let first = name.first, isStart(first) else { return false }
        return name.allSatisfy { isStart($0) || isDigit($0) }
    }

    /// Whether `text` may become a label name: names and references to groups (`$1`, `${name}`), not beginning with a
    /// digit.
    package static func isTemplate(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty else { return false }
        var index = 0
        var mayBeDigit = false
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "$") {
                guard let end = endOfReference(bytes, index) else { return false }
                index = end
            } else if isStart(byte) || (mayBeDigit && isDigit(byte)) {
                index += 1
            } else {
                return false
            }
            mayBeDigit = true
        }
        return true
    }

    private static func endOfReference(_ bytes: [UInt8], _ dollar: Int) -> Int? {
        var index = dollar + 1
        guard index < bytes.count else { return nil }
        let isBraced = bytes[index] == UInt8(ascii: "{")
        if isBraced { index += 1 }
        let start = index
        while index < bytes.count, isStart(bytes[index]) || isDigit(bytes[index]) { index += 1 }
        guard index > start else { return nil }
        if isBraced {
            guard index < bytes.count, bytes[index] == UInt8(ascii: "}") else { return nil }
            index += 1
        }
        return index
    }

    @inline(__always)
    private static func isStart(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")) || byte == UInt8(ascii: "_")
    }

    @inline(__always)
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}
