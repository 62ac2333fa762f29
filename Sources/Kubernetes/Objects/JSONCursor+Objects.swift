import TextFormats

/// One label or annotation.
package struct NamedText: Sendable, Hashable {
    package var name: String
    package var text: String

    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }
}

extension JSONCursor {
    /// The string at the cursor, sharing the storage of equal ones; nil for anything else.
    mutating func string(_ texts: inout TextTable) throws(TextFormatError) -> String? {
        let before = self
        guard let (bytes, hasEscapes) = try rawString() else { return nil }
        if !hasEscapes { return texts.text(bytes) }
        var again = before
        return try again.string()
    }

    /// The string at the cursor, empty for anything else.
    mutating func text(_ texts: inout TextTable) throws(TextFormatError) -> String { try string(&texts) ?? "" }

    /// The members of the object at the cursor that are kept and whose values are strings, sorted by name; equal lists share their
    /// storage.
    mutating func namedTexts(
        _ kept: KeptTexts, _ texts: inout TextTable
    ) throws(TextFormatError) -> [NamedText] {
        var result: [NamedText] = []
        guard try enterObject() else { return result }
        while let name = try nextMember() {
            guard kept.keep(name) else { continue }
            let key = name.plain.map { texts.text($0) } ?? name.text
            if let value = try string(&texts) { result.append(NamedText(name: key, text: value)) }
        }
        // The API server writes maps sorted, so that this is nearly always a look.
        for index in result.indices.dropFirst() where result[index].name < result[index - 1].name {
            result.sort { $0.name < $1.name }
            break
        }
        return texts.pairs.shared(result)
    }

    /// The strings of the array at the cursor.
    mutating func strings(_ texts: inout TextTable) throws(TextFormatError) -> [String] {
        var result: [String] = []
        guard try enterArray() else { return result }
        while try nextElement() {
            if let text = try string(&texts) { result.append(text) }
        }
        return result
    }
}
