import AlloySyntax
import Wire

extension Compiler {
    /// The field a path leads to from the statement's context.
    func accessor(_ path: PathNode) throws -> Accessor {
        var (place, rest) = try target(of: path)
        guard !rest.isEmpty else {
            throw OTTLError(
                "\(path.text) is a whole \(place.rawValue): name one of its fields, such as "
                    + "\(path.text).\(PathTable.fields(of: place)[0].name)", at: path.offset)
        }
        var accessor: Accessor
        if rest[0].name == "cache" {
            guard place == context else {
                throw OTTLError(
                    "the cache of \(place.rawValue) is out of reach here: write \(context.rawValue).cache",
                    at: rest[0].offset)
            }
            if rest.count > 1 { throw OTTLError("the cache has keys: cache[\"name\"]", at: rest[1].offset) }
            accessor = Fields.cache(try keys(rest[0].keys))
        } else {
            accessor = try field(&rest, of: place, path)
        }
        accessor.name = path.text
        return accessor
    }

    /// The context whose fields the path names, and what is left of the path behind the context's name.
    private func target(of path: PathNode) throws -> (OTTLContext, [PathNode.Segment]) {
        let first = path.segments[0]
        let rest = Array(path.segments.dropFirst())
        let name = first.name == "instrumentation_scope" ? "scope" : first.name
        // The name of a context before a field; a lone word is one only when it is no field of the context.
        if let named = OTTLContext(rawValue: name), first.keys.isEmpty {
            if context.reachable.contains(named) { return (named, rest) }
            let isInside = named.reachable.contains(context)
            throw OTTLError(
                isInside
                    ? "\(path.text) is out of reach from the \(context.rawValue) context: a \(named.rawValue) is inside "
                        + "of it, use the \(named.rawValue) context"
                    : "\(path.text) is out of reach from the \(context.rawValue) context", at: first.offset)
        }
        if requiresPrefix {
            let note = context.reachable.map { "\($0.rawValue).\(path.text)" }.joined(separator: " or ")
            throw OTTLError("\(path.text) does not name its context: write \(note)", at: first.offset)
        }
        return (context, path.segments)
    }

    private func field(_ rest: inout [PathNode.Segment], of place: OTTLContext, _ path: PathNode) throws -> Accessor {
        let name = rest.map(\.name).joined(separator: ".")
        let fields = PathTable.fields(of: place)
        for (position, segment) in rest.enumerated() where !segment.keys.isEmpty && position + 1 < rest.count {
            throw OTTLError("\(segment.name)[...] has no fields: use a key, [\"name\"]", at: rest[position + 1].offset)
        }
        guard let field = fields.first(where: { $0.name == name }) else {
            // The longest beginning that is a field tells where the path went wrong.
            for count in stride(from: rest.count - 1, to: 0, by: -1) {
                let start = rest[..<count].map(\.name).joined(separator: ".")
                if let known = fields.first(where: { $0.name == start }) {
                    let inner = fields.map(\.name).filter { $0.hasPrefix(start + ".") }
                    let remedy =
                        known.takesKeys
                        ? "its content is reached by keys: \(start)[\"\(rest[count].name)\"]"
                        : inner.isEmpty ? "it has no fields" : "it has \(inner.joined(separator: ", "))"
                    throw OTTLError("\(start) has no field \(rest[count].name); \(remedy)", at: rest[count].offset)
                }
            }
            let note =
                Spelling.note(for: name, among: fields.map(\.name))
                ?? "it has \(fields.map(\.name).filter { !$0.contains(".") }.joined(separator: ", ")) and cache"
            throw OTTLError("\(place.rawValue) has no field \(rest[0].name); \(note)", at: rest[0].offset)
        }
        let keys = try keys(rest[rest.count - 1].keys)
        if keys != nil, !field.takesKeys {
            throw OTTLError("\(field.name) takes no keys", at: rest[rest.count - 1].offset)
        }
        if case .fixed(let steps)? = keys, case .index? = steps.first,
            ["attributes", "metadata", "trace_state"].contains(field.name)
        {
            throw OTTLError("\(field.name) has string keys: \(field.name)[\"name\"]", at: rest[rest.count - 1].offset)
        }
        return field.make(keys)
    }
}
