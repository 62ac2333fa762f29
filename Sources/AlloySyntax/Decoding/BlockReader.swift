/// Reads the arguments and blocks of one block.
///
/// No method throws: what is wrong is recorded, a placeholder is returned, and reading goes on, so that one pass finds
/// every error. Each method takes the sentence the reference documents its argument or block with.
public struct BlockReader {
    let session: DecodingSession
    let path: String
    private let range: SourceRange
    private let blockName: String?
    private let givenLabel: String?
    private let statements: [Statement]
    private var attributes: [String: Attribute] = [:]
    private var attributeNames: [String] = []
    private var blockNames: [String] = []
    private var takesLabel = false
    private var takesAnyName = false
    var schema = BlockSchema()
    var values = EffectiveValues()

    init(_ session: DecodingSession, body: Body, range: SourceRange, path: String = "") {
        self.session = session
        self.path = path
        self.range = range
        blockName = nil
        givenLabel = nil
        statements = body.statements
        indexAttributes()
    }

    init(_ session: DecodingSession, block: BlockStatement, path: String) {
        self.session = session
        self.path = path
        range = block.nameRange.union(block.labelRange)
        blockName = block.name
        givenLabel = block.label
        statements = block.body.statements
        indexAttributes()
    }

    private mutating func indexAttributes() {
        for case .attribute(let attribute) in statements {
            let name = attribute.name.name
            if attributes[name] == nil {
                attributes[name] = attribute
            } else {
                error("attribute \(StringLiteral.quoted(name)) may only be provided once", attribute.range)
            }
        }
    }

    // MARK: Arguments

    /// An argument that must be given.
    public mutating func required<T: AlloyDecodable>(
        _ name: String, _ doc: String, deprecated: Bool = false, stability: Stability? = nil
    ) -> T {
        describe(name, T.self, doc, isRequired: true, deprecated: deprecated, stability: stability)
        switch read(name, T.self, deprecated, stability, default: nil) {
        case .value(let value): return value
        case .failed: return T.placeholder
        case .absent:
            error("missing required attribute \(StringLiteral.quoted(name))", range)
            return T.placeholder
        }
    }

    /// An argument with a default.
    public mutating func optional<T: AlloyDecodable>(
        _ name: String, default fallback: T, _ doc: String, deprecated: Bool = false, stability: Stability? = nil,
        defaultProse: String? = nil
    ) -> T {
        let shown = (fallback as? any AlloyEncodable)?.alloyValue
        describe(
            name, T.self, doc, default: shown, prose: defaultProse, deprecated: deprecated, stability: stability)
        switch read(name, T.self, deprecated, stability, default: shown) {
        case .value(let value): return value
        case .failed: return fallback
        case .absent:
            if let shown { record(name, shown, isDefault: true) }
            return fallback
        }
    }

    /// An argument that may be left out; `null` counts as left out.
    public mutating func optional<T: AlloyDecodable>(
        _ name: String, _ doc: String, deprecated: Bool = false, stability: Stability? = nil,
        defaultProse: String? = nil
    ) -> T? {
        describe(name, T.self, doc, prose: defaultProse, deprecated: deprecated, stability: stability)
        guard case .value(let value) = read(name, T?.self, deprecated, stability, default: .null) else { return nil }
        return value
    }

    /// Whether the configuration gives an argument or block of this name, readable or not.
    public func isSet(_ name: String) -> Bool {
        attributes[name] != nil
            || statements.contains { if case .block(let block) = $0 { block.name == name } else { false } }
    }

    private enum Reading<T> {
        case value(T)
        case failed
        case absent
    }

    private mutating func read<T: AlloyDecodable>(
        _ name: String, _ type: T.Type, _ isDeprecated: Bool, _ stability: Stability?, default fallback: Value?
    ) -> Reading<T> {
        attributeNames.append(name)
        guard let scope = session.scope, let attribute = attributes[name] else { return .absent }
        let quoted = StringLiteral.quoted(name)
        check(stability, of: "attribute \(quoted)", attribute.range)
        if isDeprecated { warning("attribute \(quoted) is deprecated", attribute.range) }
        let isSecret = T.alloyTypeName.utf8.containsSubsequence("secret".utf8)
        let raw: Value
        do {
            raw = try Evaluator.evaluate(attribute.value, in: scope, concealed: isSecret)
        } catch {
            session.report(error)
            return .failed
        }
        do {
            let value = try T(alloy: raw)
            let shown = (value as? any AlloyEncodable)?.alloyValue ?? (isSecret ? .secret(.placeholder) : raw)
            record(name, shown, isDefault: fallback == shown)
            return .value(value)
        } catch {
            session.report(ValueDiagnostic.make(error, for: attribute.value, concealed: isSecret))
            return .failed
        }
    }

