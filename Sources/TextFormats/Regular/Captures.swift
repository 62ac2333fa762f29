import CRE2

extension RegularExpression {
    /// The groups of one match as byte ranges of the text; reused from match to match without allocating.
    package struct Captures: Sendable {
        private var ranges: [invar_re2_range] = []

        package init() {}

        /// Number of ranges: the whole match and every group of the expression.
        package var count: Int { ranges.count }

        /// The whole match (0) or a group; nil when the group took no part or does not exist.
        package subscript(index: Int) -> Range<Int>? {
            guard index >= 0, index < ranges.count, ranges[index].begin >= 0 else { return nil }
            return ranges[index].begin..<ranges[index].end
        }

        mutating func setWhole(_ length: Int, groups: Int, at start: Int = 0) {
            prepare(groups)
            for index in ranges.indices { ranges[index] = invar_re2_range(begin: start, end: start + length) }
        }

        mutating func fill(
            groups: Int, _ body: (UnsafeMutablePointer<invar_re2_range>?, Int32) -> Bool
        ) -> Bool {
            prepare(groups)
            return ranges.withUnsafeMutableBufferPointer { body($0.baseAddress, Int32($0.count)) }
        }

        /// Calls `body` with the ranges, which keep what they held.
        mutating func fill<Outcome>(
            groups: Int, _ body: (UnsafeMutableBufferPointer<invar_re2_range>) -> Outcome
        ) -> Outcome {
            prepare(groups)
            return ranges.withUnsafeMutableBufferPointer { body($0) }
        }

        mutating func translate(_ map: OffsetMap) {
            guard !map.offsets.isEmpty else { return }
            for index in ranges.indices where ranges[index].begin >= 0 {
                ranges[index].begin = map.original(ranges[index].begin)
                ranges[index].end = map.original(ranges[index].end)
            }
        }

        private mutating func prepare(_ groups: Int) {
            if ranges.count != groups + 1 {
                ranges = [invar_re2_range](repeating: invar_re2_range(begin: -1, end: -1), count: groups + 1)
            }
        }
    }

    /// A replacement in the language of Go's `Regexp.Expand`, resolved against one expression.
    package struct Template: Sendable, Equatable {
        enum Part: Sendable, Equatable {
            case literal([UInt8])
            case group(Int)
        }

        let parts: [Part]

        /// Whether the template refers to no group, so that every match expands to the same bytes.
        package var isLiteral: Bool {
            parts.allSatisfy { part in
                if case .literal = part { return true }
                return false
            }
        }

        /// A template that stands for `text` itself, `$` included.
        package static func verbatim(_ text: String) -> Template { Template(parts: [.literal(Array(text.utf8))]) }
    }

    /// Resolves `text`: `$1`, `$name` (the longest run of letters, digits and `_`), `${name}` and `$$`; a group that
    /// does not exist is empty and a `$` that begins none of these stands for itself.
    package func template(_ text: String) -> Template {
        var parts: [Template.Part] = []
        var literal: [UInt8] = []
        text.withBytes { bytes in
            var index = 0
            while index < bytes.count {
                guard bytes[index] == UInt8(ascii: "$") else {
                    literal.append(bytes[index])
                    index += 1
                    continue
                }
                if index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "$") {
                    literal.append(UInt8(ascii: "$"))
                    index += 2
                    continue
                }
                guard let (name, end) = Self.reference(bytes, at: index + 1) else {
                    literal.append(UInt8(ascii: "$"))
                    index += 1
                    continue
                }
                index = end
                guard let group = group(name.text) else { continue }
                if !literal.isEmpty { parts.append(.literal(literal)) }
                literal.removeAll()
                parts.append(.group(group))
            }
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        return Template(parts: parts)
    }

    private func group(_ name: String) -> Int? {
        let isNumber = name.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
        guard isNumber, name.utf8.count <= 9, name == "0" || name.utf8.first != 0x30 else {
            return groupNames.firstIndex { $0 == name }
        }
        return Int(name).flatMap { $0 <= groupCount ? $0 : nil }
    }

    private static func reference(
        _ bytes: UnsafeRawBufferPointer, at start: Int
    ) -> (UnsafeRawBufferPointer, Int)? {
        guard start < bytes.count else { return nil }
        let isBraced = bytes[start] == UInt8(ascii: "{")
        let first = isBraced ? start + 1 : start
        var index = first
        while index < bytes.count, let (length, scalar) = UTF8Bytes.decode(bytes, at: index), isNameScalar(scalar) {
            index += length
        }
        guard index > first else { return nil }
        let name = bytes.sliced(first..<index)
        guard isBraced else { return (name, index) }
        guard index < bytes.count, bytes[index] == UInt8(ascii: "}") else { return nil }
        return (name, index + 1)
    }

    private static func isNameScalar(_ value: UInt32) -> Bool {
        if value < 0x80 {
            return value == 0x5F || (value >= 0x30 && value <= 0x39) || (value | 0x20 >= 0x61 && value | 0x20 <= 0x7A)
        }
        guard let scalar = Unicode.Scalar(value) else { return false }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber:
            return true
        default:
            return false
        }
    }
}
