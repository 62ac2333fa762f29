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
        Converter("GetXML", [.text("target"), Parameter("xpath", .string)], .string) { arguments in
            let (target, path) = (arguments.value(0), try xpath(arguments, 1))
            return { frame in
                let document = try XMLReader.document(try target.evaluate(frame).requireText(arguments.what(0)))
                let result = XMLNode(.document)
                for node in try XPathEvaluator.select(path, in: document) {
                    switch node.kind {
                    case .element, .text: result.children.append(node)
                    case .attribute, .data: result.children.append(XMLNode(.text, value: node.value))
                    default: break
                    }
                }
                return .ownText(result.inner)
            }
        },
        Converter("RemoveXML", [.text("target"), Parameter("xpath", .string)], .string) { arguments in
            let (target, path) = (arguments.value(0), try xpath(arguments, 1))
            return { frame in
                let document = try XMLReader.document(try target.evaluate(frame).requireText(arguments.what(0)))
                for node in try XPathEvaluator.select(path, in: document) {
                    switch node.kind {
                    case .element, .attribute, .comment, .data: node.remove()
                    case .text: node.value = []
                    default: break
                    }
                }
                return .ownText(document.inner)
            }
        },
        Converter(
            "InsertXML", [.text("target"), Parameter("xpath", .string), .text("sub_document")], .string
        ) { arguments in
            let (target, path, inserted) = (arguments.value(0), try xpath(arguments, 1), arguments.value(2))
            return { frame in
                let document = try XMLReader.document(try target.evaluate(frame).requireText(arguments.what(0)))
                let part = try XMLReader.document(try inserted.evaluate(frame).requireText(arguments.what(2)))
                for node in try XPathEvaluator.select(path, in: document) {
                    guard node.kind == .element || node.kind == .document else {
                        throw OTTLError("InsertXML: the path selects more than elements")
                    }
                    node.children.append(contentsOf: part.children)
                }
                return .ownText(document.inner)
            }
        },
        Converter(
            "ConvertAttributesToElementsXML", [.text("target"), Parameter("xpath", .string, optional: true)], .string
        ) { arguments in
            let (target, path) = (arguments.value(0), try xpath(arguments, 1, default: "//@*"))
            return { frame in
                let document = try XMLReader.document(try target.evaluate(frame).requireText(arguments.what(0)))
                for node in try XPathEvaluator.select(path, in: document) where node.kind == .attribute {
                    guard let parent = node.parent else { continue }
                    let element = XMLNode(.element, name: Array(node.localName))
                    element.children.append(XMLNode(.text, value: node.value))
                    parent.children.append(element)
                    node.remove()
                }
                return .ownText(document.inner)
            }
        },
        Converter(
            "ConvertTextToElementsXML",
            [
                .text("target"), Parameter("xpath", .string, optional: true),
                Parameter("element_name", .string, optional: true),
            ], .string
        ) { arguments in
            let (target, path) = (arguments.value(0), try xpath(arguments, 1, default: "/"))
            let given = arguments.string(2) ?? ""
            let name = Array((given.isEmpty ? "value" : given).utf8)
            return { frame in
                let document = try XMLReader.document(try target.evaluate(frame).requireText(arguments.what(0)))
                for node in try XPathEvaluator.select(path, in: document) { wrapText(in: node, name) }
                return .ownText(document.inner)
            }
        },
    ]

    private static func xpath(_ arguments: Arguments, _ place: Int, default path: String = "") throws -> XPath {
        let given = arguments.string(place) ?? ""
        do {
            return try XPathParser.nodes(given.isEmpty ? path : given)
        } catch let error as OTTLError {
            throw arguments.error(place, error.message)
        }
    }

    /// Gives text that has siblings an element of its own, inside of the node and all elements in it.
    private static func wrapText(in node: XMLNode, _ name: [UInt8]) {
        var (texts, elements) = (0, 0)
        for child in node.children {
            if child.kind == .element {
                wrapText(in: child, name)
                elements += 1
            } else if child.kind == .text {
                texts += 1
            }
        }
        if texts == 0 || texts + elements <= 1 { return }
        node.children = node.children.map { child in
            guard child.kind == .text else { return child }
            let element = XMLNode(.element, name: name)
            element.children = [child]
            return element
        }
    }
}
