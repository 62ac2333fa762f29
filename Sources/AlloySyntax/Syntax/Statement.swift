/// A statement of a body: an attribute or a block.
public enum Statement: Sendable, Equatable {
    /// `name = value`
    case attribute(Attribute)
    /// `name.parts "label" { ... }`
    case block(BlockStatement)

    /// The bytes of the whole statement.
    public var range: SourceRange {
        switch self {
        case .attribute(let attribute): attribute.range
        case .block(let block): block.range
        }
    }
}

/// The statements of a file or of a block, in source order.
public struct Body: Sendable, Equatable {
    /// The statements.
    public var statements: [Statement]

    /// Makes a body.
    public init(_ statements: [Statement] = []) {
        self.statements = statements
    }

    /// Whether the body has no statement.
    public var isEmpty: Bool { statements.isEmpty }

    /// The attributes, in source order.
    public var attributes: [Attribute] {
        statements.compactMap { if case .attribute(let attribute) = $0 { attribute } else { nil } }
    }

    /// The blocks, in source order.
    public var blocks: [BlockStatement] {
        statements.compactMap { if case .block(let block) = $0 { block } else { nil } }
    }
}

/// `name = value`.
public struct Attribute: Sendable, Equatable {
    /// The name left of `=`.
    public var name: Identifier

    /// The expression right of `=`.
    public var value: Expression

    /// Makes an attribute.
    public init(name: Identifier, value: Expression) {
        self.name = name
        self.value = value
    }

    /// Makes an attribute built in memory.
    public init(_ name: String, _ value: Expression) {
        self.init(name: Identifier(name), value: value)
    }

    /// The bytes from the name to the end of the value.
    public var range: SourceRange { name.range.union(value.range) }
}

/// `name.parts "label" { body }`. `Block` itself is what decodes one (see Decoding).
public struct BlockStatement: Sendable {
    /// The dotted name, split; never empty: `["prometheus", "scrape"]`.
    public var nameParts: [String]

    /// The bytes of the dotted name.
    public var nameRange: SourceRange

    /// The label without its quotes; `nil` when there is none or it is empty.
    public var label: String?

    /// The bytes of the label with its quotes; unknown when there is none.
    public var labelRange: SourceRange

    /// What stands between the braces.
    public var body: Body

    /// The bytes from `{` to `}`.
    public var bodyRange: SourceRange

    /// Makes a block; ranges are left out for one built in memory.
    public init(
        nameParts: [String], nameRange: SourceRange = .unknown, label: String? = nil,
        labelRange: SourceRange = .unknown, body: Body, bodyRange: SourceRange = .unknown
    ) {
        self.nameParts = nameParts
        self.nameRange = nameRange
        self.label = label
        self.labelRange = labelRange
        self.body = body
        self.bodyRange = bodyRange
    }

    /// Makes a block built in memory from its dotted name.
    public init(_ name: String, label: String? = nil, body: Body) {
        self.init(
            nameParts: name.split(separator: ".", omittingEmptySubsequences: false).map(String.init), label: label,
            body: body)
    }

    /// The dotted name: `prometheus.scrape`.
    public var name: String { nameParts.joined(separator: ".") }

    /// The bytes of the whole block.
    public var range: SourceRange { nameRange.union(bodyRange) }
}

extension BlockStatement: Equatable {
    /// Compares names, labels and bodies, not where they stand.
    public static func == (left: BlockStatement, right: BlockStatement) -> Bool {
        left.nameParts == right.nameParts && left.label == right.label && left.body == right.body
    }
}
