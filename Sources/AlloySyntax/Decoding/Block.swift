/// A type read from the content of a block.
///
/// The initialiser reads every argument and block it knows, once, whatever the others say: it runs on real blocks to
/// decode them, on an empty one to stand for a block that was left out, and once more to describe what it reads.
public protocol Block: SendableMetatype {
    /// Reads the block.
    init(from block: inout BlockReader)
}

/// A type shown as the content of a block: exports and debug information.
public protocol WritableBlock: Equatable, Sendable {
    /// An instance that shows every argument and block, to describe them.
    static var placeholder: Self { get }

    /// Writes the arguments and blocks.
    func write(to block: inout BlockWriter)
}

/// One of the blocks of an ordered group, such as `stage.json` among `stage.*`.
public struct Variant<Result>: Sendable {
    let name: String
    let doc: String
    let isDeprecated: Bool
    let stability: Stability?
    let read: @Sendable (inout BlockReader) -> Result

    /// Makes a variant from what reads its block; `name` is the part after the group's prefix.
    public init(
        _ name: String, _ doc: String, deprecated: Bool = false, stability: Stability? = nil,
        read: @escaping @Sendable (inout BlockReader) -> Result
    ) {
        self.name = name
        self.doc = doc
        isDeprecated = deprecated
        self.stability = stability
        self.read = read
    }

    /// Makes a variant from a block type and what turns it into a member of the group.
    public init<B: Block>(
        _ name: String, _ doc: String, deprecated: Bool = false, stability: Stability? = nil, _ type: B.Type,
        _ wrap: @escaping @Sendable (B) -> Result
    ) {
        self.init(name, doc, deprecated: deprecated, stability: stability) { reader in wrap(B(from: &reader)) }
    }
}

/// Reads blocks into types.
public enum BlockDecoder {
    /// What reading a block gave.
    public struct Result<B: Block> {
        /// The block; `nil` when there is an error.
        public let value: B?
        /// Errors and warnings, in source order.
        public let diagnostics: Diagnostics
        /// What the block says, defaults included.
        public let values: EffectiveValues
    }

    /// Reads a body; `range` is where what is missing is reported, usually the block's name.
    public static func decode<B: Block>(
        _ type: B.Type = B.self, body: Body, range: SourceRange = .unknown, in scope: Scope
    ) -> Result<B> {
        decode(type, scope) { session in BlockReader(session, body: body, range: range) }
    }

    /// Reads a block with its label.
    public static func decode<B: Block>(
        _ type: B.Type = B.self, block: BlockStatement, in scope: Scope
    ) -> Result<B> {
        decode(type, scope) { session in BlockReader(session, block: block, path: block.name) }
    }

    private static func decode<B: Block>(
        _ type: B.Type, _ scope: Scope, _ makeReader: (DecodingSession) -> BlockReader
    ) -> Result<B> {
        let session = DecodingSession(scope: scope)
        var reader = makeReader(session)
        let value = B(from: &reader)
        reader.finish()
        // One pass per block reports out of order; people read from the top. Sorting keeps the order of equals.
        let items = session.diagnostics.items.enumerated().sorted {
            ($0.element.range.start, $0.offset) < ($1.element.range.start, $1.offset)
        }
        let diagnostics = Diagnostics(items.map(\.element))
        return Result(value: diagnostics.hasErrors ? nil : value, diagnostics: diagnostics, values: reader.values)
    }
}

/// What the readers of one block and of the blocks inside share.
final class DecodingSession {
    /// A block or group whose description has begun and not ended.
    struct Open {
        var type: ObjectIdentifier
        var name: String
        var path: String
    }

    /// Where names are looked up; `nil` while describing.
    let scope: Scope?
    var diagnostics = Diagnostics()
    /// How many of the blocks being read were left out: nothing in them can be an error.
    var omitted = 0
    var describing: [Open] = []

    init(scope: Scope?) { self.scope = scope }

    var isDescribing: Bool { scope == nil }

    func report(_ diagnostic: Diagnostic) {
        if omitted == 0, !isDescribing { diagnostics.append(diagnostic) }
    }
}
