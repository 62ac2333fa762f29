/// Operations of Go's `strings` package and of the libraries behind sprig, on UTF-8 bytes.
enum TextTools {
    static func bounded(_ count: Int) throws -> Int {
        guard count >= 0 else { throw TextFormatError("strings: negative count") }
        guard count <= SprigFunctions.largestText else {
            throw TextFormatError("result exceeds \(SprigFunctions.largestText) bytes")
        }
        return count
    }

    static func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

    static func product(_ left: Int, _ right: Int) throws -> Int {
        let (value, overflow) = left.multipliedReportingOverflow(by: right)
        return try bounded(overflow ? .max : value)
    }

    static func repeated(_ text: String, _ count: Int) throws -> String {
        guard count >= 0 else { throw TextFormatError("strings: negative Repeat count") }
        _ = try product(text.utf8.count, count)
        return text.isEmpty ? "" : String(repeating: text, count: count)
    }

    /// Places of `needle` in `text`, not overlapping; an empty needle is before every character and at the end.
    static func places(of needle: [UInt8], in text: [UInt8], limit: Int) -> [Int] {
        var places: [Int] = []
        guard limit != 0 else { return places }
        if needle.isEmpty {
            text.withUnsafeBytes { bytes in
                var index = 0
                while index < bytes.count, limit < 0 || places.count < limit {
                    places.append(index)
                    index += UTF8Bytes.width(bytes, at: index)
                }
                if limit < 0 || places.count < limit { places.append(bytes.count) }
            }
            return places
        }
        var index = 0
        while index + needle.count <= text.count, limit < 0 || places.count < limit {
            if text[index] == needle[0], text[index..<index + needle.count].elementsEqual(needle) {
                places.append(index)
                index += needle.count
            } else {
                index += 1
            }
        }
        return places
    }

    static func replace(_ text: String, _ old: String, _ new: String, limit: Int = -1) throws -> String {
        let bytes = Array(text.utf8)
        let needle = Array(old.utf8)
        let places = places(of: needle, in: bytes, limit: limit)
        _ = try product(places.count, max(1, new.utf8.count))
        var output: [UInt8] = []
        var copied = 0
        for place in places {
            output.append(contentsOf: bytes[copied..<place])
            output.append(contentsOf: new.utf8)
            copied = place + needle.count
        }
        output.append(contentsOf: bytes[copied...])
        _ = try bounded(output.count)
        return self.text(output)
    }

    /// Splits at `separator` into at most `limit` pieces; a negative limit means all, an empty separator every character.
    static func split(_ text: String, _ separator: String, limit: Int = -1) -> [String] {
        if limit == 0 { return [] }
        if separator.isEmpty {
            let scalars = text.unicodeScalars.map { String(Character($0)) }
            if limit < 0 || scalars.count <= limit { return scalars }
            return Array(scalars.prefix(limit - 1)) + [scalars[(limit - 1)...].joined()]
        }
        let bytes = Array(text.utf8)
        let needle = Array(separator.utf8)
        var pieces: [String] = []
        var start = 0
        for place in places(of: needle, in: bytes, limit: limit < 0 ? -1 : limit - 1) {
            pieces.append(self.text(bytes[start..<place]))
            start = place + needle.count
        }
        pieces.append(self.text(bytes[start...]))
        return pieces
    }

    static func trim(_ text: String, _ cutset: String, left: Bool = true, right: Bool = true) -> String {
        let cut = Set(cutset.unicodeScalars)
        var scalars = text.unicodeScalars[...]
        if left { scalars = scalars.drop { cut.contains($0) } }
        if right {
            while let last = scalars.last, cut.contains(last) { scalars.removeLast() }
        }
        return String(scalars)
    }

    static func trimPrefix(_ text: String, _ prefix: String) -> String {
        text.utf8.starts(with: prefix.utf8) ? self.text(text.utf8.dropFirst(prefix.utf8.count)) : text
    }

    static func hasSuffix(_ text: String, _ suffix: String) -> Bool {
        text.utf8.count >= suffix.utf8.count && text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }

    static func trimSuffix(_ text: String, _ suffix: String) -> String {
        hasSuffix(text, suffix) ? self.text(text.utf8.dropLast(suffix.utf8.count)) : text
    }

    /// Case by single characters, as Go maps it: what would become two letters stays as it is.
    static func lower(_ text: String) -> String {
        scalars(
            text.unicodeScalars.map { scalar in
                if scalar.value == 0x130 { return "i" }
                let mapped = scalar.properties.lowercaseMapping.unicodeScalars
                return mapped.count == 1 ? mapped.first ?? scalar : scalar
            })
    }

    /// Case by single characters, as Go maps it: what would become two letters stays as it is.
    static func upper(_ text: String) -> String {
        scalars(
            text.unicodeScalars.map { scalar in
                let mapped = scalar.properties.uppercaseMapping.unicodeScalars
                return mapped.count == 1 ? mapped.first ?? scalar : scalar
            })
    }

