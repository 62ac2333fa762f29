/// What an AWS service with the Query protocol answers: XML whose elements below the first have no attributes.
package struct AWSAnswer: Sendable {
    private let content: Substring

    package init(_ text: String) { content = text[...] }

    private init(content: Substring) { self.content = content }

    /// The contents of the elements of that name, in order; of an element inside one of its own name only the inner part.
    package func elements(_ name: String) -> [AWSAnswer] {
        var found: [AWSAnswer] = []
        var rest = content
        while let start = rest.firstRange(of: "<\(name)>")?.upperBound {
            guard let end = Self.end(of: name, in: rest[start...]) else { break }
            found.append(AWSAnswer(content: rest[start..<end.lowerBound]))
            rest = rest[end.upperBound...]
        }
        return found
    }

    /// The text of the first element of that name.
    package func text(_ name: String) -> String? { elements(name).first.map { Self.decoded($0.content) } }

    /// Where the element that has begun ends, whose content may have elements of the same name.
    private static func end(of name: String, in text: Substring) -> Range<Substring.Index>? {
        var depth = 1
        var rest = text
        while let close = rest.firstRange(of: "</\(name)>") {
            var before = rest[..<close.lowerBound]
            while let open = before.firstRange(of: "<\(name)>") {
                depth += 1
                before = before[open.upperBound...]
            }
            depth -= 1
            if depth == 0 { return close }
            rest = rest[close.upperBound...]
        }
        return nil
    }

    private static func decoded(_ text: Substring) -> String {
        guard text.contains("&") else { return String(text) }
        var result = String(text)
        for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
            result = result.replacing(entity, with: character)
        }
        return result
    }
}
