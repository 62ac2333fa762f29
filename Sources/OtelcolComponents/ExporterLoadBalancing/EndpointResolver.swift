import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import Transport

/// The `resolver` block: where the list of endpoints comes from.
struct ResolverArguments: Block, Sendable, Equatable {
    enum Source: Sendable, Equatable {
        case none
        case fixed([String])
        case dns(DNSResolverArguments)
        case kubernetes(KubernetesResolverArguments)
        case cloudMap(CloudMapResolverArguments)

        /// What the resolver's metrics are labelled with.
        var name: String {
            switch self {
            case .none: "none"
            case .fixed: "static"
            case .dns: "dns"
            case .kubernetes: "k8s"
            case .cloudMap: "aws"
            }
        }
    }

    let source: Source

    init(from block: inout BlockReader) {
        let fixed: StaticResolverArguments? = block.optionalBlock("static", "Endpoints that are always the same.")
        let dns: DNSResolverArguments? = block.optionalBlock("dns", "Endpoints are the addresses of a name.")
        let kubernetes: KubernetesResolverArguments? = block.optionalBlock(
            "kubernetes", "Endpoints are those of a Kubernetes service.")
        let cloudMap: CloudMapResolverArguments? = block.optionalBlock(
            "aws_cloud_map", "Endpoints are the instances of an AWS Cloud Map service.")
        var sources: [Source] = []
        if let fixed { sources.append(.fixed(fixed.hostnames)) }
        if let dns { sources.append(.dns(dns)) }
        if let kubernetes { sources.append(.kubernetes(kubernetes)) }
        if let cloudMap { sources.append(.cloudMap(cloudMap)) }
        if sources.isEmpty { block.reject("one of static, dns, kubernetes and aws_cloud_map must be given") }
        if sources.count > 1 { block.reject("only one of static, dns, kubernetes and aws_cloud_map can be given") }
        source = sources.first ?? .none
    }
}

struct StaticResolverArguments: Block, Sendable, Equatable {
    let hostnames: [String]

    init(from block: inout BlockReader) {
        hostnames = block.required("hostnames", "The endpoints, as `host` or `host:port`; the port is 4317 by default.")
        if hostnames.isEmpty, block.isSet("hostnames") { block.reject("hostnames", "must not be empty") }
        for name in hostnames where GRPCDialArguments.parse(EndpointName.withPort(name)) == nil {
            block.reject("hostnames", "\(StringLiteral.quoted(name)) is no address as host:port")
        }
    }
}

struct DNSResolverArguments: Block, Sendable, Equatable {
    let hostname: String
    let port: String
    let interval: Duration
    let timeout: Duration

    init(from block: inout BlockReader) {
        hostname = block.required("hostname", "The name whose addresses are the endpoints.")
        port = block.optional("port", default: "4317", "The port of all endpoints.")
        let interval = block.optional("interval", default: Duration.seconds(5), "Time between two lookups.")
        let timeout = block.optional("timeout", default: Duration.seconds(1), "Time a lookup may take.")
        if hostname.isEmpty, block.isSet("hostname") { block.reject("hostname", "must not be empty") }
        if !port.isEmpty, !(1...65_535).contains(Int(port) ?? 0) { block.reject("port", "must be a port") }
        if interval < .zero { block.reject("interval", "must not be negative") }
        if timeout < .zero { block.reject("timeout", "must not be negative") }
        self.interval = interval > .zero ? interval : .seconds(5)
        self.timeout = timeout > .zero ? timeout : .seconds(1)
    }
}

/// Names of endpoints.
enum EndpointName {
    /// With the port of OTLP over gRPC where there is none.
    static func withPort(_ name: String) -> String {
        let isBare = !name.contains(":") || (name.hasPrefix("[") && name.hasSuffix("]"))
        return isBare ? "\(name):4317" : name
    }

    /// An address and a port, as Go joins them.
    static func join(_ address: String, _ port: String) -> String {
        let host = address.contains(":") ? "[\(address)]" : address
        return port.isEmpty ? host : "\(host):\(port)"
    }
}

/// What a resolver says.
typealias ResolverReport = @Sendable (Result<[String], any Error>) -> Void

/// A lookup that took too long or found nothing of use.
struct ResolverError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Resolves anew again and again: what the resolvers that ask at an interval have in common.
struct IntervalResolver: Sendable {
    let interval: Duration
    let timeout: Duration
    let clock: EngineClock
    let lookUp: @Sendable () async throws -> [String]

    /// Reports what each lookup found, until cancelled.
    func run(_ report: ResolverReport) async throws {
        while true {
            do {
                report(.success(try await once()))
            } catch {
                try Task.checkCancellation()
                report(.failure(error))
            }
            try await clock.sleep(for: interval)
        }
    }

    private func once() async throws -> [String] {
        let (timeout, clock) = (timeout, clock)
        return try await withThrowingTaskGroup(of: [String].self) { race in
            race.addTask { try await lookUp() }
            race.addTask {
                try await clock.sleep(for: timeout)
                throw ResolverError("no answer within \(timeout)")
            }
            defer { race.cancelAll() }
            return try await race.next() ?? []
        }
    }
}

extension IntervalResolver {
    /// Asks the system's resolver for the addresses of a name, of both families.
    static func dns(_ arguments: DNSResolverArguments, _ services: EngineServices) -> IntervalResolver {
        let blocking = services.blocking
        return dns(arguments, clock: services.clock) { try await HostAddresses.lookUp($0, on: blocking) }
    }

    static func dns(
        _ arguments: DNSResolverArguments, clock: EngineClock,
        lookUp: @escaping @Sendable (String) async throws -> [String]
    ) -> IntervalResolver {
        IntervalResolver(interval: arguments.interval, timeout: arguments.timeout, clock: clock) {
            try await lookUp(arguments.hostname).map { EndpointName.join($0, arguments.port) }
        }
    }
}