    private mutating func record(_ name: String, _ value: Value, isDefault: Bool) {
        values.statements.append(.attribute(name: name, value: value, isDefault: isDefault))
    }

    private mutating func describe<T: AlloyDecodable>(
        _ name: String, _ type: T.Type, _ doc: String, isRequired: Bool = false, default fallback: Value? = nil,
        prose: String? = nil, deprecated: Bool, stability: Stability?
    ) {
        guard session.isDescribing else { return }
        var text: String?
        if let fallback, fallback != .null { text = fallback.alloyText }
        schema.arguments.append(
            BlockSchema.Argument(
                name: name, typeName: T.alloyTypeName, isRequired: isRequired, defaultText: text, defaultProse: prose,
                doc: doc, isDeprecated: deprecated, stability: stability))
    }

    // MARK: Blocks

    /// A block that reads as if given empty when it is left out.
    public mutating func block<B: Block>(
        _ name: String, _ doc: String, deprecated: Bool = false, stability: Stability? = nil
    ) -> B {
        let traits = Traits(name, doc, deprecated, stability, whenOmitted: .defaults)
        if session.isDescribing { return describe(traits, B.self) ?? placeholder(name) }
        return single(traits) ?? placeholder(name)
    }

    /// A block that may be left out.
    public mutating func optionalBlock<B: Block>(
        _ name: String, _ doc: String, deprecated: Bool = false, stability: Stability? = nil
    ) -> B? {
        let traits = Traits(name, doc, deprecated, stability)
        if session.isDescribing { return describe(traits, B.self) }
        return single(traits)
    }

    /// A block that must be given.
    public mutating func requiredBlock<B: Block>(
        _ name: String, _ doc: String, deprecated: Bool = false, stability: Stability? = nil
    ) -> B {
        let traits = Traits(name, doc, deprecated, stability, isRequired: true)
        if session.isDescribing { return describe(traits, B.self) ?? placeholder(name) }
        if let given: B = single(traits) { return given }
        error("missing required block \(StringLiteral.quoted(name))", range)
        return placeholder(name)
    }

    /// Blocks that may be given any number of times, in source order.
    public mutating func blocks<B: Block>(
        _ name: String, _ doc: String, required: Bool = false, deprecated: Bool = false, stability: Stability? = nil
    ) -> [B] {
        let traits = Traits(name, doc, deprecated, stability, isRequired: required, isRepeatable: true)
        if session.isDescribing { return describe(traits, B.self).map { [$0] } ?? [] }
        let given = take(traits)
        if given.isEmpty, required { error("missing required block \(StringLiteral.quoted(name))", range) }
        return given.map { nested($0) { B(from: &$0) } }
    }

    /// Blocks of a group `prefix.*` in source order, each read by the variant of its name.
    public mutating func variants<T>(_ prefix: String, _ doc: String, _ variants: [Variant<T>]) -> [T] {
        if session.isDescribing { return describe(prefix, doc, variants) }
        var byName: [String: Variant<T>] = [:]
        for variant in variants {
            let name = prefix + "." + variant.name
            byName[name] = variant
            blockNames.append(name)
        }
        var results: [T] = []
        for case .block(let block) in statements {
            guard let variant = byName[block.name] else { continue }
            check(Traits(block.name, variant.doc, variant.isDeprecated, variant.stability), block)
            results.append(nested(block, variant.read))
        }
        return results
    }

    /// The arguments of a block whose argument names are free, in source order; it takes no blocks.
    public mutating func freeForm<T: AlloyDecodable>(
        _ doc: String, of type: T.Type = T.self
    ) -> [(name: String, value: T, range: SourceRange)] {
        takesAnyName = true
        schema.freeFormType = T.alloyTypeName
        var results: [(name: String, value: T, range: SourceRange)] = []
        for case .attribute(let attribute) in statements {
            let name = attribute.name.name
            guard attributes[name]?.range == attribute.range, !attributeNames.contains(name) else { continue }
            if case .value(let value) = read(name, T.self, false, nil, default: nil) {
                results.append((name, value, attribute.range))
            }
        }
        for case .block(let block) in statements {
            error("nested blocks not supported here", block.range)
        }
        return results
    }

    // MARK: Label

    /// The label, which the block must have.
    public mutating func label(_ doc: String) -> String {
        takesLabel = true
        schema.labelDoc = doc
        if !session.isDescribing, givenLabel == nil, let blockName {
            error("block \(StringLiteral.quoted(blockName)) requires non-empty label", range)
        }
        return givenLabel ?? ""
    }

    // MARK: Verdicts

    /// Refuses an argument or block: `message` continues the sentence its name begins.
    public mutating func reject(_ argument: String, _ message: String) {
        error("\(StringLiteral.quoted(argument)) \(message)", place(of: argument))
    }

