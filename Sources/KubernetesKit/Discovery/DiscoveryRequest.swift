package import Kubernetes
package import Telemetry

/// What a discovery looks for.
package enum DiscoveryRole: String, Sendable, CaseIterable {
    case node, pod, service, endpoints, endpointslice, ingress
}

/// What a discovery looks for, and where.
package struct DiscoveryRequest: Sendable, Equatable {
    package struct Selector: Sendable, Hashable {
        package var label: String
        package var field: String

        package init(label: String = "", field: String = "") {
            self.label = label
            self.field = field
        }
    }

    package var connection: KubernetesConnection
    package var role: DiscoveryRole
    /// Empty is all of them, unless the own is asked for.
    package var namespaces: [String] = []
    package var includesOwnNamespace = false
    /// By the role of the objects they select.
    package var selectors: [DiscoveryRole: Selector] = [:]
    package var attachesNode = false
    package var attachesNamespace = false

    package init(connection: KubernetesConnection, role: DiscoveryRole) {
        self.connection = connection
        self.role = role
    }
}

/// The targets of one object.
package struct DiscoveredGroup: Sendable {
    /// Labels of every target; a target's own win over them.
    package var labels: LabelSet
    package var targets: [LabelSet]

    package init(labels: LabelSet = .empty, targets: [LabelSet] = []) {
        self.labels = labels
        self.targets = targets
    }
}

/// What a discovery tells.
package enum DiscoveryNews: Sendable {
    /// Groups by their source; one without targets is gone.
    case groups([String: DiscoveredGroup])
    /// Every list is complete: what was found until now is all there is.
    case complete
    case failed(any Error)
    /// Objects of a role that came, changed and went.
    case counted(role: DiscoveryRole, added: Int, modified: Int, deleted: Int)
}
