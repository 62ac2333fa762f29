package import ComponentKit

/// The components a process knows, by name.
package struct ComponentRegistry: Sendable {
    private let types: [String: any Component.Type]

    /// Makes a registry; of two components with one name the first counts.
    package init(_ types: [any Component.Type]) {
        self.types = Dictionary(types.map { ($0.spec.name, $0) }) { first, _ in first }
    }

    /// The component of a name.
    package subscript(name: String) -> (any Component.Type)? { types[name] }

    /// All names, sorted.
    package var names: [String] { types.keys.sorted() }
}
