package import AlloySyntax
import ComponentKit
import Telemetry

/// What every component that finds targets exports.
package struct DiscoveryExports: WritableBlock {
    var targets: [Target]

    package static let placeholder = DiscoveryExports(targets: [])

    package func write(to block: inout BlockWriter) {
        block.attribute("targets", targets, "The targets found.")
    }
}
