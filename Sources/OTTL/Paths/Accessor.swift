import TextFormats
import Wire

/// What is known about a value's type while a statement is compiled.
enum ValueKind: String, Sendable {
    case any, none = "nil", bool, int, double, string, bytes, list, map, time, duration, messages

    /// Whether a value known to be this can be that.
    func can(be other: ValueKind) -> Bool { self == .any || other == .any || self == other || self == .none }
}

/// A compiled value: what type it has, as far as that is known, and how it is computed.
struct Expression: Sendable {
    var kind: ValueKind
    /// The value of a literal.
    var literal: OTLPAnyValue?
    var evaluate: @Sendable (OTTLFrame) throws -> Datum

    init(_ kind: ValueKind, literal: OTLPAnyValue? = nil, _ evaluate: @escaping @Sendable (OTTLFrame) throws -> Datum) {
        self.kind = kind
        self.literal = literal
        self.evaluate = evaluate
    }
}

/// A compiled path: reads and writes one field of the record.
struct Accessor: Sendable {
    var kind: ValueKind
    /// The path as written, for errors.
    var name: String
    var get: @Sendable (OTTLFrame) throws -> Datum
    /// Nil for what cannot be changed.
    var set: (@Sendable (OTTLFrame, Datum) throws -> Void)?
    /// The attributes themselves, where the path leads to some: they are edited in place.
    var attributes: (@Sendable (OTTLFrame) -> OTLPAttributes)?

    init(
        _ kind: ValueKind, get: @escaping @Sendable (OTTLFrame) throws -> Datum,
        set: (@Sendable (OTTLFrame, Datum) throws -> Void)? = nil,
        attributes: (@Sendable (OTTLFrame) -> OTLPAttributes)? = nil
    ) {
        self.kind = kind
        name = ""
        self.get = get
        self.set = set
        self.attributes = attributes
    }

    /// Changes the map the path leads to; nothing happens when there is none and `isRequired` is false.
    func editMap(_ frame: OTTLFrame, _ what: String, _ body: (inout OTLPAnyValue.Map) throws -> Void) throws {
        var map = try get(frame).requireMap(what)
        let before = map
        try body(&map)
        if map != before { try set?(frame, .ownMap(map)) }
    }
}

/// The keys behind a path or a call: known from the start, or computed for each record.
enum Keys: Sendable {
    case fixed([OTLPPathStep])
    case computed([Expression])

    func steps(_ frame: OTTLFrame) throws -> [OTLPPathStep] {
        switch self {
        case .fixed(let steps): return steps
        case .computed(let expressions):
            return try expressions.map { expression in
                switch try expression.evaluate(frame) {
                case .int(let index):
                    return .index(Int(clamping: index))
                case let value:
                    guard let key = value.withText({ OTLPKey($0) }) else {
                        throw OTTLError("a key must be a string or an int, not \(value.typeName)")
                    }
                    return .key(key)
                }
            }
        }
    }
}

/// Following keys into values.
enum Indexing {
    /// What lies at `steps` below `value`; a missing key of a map gives nothing, anything else that does not lead on is
    /// an error.
    static func value(_ value: Datum, _ steps: some Sequence<OTLPPathStep>) throws -> Datum {
        var current = value
        for step in steps {
            switch (step, current) {
            case (_, .none): return .none
            case (.key(let key), .map(let map)): current = Datum(map[key])
            case (.key(let key), .attributes(let attributes)): current = Datum(attributes[key])
            case (.key(let key), .ownMap(let map)): current = Datum(map[Array(key.bytes)])
            case (.index(let index), .list(let list)):
                guard index >= 0, let element = list[index] else { throw outside(index) }
                current = Datum(element)
            case (.index(let index), .ownList(let elements)):
                guard elements.indices.contains(index) else { throw outside(index) }
                current = Datum(elements[index])
            case (.key, _): throw OTTLError("\(current.typeName) has no string keys")
            case (.index, _): throw OTTLError("\(current.typeName) has no int keys")
            }
        }
        return current
    }

    private static func outside(_ index: Int) -> OTTLError { OTTLError("index \(index) out of range") }

    /// Writes a value into attributes at a path that begins with a key.
    static func set(_ attributes: OTLPAttributes, _ steps: [OTLPPathStep], _ value: Datum) throws {
        if steps.count == 1, case .key(let key) = steps[0] {
            if let plain = value.inPlace { return attributes.set(key, to: plain) }
            if value.withText({ attributes.set(key, to: .string($0) as OTLPValue) }) != nil { return }
            return attributes.set(key, to: try value.stored())
        }
        if !attributes.set(steps, to: try value.stored()) {
            throw OTTLError("the keys lead through a value that is no map or list, or outside of a list")
        }
    }

    static func set(_ tree: inout OTLPAnyValue, _ steps: some Collection<OTLPPathStep>, _ value: Datum) throws {
        if !tree.set(steps, to: try value.stored()) {
            throw OTTLError("the keys lead through a value that is no map or list, or outside of a list")
        }
    }
}
