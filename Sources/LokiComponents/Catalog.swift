package import ComponentKit

/// The `loki.*` components, sorted by name.
package let lokiComponents: [any Component.Type] = [
    LokiProcess.self,
    LokiRelabel.self,
]
