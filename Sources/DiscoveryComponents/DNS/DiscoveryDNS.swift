package import AlloySyntax
package import ComponentKit
import Essentials
import SelfMetrics
import Telemetry
import Transport

/// Finds targets by asking for DNS records again and again.
///
/// Semantics agree with prometheus/prometheus `discovery/dns`. A name whose lookup fails keeps the targets it had; one
/// without records has none. Deviation: meta labels that a record type does not have are left out instead of empty.
package final class DiscoveryDNS: Component {
    package static let spec = ComponentSpec(
        "discovery.dns", .generallyAvailable, "Finds targets by looking up DNS records.")

    package struct Arguments: Block, Sendable, Equatable {
        let names: [String]
        let refreshInterval: Duration
        let type: DNSRecordType
        let port: Int

        package init(from block: inout BlockReader) {
            names = block.required("names", "Names whose records are looked up.")
            refreshInterval = block.optional(
                "refresh_interval", default: .seconds(30), "Time between two lookups of the names.")
            let word: String = block.optional(
                "type", default: "SRV", "Type of the records: `SRV`, `A`, `AAAA`, `MX` or `NS`.")
            port = block.optional("port", default: 0, "Port of the targets; records of type `SRV` have their own.")
            if refreshInterval <= .zero { block.reject("refresh_interval", "must be greater than 0") }
            switch word.uppercased() {
            case "SRV": type = .srv
            case "A": type = .a
            case "AAAA": type = .aaaa
            case "MX": type = .mx
            case "NS": type = .ns
            default:
                type = .srv
                block.reject("type", "must be one of SRV, A, AAAA, MX, NS")
            }
            if type != .srv {
                if port == 0 { block.reject("port", "is required for all record types except SRV") }
                if port < 0 || port > 65_535 { block.reject("port", "must be between 1 and 65535") }
            }
        }
    }

    /// Names looked up at the same time.
    private static let concurrentLookups = 16

    private let arguments: Live<Arguments>
    private let context: Context<DiscoveryExports>
    private let makeResolver: @Sendable () async throws -> DNSResolver
    private let feed: TargetFeed
    private let refreshes: RefreshLoop
    private let lookups: Counter
    private let failures: Counter

    package convenience init(_ arguments: Live<Arguments>, _ context: Context<DiscoveryExports>) throws {
        let loops = context.services.eventLoops
        // What resolv.conf says may change while the component runs.
        self.init(arguments, context) { try await DNSResolver.system(on: loops) }
    }

    /// Asks the resolver `makeResolver` gives for each refresh.
    init(
        _ arguments: Live<Arguments>, _ context: Context<DiscoveryExports>,
        resolver makeResolver: @escaping @Sendable () async throws -> DNSResolver
    ) {
        self.arguments = arguments
        self.context = context
        self.makeResolver = makeResolver
        feed = TargetFeed(context)
        refreshes = RefreshLoop("dns", context)
        lookups = context.metrics.counter("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.")
        failures = context.metrics.counter(
            "prometheus_sd_dns_lookup_failures_total", "The number of DNS-SD lookup failures.")
    }

    package func run() async throws {
        try await feed.run(following: arguments, { $0 }) { [self] settings in
            try await refreshes.run(every: settings.refreshInterval) { try await refresh(settings) }
        }
    }

    private func refresh(_ settings: Arguments) async throws {
        let resolver = try await makeResolver()
        var changes: [TargetGroup.Key: TargetGroup?] = [:]
        var failed: [String] = []
        var reason = ""
        try await withThrowingTaskGroup(of: (String, Result<[DNSRecord], DNSError>).self) { group in
            var waiting = Set(settings.names).sorted()[...]
            func startNext() {
                guard let name = waiting.popFirst() else { return }
                group.addTask {
                    do throws(DNSError) {
                        return (name, .success(try await resolver.records(name, settings.type)))
                    } catch {
                        return (name, .failure(error))
                    }
                }
            }
            for _ in 0..<Self.concurrentLookups { startNext() }
            while let (name, result) = try await group.next() {
                try Task.checkCancellation()
                lookups.add()
                switch result {
                case .success(let records):
                    changes[.init(source: name)] = .some(Self.group(name, records, port: settings.port))
                case .failure(let error):
                    failures.add()
                    failed.append(name)
                    reason = "\(error)"
                    context.log.error("Error refreshing DNS targets", error, ["name": name])
                }
                startNext()
            }
        }
        feed.update(changes)
        if !failed.isEmpty { throw LookupFailure(count: failed.count, names: settings.names.count, reason: reason) }
    }

    private struct LookupFailure: Error, CustomStringConvertible {
        var count: Int
        var names: Int
        var reason: String
        var description: String { "\(count) of \(names) lookups failed: \(reason)" }
    }

    /// The targets of the records under a name.
    static func group(_ name: String, _ records: [DNSRecord], port: Int) -> TargetGroup {
        var targets: [LabelSet] = []
        for record in records {
            let address: SocketAddress
            var labels: [(String, String)] = []
            switch record.content {
            case .address(let text): address = .host(text, port: port)
            case .service(_, _, let port, let host):
                labels = [("__meta_dns_srv_record_target", host), ("__meta_dns_srv_record_port", "\(port)")]
                address = .host(withoutDot(host), port: Int(port))
            case .mailExchanger(_, let host):
                labels = [("__meta_dns_mx_record_target", host)]
                address = .host(withoutDot(host), port: port)
            case .host(let host):
                labels = [("__meta_dns_ns_record_target", host)]
                address = .host(withoutDot(host), port: port)
            case .other: continue
            }
            labels += [("__address__", address.text), ("__meta_dns_name", name)]
            targets.append(LabelSet(labels))
        }
        return TargetGroup(labels: .empty, targets: targets)
    }

    private static func withoutDot(_ host: String) -> String { host.hasSuffix(".") ? String(host.dropLast()) : host }
}
