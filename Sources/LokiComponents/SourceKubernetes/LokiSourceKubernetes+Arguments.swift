package import AlloySyntax
import ComponentKit
import Kubernetes
import KubernetesKit
import Telemetry

extension LokiSourceKubernetes {
    package struct Arguments: Block, Sendable {
        let targets: [Target]
        let forwardTo: Fanout<LogBatch>
        let connection: KubernetesConnection

        package init(from block: inout BlockReader) {
            targets = block.required("targets", "Containers whose logs are read, as discovery describes them.")
            forwardTo = block.required("forward_to", "Receivers the lines are sent to.")
            let client: KubernetesClientArguments = block.block("client", "How the Kubernetes API is reached.")
            connection = client.connection
            let _: KubernetesClusteringArguments = block.block(
                "clustering", "Sharing of targets among cluster nodes.")
        }
    }
}
