/// Writes JSON with the escaping rules of Go's encoding/json.
package struct JSONWriter: Sendable {
    /// Whether `<`, `>` and `&` are escaped, as `json.Marshal` does.
    package var escapesHTML = true
    /// Whether the keys of objects are written in byte order, as Go writes maps.
    package var sortsKeys = false
    /// Text of one level of indentation; nil writes no space at all.
    package var indent: String?

    package init(escapesHTML: Bool = true, sortsKeys: Bool = false, indent: String? = nil) {
        self.escapesHTML = escapesHTML
        self.sortsKeys = sortsKeys
        self.indent = indent
    }

    /// `value` as text.
    package func text(_ value: JSONValue) -> String {
        var output: [UInt8] = []
        append(value, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// Appends `value`.
    package func append(_ value: JSONValue, to output: inout [UInt8]) { append(value, level: 0, to: &output) }

    /// Appends `text` as a JSON string.
    package func append(_ text: String, to output: inout [UInt8]) {
        text.withBytes { append(string: $0, to: &output) }
    }

    /// Appends bytes as a JSON string; each byte that is no UTF-8 is written as `\ufffd`.
    package func append(string bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        var clean = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte < 0x80 {
                if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"),
                    !escapesHTML || !(byte == 0x3C || byte == 0x3E || byte == 0x26)
                {
                    index &+= 1
                    continue
                }
                output.append(contentsOf: bytes[clean..<index])
                appendEscape(byte, to: &output)
                index += 1
                clean = index
                continue
            }
            guard let (length, scalar) = UTF8Bytes.decode(bytes, at: index) else {
                output.append(contentsOf: bytes[clean..<index])
                output.append(contentsOf: Array("\\ufffd".utf8))
                index += 1
                clean = index
                continue
            }
            if scalar == 0x2028 || scalar == 0x2029 {
                output.append(contentsOf: bytes[clean..<index])
                output.append(contentsOf: Array((scalar == 0x2028 ? "\\u2028" : "\\u2029").utf8))
                clean = index + length
            }
            index += length
        }
        output.append(contentsOf: bytes[clean..<bytes.count])
        output.append(UInt8(ascii: "\""))
    }

    private func appendEscape(_ byte: UInt8, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): output.append(byte)
        case 8: output.append(UInt8(ascii: "b"))
        case 9: output.append(UInt8(ascii: "t"))
        case 10: output.append(UInt8(ascii: "n"))
        case 12: output.append(UInt8(ascii: "f"))
        case 13: output.append(UInt8(ascii: "r"))
        default:
            output.append(contentsOf: Array("u00".utf8))
            output.append(0x30 + (byte >> 4))
            let low = byte & 0xF
            output.append(low < 10 ? 0x30 + low : 0x57 + low)
        }
    }

    private func append(_ value: JSONValue, level: Int, to output: inout [UInt8]) {
        switch value {
        case .null: output.append(contentsOf: "null".utf8)
        case .bool(let flag): output.append(contentsOf: (flag ? "true" : "false").utf8)
        case .number(let number): output.append(contentsOf: number.text.utf8)
        case .string(let text): append(text, to: &output)
        case .array(let array):
            output.append(UInt8(ascii: "["))
            for (index, element) in array.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                newline(level + 1, to: &output)
                append(element, level: level + 1, to: &output)
            }
            if !array.isEmpty { newline(level, to: &output) }
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            appendObject(object, level: level, to: &output)
        }
    }

    private func appendObject(_ object: JSONObject, level: Int, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "{"))
        var members = object.members
        if sortsKeys { members.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } }
        for (index, member) in members.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            newline(level + 1, to: &output)
            append(member.key, to: &output)
            output.append(UInt8(ascii: ":"))
            if indent != nil { output.append(0x20) }
            append(member.value, level: level + 1, to: &output)
        }
        if !members.isEmpty { newline(level, to: &output) }
        output.append(UInt8(ascii: "}"))
    }

    private func newline(_ level: Int, to output: inout [UInt8]) {
        guard let indent else { return }
        output.append(0x0A)
        for _ in 0..<level { output.append(contentsOf: indent.utf8) }
    }
}
