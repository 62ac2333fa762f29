/// A version as Masterminds/semver v3 reads it: an optional `v`, missing parts are zero.
struct SemanticVersion: Equatable {
    var parts: [UInt64]
    var prerelease: String
    var metadata: String

    init?(_ text: String, isStrictlyNumeric: Bool = true) {
        var rest = text[...]
        if rest.hasPrefix("v") { rest = rest.dropFirst() }
        metadata = ""
        prerelease = ""
        if let plus = rest.firstIndex(of: "+") {
            metadata = String(rest[rest.index(after: plus)...])
            rest = rest[..<plus]
            guard Self.isIdentifierList(metadata) else { return nil }
        }
        if let dash = rest.firstIndex(of: "-") {
            prerelease = String(rest[rest.index(after: dash)...])
            rest = rest[..<dash]
            guard Self.isIdentifierList(prerelease) else { return nil }
        }
        let numbers = rest.split(separator: ".", omittingEmptySubsequences: false)
        parts = numbers.compactMap { part in
            part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } && !part.isEmpty ? UInt64(part) : nil
        }
        guard (1...3).contains(parts.count), parts.count == numbers.count else { return nil }
        while parts.count < 3 { parts.append(0) }
    }

    init(_ parts: [UInt64]) {
        self.parts = parts
        prerelease = ""
        metadata = ""
    }

    private static func isIdentifierList(_ text: String) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty
                && part.utf8.allSatisfy {
                    ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || $0 == UInt8(ascii: "-")
                }
        }
    }

    /// Precedence (semver.org 2.0.0, section 11): negative, zero or positive.
    func compare(_ other: SemanticVersion) -> Int {
        for (left, right) in zip(parts, other.parts) where left != right { return left < right ? -1 : 1 }
        if prerelease.isEmpty || other.prerelease.isEmpty {
            return prerelease.isEmpty == other.prerelease.isEmpty ? 0 : prerelease.isEmpty ? 1 : -1
        }
        let left = prerelease.split(separator: ".")
        let right = other.prerelease.split(separator: ".")
        for (one, two) in zip(left, right) where one != two {
            switch (UInt64(one), UInt64(two)) {
            case (let one?, let two?): return one < two ? -1 : 1
            case (.some, nil): return -1
            case (nil, .some): return 1
            case (nil, nil): return one.utf8.lexicographicallyPrecedes(two.utf8) ? -1 : 1
            }
        }
        return left.count == right.count ? 0 : left.count < right.count ? -1 : 1
    }

    var text: String {
        parts.map { String($0) }.joined(separator: ".") + (prerelease.isEmpty ? "" : "-" + prerelease)
            + (metadata.isEmpty ? "" : "+" + metadata)
    }
}

/// A version range: alternatives (`||`) of conditions that must all hold.
struct VersionConstraint {
    private struct Condition {
        var sign: String
        var version: SemanticVersion
        /// How many parts were written; the others are wildcards.
        var written: Int
    }

    private var alternatives: [[Condition]] = []

    init?(_ text: String) {
        for alternative in TextTools.split(text, "||") {
            var conditions: [Condition] = []
            var words = alternative.split { $0 == " " || $0 == "," }.map { String($0) }
            // `1.2 - 1.4.5` is a range; a sign may stand apart from its version.
            while let dash = words.firstIndex(of: "-") {
                guard dash > 0, dash + 1 < words.count else { return nil }
                words.replaceSubrange((dash - 1)...(dash + 1), with: [">=" + words[dash - 1], "<=" + words[dash + 1]])
            }
            var pending = ""
            for word in words {
                let sign = String(word.prefix { "=!<>~^".contains($0) })
                if sign.count == word.count {
                    pending += sign
                    continue
                }
                guard let condition = Self.condition(pending + sign, String(word.dropFirst(sign.count))) else {
                    return nil
                }
                conditions.append(condition)
                pending = ""
            }
            guard pending.isEmpty, !conditions.isEmpty else { return nil }
            alternatives.append(conditions)
        }
    }

