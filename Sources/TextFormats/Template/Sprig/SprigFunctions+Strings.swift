extension SprigFunctions {
    static let strings: [String: Function] = [
        "hello": Function([]) { _ in .string("Hello!") },
        "trim": Function([.string]) { .string($0[0].text.trimmedSpace) },
        "upper": Function([.string]) { .string(TextTools.upper($0[0].text)) },
        "lower": Function([.string]) { .string(TextTools.lower($0[0].text)) },
        "title": Function([.string]) { .string(TextTools.title($0[0].text)) },
        "untitle": Function([.string]) { values in
            .string(
                TextTools.mapWords(values[0].text) { scalar, isFirst in
                    isFirst ? scalar.properties.lowercaseMapping : String(Character(scalar))
                })
        },
        "abbrev": Function([.int, .string]) { values in
            let width = Casting.int(values[0])
            return width < 4 ? values[1] : .string(TextTools.abbreviate(values[1].text, offset: 0, width: width))
        },
        "abbrevboth": Function([.int, .int, .string]) { values in
            let (left, right) = (Casting.int(values[0]), Casting.int(values[1]))
            if right < 4 || (left > 0 && right < 7) { return values[2] }
            return .string(TextTools.abbreviate(values[2].text, offset: left, width: right))
        },
        "trunc": Function([.int, .string]) { values in
            let count = Casting.int(values[0])
            let bytes = Array(values[1].text.utf8)
            if count < 0, bytes.count > count.magnitude { return .string(TextTools.text(bytes.suffix(-count))) }
            return count >= 0 && bytes.count > count ? .string(TextTools.text(bytes.prefix(count))) : values[1]
        },
        "substr": Function([.int, .int, .string]) { values in
            let (start, end) = (Casting.int(values[0]), Casting.int(values[1]))
            let bytes = Array(values[2].text.utf8)
            let low = start < 0 ? 0 : start
            let high = start >= 0 && (end < 0 || end > bytes.count) ? bytes.count : end
            guard low <= high, high <= bytes.count else {
                throw TextFormatError("slice bounds out of range [\(low):\(high)]")
            }
            return .string(TextTools.text(bytes[low..<high]))
        },
        "repeat": Function([.int, .string]) { .string(try TextTools.repeated($0[1].text, Casting.int($0[0]))) },
        "trimall": Function([.string, .string]) { .string(TextTools.trim($0[1].text, $0[0].text)) },
        "trimAll": Function([.string, .string]) { .string(TextTools.trim($0[1].text, $0[0].text)) },
        "trimSuffix": Function([.string, .string]) { .string(TextTools.trimSuffix($0[1].text, $0[0].text)) },
        "trimPrefix": Function([.string, .string]) { .string(TextTools.trimPrefix($0[1].text, $0[0].text)) },
        "nospace": Function([.string]) { values in
            .string(TextTools.scalars(values[0].text.unicodeScalars.filter { !TextTools.isSpace($0) }))
        },
        "initials": Function([.string]) { values in
            .string(
                TextTools.mapWords(values[0].text) { scalar, isFirst in
                    isFirst && !TextTools.isSpace(scalar) ? String(Character(scalar)) : ""
                })
        },
        "swapcase": Function([.string]) { .string(TextTools.swapCase($0[0].text)) },
        "snakecase": Function([.string]) { .string(TextTools.snakeCase($0[0].text, "_")) },
        "kebabcase": Function([.string]) { .string(TextTools.snakeCase($0[0].text, "-")) },
        "camelcase": Function([.string]) { .string(TextTools.pascalCase($0[0].text)) },
        "wrap": Function([.int, .string]) { values in
            .string(try TextTools.wrap(values[1].text, Casting.int(values[0]), "\n", breaksWords: false))
        },
        "wrapWith": Function([.int, .string, .string]) { values in
            .string(try TextTools.wrap(values[2].text, Casting.int(values[0]), values[1].text, breaksWords: true))
        },
    ]

    static let moreStrings: [String: Function] = [
        "contains": Function([.string, .string]) { values in
            let places = TextTools.places(of: Array(values[0].text.utf8), in: Array(values[1].text.utf8), limit: 1)
            return .bool(!places.isEmpty)
        },
        "hasPrefix": Function([.string, .string]) { .bool($0[1].text.utf8.starts(with: $0[0].text.utf8)) },
        "hasSuffix": Function([.string, .string]) { .bool(TextTools.hasSuffix($0[1].text, $0[0].text)) },
        "quote": Function([], rest: .any) { values in
            .string(values.filter { !$0.isNil }.map { GoQuote.quote($0.text) }.joined(separator: " "))
        },
        "squote": Function([], rest: .any) { values in
            .string(values.filter { !$0.isNil }.map { "'\($0.text)'" }.joined(separator: " "))
        },
        "cat": Function([], rest: .any) { values in
            .string(values.filter { !$0.isNil }.map(\.text).joined(separator: " "))
        },
        "indent": Function([.int, .string]) { .string(try indented(Casting.int($0[0]), $0[1].text)) },
        "nindent": Function([.int, .string]) { .string("\n" + (try indented(Casting.int($0[0]), $0[1].text))) },
        "replace": Function([.string, .string, .string]) { values in
            .string(try TextTools.replace(values[2].text, values[0].text, values[1].text))
        },
        "plural": Function([.string, .string, .int]) { Casting.int($0[2]) == 1 ? $0[0] : $0[1] },
        "toString": Function([.any]) { .string($0[0].text) },
        "split": Function([.string, .string]) { numbered(TextTools.split($0[1].text, $0[0].text)) },
        "splitn": Function([.string, .int, .string]) { values in
            numbered(TextTools.split(values[2].text, values[0].text, limit: Casting.int(values[1])))
        },
        "splitList": Function([.string, .string]) { values in
            .list(TextTools.split(values[1].text, values[0].text).map { .string($0) })
        },
        "toStrings": Function([.any]) { .list(Casting.strings($0[0]).map { .string($0) }) },
        "join": Function([.string, .any]) { .string(Casting.strings($0[1]).joined(separator: $0[0].text)) },
        "sortAlpha": Function([.any]) { values in
            let sorted = Casting.strings(values[0]).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            return .list(sorted.map { .string($0) })
        },
        "fail": Function([.string]) { throw TextFormatError($0[0].text) },
    ]

    private static func indented(_ count: Int, _ text: String) throws -> String {
        let pad = try TextTools.repeated(" ", count)
        return pad + (try TextTools.replace(text, "\n", "\n" + pad))
    }

    /// `_0`, `_1`, ... as sprig's `split` names its pieces.
    private static func numbered(_ pieces: [String]) -> GoValue {
        var entries: [String: GoValue] = [:]
        for (index, piece) in pieces.enumerated() { entries["_\(index)"] = .string(piece) }
        return .dictionary(entries)
    }
}
