package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import TextFormats
import Transport

/// Finds targets by asking a Docker daemon for its containers again and again.
package final class DiscoveryDocker: Component {
    package static let spec = ComponentSpec(
        "discovery.docker", .generallyAvailable, "Finds targets among the containers of a Docker daemon.")

    struct Filter: Block, Sendable, Equatable {
        let name: String
        let values: [String]

        init(from block: inout BlockReader) {
            name = block.required("name", "What is filtered by, as the Docker Engine API names it.")
            values = block.required("values", "Values, any of which matches.")
        }
    }

    package struct Arguments: Block, Sendable, Equatable {
        let endpoint: DockerEndpoint?
        let client: HTTPClientSettings
        let refreshInterval: Duration
        let filters: [Filter]
        let port: Int
        let hostNetworkingHost: String
        let matchesFirstNetwork: Bool

        package init(from block: inout BlockReader) {
            client = HTTPClientArguments(from: &block).settings
            let host: String = block.required("host", "Address of the Docker daemon.")
            port = block.optional("port", default: 80, "Port of containers that have none of their own.")
            hostNetworkingHost = block.optional(
                "host_networking_host", default: "localhost", "Host of containers with the machine's network.")
            refreshInterval = block.optional(
                "refresh_interval", default: .seconds(60), "Time between two requests; also their timeout.")
            matchesFirstNetwork = block.optional(
                "match_first_network", default: true, "Whether only the first network of a container counts.")
            filters = block.blocks("filter", "Containers that are listed; all filters must match.")
            endpoint = DockerEndpoint(host)
            if refreshInterval <= .zero { block.reject("refresh_interval", "must be greater than 0") }
            if block.isSet("host"), endpoint == nil {
                block.reject("host", "is not an address: use unix:///path, tcp://host:port or http://host:port")
            }
        }

        /// The request's `filters` parameter, nil without filters.
        var filterText: String? {
            guard !filters.isEmpty else { return nil }
            var names: [(name: String, values: [String])] = []
            for filter in filters {
                if let index = names.firstIndex(where: { $0.name == filter.name }) {
                    names[index].values += filter.values
                } else {
                    names.append((filter.name, filter.values))
                }
            }
            var object = JSONObject()
            for entry in names {
                var values = JSONObject()
                for value in entry.values { values[value] = .bool(true) }
                object[entry.name] = .object(values)
            }
            return JSONWriter(escapesHTML: false).text(.object(object))
        }
    }

    /// Bytes of one answer.
    private static let maximumAnswer = ByteCount.mebibytes(64)

    private let arguments: Live<Arguments>
    private let context: Context<DiscoveryExports>
    private let feed: TargetFeed
    private let refreshes: RefreshLoop

    package init(_ arguments: Live<Arguments>, _ context: Context<DiscoveryExports>) throws {
        self.arguments = arguments
        self.context = context
        feed = TargetFeed(context)
        refreshes = RefreshLoop("docker", context)
    }

    package func run() async throws {
        try await feed.run(following: arguments, { $0 }) { [self] settings in
            // As upstream, nothing of these settings applies to a unix socket.
            let isSocket = settings.endpoint?.socket != nil
            let client = HTTPClient(
                isSocket ? HTTPClientSettings() : settings.client, on: context.services.eventLoops,
                clock: context.clock)
            defer { client.shutDown() }
            try await refreshes.run(every: settings.refreshInterval) {
                feed.replace(with: try await Self.fetch(settings, client))
            }
        }
    }

    private struct Refusal: Error, CustomStringConvertible { let description: String }

    private static func fetch(
        _ settings: Arguments, _ client: HTTPClient
    ) async throws -> [TargetGroup.Key: TargetGroup] {
        var target = "/containers/json"
        if let filters = settings.filterText { target += "?filters=" + Percent.encode(filters) }
        let containers = try await get(target, settings, client)
        let networks = try await get("/networks", settings, client)
        let maker = DockerTargets(
            port: settings.port, hostNetworkingHost: settings.hostNetworkingHost,
            matchesFirstNetwork: settings.matchesFirstNetwork)
        let targets = maker.targets(containers: containers, networks: networks)
        return [.init(source: "Docker"): TargetGroup(labels: LabelSet([]), targets: targets)]
    }

    private static func get(
        _ target: String, _ settings: Arguments, _ client: HTTPClient
    ) async throws -> JSONValue {
        guard var request = settings.endpoint?.request(target) else {
            throw Refusal(description: "the host is not usable")
        }
        request.timeout = settings.refreshInterval
        request.maximumBodyBytes = maximumAnswer
        let response = try await client.send(request)
        guard response.status == .ok else {
            response.body.cancel()
            throw Refusal(description: "server returned HTTP status \(response.status)")
        }
        return try JSONValue(parsing: try await response.collect())
    }
}
