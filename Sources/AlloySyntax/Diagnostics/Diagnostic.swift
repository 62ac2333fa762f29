/// Something to tell the author of a configuration about one place in it.
public struct Diagnostic: Error, Sendable, Equatable {
    /// How bad it is.
    public enum Severity: Sendable, Equatable {
        /// The configuration can be used.
        case warning
        /// The configuration cannot be used.
        case error
    }

    /// How bad it is.
    public var severity: Severity

    /// What is wrong.
    public var message: String

    /// The place; unknown when the configuration has no text.
    public var range: SourceRange

    /// What helps: remedies and explanations, one sentence each.
    public var notes: [String]

    /// Whether a value was found wrong, which another value need not be: says nothing while values are not known yet.
    public var isAboutValue = false

    /// Makes a diagnostic.
    public init(_ severity: Severity = .error, _ message: String, at range: SourceRange, notes: [String] = []) {
        self.severity = severity
        self.message = message
        self.range = range
        self.notes = notes
    }
}

extension Diagnostic: CustomStringConvertible {
    /// `file:line:column: message`.
    public var description: String { "\(range.startPosition): \(message)" }
}

/// The diagnostics of one reading of a configuration, in the order they were found; thrown as one error.
public struct Diagnostics: Error, Sendable, Equatable {
    /// The diagnostics.
    public var items: [Diagnostic]

    /// Makes a list.
    public init(_ items: [Diagnostic] = []) {
        self.items = items
    }

    /// Whether there is nothing to tell.
    public var isEmpty: Bool { items.isEmpty }

    /// Whether any diagnostic is an error.
    public var hasErrors: Bool { items.contains { $0.severity == .error } }

    /// Adds one.
    public mutating func append(_ diagnostic: Diagnostic) {
        items.append(diagnostic)
    }

    /// Adds all of another list.
    public mutating func append(contentsOf other: Diagnostics) {
        items.append(contentsOf: other.items)
    }
}

extension Diagnostics: CustomStringConvertible {
    /// The first diagnostic and how many more there are.
    public var description: String {
        guard let first = items.first else { return "no errors" }
        return items.count == 1 ? "\(first)" : "\(first) (and \(items.count - 1) more diagnostics)"
    }
}
