package import AlloySyntax
package import ComponentKit
import Essentials
import Synchronization
import Telemetry
import Transport

/// What authentication components export.
package struct AuthExports: WritableBlock {
    package var handler: AuthHandler
    package static var placeholder: AuthExports { AuthExports(handler: .placeholder) }

    package func write(to block: inout BlockWriter) {
        block.attribute("handler", handler, "Signs requests of clients, or authenticates those of servers.")
    }
}

/// Authenticates with a fixed token, and demands one.
package final class OtelcolAuthBearer: Component {
    package static let spec = ComponentSpec(
        "otelcol.auth.bearer", .generallyAvailable, "Authenticates with a token, and demands it of clients.")

    package struct Arguments: Block, Sendable {
        let scheme: String
        let token: Secret<String>
        let header: String

        package init(from block: inout BlockReader) {
            scheme = block.optional("scheme", default: "Bearer", "What stands before the token.")
            token = block.required("token", "The token.")
            header = block.optional("header", default: "Authorization", "Field the token is sent in.")
            DebugMetrics.read(from: &block)
            if header.isEmpty || !HTTPFields.isValid(name: header, value: "") {
                block.reject("header", "must be the name of a field")
            }
        }

        /// The field's value.
        var value: Secret<String> {
            let scheme = scheme
            return token.reveal { token in Secret(scheme.isEmpty ? token : "\(scheme) \(token)") }
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<AuthExports>

    package init(_ arguments: Live<Arguments>, _ context: Context<AuthExports>) throws {
        self.arguments = arguments
        self.context = context
        // Reads the arguments at each request, so that a new token needs no new handler.
        let token = BearerToken(arguments)
        context.export(
            AuthExports(handler: AuthHandler(component: context.componentID, signer: token, authenticator: token)))
        context.report(.healthy("ready"))
    }
}

private struct BearerToken: RequestSigner, RequestAuthenticator {
    private let arguments: Live<OtelcolAuthBearer.Arguments>

    init(_ arguments: Live<OtelcolAuthBearer.Arguments>) { self.arguments = arguments }

    func sign(_ request: inout HTTPClientRequest, for client: OTLPClient?) async throws(AuthenticationError) {
        let current = arguments.current
        let value = current.value.reveal { $0 }
        guard HTTPFields.isValid(name: current.header, value: value) else {
            throw AuthenticationError("the token has characters that cannot be sent")
        }
        request.fields[current.header] = value
    }

    func authenticate(_ fields: HTTPFields) async throws(AuthenticationError) -> [OTLPClient.Field] {
        let current = arguments.current
        guard let given = fields[current.header] else {
            throw AuthenticationError("missing or empty authorization header: \(current.header)")
        }
        guard Secret(given) == current.value else {
            throw AuthenticationError("provided authorization does not match expected scheme or token")
        }
        return []
    }
}
