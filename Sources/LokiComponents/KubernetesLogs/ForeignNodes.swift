import Kubernetes
import Telemetry

/// Notices the mistake of a collector on every node that reads the logs of every node.
///
/// Each line is then collected once per node. It shows where the process knows its node (`K8S_NODE_NAME`, or `HOSTNAME`
/// when that is a node's name) and its targets run on others.
struct ForeignNodes: Sendable, Equatable {
    /// The node this process runs on.
    var node: String
    /// Targets on other nodes, and all of those whose node is known.
    var foreign: Int
    var known: Int

    /// How the mistake is mended, for the log.
    static let remedy =
        "on a DaemonSet, add to discovery.kubernetes: selectors { role = \"pod\" field = \"spec.nodeName=\" + "
        + "coalesce(sys.env(\"K8S_NODE_NAME\"), sys.env(\"HOSTNAME\")) }"

    /// Nil when the targets are as they should be, or when the node is not known.
    init?(
        _ targets: [Target], variable: (String) -> String? = { ProcessVariables[$0] }
    ) {
        let nodes = targets.compactMap { $0["__meta_kubernetes_pod_node_name"] }
        let explicit = variable("K8S_NODE_NAME") ?? ""
        let host = variable("HOSTNAME") ?? ""
        if !explicit.isEmpty {
            node = explicit
        } else if !host.isEmpty, nodes.contains(host) {
            node = host
        } else {
            return nil
        }
        let own = node
        foreign = nodes.reduce(0) { $0 + ($1 == own ? 0 : 1) }
        known = nodes.count
        if foreign == 0 { return nil }
    }
}
