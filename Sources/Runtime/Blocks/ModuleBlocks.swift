import AlloySyntax
import TextFormats

/// `argument "label" { ... }`: what a module may be given.
struct ArgumentBlock: Block {
    let isOptional: Bool
    let fallback: Value
    let comment: String

    init(from block: inout BlockReader) {
        isOptional = block.optional("optional", default: false, "Whether the argument may be omitted.")
        fallback = block.optional("default", default: Value.null, "Value the argument has when it is omitted.")
        comment = block.optional("comment", default: "", "Description of the argument.")
    }
}

/// `export "label" { ... }`: what a module gives.
struct ExportBlock: Block {
    let value: Value

    init(from block: inout BlockReader) {
        value = block.required("value", "Value to export.")
    }
}

/// The arguments given to a custom component.
struct CustomArguments: Block {
    let values: [String: Value]

    init(from block: inout BlockReader) {
        let given = block.freeForm("Arguments of the custom component.", of: Value.self)
        values = Dictionary(given.map { ($0.name, $0.value) }) { _, last in last }
    }
}

/// `foreach "label" { ... }` without its template.
struct ForeachBlock: Block {
    let collection: [Value]
    let variable: String
    let idKey: String
    let hashesStringID: Bool
    let enablesMetrics: Bool

    /// More items than this are refused.
    static let itemLimit = 10_000

    init(from block: inout BlockReader) {
        collection = block.required("collection", "Items to make the template's components for.")
        variable = block.required("var", "Name of the variable that holds the current item.")
        idKey = block.optional("id", default: "", "Field of an item that tells it from the others.")
        hashesStringID = block.optional(
            "hash_string_id", default: false, "Whether text that tells items apart is hashed.")
        enablesMetrics = block.optional(
            "enable_metrics", default: false, "Whether the components expose their own metrics.")
        if collection.count > ForeachBlock.itemLimit {
            block.reject("collection", "has more than \(ForeachBlock.itemLimit) items")
        }
        if !variable.isEmpty, !IdentifierName.isValid(variable) {
            block.reject("var", "must be a valid identifier")
        }
    }

    /// The name of an item's module, which stays the same while the item does; `nil` counts as absent field.
    func moduleID(of item: Value) -> String {
        var id = item
        if !idKey.isEmpty, let field = item.objectFields?[idKey] { id = field }
        switch id {
        case .string(let text):
            return "foreach_" + (hashesStringID ? SHA256.hex(of: text) : ForeachBlock.sanitized(text))
        case .number(.float(let value)): return "foreach_" + ForeachBlock.sanitized("\(value)")
        case .number(let number): return "foreach_" + ForeachBlock.sanitized(number.text)
        case .bool(let bool): return "foreach_\(bool)"
        default: return "foreach_" + SHA256.hex(of: id.alloyText)
        }
    }

    private static func sanitized(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            let isKept = scalar.properties.isAlphabetic || scalar.properties.numericType != nil
            out.unicodeScalars.append(isKept ? scalar : "_")
        }
        return out
    }
}