    /// Refuses the block as a whole.
    public mutating func reject(_ message: String) {
        error(message, range)
    }

    /// Warns about an argument or block: `message` continues the sentence its name begins.
    public mutating func warn(_ argument: String, _ message: String) {
        warning("\(StringLiteral.quoted(argument)) \(message)", place(of: argument))
    }

    /// Warns about the block as a whole.
    public mutating func warn(_ message: String) {
        warning(message, range)
    }

    private func place(of name: String) -> SourceRange {
        if let attribute = attributes[name] { return attribute.range }
        for case .block(let block) in statements where block.name == name { return block.nameRange }
        return range
    }

    private func error(_ message: String, _ range: SourceRange, notes: [String] = []) {
        session.report(Diagnostic(.error, message, at: range, notes: notes))
    }

    private func warning(_ message: String, _ range: SourceRange) {
        session.report(Diagnostic(.warning, message, at: range))
    }

    private func check(_ stability: Stability?, of feature: String, _ range: SourceRange) {
        guard let stability, let scope = session.scope else { return }
        let minimum = scope.standardLibrary.minimumStability
        if let refusal = stability.refusal(of: feature, minimum: minimum) { error(refusal, range) }
    }

    private func check(_ traits: Traits, _ block: BlockStatement) {
        let feature = "block \(StringLiteral.quoted(traits.name))"
        check(traits.stability, of: feature, block.nameRange)
        if traits.isDeprecated { warning("\(feature) is deprecated", block.nameRange) }
    }

    // MARK: The end

    /// Reports what the configuration gives and nothing has read.
    func finish() {
        if let blockName, givenLabel != nil, !takesLabel {
            let quoted = StringLiteral.quoted(blockName)
            error(
                takesAnyName
                    ? "block \(quoted) requires empty label" : "block \(quoted) does not support specifying labels",
                range)
        }
        if takesAnyName { return }
        let knownAttributes = Set(attributeNames)
        let knownBlocks = Set(blockNames)
        var reported: Set<String> = []
        for statement in statements {
            switch statement {
            case .attribute(let attribute):
                let name = attribute.name.name
                if knownAttributes.contains(name) || !reported.insert(name).inserted { continue }
                let quoted = StringLiteral.quoted(name)
                if knownBlocks.contains(name) {
                    error("\(quoted) must be a block, but is used as an attribute", attribute.range)
                } else {
                    let notes = Suggestion.note(for: name, among: attributeNames + blockNames)
                    error("unrecognized attribute name \(quoted)", attribute.range, notes: notes)
                }
            case .block(let block):
                if knownBlocks.contains(block.name) { continue }
                let quoted = StringLiteral.quoted(block.name)
                if knownAttributes.contains(block.name) {
                    error("\(quoted) must be an attribute, but is used as a block", block.range)
                } else {
                    let notes = Suggestion.note(for: block.name, among: blockNames + attributeNames)
                    error("unrecognized block name \(quoted)", block.range, notes: notes)
                }
            }
        }
    }
}

// MARK: - Reading and describing nested blocks

extension BlockReader {
    /// What is said about a block before it is read.
    fileprivate struct Traits {
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
    private mutating func take(_ traits: Traits) -> [BlockStatement] {
        blockNames.append(traits.name)
        var given: [BlockStatement] = []
        for case .block(let block) in statements where block.name == traits.name {
            check(traits, block)
            given.append(block)
        }
        return given
    }

    /// The one block of a name; `nil` when it is left out.
    private mutating func single<B: Block>(_ traits: Traits) -> B? {
        let given = take(traits)
        for extra in given.dropFirst() {
            error("block \(StringLiteral.quoted(traits.name)) may only be specified once", extra.range)
        }
        return given.first.map { nested($0) { B(from: &$0) } }
    }

    private mutating func nested<T>(_ block: BlockStatement, _ read: (inout BlockReader) -> T) -> T {
        var reader = BlockReader(session, block: block, path: childPath(block.name))
        let value = read(&reader)
        reader.finish()
        values.statements.append(
            .block(name: block.name, label: block.label, values: reader.values, isDefault: false))
        return value
    }

    /// The block as if given empty; nothing missing in it is an error.
    private mutating func placeholder<B: Block>(_ name: String) -> B {
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
    private mutating func describe<B: Block>(_ traits: Traits, _ type: B.Type) -> B? {
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
    private mutating func describe<T>(_ prefix: String, _ doc: String, _ variants: [Variant<T>]) -> [T] {
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

extension Collection where Element: Equatable {
    /// Whether the elements of another collection stand somewhere in this one, in a row.
    func containsSubsequence(_ other: some Collection<Element>) -> Bool {
        var start = startIndex
        while start < endIndex {
            if self[start...].starts(with: other) { return true }
            start = index(after: start)
        }
        return other.isEmpty
    }
}
