import TextFormats
import Wire

/// What a function takes in one place.
struct Parameter: Sendable {
    enum Kind: Sendable {
        /// Any value of the type, computed for each record.
        case value(ValueKind)
        /// A field that is changed.
        case target(ValueKind)
        /// A list written in the statement, whose elements are computed for each record.
        case values
        /// Known when the statement is loaded.
        case string, int, double, bool
        case strings
        case doubles
        /// A regular expression: compiled at load where it is a literal.
        case pattern
        /// The name of a converter from string to string.
        case function
    }

    let name: String
    let kind: Kind
    var isOptional = false

    init(_ name: String, _ kind: Kind, optional isOptional: Bool = false) {
        self.name = name
        self.kind = kind
        self.isOptional = isOptional
    }

    static func any(_ name: String) -> Parameter { Parameter(name, .value(.any)) }
    static func text(_ name: String) -> Parameter { Parameter(name, .value(.string)) }
    static func int(_ name: String) -> Parameter { Parameter(name, .value(.int)) }
    static func time(_ name: String) -> Parameter { Parameter(name, .value(.time)) }
    static func duration(_ name: String) -> Parameter { Parameter(name, .value(.duration)) }
    static func map(_ name: String) -> Parameter { Parameter(name, .value(.map)) }
    static func list(_ name: String) -> Parameter { Parameter(name, .value(.list)) }

    var optional: Parameter { Parameter(name, kind, optional: true) }

    /// Names match whether they are written in snake case or camel case.
    func isCalled(_ written: String) -> Bool { Self.folded(name) == Self.folded(written) }

    private static func folded(_ name: String) -> [UInt8] {
        name.utf8.filter { $0 != UInt8(ascii: "_") }.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
    }
}

/// What was written in one place of a call, compiled.
enum Argument: Sendable {
    case absent
    case value(Expression)
    case target(Accessor)
    case values([Expression])
    case string(String)
    case int(Int64)
    case double(Double)
    case bool(Bool)
    case strings([String])
    case doubles([Double])
    case pattern(Pattern)
    case function(Expression)
}

/// The arguments of a call, in the order of the parameters.
struct Arguments: Sendable {
    let function: String
    let arguments: [Argument]
    let names: [String]
    /// Byte of the statement each argument begins at.
    let offsets: [Int]

    /// The name of an argument in errors.
    func what(_ index: Int) -> String { "\(function): \(names[index])" }

    func error(_ index: Int, _ message: String) -> OTTLError {
        OTTLError("\(what(index)): \(message)", at: offsets[index])
    }

    func isPresent(_ index: Int) -> Bool {
        if case .absent = arguments[index] { return false }
        return true
    }

    /// The kinds are checked when arguments are bound; what is absent evaluates to nothing.
    func value(_ index: Int) -> Expression {
        if case .value(let expression) = arguments[index] { return expression }
        return Expression(.none) { _ in .none }
    }

    func target(_ index: Int) -> Accessor {
        if case .target(let accessor) = arguments[index] { return accessor }
        return Accessor(.none, get: { _ in .none })
    }

    func values(_ index: Int) -> [Expression] {
        if case .values(let list) = arguments[index] { return list }
        return []
    }

    func string(_ index: Int) -> String? {
        if case .string(let text) = arguments[index] { return text }
        return nil
    }

    func int(_ index: Int) -> Int64? {
        if case .int(let value) = arguments[index] { return value }
        return nil
    }

    func double(_ index: Int) -> Double? {
        if case .double(let value) = arguments[index] { return value }
        return nil
    }

    func bool(_ index: Int) -> Bool? {
        if case .bool(let value) = arguments[index] { return value }
        return nil
    }

    func strings(_ index: Int) -> [String]? {
        if case .strings(let list) = arguments[index] { return list }
        return nil
    }

    func doubles(_ index: Int) -> [Double]? {
        if case .doubles(let list) = arguments[index] { return list }
        return nil
    }

    func pattern(_ index: Int) throws -> Pattern {
        if case .pattern(let pattern) = arguments[index] { return pattern }
        throw error(index, "a regular expression expected")
    }

    func function(_ index: Int) -> Expression? {
        if case .function(let expression) = arguments[index] { return expression }
        return nil
    }
}

/// A function that makes a value.
struct Converter: Sendable {
    let name: String
    let parameters: [Parameter]
    let kind: ValueKind
    /// The contexts it can be used in; nil for all.
    var contexts: [OTTLContext]?
    let make: @Sendable (Arguments) throws -> @Sendable (OTTLFrame) throws -> Datum

    init(
        _ name: String, _ parameters: [Parameter], _ kind: ValueKind, in contexts: [OTTLContext]? = nil,
        _ make: @escaping @Sendable (Arguments) throws -> @Sendable (OTTLFrame) throws -> Datum
    ) {
        self.name = name
        self.parameters = parameters
        self.kind = kind
        self.contexts = contexts
        self.make = make
    }
}

/// A function that changes the record.
struct Editor: Sendable {
    let name: String
    let parameters: [Parameter]
    var contexts: [OTTLContext]?
    let make: @Sendable (Arguments) throws -> @Sendable (OTTLFrame) throws -> Void

    init(
        _ name: String, _ parameters: [Parameter], in contexts: [OTTLContext]? = nil,
        _ make: @escaping @Sendable (Arguments) throws -> @Sendable (OTTLFrame) throws -> Void
    ) {
        self.name = name
        self.parameters = parameters
        self.contexts = contexts
        self.make = make
    }
}
