import Wire

extension Functions {
    /// Functions of XML documents.
    static let xmlConverters: [Converter] = [
        Converter("ParseXML", [.text("target")], .map) { arguments in
            let target = arguments.value(0)
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                guard let root = try XMLReader.document(text).elements.first else {
                    throw OTTLError("ParseXML: there is no element")
                }
                return .ownMap(root.full)
            }
        },
        Converter("ParseSimplifiedXML", [.text("target")], .map) { arguments in
            let target = arguments.value(0)
            return { frame in
                let text = try target.evaluate(frame).requireText(arguments.what(0))
                guard case .map(let map)? = try XMLReader.document(text).simplified else { return .ownMap(.init()) }
                return .ownMap(map)
            }
        },
    ]
}

/// An element of a document, or the document itself, which has no tag.
final class XMLElement {
    enum Child {
        case element(XMLElement)
        case text([UInt8])
    }

    var tag: [UInt8]
    var attributes: [(name: [UInt8], value: [UInt8])] = []
    var children: [Child] = []

    init(tag: [UInt8]) { self.tag = tag }

    var elements: [XMLElement] {
        children.compactMap { child in
            if case .element(let element) = child { return element }
            return nil
        }
    }

    /// All text right inside of the element, each piece trimmed.
    var text: [UInt8] {
        children.flatMap { child in
            if case .text(let text) = child { return Array(Text.trimmed(text[...])) }
            return []
        }
    }

    /// The element with its tag, attributes, content and children.
    var full: OTLPAnyValue.Map {
        var map = OTLPAnyValue.Map()
        map["tag"] = .string(tag)
        if !attributes.isEmpty {
            var values = MapBuilder()
            for attribute in attributes { values.set(attribute.name, to: .string(attribute.value)) }
            map["attributes"] = .map(values.map)
        }
        let content = text
        if !content.isEmpty { map["content"] = .string(content) }
        let elements = elements
        if !elements.isEmpty { map["children"] = .array(elements.map { .map($0.full) }) }
        return map
    }

    /// The element without attributes and stray text; nil when nothing is left.
    var simplified: OTLPAnyValue? {
        let elements = elements
        if elements.isEmpty {
            let content = text
            return content.isEmpty ? nil : .string(content)
        }
        var map = MapBuilder()
        var groups: [[UInt8]: [OTLPAnyValue]] = [:]
        var counts: [[UInt8]: Int] = [:]
        for element in elements { counts[element.tag, default: 0] += 1 }
        var isEmpty = true
        for element in elements {
            guard let value = element.simplified else { continue }
            isEmpty = false
            if counts[element.tag] == 1 {
                map.set(element.tag, to: value)
            } else {
                if groups[element.tag] == nil { map.set(element.tag, to: .empty) }
                groups[element.tag, default: []].append(value)
            }
        }
        for (tag, list) in groups { map.set(tag, to: .array(list)) }
        return isEmpty ? nil : .map(map.map)
    }
}

/// Reads XML 1.0 documents: elements, attributes, text, CDATA and the predefined entities; declarations, processing
/// instructions and comments are passed over, and entities of a document's own are not expanded.
struct XMLReader {
    /// Elements nested deeper are refused.
    static let maximumDepth = 100

    private let bytes: [UInt8]
    private var index = 0

    static func document(_ text: [UInt8]) throws -> XMLElement {
        var reader = XMLReader(bytes: text)
        let document = XMLElement(tag: [])
        try reader.content(of: document, depth: 0)
        guard reader.index == text.count else { throw OTTLError("invalid XML: a closing tag without an opening one") }
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

    private mutating func content(of parent: XMLElement, depth: Int) throws {
        if depth > Self.maximumDepth { throw error("elements are nested too deep") }
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "<") else {
                let end = bytes[index...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
                parent.children.append(.text(try unescaped(bytes[index..<end])))
                index = end
                continue
            }
            if starts("</") { return }
            if starts("<!--") {
                try pass("-->")
            } else if starts("<![CDATA[") {
                let start = index + 9
                try pass("]]>")
                parent.children.append(.text(Array(bytes[start..<(index - 3)])))
            } else if starts("<?") {
                try pass("?>")
            } else if starts("<!") {
                try pass(">")
            } else {
                parent.children.append(.element(try element(depth: depth)))
            }
        }
        if depth > 0 {
            throw error("<\(String(decoding: parent.tag, as: UTF8.self))> is not closed")
        }
    }

    private mutating func element(depth: Int) throws -> XMLElement {
        index += 1
        let element = XMLElement(tag: try name())
        while true {
            skipSpaces()
            guard index < bytes.count else { throw error("a tag is not closed") }
            if starts("/>") {
                index += 2
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
            element.attributes.append((name, try unescaped(bytes[(index + 1)..<end])))
            index = end + 1
        }
        try content(of: element, depth: depth + 1)
        guard starts("</") else { throw error("a closing tag is missing") }
        index += 2
        guard try name() == element.tag else {
            throw error("<\(String(decoding: element.tag, as: UTF8.self))> is closed by another tag")
        }
        skipSpaces()
        guard index < bytes.count, bytes[index] == UInt8(ascii: ">") else { throw error("a tag is not closed") }
        index += 1
        return element
    }

    private mutating func skipSpaces() {
        while index < bytes.count, bytes[index] == 0x20 || (bytes[index] >= 9 && bytes[index] <= 13) { index += 1 }
    }

    private mutating func name() throws -> [UInt8] {
        let start = index
        while index < bytes.count, !" \t\r\n/>=<\"'".utf8.contains(bytes[index]) { index += 1 }
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
