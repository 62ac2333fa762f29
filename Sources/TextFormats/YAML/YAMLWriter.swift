/// Writes YAML in block style, two spaces a level, sequences level with their key, as gopkg.in/yaml.v2 lays it out.
package struct YAMLWriter: Sendable {
    /// Whether keys are written in byte order of their text.
    package var sortsKeys = false

    package init(sortsKeys: Bool = false) { self.sortsKeys = sortsKeys }

    /// `value` as one document, with a final newline.
    package func text(_ value: YAMLValue) -> String {
        var output: [UInt8] = []
        append(value, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// Appends `value` as one document.
    package func append(_ value: YAMLValue, to output: inout [UInt8]) {
        switch value {
        case .scalar(let scalar):
            appendScalar(scalar, indent: 0, to: &output)
            output.append(0x0A)
        case .sequence(let elements):
            if elements.isEmpty { output.append(contentsOf: "[]\n".utf8) }
            appendSequence(elements, indent: 0, isInline: false, to: &output)
        case .mapping(let mapping):
            if mapping.count == 0 { output.append(contentsOf: "{}\n".utf8) }
            appendMapping(mapping, indent: 0, isInline: false, to: &output)
        }
    }

    private func space(_ count: Int, to output: inout [UInt8]) {
        for _ in 0..<count { output.append(0x20) }
    }

    private func appendSequence(_ elements: [YAMLValue], indent: Int, isInline: Bool, to output: inout [UInt8]) {
        for (index, element) in elements.enumerated() {
            if index > 0 || !isInline { space(indent, to: &output) }
            output.append(contentsOf: "- ".utf8)
            switch element {
            case .mapping(let mapping) where mapping.count > 0:
                appendMapping(mapping, indent: indent + 2, isInline: true, to: &output)
            case .sequence(let inner) where !inner.isEmpty:
                appendSequence(inner, indent: indent + 2, isInline: true, to: &output)
            default:
                appendLeaf(element, indent: indent + 2, to: &output)
            }
        }
    }

    private func appendMapping(_ mapping: YAMLMapping, indent: Int, isInline: Bool, to output: inout [UInt8]) {
        var entries = mapping.entries
        if sortsKeys {
            entries.sort {
                ($0.key.stringValue ?? "").utf8.lexicographicallyPrecedes(($1.key.stringValue ?? "").utf8)
            }
        }
        for (index, entry) in entries.enumerated() {
            if index > 0 || !isInline { space(indent, to: &output) }
            if case .scalar(let scalar) = entry.key, !(scalar.resolved == .string && scalar.text.contains("\n")) {
                appendScalar(scalar, indent: indent, to: &output)
            } else {
                // A key that is no one-line scalar goes as JSON text, which is YAML too.
                output.append(contentsOf: "? ".utf8)
                JSONWriter(escapesHTML: false).append(entry.key.json, to: &output)
                output.append(0x0A)
                space(indent, to: &output)
            }
            output.append(UInt8(ascii: ":"))
            switch entry.value {
            case .mapping(let inner) where inner.count > 0:
                output.append(0x0A)
                appendMapping(inner, indent: indent + 2, isInline: false, to: &output)
            case .sequence(let inner) where !inner.isEmpty:
                output.append(0x0A)
                appendSequence(inner, indent: indent, isInline: false, to: &output)
            default:
                output.append(0x20)
                appendLeaf(entry.value, indent: indent + 2, to: &output)
            }
        }
    }

    private func appendLeaf(_ value: YAMLValue, indent: Int, to output: inout [UInt8]) {
        switch value {
        case .scalar(let scalar): appendScalar(scalar, indent: indent, to: &output)
        case .sequence: output.append(contentsOf: "[]".utf8)
        case .mapping: output.append(contentsOf: "{}".utf8)
        }
        output.append(0x0A)
    }

    private func appendScalar(_ scalar: YAMLScalar, indent: Int, to output: inout [UInt8]) {
        guard scalar.resolved == .string else {
            output.append(contentsOf: scalar.text.utf8)
            return
        }
        let text = scalar.text
        if isAmbiguous(text) {
            appendDoubleQuoted(text, to: &output)
        } else if text.contains("\n"), canBeLiteral(text), indent > 0 {
            appendLiteral(text, indent: indent, to: &output)
        } else if text.unicodeScalars.contains(where: { !GoQuote.isPrintable($0.value) || $0.value == 0xFEFF }) {
            appendDoubleQuoted(text, to: &output)
        } else if canBePlain(text) {
            output.append(contentsOf: text.utf8)
        } else {
            output.append(UInt8(ascii: "'"))
            for byte in text.utf8 {
                output.append(byte)
                if byte == UInt8(ascii: "'") { output.append(byte) }
            }
            output.append(UInt8(ascii: "'"))
        }
    }

    /// Whether the plain text would be read as something other than a string by one of the dialects.
    private func isAmbiguous(_ text: String) -> Bool {
        if text == "<<" || text == "=" || YAMLScalar.oldBooleans[text] != nil { return true }
        return YAMLScalar.resolve(text, .v3) != .string || YAMLScalar.resolve(text, .v2) != .string
            || looksSexagesimalOrDate(text)
    }

    /// Base-60 numbers and dates of YAML 1.1: strings to us, not to every reader.
    private func looksSexagesimalOrDate(_ text: String) -> Bool {
        guard let first = text.utf8.first, first >= 0x30, first <= 0x39 else { return false }
        return text.utf8.allSatisfy {
            ($0 >= 0x30 && $0 <= 0x3A) || $0 == 0x2D || $0 == 0x2E || $0 == 0x54 || $0 == 0x5A
        }
    }

    private func canBePlain(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, first != 0x20, last != 0x20 else { return false }
        if "#&*!|>'\"%@`,[]{}".utf8.contains(first) { return false }
        if first == UInt8(ascii: "-") || first == UInt8(ascii: "?") || first == UInt8(ascii: ":") {
            if bytes.count == 1 || bytes[1] == 0x20 { return false }
        }
        if text.hasPrefix("---") || text.hasPrefix("...") || last == UInt8(ascii: ":") { return false }
        for index in bytes.indices.dropLast() {
            if bytes[index] == UInt8(ascii: ":"), bytes[index + 1] == 0x20 { return false }
            if bytes[index] == 0x20, bytes[index + 1] == UInt8(ascii: "#") { return false }
        }
        return true
    }

    private func canBeLiteral(_ text: String) -> Bool {
        guard let first = text.utf8.first, first != 0x20, first != 0x0A else { return false }
        return text.unicodeScalars.allSatisfy { $0 == "\n" || GoQuote.isPrintable($0.value) }
    }

    private func appendLiteral(_ text: String, indent: Int, to output: inout [UInt8]) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        var chomping = "-"
        if lines.last?.isEmpty == true {
            lines.removeLast()
            chomping = lines.last?.isEmpty == true ? "+" : ""
        }
        output.append(contentsOf: "|\(chomping)".utf8)
        for line in lines {
            output.append(0x0A)
            if !line.isEmpty { space(indent, to: &output) }
            output.append(contentsOf: line.utf8)
        }
    }

    private func appendDoubleQuoted(_ text: String, to output: inout [UInt8]) {
        JSONWriter(escapesHTML: false).append(text, to: &output)
    }
}
