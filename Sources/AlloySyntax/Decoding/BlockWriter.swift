/// Writes exports and debug information: arguments with their values, and blocks inside.
///
/// Each method takes the sentence the reference documents its argument or block with.
public struct BlockWriter {
    private let isDescribing: Bool
    private let path: String
    private(set) var schema = BlockSchema()
    private(set) var values = EffectiveValues()
    private var fields: [(String, Value)] = []

    init(describing: Bool, path: String = "") {
        isDescribing = describing
        self.path = path
    }

    /// The arguments and blocks a block writes.
    public static func values(of block: some WritableBlock) -> EffectiveValues {
        var writer = BlockWriter(describing: false)
        block.write(to: &writer)
        return writer.values
    }

    /// What a block writes as an object, the form in which expressions see exports.
    public static func value(of block: some WritableBlock) -> Value {
        var writer = BlockWriter(describing: false)
        block.write(to: &writer)
        return .object(ObjectValue(ordered: writer.fields))
    }

    /// Writes an argument.
    public mutating func attribute<T: AlloyEncodable>(_ name: String, _ value: T, _ doc: String) {
        if isDescribing {
            schema.arguments.append(
                BlockSchema.Argument(
                    name: name, typeName: T.alloyTypeName, isRequired: false, defaultText: nil, defaultProse: nil,
                    doc: doc, isDeprecated: false, stability: nil))
            return
        }
        let shown = value.alloyValue
        values.statements.append(.attribute(name: name, value: shown, isDefault: false))
        fields.append((name, shown))
    }

    /// Writes a block.
    public mutating func block<B: WritableBlock>(_ name: String, _ block: B, _ doc: String) {
        let shown = isDescribing ? B.placeholder : block
        let object = nested(name, label: nil, doc, isRepeatable: false) { shown.write(to: &$0) }
        if let object { fields.append((name, object)) }
    }

    /// Writes a block that may not be there.
    public mutating func optionalBlock<B: WritableBlock>(_ name: String, _ block: B?, _ doc: String) {
        if let shown = isDescribing ? B.placeholder : block { self.block(name, shown, doc) }
    }

    /// Writes one block for each element; expressions see a list.
    public mutating func blocks<B: WritableBlock>(_ name: String, _ blocks: [B], _ doc: String) {
        var objects: [Value] = []
        for block in isDescribing ? [B.placeholder] : blocks {
            if let object = nested(name, label: nil, doc, isRepeatable: true, { block.write(to: &$0) }) {
                objects.append(object)
            }
        }
        if !isDescribing { fields.append((name, .array(objects))) }
    }

    /// Writes one labelled block for each element; expressions see an object with the labels as keys.
    public mutating func labeledBlocks<B: WritableBlock>(
        _ name: String, _ blocks: [(label: String, block: B)], _ doc: String
    ) {
        var objects: [(String, Value)] = []
        for (label, block) in isDescribing ? [("label", B.placeholder)] : blocks {
            if let object = nested(name, label: label, doc, isRepeatable: true, { block.write(to: &$0) }) {
                objects.append((label, object))
            }
        }
        if !isDescribing { fields.append((name, .object(ObjectValue(ordered: objects)))) }
    }

    /// Writes a block by a closure, for content that has no type of its own.
    public mutating func block(_ name: String, _ doc: String, _ write: (inout BlockWriter) -> Void) {
        if let object = nested(name, label: nil, doc, isRepeatable: false, write) { fields.append((name, object)) }
    }

    private mutating func nested(
        _ name: String, label: String?, _ doc: String, isRepeatable: Bool, _ write: (inout BlockWriter) -> Void
    ) -> Value? {
        let childPath = path.isEmpty ? name : path + " > " + name
        var writer = BlockWriter(describing: isDescribing, path: childPath)
        write(&writer)
        guard isDescribing else {
            values.statements.append(.block(name: name, label: label, values: writer.values, isDefault: false))
            return .object(ObjectValue(ordered: writer.fields))
        }
        schema.blocks.append(
            BlockSchema.Nested(
                name: name, path: childPath, isRequired: false, isRepeatable: isRepeatable, isLabeled: label != nil,
                isEnum: false, recursivePath: nil, whenOmitted: .absent, doc: doc, isDeprecated: false,
                stability: nil, schema: writer.schema))
        return nil
    }
}
