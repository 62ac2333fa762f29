package import AlloySyntax
import ComponentKit
import KubernetesKit

extension DiscoveryKubernetes {
    package struct Arguments: Block, Sendable, Equatable {
        let request: DiscoveryRequest

        package init(from block: inout BlockReader) {
            let parts = KubernetesConnectionArguments(from: &block)
            let word: String = block.required(
                "role",
                "Objects targets are made of: `node`, `pod`, `service`, `endpoints`, `endpointslice` or `ingress`.")
            let namespaces: Namespaces = block.block("namespaces", "Where objects are looked for.")
            let selectors: [Selectors] = block.blocks("selectors", "Which objects of a role are looked at.")
            let attached: AttachMetadata = block.block("attach_metadata", "Further objects whose labels are added.")

            let role = DiscoveryRole(rawValue: word)
            if role == nil, block.isSet("role") {
                block.reject(
                    "role", "must be one of " + DiscoveryRole.allCases.map(\.rawValue).joined(separator: ", "))
            }
            if parts.isAmbiguous { block.reject("only one of api_server and kubeconfig_file can be set") }
            if parts.isCustomised, !parts.hasServer {
                block.warn(
                    "the arguments of the HTTP client have no effect without api_server: the kubeconfig file or the "
                        + "pod's service account says how the API server is asked")
            }
            if namespaces.includesOwn, parts.hasServer || parts.hasKubeconfig {
                block.reject(
                    "namespaces", "cannot have own_namespace together with api_server or kubeconfig_file")
            }
            var request = DiscoveryRequest(connection: parts.connection, role: role ?? .pod)
            request.namespaces = namespaces.names
            request.includesOwnNamespace = namespaces.includesOwn
            request.attachesNode = attached.node
            request.attachesNamespace = attached.namespace
            for selector in selectors {
                guard let role = DiscoveryRole(rawValue: selector.role) else {
                    if !selector.role.isEmpty {
                        block.warn("selectors", "of the unknown role \"\(selector.role)\" select nothing")
                    }
                    continue
                }
                // As upstream, the last one of a role counts.
                request.selectors[role] = DiscoveryRequest.Selector(label: selector.label, field: selector.field)
            }
            self.request = request
        }
    }

    /// The `namespaces` block.
    struct Namespaces: Block, Sendable {
        let includesOwn: Bool
        let names: [String]

        init(from block: inout BlockReader) {
            includesOwn = block.optional("own_namespace", "Whether the namespace of the process is looked at.") ?? false
            names = block.optional("names", "Namespaces that are looked at; empty is all of them.") ?? []
        }
    }

    /// A `selectors` block.
    struct Selectors: Block, Sendable {
        let role: String
        let label: String
        let field: String

        init(from block: inout BlockReader) {
            role = block.required("role", "Role of the objects that are selected.")
            label = block.optional("label", "Labels they must have, as `kubectl --selector` takes them.") ?? ""
            field = block.optional("field", "Fields they must have, as `kubectl --field-selector` takes them.") ?? ""
        }
    }

    /// The `attach_metadata` block.
    struct AttachMetadata: Block, Sendable {
        let node: Bool
        let namespace: Bool

        init(from block: inout BlockReader) {
            node = block.optional("node", "Whether labels of the node are added to targets on it.") ?? false
            namespace = block.optional("namespace", "Whether labels of the namespace are added.") ?? false
        }
    }
}