    private static func condition(_ sign: String, _ text: String) -> Condition? {
        let known = [
            "": "=", "=": "=", "==": "=", "!=": "!=", ">": ">", "<": "<", ">=": ">=", "=>": ">=", "<=": "<=",
            "=<": "<=", "~": "~", "~>": "~", "^": "^",
        ]
        guard let sign = known[sign] else { return nil }
        let core = text.hasPrefix("v") ? String(text.dropFirst()) : text
        let head = core.prefix { $0 != "-" && $0 != "+" }
        var numbers: [Substring] = []
        for part in head.split(separator: ".", omittingEmptySubsequences: false) {
            if ["x", "X", "*"].contains(part) { break }
            numbers.append(part)
        }
        if numbers.isEmpty {
            return ["x", "X", "*"].contains(head.split(separator: ".").first)
                ? Condition(sign: sign, version: SemanticVersion([0, 0, 0]), written: 0) : nil
        }
        let isWhole = numbers.count == head.split(separator: ".", omittingEmptySubsequences: false).count
        let tail = isWhole ? String(core.dropFirst(head.count)) : ""
        guard let version = SemanticVersion(numbers.joined(separator: ".") + tail) else { return nil }
        return Condition(sign: sign, version: version, written: numbers.count)
    }

    func allows(_ version: SemanticVersion) -> Bool {
        alternatives.contains { $0.allSatisfy { Self.holds($0, version) } }
    }

    private static func holds(_ condition: Condition, _ version: SemanticVersion) -> Bool {
        let wanted = condition.version
        // A prerelease is only looked at by conditions that name one.
        if !version.prerelease.isEmpty, wanted.prerelease.isEmpty {
            return condition.sign == "!=" && condition.written == 3
        }
        let order = version.compare(wanted)
        let isInPrefix = version.parts.prefix(condition.written) == wanted.parts.prefix(condition.written)
        switch condition.sign {
        case "=": return condition.written == 3 ? order == 0 : isInPrefix
        case "!=": return condition.written == 3 ? order != 0 : !isInPrefix
        case ">": return order > 0 && (condition.written == 3 || !isInPrefix)
        case ">=": return order >= 0
        case "<": return order < 0
        case "<=": return order <= 0 || (condition.written < 3 && isInPrefix)
        case "~":
            return order >= 0
                && version.parts.prefix(min(condition.written, 2)) == wanted.parts.prefix(min(condition.written, 2))
        default:
            // `^`: the leftmost part that is not zero must stay, among those that were written.
            let fixed =
                (wanted.parts.prefix(condition.written).firstIndex { $0 != 0 } ?? max(0, condition.written - 1)) + 1
            return order >= 0
                && version.parts.prefix(min(fixed, condition.written))
                    == wanted.parts.prefix(min(fixed, condition.written))
        }
    }
}

extension SprigFunctions {
    static let semanticVersions: [String: Function] = [
        "semver": Function([.string]) { values in
            guard let version = SemanticVersion(values[0].text) else {
                throw TextFormatError("Invalid Semantic Version")
            }
            return .dictionary([
                "Major": .int(Int64(clamping: version.parts[0])), "Minor": .int(Int64(clamping: version.parts[1])),
                "Patch": .int(Int64(clamping: version.parts[2])), "Prerelease": .string(version.prerelease),
                "Metadata": .string(version.metadata), "Original": values[0], "String": .string(version.text),
            ])
        },
        "semverCompare": Function([.string, .string]) { values in
            guard let constraint = VersionConstraint(values[0].text) else {
                throw TextFormatError("improper constraint: \(values[0].text)")
            }
            guard let version = SemanticVersion(values[1].text) else {
                throw TextFormatError("Invalid Semantic Version")
            }
            return .bool(constraint.allows(version))
        },
    ]
}
