/// How a component is, as operators see it.
package struct Health: Sendable, Equatable {
    /// The words are those of Alloy's API.
    package enum State: String, Sendable {
        case unknown, healthy, unhealthy, exited
    }

    package var state: State
    /// One sentence: lower case, no full stop.
    package var message: String

    package init(_ state: State, _ message: String) {
        self.state = state
        self.message = message
    }

    package static func healthy(_ message: String) -> Health { Health(.healthy, message) }
    package static func unhealthy(_ message: String) -> Health { Health(.unhealthy, message) }
    package static func exited(_ message: String) -> Health { Health(.exited, message) }
}
