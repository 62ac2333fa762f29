import Synchronization

/// A request for a page that a component serves, whether it came over a socket or from inside the process.
package struct ComponentRequest: Sendable {
    package var method: String
    /// What follows the component's own prefix, with a leading slash: `/metrics`.
    package var path: String
    /// Decoded query parameters in order.
    package var query: [(name: String, value: String)]
    /// Header fields with lower-case names.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(
        method: String = "GET", path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
    }
}

/// The answer to a ``ComponentRequest``.
package struct ComponentResponse: Sendable {
    package var status: Int
    package var contentType: String
    package var body: [UInt8]

    package init(status: Int = 200, contentType: String = "text/plain; charset=utf-8", body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// The pages components serve under `/api/v0/component/<id>/`.
package final class ComponentHandlers: Sendable {
    package typealias Handler = @Sendable (ComponentRequest) async -> ComponentResponse

    /// The path prefix in front of the component's ID.
    package static let prefix = "/api/v0/component/"

    private let handlers = Mutex<[String: Handler]>([:])

    package init() {}

    /// Serves `componentID`'s pages from now on; nil stops.
    package func install(_ handler: Handler?, for componentID: String) {
        handlers.withLock { $0[componentID] = handler }
    }

    package func handler(for componentID: String) -> Handler? { handlers.withLock { $0[componentID] } }

    /// The handler that `/api/v0/component/<id>/<rest>` asks for, with `/<rest>`; nil when no component serves it.
    ///
    /// The ID of a component inside a module contains slashes: the longest ID that serves pages is meant.
    package func resolve(_ path: String) -> (handler: Handler, rest: String)? {
        guard path.hasPrefix(Self.prefix) else { return nil }
        let asked = path.dropFirst(Self.prefix.count)
        return handlers.withLock { handlers in
            var id = asked
            while !id.isEmpty {
                if let handler = handlers[String(id)] {
                    let rest = asked[id.endIndex...]
                    return (handler, rest.isEmpty ? "/" : String(rest))
                }
                guard let slash = id.lastIndex(of: "/") else { break }
                id = id[..<slash]
            }
            return nil
        }
    }
}
