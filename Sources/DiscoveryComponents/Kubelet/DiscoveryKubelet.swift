package import AlloySyntax
package import ComponentKit
import Essentials
import Kubernetes
import KubernetesKit
import Telemetry
import Transport

/// Finds the pods of one node by asking its kubelet again and again.
///
/// Semantics agree with grafana/alloy `discovery.kubelet`: labels are those of the pod role of `discovery.kubernetes`.
package final class DiscoveryKubelet: Component {
    package static let spec = ComponentSpec(
        "discovery.kubelet", .generallyAvailable, "Finds the pods of a node by asking its kubelet.")

    package typealias Exports = DiscoveryExports

    package struct Arguments: Block, Sendable, Equatable {
        let url: HTTPURL
        let refreshInterval: Duration
        let client: HTTPClientSettings
        let namespaces: [String]

        package init(from block: inout BlockReader) {
            let address = block.optional("url", default: "https://localhost:10250", "URL of the kubelet.")
            let interval = block.optional(
                "refresh_interval", default: Duration.seconds(5), "Time between two requests.")
            client = HTTPClientArguments(from: &block).settings
            namespaces = block.optional("namespaces", "Namespaces of the pods; empty is all of them.") ?? []
            // As upstream, no interval is the default's.
            refreshInterval = interval > .zero ? interval : .seconds(5)
            if let base = HTTPURL(address), base.scheme == "http" || base.scheme == "https" {
                let path = base.path.hasSuffix("/") ? base.path : base.path + "/"
                url = base.replacing(path: path + "pods", query: base.query)
            } else {
                url = Self.nowhere
                block.reject("url", "must be an absolute URL with the scheme http or https")
            }
        }

        private static let nowhere = HTTPURL("http://localhost/").unsafelyUnwrapped  // a constant that parses
    }

    /// Bytes of one answer, decompressed, and how long it may take.
    private static let maximumAnswer = ByteCount.mebibytes(64)
    private static let timeout = Duration.seconds(30)

    private let arguments: Live<Arguments>
    private let context: Context<DiscoveryExports>
    private let feed: TargetFeed
    private let refreshes: RefreshLoop

    package init(_ arguments: Live<Arguments>, _ context: Context<DiscoveryExports>) throws {
        self.arguments = arguments
        self.context = context
        feed = TargetFeed(context)
        refreshes = RefreshLoop("kubelet", context)
    }

    package func run() async throws {
        try await feed.run(following: arguments, { $0 }) { [self] settings in
            let client = HTTPClient(settings.client, on: context.services.eventLoops, clock: context.clock)
            defer { client.shutDown() }
            try await refreshes.run(every: settings.refreshInterval) {
                feed.replace(with: try await Self.fetch(settings, client))
            }
        }
    }

    private static func fetch(
        _ settings: Arguments, _ client: HTTPClient
    ) async throws -> [TargetGroup.Key: TargetGroup] {
        var request = HTTPClientRequest(.get, settings.url, fields: ["accept": "application/json"])
        request.timeout = timeout
        request.maximumBodyBytes = maximumAnswer
        let response = try await client.send(request)
        guard response.status == .ok else {
            response.body.cancel()
            throw Refusal(description: "error response from kubelet: \(response.status)")
        }
        let pods: [Pod] = try ObjectList.read(try await response.collect())
        var groups: [TargetGroup.Key: TargetGroup] = [:]
        for (source, group) in PodTargets.groups(of: pods, namespaces: settings.namespaces) {
            groups[TargetGroup.Key(source: source)] = TargetGroup(labels: group.labels, targets: group.targets)
        }
        return groups
    }

    private struct Refusal: Error, CustomStringConvertible { let description: String }
}
