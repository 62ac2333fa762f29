package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import Transport

/// Adds, replaces and removes fields of the requests of clients; values may come from the metadata of whoever sent the data.
package final class OtelcolAuthHeaders: Component {
    package typealias Exports = AuthExports

    package static let spec = ComponentSpec(
        "otelcol.auth.headers", .generallyAvailable, "Sets fields of the requests of clients.")

    package struct Arguments: Block, Sendable {
        let headers: [Header]

        package init(from block: inout BlockReader) {
            headers = block.blocks("header", "A field to set.")
            DebugMetrics.read(from: &block)
        }
    }

    enum Action: String, AlloyWord {
        case insert, update, upsert, delete
        static var placeholder: Action { .upsert }
    }

    enum Origin: Sendable {
        case value(Secret<String>)
        case context(String)
        case attribute(String)
        case nothing
    }

    struct Header: Block, Sendable {
        let key: String
        let origin: Origin
        let action: Action

        init(from block: inout BlockReader) {
            key = block.required("key", "Name of the field.")
            let value: OptionalSecret? = block.optional("value", "Value of the field.")
            let context = block.nonEmpty("from_context", "Metadata of the client whose value is sent.")
            let attribute = block.nonEmpty("from_attribute", "Authentication data of the client whose value is sent.")
            action = block.optional("action", default: .upsert, "`insert`, `update`, `upsert` or `delete`.")
            let given = [value != nil, context != nil, attribute != nil].filter(\.self).count
            if given > 1 { block.reject("only one of value, from_context and from_attribute may be set") }
            if given == 0, action != .delete {
                block.reject("either value, from_context or from_attribute must be set")
            }
            if !key.isEmpty, !HTTPFields.isValid(name: key, value: "") {
                block.reject("key", "must be the name of a field")
            }
            if let context {
                origin = .context(context)
            } else if let attribute {
                origin = .attribute(attribute)
            } else if let value {
                origin = .value(value.asSecret)
            } else {
                origin = .nothing
            }
        }
    }

    private let arguments: Live<Arguments>
    private let context: Context<AuthExports>

    package init(_ arguments: Live<Arguments>, _ context: Context<AuthExports>) throws {
        self.arguments = arguments
        self.context = context
        publish()
        context.report(.healthy("ready"))
    }

    package func argumentsChanged() { publish() }

    private func publish() {
        let sendsAttributes = arguments.current.headers.contains { header in
            if case .attribute = header.origin { true } else { false }
        }
        context.export(
            AuthExports(
                handler: AuthHandler(
                    component: context.componentID, signer: HeaderSetter(arguments: arguments),
                    sendsClientAttributes: sendsAttributes)))
    }
}

private struct HeaderSetter: RequestSigner {
    let arguments: Live<OtelcolAuthHeaders.Arguments>

    func sign(_ request: inout HTTPClientRequest, for client: OTLPClient?) async throws(AuthenticationError) {
        for header in arguments.current.headers {
            let isPresent = request.fields.contains(header.key)
            let value: String
            switch header.origin {
            case .value(let secret): value = secret.reveal { $0 }
            case .context(let name): value = (client?.values(of: name) ?? []).joined(separator: ";")
            case .attribute(let name):
                value = client?.authentication.first { $0.name == name }?.values.joined(separator: ";") ?? ""
            case .nothing: value = ""
            }
            guard HTTPFields.isValid(name: header.key, value: value) else {
                throw AuthenticationError("the value of \(header.key) has characters that cannot be sent")
            }
            switch header.action {
            case .insert where !isPresent, .update where isPresent, .upsert: request.fields[header.key] = value
            case .delete: request.fields.remove(header.key)
            case .insert, .update: break
            }
        }
    }
}
