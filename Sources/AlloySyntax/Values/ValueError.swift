/// Why a value cannot be what is asked of it, and where inside the value.
///
/// The message never quotes the value itself: the value may be a secret.
public struct ValueError: Error, Sendable, Equatable {
    /// One step from a value into a part of it.
    public enum Step: Sendable, Equatable {
        /// An element of an array.
        case index(Int)
        /// A field of an object.
        case field(String)
    }

    /// What is wrong.
    public enum Reason: Sendable, Equatable {
        /// The value has the wrong kind.
        case type(expected: ValueType, got: ValueType)
        /// Anything else, as a sentence that follows the name of the value.
        case message(String)
    }

    /// The way from the value to the part that is wrong; empty for the value itself.
    public var path: [Step]

    /// What is wrong with the part.
    public var reason: Reason

    /// The part that is wrong, when its text may help; never one that holds a secret.
    public var cause: Value?

    /// Makes an error about the value itself.
    public init(_ message: String) {
        path = []
        reason = .message(message)
        cause = nil
    }

    /// Makes an error about the kind of `value`.
    public init(expected: ValueType, got value: Value) {
        path = []
        reason = .type(expected: expected, got: value.type)
        cause = value.containsSecret ? nil : value
    }

    /// The same error, seen from a value that holds the one it was about.
    public func inside(_ step: Step) -> ValueError {
        var outer = self
        outer.path.insert(step, at: 0)
        return outer
    }

    /// The path as Alloy spells it: `[2].name`.
    public var pathText: String { ValueError.text(of: path[...]) }

    static func text(of steps: ArraySlice<Step>) -> String {
        var text = ""
        for step in steps {
            switch step {
            case .index(let index): text += "[\(index)]"
            case .field(let name): text += "." + name
            }
        }
        return text
    }

    /// The sentence that follows the expression in a diagnostic.
    var sentence: String {
        switch reason {
        case .type(let expected, let got): "should be \(expected.rawValue), got \(got.rawValue)"
        case .message(let message): message
        }
    }
}

extension ValueError: CustomStringConvertible {
    /// The message with its path, for a value that stands in no file.
    public var description: String {
        let message =
            switch reason {
            case .type(let expected, let got): "expected \(expected.rawValue), got \(got.rawValue)"
            case .message(let message): message
            }
        return path.isEmpty ? message : pathText + " " + message
    }
}

extension ValueError {
    /// The refusal to show a secret as text.
    static let secretAsString = ValueError("secrets may not be converted into strings")
}
