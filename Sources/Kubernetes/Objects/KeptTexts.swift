import TextFormats

/// Which labels, or which annotations, of objects are kept. The others cost no memory, and that they change is no change.
package enum KeptTexts: Sendable, Hashable {
    case all
    /// Those with these names.
    case named(Set<String>)

    package static let none = KeptTexts.named([])

    /// Whether the label or annotation at the cursor is kept.
    func keep(_ name: JSONCursor.Name) -> Bool {
        switch self {
        case .all: true
        case .named(let names): !names.isEmpty && names.contains(name.text)
        }
    }
}
