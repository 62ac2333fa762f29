package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport

/// Authenticates with a name and a password (RFC 7617), and checks those of clients against an htpasswd file.
package final class OtelcolAuthBasic: Component {
    package typealias Exports = AuthExports

    package static let spec = ComponentSpec(
        "otelcol.auth.basic", .generallyAvailable,
        "Authenticates with a name and a password, and demands them of clients.")

    package struct Arguments: Block, Sendable {
        let client: ClientCredentials?
        let users: UserSource?

        package init(from block: inout BlockReader) {
            let username: String? = block.optional(
                "username", "Use `client_auth` and `htpasswd`.", deprecated: true)
            let password: Secret<String>? = block.optional(
                "password", "Use `client_auth` and `htpasswd`.", deprecated: true)
            let own: ClientCredentials? = block.optionalBlock("client_auth", "Sent by clients.")
            let file: UserSource? = block.optionalBlock("htpasswd", "Demanded by servers.")
            DebugMetrics.read(from: &block)
            let name = username ?? ""
            let hasOld = !name.isEmpty || !(password.map(\.isEmpty) ?? true)
            if hasOld, own != nil || file != nil {
                block.reject("username and password exclude client_auth and htpasswd")
            }
            if hasOld {
                client = ClientCredentials(name: name, password: password ?? Secret(""))
                let text = (password ?? Secret("")).reveal { Secret("\(name):\($0)") }
                users = UserSource(inline: text)
            } else {
                client = own
                users = file
            }
            if client == nil, users == nil {
                block.reject("either client_auth or htpasswd must be configured")
            }
        }
    }

    /// The `client_auth` block.
    struct ClientCredentials: Block, Sendable {
        let username: SecretSource?
        let password: SecretSource?

        init(from block: inout BlockReader) {
            let name = block.optional("username", default: "", "Name sent to the server.")
            let nameFile = block.optional("username_file", default: "", "File with the name, read at each request.")
            let secret = block.optional("password", default: Secret(""), "Password sent to the server.")
            let secretFile = block.optional(
                "password_file", default: "", "File with the password, read at each request.")
            // As upstream: a file wins over what is given inline.
            username = nameFile.isEmpty ? .inline(Secret(name)) : .file(nameFile)
            password = secretFile.isEmpty ? secretSource(secret, nil) : .file(secretFile)
            if name.isEmpty, nameFile.isEmpty { block.reject("username", "or username_file must be set") }
            if secret.isEmpty, secretFile.isEmpty { block.reject("password", "or password_file must be set") }
        }

        init(name: String, password: Secret<String>) {
            username = .inline(Secret(name))
            self.password = secretSource(password, nil)
        }
    }

    /// The `htpasswd` block.
    struct UserSource: Block, Sendable {
        let file: String
        let inline: Secret<String>

        init(from block: inout BlockReader) {
            file = block.optional("file", default: "", "Path of an htpasswd file.")
            let text = block.optional("inline", default: "", "Content of an htpasswd file.")
            inline = Secret(text)
            if file.isEmpty, text.isEmpty { block.reject("file", "or inline must be set") }
            if let problem = PasswordFile.problem(in: text) { block.reject("inline", problem) }
        }

        init(inline: Secret<String>) {
            file = ""
            self.inline = inline
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<AuthExports>

    package init(_ arguments: Live<Arguments>, _ context: Context<AuthExports>) throws {
        self.arguments = arguments
        self.context = context
        if let file = arguments.current.users?.file, !file.isEmpty {
            let text = try Files.readText(file, limit: .mebibytes(16))
            if let problem = PasswordFile.problem(in: text) { throw AuthenticationError("\(file): \(problem)") }
        }
        publish()
        context.report(.healthy("ready"))
    }

    package func argumentsChanged() { publish() }

    private func publish() {
        let current = arguments.current
        let both = BasicCredentials(arguments: arguments, blocking: context.services.blocking)
        context.export(
            AuthExports(
                handler: AuthHandler(
                    component: context.componentID, signer: current.client == nil ? nil : both,
                    authenticator: current.users == nil ? nil : both,
                    version: (current.client == nil ? 0 : 1) + (current.users == nil ? 0 : 2))))
    }
}

private struct BasicCredentials: RequestSigner, RequestAuthenticator {
    let arguments: Live<OtelcolAuthBasic.Arguments>
    let blocking: BlockingPool

    func sign(_ request: inout HTTPClientRequest, for client: OTLPClient?) async throws(AuthenticationError) {
        guard let credentials = arguments.current.client else { return }
        let name = try Self.read(credentials.username)
        let password = try Self.read(credentials.password)
        request.fields["authorization"] = "Basic " + Base64.encode(Array("\(name):\(password)".utf8))
    }

    private static func read(_ source: SecretSource?) throws(AuthenticationError) -> String {
        switch source {
        case .inline(let secret): return secret.reveal { $0 }
        case .file(let path):
            do {
                return String(try Files.readText(path, limit: .mebibytes(1)).trimmed)
            } catch {
                throw AuthenticationError("unable to read \(path): \(error)")
            }
        case nil: return ""
        }
    }

    func authenticate(_ fields: HTTPFields) async throws(AuthenticationError) -> [OTLPClient.Field] {
        guard let source = arguments.current.users else { throw AuthenticationError("no users are configured") }
        guard let header = fields["authorization"] else { throw AuthenticationError("no basic auth provided") }
        guard let given = Base64.basicCredentials(header) else { throw AuthenticationError("invalid credentials") }
        var text = source.inline.reveal { $0 }
        if !source.file.isEmpty {
            guard let content = try? Files.readText(source.file, limit: .mebibytes(16)) else {
                throw AuthenticationError("the password file cannot be read")
            }
            text = content + "\n" + text
        }
        // Hashes made to be slow would stop all other connections of the event loop.
        let (user, password, users) = (given.user, given.password, text)
        let isAccepted = try? await blocking.run { PasswordFile.accepts(user, password, in: users) }
        guard isAccepted == true else {
            throw AuthenticationError("invalid credentials")
        }
        return [
            OTLPClient.Field(name: "username", values: [given.user]),
            OTLPClient.Field(name: "raw", values: [String(header.dropFirst(6))]),
        ]
    }
}

extension StringProtocol {
    /// Without surrounding white space.
    var trimmed: SubSequence {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else { return self[endIndex...] }
        return self[first...last]
    }
}
