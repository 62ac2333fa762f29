extension SprigFunctions {
    /// sprig's `regex...` functions and the two of that name Alloy puts over them, which do the same.
    var regularExpressions: [String: Function] {
        let cache = expressions
        let find = Function([.string, .string]) { values in
            .string(try cache.expression(values[0].text).firstMatch(in: values[1].text)?.first.flatMap { $0 } ?? "")
        }
        let findAll = Function([.string, .string, .int]) { values in
            let expression = try cache.expression(values[0].text)
            let bytes = Array(values[1].text.utf8)
            let ranges = expression.allMatches(in: bytes, limit: Casting.int(values[2]))
            return .list(ranges.map { .string(TextTools.text(bytes[$0])) })
        }
        let replace = Function([.string, .string, .string]) { values in
            let expression = try cache.expression(values[0].text)
            return .string(try Self.replace(values[1].text, expression, expression.template(values[2].text)))
        }
        let literal = Function([.string, .string, .string]) { values in
            .string(try Self.replace(values[1].text, try cache.expression(values[0].text), .verbatim(values[2].text)))
        }
        let split = Function([.string, .string, .int]) { values in
            .list(
                Self.split(values[1].text, try cache.expression(values[0].text), limit: Casting.int(values[2]))
                    .map { .string($0) })
        }
        return [
            "regexMatch": Function([.string, .string]) { values in
                .bool((try? cache.expression(values[0].text))?.matches(values[1].text) ?? false)
            },
            "mustRegexMatch": Function([.string, .string]) {
                .bool(try cache.expression($0[0].text).matches($0[1].text))
            },
            "regexFind": find, "mustRegexFind": find, "regexFindAll": findAll, "mustRegexFindAll": findAll,
            "regexReplaceAll": replace, "mustRegexReplaceAll": replace, "regexReplaceAllLiteral": literal,
            "mustRegexReplaceAllLiteral": literal, "regexSplit": split, "mustRegexSplit": split,
            "regexQuoteMeta": Function([.string]) { values in
                var output: [UInt8] = []
                for byte in values[0].text.utf8 {
                    if "\\.+*?()|[]{}^$".utf8.contains(byte) { output.append(0x5C) }
                    output.append(byte)
                }
                return .string(TextTools.text(output))
            },
        ]
    }

    private static func replace(
        _ text: String, _ expression: RegularExpression, _ template: RegularExpression.Template
    ) throws -> String {
        // Each of the text's bytes may become the template's literals, and each group at most the whole text.
        _ = try TextTools.product(text.utf8.count + 1, max(1, template.literalCount / 16))
        var output: [UInt8] = []
        text.withBytes { expression.replaceAll(in: $0, with: template, into: &output) }
        _ = try TextTools.bounded(output.count)
        return TextTools.text(output)
    }

    /// Go's `Regexp.Split`.
    private static func split(_ text: String, _ expression: RegularExpression, limit: Int) -> [String] {
        if limit == 0 { return [] }
        if !expression.pattern.isEmpty, text.isEmpty { return [""] }
        let bytes = Array(text.utf8)
        var pieces: [String] = []
        var start = 0
        var end = 0
        for range in expression.allMatches(in: bytes, limit: limit) {
            if limit > 0, pieces.count == limit - 1 { break }
            end = range.lowerBound
            if range.upperBound != 0 { pieces.append(TextTools.text(bytes[start..<end])) }
            start = range.upperBound
        }
        if end != bytes.count { pieces.append(TextTools.text(bytes[start...])) }
        return pieces
    }
}

extension RegularExpression {
    /// Ranges of successive matches, at most `limit` when it is not negative; an empty match next to the one before does
    /// not count.
    package func allMatches(in bytes: [UInt8], limit: Int = -1) -> [Range<Int>] {
        bytes.withUnsafeBytes { raw in
            var ranges: [Range<Int>] = []
            var captures = Captures()
            var start = 0
            var previous = -1
            while start <= raw.count, limit < 0 || ranges.count < limit,
                firstMatch(in: raw, from: start, into: &captures)
            {
                guard let range = captures[0] else { break }
                let counts = !range.isEmpty || range.lowerBound != previous
                if range.isEmpty {
                    start =
                        range.upperBound
                        + (range.upperBound < raw.count ? UTF8Bytes.width(raw, at: range.upperBound) : 1)
                } else {
                    start = range.upperBound
                }
                previous = range.upperBound
                if counts { ranges.append(range) }
            }
            return ranges
        }
    }
}

extension RegularExpression.Template {
    /// Bytes of literal text in the template.
    var literalCount: Int {
        parts.reduce(0) { sum, part in
            if case .literal(let text) = part { return sum + text.count }
            return sum
        }
    }
}
