import TextFormats
import Wire

extension Functions {
    private static let replacementTail: [Parameter] = [
        .text("replacement"), Parameter("function", .function, optional: true),
        Parameter("replacement_format", .string, optional: true),
    ]

    /// Editors that replace strings or parts of them.
    static let replacementEditors: [Editor] = [
        Editor(
            "replace_match", [Parameter("target", .target(.string)), Parameter("pattern", .string)] + replacementTail
        ) {
            arguments in
            let target = arguments.target(0)
            let glob = try GlobText.expression(arguments.string(1) ?? "", arguments, 1)
            let replacement = try Replacement(arguments, from: 2)
            return { frame in
                let value = try target.get(frame)
                guard value.withText({ glob.matches($0) }) == true else { return }
                try target.set?(frame, .ownText(try replacement.whole(frame)))
            }
        },
        Editor(
            "replace_all_matches",
            [Parameter("target", .target(.map)), Parameter("pattern", .string)] + replacementTail
        ) { arguments in
            let target = arguments.target(0)
            let glob = try GlobText.expression(arguments.string(1) ?? "", arguments, 1)
            let replacement = try Replacement(arguments, from: 2)
            return { frame in
                try Strings.change(target, frame, arguments.what(0)) { text in
                    glob.matches(text) ? try replacement.whole(frame) : nil
                }
            }
        },
        Editor(
            "replace_pattern", [Parameter("target", .target(.string)), Parameter("regex", .pattern)] + replacementTail
        ) { arguments in
            let target = arguments.target(0)
            let pattern = try arguments.pattern(1)
            let replacement = try Replacement(arguments, from: 2, pattern)
            return { frame in
                let expression = try pattern.expression(frame)
                let value = try target.get(frame)
                guard let changed = try value.withText({ try replacement.parts(of: $0, expression, frame) }),
                    let changed
                else { return }
                try target.set?(frame, .ownText(changed))
            }
        },
        Editor(
            "replace_all_patterns",
            [Parameter("target", .target(.map)), Parameter("mode", .string), Parameter("regex", .pattern)]
                + replacementTail
        ) { arguments in
            let target = arguments.target(0)
            let mode = arguments.string(1) ?? ""
            let pattern = try arguments.pattern(2)
            let replacement = try Replacement(arguments, from: 3, pattern)
            guard mode == "key" || mode == "value" else { throw arguments.error(1, "must be \"key\" or \"value\"") }
            if mode == "value" {
                return { frame in
                    let expression = try pattern.expression(frame)
                    try Strings.change(target, frame, arguments.what(0)) { text in
                        try replacement.parts(of: text, expression, frame)
                    }
                }
            }
            return { frame in
                let expression = try pattern.expression(frame)
                if let attributes = target.attributes?(frame) {
                    // Nearly always no key matches, and then nothing is copied.
                    var matches = false
                    attributes.forEach { key, _ in matches = matches || expression.matches(key) }
                    if !matches { return }
                }
                try target.editMap(frame, arguments.what(0)) { map in
                    var renamed = MapBuilder()
                    for entry in map.entries {
                        let key = try entry.key.withUnsafeBytes { try replacement.parts(of: $0, expression, frame) }
                        renamed.set(key ?? entry.key, to: entry.value)
                    }
                    map = renamed.map
                }
            }
        },
    ]
}

/// What takes the place of a match: text with groups filled in, perhaps sent through a converter and a format.
struct Replacement: Sendable {
    private let value: Expression
    private let function: Expression?
    private let format: (before: [UInt8], after: [UInt8])?
    /// The template, where both it and the expression are literals.
    private let template: RegularExpression.Template?

    /// The arguments from `index` on: replacement, function, format.
    init(_ arguments: Arguments, from index: Int, _ pattern: Pattern? = nil) throws {
        value = arguments.value(index)
        function = arguments.function(index + 1)
        if let text = arguments.string(index + 2) {
            let parts = text.split(separator: "%s", omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw arguments.error(index + 2, "must contain %s exactly once") }
            guard function != nil else { throw arguments.error(index + 2, "needs a function to format the result of") }
            format = (Array(parts[0].utf8), Array(parts[1].utf8))
        } else {
            format = nil
        }
        if let text = value.literal?.string, let expression = pattern?.literal {
            template = expression.template(text)
        } else {
            template = nil
        }
    }

    /// The replacement for a string that matches as a whole.
    func whole(_ frame: OTTLFrame) throws -> [UInt8] {
        try applied(to: try value.evaluate(frame).requireText("replacement"), frame)
    }

    /// `text` with every match replaced; nil when there is none.
    func parts(of text: UnsafeRawBufferPointer, _ expression: RegularExpression, _ frame: OTTLFrame) throws -> [UInt8]?
    {
        guard expression.matches(text) else { return nil }
        let template =
            try self.template ?? expression.template(try value.evaluate(frame).requireString("replacement"))
        var output: [UInt8] = []
        guard function != nil else {
            expression.replaceAll(in: text, with: template, into: &output)
            return output
        }
        var searched = 0
        var copied = 0
        var captures = RegularExpression.Captures()
        while searched <= text.count, expression.firstMatch(in: text, from: searched, into: &captures) {
            guard let whole = captures[0] else { break }
            output.append(contentsOf: text[copied..<whole.lowerBound])
            var expanded: [UInt8] = []
            expression.expand(template, captures, of: text, into: &expanded)
            output.append(contentsOf: try applied(to: expanded, frame))
            copied = whole.upperBound
            searched = max(whole.upperBound, whole.lowerBound + 1)
        }
        if copied < text.count { output.append(contentsOf: text[copied...]) }
        return output
    }

    private func applied(to text: [UInt8], _ frame: OTTLFrame) throws -> [UInt8] {
        guard let function else { return text }
        frame.functionInput = .ownText(text)
        defer { frame.functionInput = .none }
        let result = try function.evaluate(frame)
        guard let made = result.textBytes ?? result.textual else { throw OTTLError("the function gave nothing") }
        guard let format else { return made }
        return format.before + made + format.after
    }
}

/// Wildcards of `replace_match`, as a regular expression: `*`, `?`, `[a-z]`, `[!a]`, `{a,b}` and `\`.
enum GlobText {
    static func expression(_ pattern: String, _ arguments: Arguments, _ index: Int) throws -> RegularExpression {
        var output = "(?s)^"
        var depth = 0
        var characters = Array(pattern)[...]
        while let character = characters.popFirst() {
            switch character {
            case "*": output += ".*"
            case "?": output += "."
            case "{":
                depth += 1
                output += "(?:"
            case "}" where depth > 0:
                depth -= 1
                output += ")"
            case "," where depth > 0: output += "|"
            case "[":
                guard let end = characters.firstIndex(of: "]") else { throw arguments.error(index, "[ is not closed") }
                var inside = String(characters[..<end])
                if inside.first == "!" { inside = "^" + inside.dropFirst() }
                output += "[" + inside.replacing("\\", with: "\\\\").replacing("[", with: "\\[") + "]"
                characters = characters[(end + 1)...]
            case "\\":
                guard let escaped = characters.popFirst() else { throw arguments.error(index, "ends in a backslash") }
                output += quoted(escaped)
            default: output += quoted(character)
            }
        }
        if depth > 0 { throw arguments.error(index, "{ is not closed") }
        do {
            return try RegularExpression(output + "$")
        } catch {
            throw arguments.error(index, "invalid pattern: \(error)")
        }
    }

    private static func quoted(_ character: Character) -> String {
        "\\.+*?()|[]{}^$".contains(character) ? "\\\(character)" : String(character)
    }
}
