import AlloySyntax
import Essentials
import Glibc
import TextFormats
import Transport

struct CloudMapResolverArguments: Block, Sendable, Equatable {
    let namespace: String
    let serviceName: String
    let healthStatus: String
    let interval: Duration
    let timeout: Duration
    let port: UInt16?
    let ownerAccount: String

    init(from block: inout BlockReader) {
        namespace = block.required("namespace", "The namespace of the service.")
        serviceName = block.required("service_name", "The service.")
        healthStatus = block.optional(
            "health_status", default: "HEALTHY",
            "Which instances: `HEALTHY`, `UNHEALTHY`, `ALL` or `HEALTHY_OR_ELSE_ALL`.")
        let interval = block.optional("interval", default: Duration.seconds(30), "Time between two lookups.")
        let timeout = block.optional("timeout", default: Duration.seconds(5), "Time a lookup may take.")
        port = block.optional("port", "Port of all endpoints instead of the one each is registered with.")
        ownerAccount = block.optional("owner_account", default: "", "The account that owns the namespace.")
        for (name, value) in [("namespace", namespace), ("service_name", serviceName)]
        where value.isEmpty && block.isSet(name) {
            block.reject(name, "must not be empty")
        }
        if !["HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"].contains(healthStatus) {
            block.reject("health_status", "must be one of HEALTHY, UNHEALTHY, ALL, HEALTHY_OR_ELSE_ALL")
        }
        if interval < .zero { block.reject("interval", "must not be negative") }
        if timeout < .zero { block.reject("timeout", "must not be negative") }
        self.interval = interval > .zero ? interval : .seconds(30)
        self.timeout = timeout > .zero ? timeout : .seconds(5)
    }
}

/// Asks AWS Cloud Map for the instances of a service: `DiscoverInstances` of its API (version 2017-03-14), signed with
/// the credentials of the environment.
///
/// `AWS_ENDPOINT_URL_SERVICEDISCOVERY` and `AWS_ENDPOINT_URL` replace the URL of the region, as with AWS's own tools.
/// Of more than a hundred instances the API tells a hundred.
struct CloudMapClient: Sendable {
    private let arguments: CloudMapResolverArguments
    private let client: HTTPClient
    private let signer: AWSRequestSigner
    private let region: String
    private let url: HTTPURL?
    private let clock: EngineClock

    init(
        _ arguments: CloudMapResolverArguments, on loops: EventLoops, clock: EngineClock,
        credentials: (key: String, secret: Secret<String>)? = nil,
        environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
    ) {
        self.arguments = arguments
        self.clock = clock
        client = HTTPClient(HTTPClientSettings(), on: loops, clock: clock)
        var settings = SigV4Settings()
        settings.service = "servicediscovery"
        settings.accessKey = credentials?.key
        settings.secretKey = credentials?.secret
        let region = AWSRequestSigner(settings, on: loops, clock: clock).configuredRegion ?? "us-east-1"
        settings.region = region
        self.region = region
        signer = AWSRequestSigner(settings, on: loops, clock: clock)
        let custom = ["AWS_ENDPOINT_URL_SERVICEDISCOVERY", "AWS_ENDPOINT_URL"].lazy.compactMap(environment)
            .first { !$0.isEmpty }
        let suffix = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        url = HTTPURL(custom ?? "https://data-servicediscovery.\(region).\(suffix)/")
    }

    func shutDown() { client.shutDown() }

    var resolver: IntervalResolver {
        IntervalResolver(interval: arguments.interval, timeout: arguments.timeout, clock: clock) {
            try await discover()
        }
    }

    /// The endpoints of the moment.
    func discover() async throws -> [String] {
        guard let url else { throw ResolverError("the endpoint URL of the environment is no URL") }
        var input: JSONObject = [
            "NamespaceName": .string(arguments.namespace), "ServiceName": .string(arguments.serviceName),
            "HealthStatus": .string(arguments.healthStatus),
        ]
        if !arguments.ownerAccount.isEmpty { input["OwnerAccount"] = .string(arguments.ownerAccount) }
        var request = HTTPClientRequest.post(
            url, Array(JSONWriter().text(.object(input)).utf8), type: "application/x-amz-json-1.1",
            fields: ["x-amz-target": "Route53AutoNaming_v20170314.DiscoverInstances"])
        request.timeout = arguments.timeout
        request.maximumBodyBytes = .mebibytes(4)
        try await signer.sign(&request)
        let response = try await client.send(request)
        let answer = try? JSONValue(parsing: try await response.collect())
        guard response.status.code == 200, let instances = answer?["Instances"]?.arrayValue else {
            _ = signer.forgetSession()
            let reason = answer?["message"]?.stringValue ?? answer?["Message"]?.stringValue ?? ""
            throw ResolverError("DiscoverInstances was answered with \(response.status.code) \(reason.prefix(500))")
        }
        return instances.compactMap { endpoint($0["Attributes"]) }.sorted()
    }

    /// Nil for an instance without an address.
    private func endpoint(_ attributes: JSONValue?) -> String? {
        guard
            let address = attributes?["AWS_INSTANCE_IPV4"]?.stringValue
                ?? attributes?["AWS_INSTANCE_IPV6"]?.stringValue
        else { return nil }
        let port = arguments.port.map { "\($0)" } ?? attributes?["AWS_INSTANCE_PORT"]?.stringValue ?? "4317"
        return EndpointName.join(address, port)
    }
}
