/// Reads XML 1.0 documents with the predefined entities; entities of a document's own are not expanded, and nothing
/// outside of it is read.
struct XMLReader {
    /// Elements nested deeper are refused.
    static let maximumDepth = 100
    /// Documents of more nodes are refused.
    static let maximumCount = 500_000

    private let bytes: [UInt8]
    private var index = 0
    private var count = 0

    static func document(_ text: [UInt8]) throws -> XMLNode {
        var reader = XMLReader(bytes: text)
        let document = XMLNode(.document)
        try reader.content(of: document, depth: 0)
        guard reader.index == text.count else { throw OTTLError("invalid XML: a closing tag without an opening one") }
        document.lastOrder = reader.count
        return document
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func starts(_ text: String) -> Bool { bytes[index...].starts(with: text.utf8) }

    private func error(_ message: String) -> OTTLError { OTTLError("invalid XML at byte \(index): \(message)") }

    /// Goes behind the next `text`.
    private mutating func pass(_ text: String) throws {
        guard let end = Text.firstIndex(of: Array(text.utf8), in: bytes, from: index) else {
            throw error("\(text) is missing")
        }
        index = end + text.utf8.count
    }

    private mutating func node(
        _ kind: XMLNode.Kind, name: [UInt8] = [], value: [UInt8] = [], in parent: XMLNode
    ) throws -> XMLNode {
        count += 1
        if count > Self.maximumCount { throw error("there are too many nodes") }
        return XMLNode(kind, name: name, value: value, in: parent, order: count)
    }

    private mutating func add(_ kind: XMLNode.Kind, name: [UInt8] = [], value: [UInt8], to parent: XMLNode) throws {
        parent.children.append(try node(kind, name: name, value: value, in: parent))
    }

    private mutating func content(of parent: XMLNode, depth: Int) throws {
        if depth > Self.maximumDepth { throw error("elements are nested too deep") }
        while index < bytes.count {
            let start = index
            guard bytes[index] == UInt8(ascii: "<") else {
                let end = bytes[index...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
                try add(.text, value: try unescaped(bytes[index..<end]), to: parent)
                index = end
                continue
            }
            if starts("</") { return }
            if starts("<!--") {
                index += 4
                try pass("-->")
                try add(.comment, value: Array(bytes[(start + 4)..<(index - 3)]), to: parent)
            } else if starts("<![CDATA[") {
                index += 9
                try pass("]]>")
                try add(.data, value: Array(bytes[(start + 9)..<(index - 3)]), to: parent)
            } else if starts("<?") {
                index += 2
                let name = try name(endingAt: UInt8(ascii: "?"))
                let value = index
                try pass("?>")
                let text = Text.trimmed(bytes[value..<(index - 2)])
                try add(.instruction, name: name, value: Array(text), to: parent)
            } else if starts("<!") {
                try passDeclaration()
                try add(.declaration, value: Array(bytes[(start + 2)..<(index - 1)]), to: parent)
            } else {
                parent.children.append(try element(in: parent, depth: depth))
            }
        }
        if depth > 0 {
            throw error("<\(String(decoding: parent.name, as: UTF8.self))> is not closed")
        }
    }

    /// Goes behind a declaration, with those it holds in brackets.
    private mutating func passDeclaration() throws {
        var depth = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                guard let end = bytes[(index + 1)...].firstIndex(of: byte) else { break }
                index = end
            } else if byte == UInt8(ascii: "<") {
                depth += 1
            } else if byte == UInt8(ascii: ">") {
                depth -= 1
            }
            index += 1
            if depth == 0 { return }
        }
        throw error("a declaration is not closed")
    }

    private mutating func element(in parent: XMLNode, depth: Int) throws -> XMLNode {
        index += 1
        let element = try node(.element, name: try name(), in: parent)
        while true {
            skipSpaces()
            guard index < bytes.count else { throw error("a tag is not closed") }
            if starts("/>") {
                index += 2
                element.lastOrder = count
                return element
            }
            if bytes[index] == UInt8(ascii: ">") {
                index += 1
                break
            }
            let name = try name()
            skipSpaces()
            guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else {
                throw error("an attribute without value")
            }
            index += 1
            skipSpaces()
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "'"),
                let end = bytes[(index + 1)...].firstIndex(of: bytes[index])
            else { throw error("an attribute's value stands in quotes") }
            let value = try unescaped(bytes[(index + 1)..<end])
            element.attributes.append(try node(.attribute, name: name, value: value, in: element))
            index = end + 1
        }
        try content(of: element, depth: depth + 1)
        element.lastOrder = count
        guard starts("</") else { throw error("a closing tag is missing") }
        index += 2
        guard try name() == element.name else {
            throw error("<\(String(decoding: element.name, as: UTF8.self))> is closed by another tag")
        }
        skipSpaces()
        guard index < bytes.count, bytes[index] == UInt8(ascii: ">") else { throw error("a tag is not closed") }
        index += 1
        return element
    }

    private mutating func skipSpaces() {
        while index < bytes.count, bytes[index] == 0x20 || (bytes[index] >= 9 && bytes[index] <= 13) { index += 1 }
    }

    private mutating func name(endingAt end: UInt8 = UInt8(ascii: ">")) throws -> [UInt8] {
        let start = index
        while index < bytes.count, bytes[index] != end, !" \t\r\n/>=<\"'".utf8.contains(bytes[index]) { index += 1 }
        guard index > start else { throw error("a name is missing") }
        return Array(bytes[start..<index])
    }

    private func unescaped(_ text: ArraySlice<UInt8>) throws -> [UInt8] {
        guard text.contains(UInt8(ascii: "&")) else { return Array(text) }
        let named: [String: UInt8] = [
            "lt": UInt8(ascii: "<"), "gt": UInt8(ascii: ">"), "amp": UInt8(ascii: "&"), "quot": UInt8(ascii: "\""),
            "apos": UInt8(ascii: "'"),
        ]
        var output: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "&") else {
                output.append(byte)
                continue
            }
            guard let end = rest.prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
                throw error("an entity is not closed")
            }
            let name = String(decoding: rest[..<end], as: UTF8.self)
            if let known = named[name] {
                output.append(known)
            } else if name.hasPrefix("#"),
                let value = name.dropFirst().first == "x"
                    ? UInt32(name.dropFirst(2), radix: 16) : UInt32(name.dropFirst()),
                let scalar = Unicode.Scalar(value)
            {
                output.append(contentsOf: Array(String(Character(scalar)).utf8))
            } else {
                throw error("unknown entity &\(name);")
            }
            rest = rest[(end + 1)...]
        }
        return output
    }
}
