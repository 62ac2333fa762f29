package import ComponentKit

/// Invar's own components, which Alloy does not have.
package let invarComponents: [any Component.Type] = [
    InvarRecent.self
]
