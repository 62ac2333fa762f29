import AlloySyntax
package import Telemetry
package import Transport

/// Adds to a request of an exporter what proves who sends it.
package protocol RequestSigner: Sendable {
    /// Adds to `request`, whose body is the one that is sent. `client` sent the data, where that is known. For gRPC the
    /// request is a POST with the call's metadata as fields.
    func sign(_ request: inout HTTPClientRequest, for client: OTLPClient?) async throws(AuthenticationError)

    /// After an answer of 401: forgets credentials that can be fetched anew; true when it makes sense to try again.
    func refused() -> Bool
}

extension RequestSigner {
    package func refused() -> Bool { false }
}

/// Finds out who sends a request to a receiver.
package protocol RequestAuthenticator: Sendable {
    /// What is known of the sender, such as `username`; throws when the request is to be refused.
    func authenticate(_ fields: HTTPFields) async throws(AuthenticationError) -> [OTLPClient.Field]
}

/// Why a request was refused or cannot be signed. The message names no secret.
package struct AuthenticationError: Error, Sendable, Equatable, CustomStringConvertible {
    package var message: String
    package init(_ message: String) { self.message = message }
    package var description: String { message }
}

/// What an `otelcol.auth` component exports: `auth` arguments of clients use its signer, those of servers its
/// authenticator.
package struct AuthHandler: CapsuleValue, AlloyDecodable, AlloyEncodable, Equatable {
    package static var capsuleName: String { "Handler" }
    package static var placeholder: AuthHandler { AuthHandler(component: "") }

    /// The ID of the component that exports it.
    package let component: String
    /// Nil when the component cannot be used by clients.
    package let signer: (any RequestSigner)?
    /// Nil when the component cannot be used by servers.
    package let authenticator: (any RequestAuthenticator)?
    /// Differs whenever what is behind the handler differs.
    private let version: Int
    /// Whether the signer sends what an authenticator found out about the client, which queues on disk do not keep.
    package let sendsClientAttributes: Bool

    package init(
        component: String, signer: (any RequestSigner)? = nil, authenticator: (any RequestAuthenticator)? = nil,
        version: Int = 0, sendsClientAttributes: Bool = false
    ) {
        self.sendsClientAttributes = sendsClientAttributes
        self.component = component
        self.signer = signer
        self.authenticator = authenticator
        self.version = version
    }

    package static func == (left: AuthHandler, right: AuthHandler) -> Bool {
        left.component == right.component && left.version == right.version
            && left.sendsClientAttributes == right.sendsClientAttributes
    }
}

extension AuthHandler {
    /// The `auth` argument of a client.
    static func readForClient(from block: inout BlockReader) -> AuthHandler? {
        let handler: AuthHandler? = block.optional(
            "auth", "Handler of an `otelcol.auth` component that signs requests.")
        if let handler, handler.signer == nil, !handler.component.isEmpty {
            block.reject("auth", "\(handler.component) does not support client authentication")
        }
        return handler
    }

    /// The `auth` argument of a server.
    static func readForServer(from block: inout BlockReader) -> AuthHandler? {
        let handler: AuthHandler? = block.optional(
            "auth", "Handler of an `otelcol.auth` component that authenticates requests.")
        if let handler, handler.authenticator == nil, !handler.component.isEmpty {
            block.reject("auth", "\(handler.component) does not support server authentication")
        }
        return handler
    }
}
