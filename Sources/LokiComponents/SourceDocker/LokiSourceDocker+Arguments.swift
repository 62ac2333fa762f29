package import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import Transport

extension LokiSourceDocker {
    package struct Arguments: Block, Sendable {
        let connection: DockerClient.Connection?
        let targets: [Target]
        let forwardTo: Fanout<LogBatch>
        let labels: [String: String]
        let relabeling: Relabeling

        package init(from block: inout BlockReader) {
            let host: String = block.required("host", "Address of the Docker daemon.")
            targets = block.required("targets", "Containers whose logs are read, as discovery describes them.")
            forwardTo = block.required("forward_to", "Receivers the lines are sent to.")
            labels = block.optional("labels", default: [:], "Labels of every line; they replace a target's.")
            let rules = block.optional(
                "relabel_rules", default: RelabelRules.placeholder, "Rules applied to the labels of every stream.")
            relabeling = rules.relabeling
            let refreshInterval = block.optional(
                "refresh_interval", default: Duration.seconds(60),
                "Time for a request over HTTP; a log is then asked for again where it stopped.")
            let client: Client = block.block(
                "http_client_config", "How a daemon is reached over the network; has no effect on unix sockets.")
            if refreshInterval <= .zero { block.reject("refresh_interval", "must be greater than 0") }
            let endpoint = DockerEndpoint(host)
            if block.isSet("host"), endpoint == nil {
                block.reject("host", "is not an address: use unix:///path, tcp://host:port or http://host:port")
            }
            connection = endpoint.map { endpoint in
                DockerClient.Connection(
                    endpoint: endpoint, client: client.settings, refreshInterval: refreshInterval,
                    isPlainHTTP: host.hasPrefix("http://") || host.hasPrefix("https://"))
            }
        }
    }

    /// The `http_client_config` block.
    struct Client: Block {
        let settings: HTTPClientSettings

        init(from block: inout BlockReader) { settings = HTTPClientArguments(from: &block).settings }
    }
}
