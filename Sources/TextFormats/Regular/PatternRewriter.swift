/// Reconciles Go's pattern syntax with that of the RE2 release in use.
///
/// Go (since 1.22) spells named groups `(?<name>...)` too and has no `\C`; everything else is the same syntax.
enum PatternRewriter {
    static func rewrite(_ pattern: [UInt8]) throws(RegularExpressionError) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(pattern.count + 8)
        var index = 0
        var inClass = false
        while index < pattern.count {
            let byte = pattern[index]
            let next = index + 1 < pattern.count ? pattern[index + 1] : 0
            if byte == UInt8(ascii: "\\") {
                if next == UInt8(ascii: "Q"), !inClass {
                    index = copyQuoted(pattern, from: index, into: &output)
                    continue
                }
                if next == UInt8(ascii: "C") {
                    throw RegularExpressionError(reason: "invalid escape sequence", piece: "\\C")
                }
                output.append(byte)
                if index + 1 < pattern.count { output.append(next) }
                index += 2
                continue
            }
            if inClass {
                if byte == UInt8(ascii: "]") { inClass = false }
            } else if byte == UInt8(ascii: "[") {
                index = copyClassOpening(pattern, from: index, into: &output)
                inClass = true
                continue
            } else if byte == UInt8(ascii: "("), next == UInt8(ascii: "?"), index + 3 < pattern.count,
                pattern[index + 2] == UInt8(ascii: "<"),
                pattern[index + 3] != UInt8(ascii: "="), pattern[index + 3] != UInt8(ascii: "!")
            {
                output.append(contentsOf: Array("(?P<".utf8))
                index += 3
                continue
            }
            output.append(byte)
            index += 1
        }
        return output
    }

    /// Copies `\Q...\E`, whose content is literal.
    private static func copyQuoted(_ pattern: [UInt8], from start: Int, into output: inout [UInt8]) -> Int {
        var index = start + 2
        output.append(contentsOf: pattern[start..<index])
        while index < pattern.count {
            if pattern[index] == UInt8(ascii: "\\"), index + 1 < pattern.count, pattern[index + 1] == UInt8(ascii: "E")
            {
                output.append(contentsOf: pattern[index...index + 1])
                return index + 2
            }
            output.append(pattern[index])
            index += 1
        }
        return index
    }

    /// Copies `[`, `[^` and a `]` that comes first and is therefore literal.
    private static func copyClassOpening(_ pattern: [UInt8], from start: Int, into output: inout [UInt8]) -> Int {
        var index = start + 1
        if index < pattern.count, pattern[index] == UInt8(ascii: "^") { index += 1 }
        if index < pattern.count, pattern[index] == UInt8(ascii: "]") { index += 1 }
        output.append(contentsOf: pattern[start..<index])
        return index
    }
}
