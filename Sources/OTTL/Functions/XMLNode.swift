import Wire

/// A node of a document: the document itself, or what stands in it.
final class XMLNode {
    enum Kind {
        case document, element, attribute, text, comment
        /// CDATA.
        case data
        /// A processing instruction, the declaration of XML included.
        case instruction
        /// `<!DOCTYPE ...>` and the like.
        case declaration
    }

    let kind: Kind
    /// Prefix and name of an element or attribute, or the target of an instruction.
    let name: [UInt8]
    /// The value of an attribute, or the text of anything without children.
    var value: [UInt8]
    var attributes: [XMLNode] = []
    var children: [XMLNode] = []
    private(set) weak var parent: XMLNode?
    /// The place in the document the node was read from.
    private(set) var order = 0
    /// The order of the last node inside.
    var lastOrder = 0

    init(_ kind: Kind, name: [UInt8] = [], value: [UInt8] = [], in parent: XMLNode? = nil, order: Int = 0) {
        self.kind = kind
        self.name = name
        self.value = value
        self.parent = parent
        self.order = order
        lastOrder = order
    }

    /// The name without prefix.
    var localName: ArraySlice<UInt8> {
        name.firstIndex(of: UInt8(ascii: ":")).map { name[($0 + 1)...] } ?? name[...]
    }

    var elements: [XMLNode] { children.filter { $0.kind == .element } }

    /// All text right inside of the element, each piece trimmed.
    var text: [UInt8] {
        children.flatMap { $0.kind == .text || $0.kind == .data ? Array(Text.trimmed($0.value[...])) : [] }
    }

    /// The value XPath compares: all text inside of an element or document.
    var string: String {
        guard kind == .element || kind == .document else { return String(decoding: value, as: UTF8.self) }
        var bytes: [UInt8] = []
        func add(_ node: XMLNode) {
            for child in node.children {
                if child.kind == .text || child.kind == .data { bytes.append(contentsOf: child.value) }
                add(child)
            }
        }
        add(self)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Takes the node out of its parent.
    func remove() {
        if kind == .attribute {
            parent?.attributes.removeAll { $0 === self }
        } else {
            parent?.children.removeAll { $0 === self }
        }
    }

    // MARK: Output

    /// What is inside of the node, as XML: elements without content have a closing tag all the same.
    var inner: [UInt8] {
        var output: [UInt8] = []
        for child in children { child.write(to: &output, keepsSpace: true) }
        return output
    }

    private func write(to output: inout [UInt8], keepsSpace: Bool) {
        switch kind {
        case .document, .attribute: break
        case .text: Self.escape(keepsSpace ? value[...] : Text.trimmed(value[...]), to: &output)
        case .data:
            output.append(contentsOf: "<![CDATA[".utf8)
            output.append(contentsOf: value)
            output.append(contentsOf: "]]>".utf8)
        case .comment:
            output.append(contentsOf: "<!--".utf8)
            output.append(contentsOf: value)
            output.append(contentsOf: "-->".utf8)
        case .declaration:
            output.append(contentsOf: "<!".utf8)
            output.append(contentsOf: value)
            output.append(UInt8(ascii: ">"))
        case .instruction:
            output.append(contentsOf: "<?".utf8)
            output.append(contentsOf: name)
            if !value.isEmpty { output.append(UInt8(ascii: " ")) }
            output.append(contentsOf: value)
            output.append(contentsOf: "?>".utf8)
        case .element:
            output.append(UInt8(ascii: "<"))
            output.append(contentsOf: name)
            var keepsSpace = keepsSpace
            for attribute in attributes {
                output.append(UInt8(ascii: " "))
                output.append(contentsOf: attribute.name)
                output.append(contentsOf: "=\"".utf8)
                Self.escape(attribute.value[...], to: &output)
                output.append(UInt8(ascii: "\""))
                if attribute.name.elementsEqual("xml:space".utf8) {
                    if attribute.value.elementsEqual("preserve".utf8) { keepsSpace = true }
                    if attribute.value.elementsEqual("default".utf8) { keepsSpace = false }
                }
            }
            output.append(UInt8(ascii: ">"))
            for child in children { child.write(to: &output, keepsSpace: keepsSpace) }
            output.append(contentsOf: "</".utf8)
            output.append(contentsOf: name)
            output.append(UInt8(ascii: ">"))
        }
    }

    private static func escape(_ text: ArraySlice<UInt8>, to output: inout [UInt8]) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "<"): output.append(contentsOf: "&lt;".utf8)
            case UInt8(ascii: ">"): output.append(contentsOf: "&gt;".utf8)
            case UInt8(ascii: "&"): output.append(contentsOf: "&amp;".utf8)
            case UInt8(ascii: "\""): output.append(contentsOf: "&#34;".utf8)
            case UInt8(ascii: "'"): output.append(contentsOf: "&#39;".utf8)
            default: output.append(byte)
            }
        }
    }

    // MARK: Values

    /// The element with its tag, attributes, content and children.
    var full: OTLPAnyValue.Map {
        var map = OTLPAnyValue.Map()
        map["tag"] = .string(name)
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
        for element in elements { counts[element.name, default: 0] += 1 }
        var isEmpty = true
        for element in elements {
            guard let value = element.simplified else { continue }
            isEmpty = false
            if counts[element.name] == 1 {
                map.set(element.name, to: value)
            } else {
                if groups[element.name] == nil { map.set(element.name, to: .empty) }
                groups[element.name, default: []].append(value)
            }
        }
        for (tag, list) in groups { map.set(tag, to: .array(list)) }
        return isEmpty ? nil : .map(map.map)
    }
}
