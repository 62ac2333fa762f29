/// The names an expression may use: variables, those of the scopes around, and the standard library.
public final class Scope: Sendable {
    /// The variables of this scope; a scope around has those it lacks.
    public let variables: [String: Value]

    /// The scope around.
    public let parent: Scope?

    /// The standard library, which variables shadow.
    public let standardLibrary: StandardLibrary

    /// Makes an outermost scope.
    public init(variables: [String: Value] = [:], standardLibrary: StandardLibrary = StandardLibrary()) {
        self.variables = variables
        self.standardLibrary = standardLibrary
        parent = nil
    }

    /// Makes a scope inside another, with the same standard library.
    public init(variables: [String: Value], parent: Scope) {
        self.variables = variables
        self.parent = parent
        standardLibrary = parent.standardLibrary
    }

    /// The variable of a name, here or in a scope around; not the standard library's.
    public func variable(_ name: String) -> Value? {
        var scope: Scope? = self
        while let current = scope {
            if let value = current.variables[name] { return value }
            scope = current.parent
        }
        return nil
    }

    /// What a name stands for; `nil` when nothing has it.
    public func lookup(_ name: String) -> Value? {
        variable(name) ?? standardLibrary.root[name]
    }
}
