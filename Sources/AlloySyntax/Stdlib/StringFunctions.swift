/// The functions of the namespaces `string` and `file`; text is compared byte by byte, as Go does.
enum StringFunctions {
    static let all: [Function] = [
        Function("string.format") { arguments throws(Function.Failure) in try format(arguments) },
        Function("string.join") { arguments throws(Function.Failure) in
            try arguments.check(count: 2)
            let parts: [String] = try arguments.argument(0)
            return .string(parts.joined(separator: try arguments.argument(1)))
        },
        Function("string.replace") { arguments throws(Function.Failure) in
            let texts = try arguments.strings(count: 3)
            return .string(replacing(texts[1], with: texts[2], in: texts[0]))
        },
        Function("string.split") { arguments throws(Function.Failure) in
            let texts = try arguments.strings(count: 2)
            return .array(splitting(texts[0], at: texts[1]).map { .string($0) })
        },
        Function("string.to_lower") { arguments throws(Function.Failure) in
            let text = try arguments.strings(count: 1)[0]
            return .string(mapping(text) { $0.value == 0x130 ? "i" : $0.properties.lowercaseMapping })
        },
        Function("string.to_upper") { arguments throws(Function.Failure) in
            let text = try arguments.strings(count: 1)[0]
            return .string(mapping(text) { $0.properties.uppercaseMapping })
        },
        Function("string.trim") { arguments throws(Function.Failure) in
            let texts = try arguments.strings(count: 2)
            let unwanted = Set(texts[1].unicodeScalars)
            return .string(trimming(texts[0]) { unwanted.contains($0) })
        },
        Function("string.trim_prefix") { arguments throws(Function.Failure) in
            let texts = try arguments.strings(count: 2)
            guard texts[0].utf8.starts(with: texts[1].utf8) else { return .string(texts[0]) }
            return .string(String(decoding: texts[0].utf8.dropFirst(texts[1].utf8.count), as: UTF8.self))
        },
        Function("string.trim_suffix") { arguments throws(Function.Failure) in
            let texts = try arguments.strings(count: 2)
            guard texts[0].utf8.reversed().starts(with: texts[1].utf8.reversed()) else { return .string(texts[0]) }
            return .string(String(decoding: texts[0].utf8.dropLast(texts[1].utf8.count), as: UTF8.self))
        },
        Function("string.trim_space") { arguments throws(Function.Failure) in
            .string(trimmingSpace(try arguments.strings(count: 1)[0]))
        },
        Function("file.path_join") { arguments throws(Function.Failure) in
            .string(joiningPath(try arguments.strings(count: arguments.count)))
        },
    ]

    /// Formats like Go's `fmt.Sprintf`; the result is a secret when an argument holds one.
    private static func format(_ arguments: [Value]) throws(Function.Failure) -> Value {
        try arguments.check(atLeast: 1)
        let format: String = try arguments.argument(0)
        let operands = arguments.dropFirst()
        let text = Formats.sprintf(format, Array(operands))
        return Revealing.result(text, secret: operands.contains { $0.containsSecret })
    }

    static func trimmingSpace(_ text: String) -> String {
        trimming(text) { $0.properties.isWhitespace }
    }

    private static func trimming(_ text: String, _ isUnwanted: (Unicode.Scalar) -> Bool) -> String {
        var scalars = Substring(text).unicodeScalars
        while let first = scalars.first, isUnwanted(first) { scalars.removeFirst() }
        while let last = scalars.last, isUnwanted(last) { scalars.removeLast() }
        return String(scalars)
    }

    /// Maps scalar by scalar; a mapping to several scalars leaves the one as it is.
    private static func mapping(_ text: String, _ map: (Unicode.Scalar) -> String) -> String {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let mapped = map(scalar).unicodeScalars
            if let only = mapped.first, mapped.count == 1 { out.append(only) } else { out.append(scalar) }
        }
        return String(out)
    }

    /// Replaces every occurrence; an empty pattern matches before each character and at the end.
    static func replacing(_ pattern: String, with replacement: String, in text: String) -> String {
        if pattern.isEmpty {
            var out = replacement
            for scalar in text.unicodeScalars {
                out.unicodeScalars.append(scalar)
                out += replacement
            }
            return out
        }
        return splitting(text, at: pattern).joined(separator: replacement)
    }

    /// Cuts at every separator; an empty separator cuts between characters.
    static func splitting(_ text: String, at separator: String) -> [String] {
        if separator.isEmpty { return text.unicodeScalars.map { String($0) } }
        let bytes = Array(text.utf8)
        let pattern = Array(separator.utf8)
        var parts: [String] = []
        var start = 0
        var index = 0
        while index + pattern.count <= bytes.count {
            if bytes[index] == pattern[0], bytes[index..<(index + pattern.count)].elementsEqual(pattern) {
                parts.append(String(decoding: bytes[start..<index], as: UTF8.self))
                index += pattern.count
                start = index
            } else {
                index += 1
            }
        }
        parts.append(String(decoding: bytes[start...], as: UTF8.self))
        return parts
    }

    /// Joins path elements with slashes and resolves `.`, `..` and repeated slashes by their text alone.
    static func joiningPath(_ elements: [String]) -> String {
        let path = elements.filter { !$0.isEmpty }.joined(separator: "/")
        guard !path.isEmpty else { return "" }
        let isRooted = path.utf8.first == UInt8(ascii: "/")
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part != ".." {
                parts.append(part)
            } else if let last = parts.last, last != ".." {
                parts.removeLast()
            } else if !isRooted {
                parts.append(part)
            }
        }
        let clean = parts.joined(separator: "/")
        return isRooted ? "/" + clean : clean.isEmpty ? "." : clean
    }
}
