import AlloySyntax

/// What of a block cannot be judged when nothing runs: the values that depend on exports nobody has made yet.
struct UnknownValues {
    private let body: Body
    /// Where the block refers to something whose exports are not known.
    private let references: [SourceRange]

    init(_ node: NodeState) {
        body = node.node.block.body
        references = node.node.references.filter { reference in
            let target = node.module.nodes[reference.target]
            return target.isPending && !target.carriesData(reference.field)
        }.map(\.range)
    }

    /// The diagnostics without those that blame a value nobody knows. What is wrong with an argument whose value is known
    /// stays, as does every name, type of block or missing argument.
    func filter(_ diagnostics: Diagnostics) -> Diagnostics {
        if references.isEmpty { return diagnostics }
        return Diagnostics(
            diagnostics.items.filter { diagnostic in
                guard diagnostic.isAboutValue else { return true }
                // A verdict on a whole block may rest on any of its values.
                guard let attribute = attribute(at: diagnostic.range, in: body) else { return false }
                return !references.contains { attribute.range.contains($0) }
            })
    }

    private func attribute(at range: SourceRange, in body: Body) -> Attribute? {
        for statement in body.statements where statement.range.contains(range) {
            switch statement {
            case .attribute(let attribute): return attribute
            case .block(let block): return attribute(at: range, in: block.body)
            }
        }
        return nil
    }
}
