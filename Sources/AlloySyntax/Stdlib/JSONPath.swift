/// A JSONPath expression, compiled.
///
/// The dialect is that of github.com/ohler55/ojg `jp`, which Alloy's `json_path` uses: `.name`, `['name']`, `[0]`,
/// `[-1]`, `[1:5:2]`, `[0,'a']`, `*`, `..` and filters `[?(...)]`, with or without a leading `$`. Object members are
/// visited in the order of their names. Deviations: a comparison of two different floating numbers with `!=` is true,
/// comparing containers is defined, and script fragments `[(...)]`, which upstream leaves to plugins, are refused.
struct JSONPath {
    /// One step of a path.
    enum Step {
        case root
        case current
        case child(String)
        case element(Int)
        case wildcard
        case descent
        case union([Member])
        case slice(start: Int, end: Int?, step: Int)
        case filter(JSONPathFilter)
    }

    /// One alternative of `[0,'a']`.
    enum Member {
        case name(String)
        case element(Int)
    }

    /// Nodes one evaluation may look at: a path of many wildcards must not take forever on a large document.
    private static let maximumVisits = 1_000_000

    let steps: [Step]

    /// Compiles a path.
    init(_ text: String) throws(FormatError) {
        var parser = JSONPathParser(text)
        steps = try parser.parseAll()
    }

    init(steps: [Step]) { self.steps = steps }

    /// The values the path selects, in document order where the path defines one.
    func values(in document: Value) throws(FormatError) -> [Value] {
        var visit = Visit(root: document)
        return try values(from: document, &visit)
    }

    /// What evaluation shares: the document and how much may still be looked at.
    struct Visit {
        let root: Value
        private var remaining = JSONPath.maximumVisits

        init(root: Value) { self.root = root }

        mutating func spend(_ count: Int = 1) throws(FormatError) {
            remaining -= count
            if remaining < 0 { throw FormatError(message: "the path visits too many values") }
        }
    }

    /// The values selected from a node inside the document.
    func values(from node: Value, _ visit: inout Visit) throws(FormatError) -> [Value] {
        var results: [Value] = []
        if !steps.isEmpty { try walk(0, node, &visit, &results) }
        return results
    }

    private func walk(
        _ index: Int, _ node: Value, _ visit: inout Visit, _ results: inout [Value]
    ) throws(FormatError) {
        try visit.spend()
        if case .descent = steps[index] {
            if index == steps.count - 1 {
                try collectDescendants(of: node, isTop: true, &visit, &results)
            } else {
                try descend(index, node, &visit, &results)
            }
            return
        }
        let selected = try select(steps[index], node, &visit)
        try visit.spend(selected.count)
        if index == steps.count - 1 {
            results += selected
            return
        }
        for value in selected where value.isContainer { try walk(index + 1, value, &visit, &results) }
    }

    // MARK: Steps

    private func select(_ step: Step, _ node: Value, _ visit: inout Visit) throws(FormatError) -> [Value] {
        switch step {
        case .root: return [visit.root]
        case .current, .descent: return [node]
        case .child(let name): return node.member(name).map { [$0] } ?? []
        case .element(let index): return node.element(index).map { [$0] } ?? []
        case .wildcard: return node.children
        case .union(let members):
            return members.compactMap { member in
                switch member {
                case .name(let name): node.member(name)
                case .element(let index): node.element(index)
                }
            }
        case .slice(let start, let end, let step):
            guard case .array(let elements) = node else { return [] }
            return JSONPath.slice(elements, start, end, step)
        case .filter(let filter):
            var matching: [Value] = []
            for child in node.children where try filter.matches(child, &visit) { matching.append(child) }
            return matching
        }
    }

    private static func slice(_ elements: [Value], _ start: Int, _ end: Int?, _ step: Int) -> [Value] {
        let count = elements.count
        let first = start < 0 ? max(0, count &+ start) : start
        guard step != 0, first < count else { return [] }
        var limit = end ?? Int(Int32.max)
        if limit < 0 { limit = count &+ limit }
        if step > 0 {
            return stride(from: first, to: min(limit, count), by: step).map { elements[$0] }
        }
        return stride(from: first, to: max(min(limit, count), -1), by: step).map { elements[$0] }
    }

    /// Goes on with the next step in every container below `node`, innermost first, then in `node` itself.
    private func descend(
        _ index: Int, _ node: Value, _ visit: inout Visit, _ results: inout [Value]
    ) throws(FormatError) {
        try visit.spend()
        for child in node.children where child.isContainer { try descend(index, child, &visit, &results) }
        try walk(index + 1, node, &visit, &results)
    }

    /// What a path that ends in `..` selects: the children of every container, level by level, and last the top.
    private func collectDescendants(
        of node: Value, isTop: Bool, _ visit: inout Visit, _ results: inout [Value]
    ) throws(FormatError) {
        let children = node.children
        try visit.spend(children.count + 1)
        guard node.isContainer else { return }
        results += children
        for child in children { try collectDescendants(of: child, isTop: false, &visit, &results) }
        if isTop { results.append(node) }
    }
}

extension Value {
    /// Whether a path can go on below the value.
    fileprivate var isContainer: Bool {
        switch self {
        case .array, .object: true
        default: false
        }
    }

    /// The elements of an array, or the members of an object in the order of their names.
    fileprivate var children: [Value] {
        switch self {
        case .array(let elements): elements
        case .object(let object): object.pairs.map(\.value)
        default: []
        }
    }

    fileprivate func member(_ name: String) -> Value? {
        if case .object(let object) = self { object[name] } else { nil }
    }

    fileprivate func element(_ index: Int) -> Value? {
        guard case .array(let elements) = self else { return nil }
        let position = index < 0 ? elements.count &+ index : index
        return elements.indices.contains(position) ? elements[position] : nil
    }
}
