import AlloySyntax

/// A custom component's definition: the body of one `declare` block.
final class Definition: Sendable {
    let name: String
    let body: Body

    init(name: String, body: Body) {
        self.name = name
        self.body = body
    }
}

/// The custom components a module may use: those it declares, those it imports, and those of the modules around it.
final class DeclareScope: Sendable {
    /// Where a custom component was found.
    struct Match {
        let definition: Definition
        /// What the definition's own body may use.
        let scope: DeclareScope
    }

    let parent: DeclareScope?
    /// What expressions in the bodies declared here see besides components.
    let variables: [String: Value]
    let declares: [String: Definition]
    /// Imported namespaces; nil until their content is known.
    let imports: [String: DeclareScope?]

    init(
        parent: DeclareScope? = nil, variables: [String: Value] = [:], declares: [String: Definition] = [:],
        imports: [String: DeclareScope?] = [:]
    ) {
        self.parent = parent
        self.variables = variables
        self.declares = declares
        self.imports = imports
    }

    /// Whether a block whose name begins with `name` is a custom component.
    func isCustom(_ name: String) -> Bool {
        var scope: DeclareScope? = self
        while let current = scope {
            if current.declares[name] != nil || current.imports[name] != nil { return true }
            scope = current.parent
        }
        return false
    }

    /// The definition of `name`, in an imported namespace or in none.
    func definition(of name: String, in namespace: String?) -> Match? {
        var scope: DeclareScope? = self
        while let current = scope {
            if let namespace {
                if let imported = current.imports[namespace] ?? nil, let found = imported.declares[name] {
                    return Match(definition: found, scope: imported)
                }
            } else if let found = current.declares[name] {
                return Match(definition: found, scope: current)
            }
            scope = current.parent
        }
        return nil
    }

    /// Names that may begin a custom component's block here.
    var names: [String] {
        var names: [String] = []
        var scope: DeclareScope? = self
        while let current = scope {
            names += current.declares.keys
            for (namespace, imported) in current.imports {
                names += (imported?.declares.keys.map { namespace + "." + $0 } ?? [])
            }
            scope = current.parent
        }
        return names.sorted()
    }
}
