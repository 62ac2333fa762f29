package import ComponentKit

/// The components of this family, by name.
package let lokiComponents: [any Component.Type] = []
