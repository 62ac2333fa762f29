/// Reading and describing the blocks inside a block.
extension BlockReader {
    /// What is said about a block before it is read.
    struct Traits {
        var name: String
        var doc: String
        var isDeprecated: Bool
        var stability: Stability?
        var isRequired: Bool
        var isRepeatable: Bool
        var isEnum: Bool
        var whenOmitted: BlockSchema.WhenOmitted

        init(
            _ name: String, _ doc: String, _ isDeprecated: Bool, _ stability: Stability?, isRequired: Bool = false,
            isRepeatable: Bool = false, isEnum: Bool = false, whenOmitted: BlockSchema.WhenOmitted = .absent
        ) {
            self.name = name
            self.doc = doc
            self.isDeprecated = isDeprecated
            self.stability = stability
            self.isRequired = isRequired
            self.isRepeatable = isRepeatable
            self.isEnum = isEnum
            self.whenOmitted = whenOmitted
        }
    }

    /// The blocks of a name, checked for being allowed at all.
    mutating func take(_ traits: Traits) -> [BlockStatement] {
        blockNames.append(traits.name)
        var given: [BlockStatement] = []
        for case .block(let block) in statements where block.name == traits.name {
            check(traits, block)
            given.append(block)
        }
        return given
    }

    /// The one block of a name; `nil` when it is left out.
    mutating func single<B: Block>(_ traits: Traits) -> B? {
        let given = take(traits)
        for extra in given.dropFirst() {
            error("block \(StringLiteral.quoted(traits.name)) may only be specified once", extra.range)
        }
        guard let block = given.first else { return nil }
        let value = nested(block) { B(from: &$0) }
        if traits.whenOmitted == .defaults, case .block(_, _, let values, _) = values.statements.last,
            !values.isDefault
        {
            check(traits.stability, of: "block \(StringLiteral.quoted(traits.name))", block.nameRange)
        }
        return value
    }

    mutating func nested<T>(_ block: BlockStatement, _ read: (inout BlockReader) -> T) -> T {
        var reader = BlockReader(session, block: block, path: childPath(block.name))
        let value = read(&reader)
        reader.finish()
        values.statements.append(
            .block(name: block.name, label: block.label, values: reader.values, isDefault: false))
        return value
    }

    /// The block as if given empty; nothing missing in it is an error.
    mutating func placeholder<B: Block>(_ name: String) -> B {
        session.omitted += 1
        defer { session.omitted -= 1 }
        var reader = BlockReader(session, body: Body(), range: range, path: childPath(name))
        let value = B(from: &reader)
        if !session.isDescribing {
            values.statements.append(.block(name: name, label: nil, values: reader.values, isDefault: true))
        }
        return value
    }

    private func childPath(_ name: String) -> String { path.isEmpty ? name : path + " > " + name }

    /// Describes a block; `nil` when it is inside itself, where its description would not end.
    mutating func describe<B: Block>(_ traits: Traits, _ type: B.Type) -> B? {
        describe(traits, key: ObjectIdentifier(B.self), group: "") { B(from: &$0) }
    }

    private mutating func describe<T>(
        _ traits: Traits, key: ObjectIdentifier, group: String, _ read: (inout BlockReader) -> T
    ) -> T? {
        let childPath = childPath(traits.name)
        var nested = BlockSchema.Nested(
            name: traits.name, path: childPath, isRequired: traits.isRequired, isRepeatable: traits.isRepeatable,
            isLabeled: false, isEnum: traits.isEnum, recursivePath: nil, whenOmitted: traits.whenOmitted,
            doc: traits.doc, isDeprecated: traits.isDeprecated, stability: traits.stability, schema: BlockSchema())
        defer { schema.blocks.append(nested) }
        if let open = session.describing.first(where: { $0.type == key && $0.name == group }) {
            nested.recursivePath = open.path
            return nil
        }
        session.describing.append(.init(type: key, name: group, path: childPath))
        defer { session.describing.removeLast() }
        var reader = BlockReader(session, body: Body(), range: .unknown, path: childPath)
        let value = read(&reader)
        nested.schema = reader.schema
        nested.isLabeled = reader.takesLabel
        return value
    }

    /// Describes a group; inside itself it is one entry that says where its description stands.
    mutating func describe<T>(_ prefix: String, _ doc: String, _ variants: [Variant<T>]) -> [T] {
        let key = ObjectIdentifier(T.self)
        let groupName = prefix + ".*"
        if session.describing.contains(where: { $0.type == key && $0.name == groupName }) {
            let traits = Traits(groupName, doc, false, nil, isRepeatable: true, isEnum: true)
            let _: T? = describe(traits, key: key, group: groupName) { _ in nil } ?? nil
            return []
        }
        session.describing.append(.init(type: key, name: groupName, path: childPath(groupName)))
        defer { session.describing.removeLast() }
        var results: [T] = []
        for variant in variants {
            let traits = Traits(
                prefix + "." + variant.name, variant.doc, variant.isDeprecated, variant.stability, isRepeatable: true,
                isEnum: true)
            // Every variant is a block of its own, whatever type it makes.
            let name = groupName + variant.name
            if let result = describe(traits, key: key, group: name, variant.read) { results.append(result) }
        }
        return results
    }
}
