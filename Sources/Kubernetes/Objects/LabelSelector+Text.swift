extension LabelSelector {
    /// Reads a selector as the query parameter `labelSelector` has it: `a=b, c!=d, e in (f, g), h notin (i), j, !k`
    /// (k8s.io/apimachinery `labels.Parse`). Nil for what is none.
    package init?(text: String) {
        var requirements: [Requirement] = []
        for part in Self.parts(of: text) {
            guard let requirement = Self.requirement(part) else { return nil }
            requirements.append(requirement)
        }
        self.init(requirements: requirements)
    }

    /// The requirements between commas that stand in no parentheses.
    private static func parts(of text: String) -> [Substring] {
        var parts: [Substring] = []
        var depth = 0
        var start = text.startIndex
        for index in text.indices {
            switch text[index] {
            case "(": depth += 1
            case ")": depth -= 1
            case "," where depth == 0:
                parts.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
        }
        if start < text.endIndex { parts.append(text[start...]) }
        return parts
    }

    private static func requirement(_ part: Substring) -> Requirement? {
        let text = trimmed(part)
        if let open = text.firstIndex(of: "(") {
            guard text.hasSuffix(")") else { return nil }
            let words = text[..<open].split(separator: " ")
            guard words.count == 2, words[1] == "in" || words[1] == "notin" else { return nil }
            let values = text[text.index(after: open)...].dropLast().split(
                separator: ",", omittingEmptySubsequences: false)
            return Requirement(
                key: String(words[0]), operation: words[1] == "in" ? .in : .notIn,
                values: values.map { String(trimmed($0)) })
        }
        if text.hasPrefix("!"), !text.contains("=") {
            return named(text.dropFirst()).map { Requirement(key: $0, operation: .doesNotExist) }
        }
        guard let equals = text.firstIndex(of: "=") else {
            return named(text).map { Requirement(key: $0, operation: .exists) }
        }
        let isNegated = equals > text.startIndex && text[text.index(before: equals)] == "!"
        let key = isNegated ? text[..<text.index(before: equals)] : text[..<equals]
        var value = text[text.index(after: equals)...]
        if value.hasPrefix("=") { value = value.dropFirst() }
        return named(key).map {
            Requirement(key: $0, operation: isNegated ? .notIn : .in, values: [String(trimmed(value))])
        }
    }

    private static func named(_ text: Substring) -> String? {
        let name = trimmed(text)
        return name.isEmpty || name.contains(where: \.isWhitespace) ? nil : String(name)
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace ?? false { text.removeLast() }
        return text
    }
}