    static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }

    static func scalars(_ scalars: [Unicode.Scalar]) -> String { String(String.UnicodeScalarView(scalars)) }

    /// Maps each scalar, knowing whether it begins a word after white space.
    static func mapWords(_ text: String, _ body: (Unicode.Scalar, _ isFirst: Bool) -> String) -> String {
        var output = ""
        var isFirst = true
        for scalar in text.unicodeScalars {
            output += body(scalar, isFirst)
            isFirst = isSpace(scalar)
        }
        return output
    }

    /// The first letter of each word in upper case; a word ends at anything but letters, digits and `_`.
    static func title(_ text: String) -> String {
        var output = ""
        var isFirst = true
        for scalar in text.unicodeScalars {
            output += isFirst ? scalar.properties.titlecaseMapping : String(Character(scalar))
            if scalar.value < 0x80 {
                let byte = UInt8(scalar.value)
                isFirst =
                    !((byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || byte == 0x5F)
            } else {
                isFirst = isSpace(scalar)
            }
        }
        return output
    }

    static func swapCase(_ text: String) -> String {
        mapWords(text) { scalar, isFirst in
            if scalar.properties.isUppercase { return scalar.properties.lowercaseMapping }
            if scalar.properties.isLowercase {
                return isFirst ? scalar.properties.titlecaseMapping : scalar.properties.uppercaseMapping
            }
            return String(Character(scalar))
        }
    }

    /// Cuts `text` to `width` bytes with `...` at the end and, from `offset` 5 on, at the beginning too.
    static func abbreviate(_ text: String, offset: Int, width: Int) -> String {
        let bytes = Array(text.utf8)
        guard width >= 4, bytes.count > width else { return width < 4 ? "" : text }
        var offset = min(max(0, offset), bytes.count)
        if bytes.count - offset < width - 3 { offset = bytes.count - (width - 3) }
        if offset <= 4 { return self.text(bytes[..<(width - 3)]) + "..." }
        guard width >= 7 else { return "" }
        if offset + width - 3 < bytes.count {
            return "..." + abbreviate(self.text(bytes[offset...]), offset: 0, width: width - 3)
        }
        return "..." + self.text(bytes[(bytes.count - (width - 3))...])
    }

    /// Breaks lines at spaces so that none is longer than `width` characters where that is possible.
    static func wrap(_ text: String, _ width: Int, _ separator: String, breaksWords: Bool) throws -> String {
        let scalars = Array(text.unicodeScalars)
        let width = max(1, width)
        let newline = Array((separator.isEmpty ? "\n" : separator).unicodeScalars)
        _ = try product(scalars.count / width + 1, newline.count + width)
        var output: [Unicode.Scalar] = []
        var start = 0
        while scalars.count - start > width {
            if scalars[start] == " " {
                start += 1
                continue
            }
            if let space = scalars[start...(start + width)].lastIndex(of: " ") {
                output += scalars[start..<space] + newline
                start = space + 1
            } else if breaksWords {
                output += scalars[start..<start + width] + newline
                start += width
            } else if let space = scalars[(start + width)...].firstIndex(of: " ") {
                output += scalars[start..<space] + newline
                start = space + 1
            } else {
                break
            }
        }
        output += scalars[start...]
        return self.scalars(output)
    }

    // MARK: Case of identifiers

    private static func isConnector(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar == "-" || isSpace(scalar)
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType == .decimal }

    /// Words in lower case joined by `connector`: `HTTPServer` is `http_server`, `Floor3rd` is `floor_3rd`.
    static func snakeCase(_ text: String, _ connector: Unicode.Scalar) -> String {
        let scalars = Array(text.unicodeScalars)
        var output: [Unicode.Scalar] = []
        var inNumberWord = false
        for (index, scalar) in scalars.enumerated() {
            let previous = index > 0 ? scalars[index - 1] : nil
            let next = index + 1 < scalars.count ? scalars[index + 1] : nil
            if isConnector(scalar) {
                output.append(connector)
                inNumberWord = false
                continue
            }
            var begins = false
            if let previous, !isConnector(previous) {
                if scalar.properties.isUppercase {
                    begins =
                        previous.properties.isLowercase || isDigit(previous)
                        || (previous.properties.isUppercase && next?.properties.isLowercase == true)
                } else if isDigit(scalar), !isDigit(previous), !inNumberWord {
                    // Digits that lower case follows begin a word, others end the one before.
                    begins = scalars[index...].first { !isDigit($0) }?.properties.isLowercase == true
                }
            }
            if begins {
                output.append(connector)
                inNumberWord = isDigit(scalar)
            }
            output.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
        }
        return self.scalars(output)
    }

    /// Words with a capital and no connector between them; connectors at the ends stay.
    static func pascalCase(_ text: String) -> String {
        let scalars = Array(text.unicodeScalars)
        var output = ""
        var index = 0
        while index < scalars.count, isConnector(scalars[index]) {
            output.unicodeScalars.append(scalars[index])
            index += 1
        }
        var isFirst = true
        var previousWasUpper = false
        while index < scalars.count {
            let scalar = scalars[index]
            if isConnector(scalar) {
                let run = scalars[index...].prefix { isConnector($0) }
                let isLast = index + run.count == scalars.count
                for kept in isLast ? run : run.dropFirst() { output.unicodeScalars.append(kept) }
                index += run.count
                isFirst = true
                previousWasUpper = false
                continue
            }
            let isUpper = scalar.properties.isUppercase
            output +=
                isFirst
                ? scalar.properties.uppercaseMapping
                : isUpper && previousWasUpper ? scalar.properties.lowercaseMapping : String(Character(scalar))
            previousWasUpper = isUpper || isFirst
            isFirst = false
            index += 1
        }
        return output
    }
}
