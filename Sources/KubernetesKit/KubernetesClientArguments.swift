package import AlloySyntax
package import ComponentKit
package import Kubernetes
import Transport

/// The `client` block of components that talk to the Kubernetes API: where its server is and who asks.
///
/// Without arguments the service account of the pod is used.
package struct KubernetesClientArguments: Block, Sendable, Equatable {
    package let connection: KubernetesConnection

    package init(from block: inout BlockReader) {
        let parts = KubernetesConnectionArguments(from: &block)
        connection = parts.connection
        if parts.isAmbiguous { block.reject("only one of api_server and kubeconfig_file can be set") }
        if parts.isCustomised, parts.hasKubeconfig {
            block.reject("custom HTTP client configuration is not allowed when kubeconfig_file is set")
        } else if parts.isCustomised, !parts.hasServer {
            block.reject("api_server must be set when custom HTTP client configuration is provided")
        }
    }
}

/// `api_server`, `kubeconfig_file` and the HTTP client's arguments, to be inlined into a block.
package struct KubernetesConnectionArguments: Sendable {
    package let connection: KubernetesConnection
    package let hasServer: Bool
    package let hasKubeconfig: Bool
    /// Whether any of the HTTP client's arguments differs from its default.
    package let isCustomised: Bool

    package var isAmbiguous: Bool { hasServer && hasKubeconfig }

    package init(from block: inout BlockReader) {
        let address = block.nonEmpty("api_server", "URL of the API server.")
        let file = block.nonEmpty("kubeconfig_file", "File that says how the API server is reached.")
        let settings = HTTPClientArguments(from: &block).settings
        hasServer = address != nil
        hasKubeconfig = file != nil
        isCustomised = settings != HTTPClientSettings()
        if let file {
            connection = .kubeconfig(file)
        } else if let address {
            if let url = HTTPURL(address), url.scheme == "http" || url.scheme == "https" {
                connection = .server(url, settings)
            } else {
                connection = .inCluster
                block.reject("api_server", "must be an absolute URL with the scheme http or https")
            }
        } else {
            connection = .inCluster
        }
    }
}

/// The `clustering` block of components that share their targets with other instances.
package struct KubernetesClusteringArguments: Block, Sendable, Equatable {
    package let isEnabled: Bool

    package init(from block: inout BlockReader) {
        isEnabled = block.required("enabled", "Whether the work is shared among the nodes of the cluster.")
        if isEnabled {
            block.warn("enabled", "has no effect: clustering is not available, this process takes every target")
        }
    }
}

/// A `selector` or `namespace_selector` block: which objects are taken, by their labels.
package struct LabelSelectorArguments: Block, Sendable, Equatable {
    package let selector: LabelSelector

    package init(from block: inout BlockReader) {
        let labels: [String: String] = block.optional(
            "match_labels", default: [:], "Labels an object must have, with their values.")
        let expressions: [Expression] = block.blocks("match_expression", "A condition on the value of one label.")
        selector = LabelSelector(labels: labels, requirements: expressions.compactMap(\.requirement))
    }

    /// A `match_expression` block.
    package struct Expression: Block, Sendable {
        package let requirement: LabelSelector.Requirement?

        package init(from block: inout BlockReader) {
            let key: String = block.required("key", "Name of the label.")
            let word: String = block.required(
                "operator", "How the value is compared: `In`, `NotIn`, `Exists` or `DoesNotExist`.")
            let values: [String] = block.optional("values", "Values compared with; only for `In` and `NotIn`.") ?? []
            let operation = LabelSelector.Operation(rawValue: word)
            requirement = operation.map { LabelSelector.Requirement(key: key, operation: $0, values: values) }
            switch operation {
            case nil where !word.isEmpty: block.reject("operator", "must be one of In, NotIn, Exists, DoesNotExist")
            case .in, .notIn: if values.isEmpty { block.reject("values", "must be given for the operator \(word)") }
            case .exists, .doesNotExist:
                if !values.isEmpty { block.reject("values", "must not be given for the operator \(word)") }
            case nil: break
            }
        }
    }
}

extension EngineServices {
    /// Where components get their clients of the Kubernetes API, so that equal ones are one.
    package var kubernetes: KubernetesHub {
        shared.instance { KubernetesHub(on: eventLoops, clock: clock, blocking: blocking) }
    }
}
