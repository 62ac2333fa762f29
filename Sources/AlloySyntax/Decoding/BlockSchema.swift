/// What a block accepts: its arguments and the blocks inside, as the reference, the validator and the interface show it.
public struct BlockSchema: Sendable, Equatable {
    /// One argument.
    public struct Argument: Sendable, Equatable {
        /// The name.
        public var name: String
        /// The type as the reference spells it: `list(string)`.
        public var typeName: String
        /// Whether a block without it is refused.
        public var isRequired: Bool
        /// The default as Alloy text; `nil` when there is none.
        public var defaultText: String?
        /// The default in words, where it is not a value.
        public var defaultProse: String?
        /// What it is for.
        public var doc: String
        /// Whether it is kept only for old configurations.
        public var isDeprecated: Bool
        /// How settled it is, when less than its component.
        public var stability: Stability?
    }

    /// What stands for a block that is left out.
    public enum WhenOmitted: Sendable, Equatable {
        /// Nothing.
        case absent
        /// The block as if given empty.
        case defaults
    }

    /// One block inside.
    public struct Nested: Sendable, Equatable {
        /// The dotted name: `stage.json`.
        public var name: String
        /// The names from the outermost block, joined with ` > `.
        public var path: String
        /// Whether its absence is refused.
        public var isRequired: Bool
        /// Whether it may be given more than once.
        public var isRepeatable: Bool
        /// Whether it takes a label.
        public var isLabeled: Bool
        /// Whether it belongs to a group of blocks whose order among each other counts.
        public var isEnum: Bool
        /// The path of the earlier block whose content this one repeats; its own content is then left out.
        public var recursivePath: String?
        /// What stands for it when it is left out.
        public var whenOmitted: WhenOmitted
        /// What it is for.
        public var doc: String
        /// Whether it is kept only for old configurations.
        public var isDeprecated: Bool
        /// How settled it is, when less than its component.
        public var stability: Stability?
        /// What it accepts.
        public var schema: BlockSchema
    }

    /// The arguments, in the order they are read.
    public var arguments: [Argument] = []

    /// The blocks inside, in the order they are read.
    public var blocks: [Nested] = []

    /// The type of the arguments when their names are free; `nil` when the names are those listed.
    public var freeFormType: String?

    /// The label's documentation, when the block takes one.
    public var labelDoc: String?

    /// Makes an empty schema.
    public init() {}

    /// All blocks inside, at every depth, each before what it holds.
    public var flattenedBlocks: [Nested] {
        blocks.flatMap { [$0] + $0.schema.flattenedBlocks }
    }

    /// The argument of a name; `nil` when there is none.
    public func argument(_ name: String) -> Argument? { arguments.first { $0.name == name } }

    /// The block at a path below this one; `nil` when there is none.
    public func block(_ path: String) -> Nested? { flattenedBlocks.first { $0.path == path } }

    /// What a block type accepts, found by running its initialiser on an empty block.
    public static func describe<B: Block>(_ type: B.Type) -> BlockSchema {
        let session = DecodingSession(scope: nil)
        session.describing.append(.init(type: ObjectIdentifier(B.self), name: "", path: ""))
        var reader = BlockReader(session, body: Body(), range: .unknown)
        _ = B(from: &reader)
        return reader.schema
    }

    /// What a block type writes, found by writing its placeholder.
    public static func describe<B: WritableBlock>(writable type: B.Type) -> BlockSchema {
        var writer = BlockWriter(describing: true)
        B.placeholder.write(to: &writer)
        return writer.schema
    }
}
