/// A template that does not parse or whose execution failed, in the words of Go's text/template.
package struct GoTemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    package let message: String
    /// Byte of the template the problem is at, from 0.
    package let offset: Int
    /// Line of the template, from 1.
    package let line: Int

    package var description: String { message }
}

/// The text of a template with what errors need: its name and where lines begin.
struct TemplateSource: Sendable {
    let name: String
    let bytes: [UInt8]

    func line(at offset: Int) -> Int {
        1 + bytes[..<min(max(0, offset), bytes.count)].count { $0 == 0x0A }
    }

    func column(at offset: Int) -> Int {
        let offset = min(max(0, offset), bytes.count)
        let start = bytes[..<offset].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        return offset - start
    }

    func parseError(_ message: String, at offset: Int) -> GoTemplateError {
        let line = line(at: offset)
        return GoTemplateError(message: "template: \(name):\(line): \(message)", offset: offset, line: line)
    }

    /// `tree` is the name of the template being executed, `range` the piece of text at fault.
    func executionError(_ message: String, in tree: String, at range: Range<Int>) -> GoTemplateError {
        let line = line(at: range.lowerBound)
        var piece = String(decoding: bytes[range.clamped(to: 0..<bytes.count)], as: UTF8.self)
        if piece.utf8.count > 20 { piece = String(decoding: Array(piece.utf8.prefix(20)), as: UTF8.self) + "..." }
        let place = "\(name):\(line):\(column(at: range.lowerBound))"
        return GoTemplateError(
            message: "template: \(place): executing \(GoQuote.quote(tree)) at <\(piece)>: \(message)",
            offset: range.lowerBound, line: line)
    }
}
