import Essentials

/// Reads the arguments and blocks of one block.
///
/// No method throws: what is wrong is recorded, a placeholder is returned, and reading goes on, so that one pass finds
/// every error. Each method takes the sentence the reference documents its argument or block with.
public struct BlockReader {
    let session: DecodingSession
    let path: String
    let range: SourceRange
    private let blockName: String?
    private let givenLabel: String?
    let statements: [Statement]
    private var attributes: [String: Attribute] = [:]
    private var attributeNames: [String] = []
    var blockNames: [String] = []
    private(set) var takesLabel = false
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
        if isDeprecated { warning("attribute \(quoted) is deprecated", attribute.range) }
        let isSecret = T.alloyTypeName.utf8.containsSubsequence("secret".utf8)
        let raw: Value
        do {
            raw = try Evaluator.evaluate(attribute.value, in: scope, concealed: isSecret)
        } catch {
            var problem = error
            problem.isAboutValue = true
            session.report(problem)
            return .failed
        }
        do {
            let value = try T(alloy: raw)
            let shown = (value as? any AlloyEncodable)?.alloyValue ?? (isSecret ? .secret(.placeholder) : raw)
            record(name, shown, isDefault: fallback == shown)
            // As upstream: what leaves a feature as it is by default needs no permission.
            if fallback != shown { check(stability, of: "attribute \(quoted)", attribute.range) }
            return .value(value)
        } catch {
            var problem = ValueDiagnostic.make(error, for: attribute.value, concealed: isSecret)
            problem.isAboutValue = true
            session.report(problem)
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
        switch fallback {
        // A capsule has no text; that a default is no secret at all may be known.
        case nil, .null, .capsule: break
        case .secret(let secret) where secret.reveal({ $0.isEmpty }): text = "\"\""
        case .some(let value): text = value.alloyText
        }
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
        refuse("\(StringLiteral.quoted(argument)) \(message)", place(of: argument))
    }

    /// Refuses the block as a whole.
    public mutating func reject(_ message: String) {
        refuse(message, range)
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

    /// Reports values that do not do.
    private func refuse(_ message: String, _ range: SourceRange) {
        var refusal = Diagnostic(.error, message, at: range)
        refusal.isAboutValue = true
        session.report(refusal)
    }

    func error(_ message: String, _ range: SourceRange, notes: [String] = []) {
        session.report(Diagnostic(.error, message, at: range, notes: notes))
    }

    private func warning(_ message: String, _ range: SourceRange) {
        session.report(Diagnostic(.warning, message, at: range))
    }

    func check(_ stability: Stability?, of feature: String, _ range: SourceRange) {
        guard let stability, let scope = session.scope else { return }
        let minimum = scope.standardLibrary.minimumStability
        if let refusal = stability.refusal(of: feature, minimum: minimum) { error(refusal, range) }
    }

    func check(_ traits: Traits, _ block: BlockStatement) {
        let feature = "block \(StringLiteral.quoted(traits.name))"
        // A block that stands for its defaults when it is left out is judged by what it says: see `single`.
        if traits.whenOmitted != .defaults { check(traits.stability, of: feature, block.nameRange) }
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
