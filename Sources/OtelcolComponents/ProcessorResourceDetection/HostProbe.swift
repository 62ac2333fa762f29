import ComponentKit
import Essentials
import Glibc
import Kubernetes
import KubernetesKit
import TextFormats
import Transport

/// What detectors ask: the environment, files, and services of the machine or cluster the program runs in.
struct HostProbe: Sendable {
    let environment: @Sendable (String) -> String?
    /// What stands in front of the paths of files.
    let root: String
    let blocking: BlockingPool
    let kubernetes: KubernetesHub
    let loops: EventLoops
    let clock: EngineClock
    let ec2: EC2InstanceMetadata

    private let client: HTTPClient
    /// Asked instead of the services at well-known addresses.
    private let metadataServer: HTTPURL?

    /// `timeout` bounds each request.
    init(
        _ services: EngineServices, timeout: Duration, root: String = "", metadataServer: HTTPURL? = nil,
        environment: @escaping @Sendable (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
    ) {
        let environment: @Sendable (String) -> String? = { environment($0).flatMap { $0.isEmpty ? nil : $0 } }
        self.environment = environment
        self.root = root
        self.metadataServer = metadataServer
        blocking = services.blocking
        loops = services.eventLoops
        clock = services.clock
        kubernetes = services.kubernetes
        var settings = HTTPClientSettings()
        settings.connectTimeout = min(timeout, .seconds(2))
        settings.requestTimeout = timeout
        settings.maximumBodyBytes = .mebibytes(1)
        settings.isHTTP2Enabled = false
        client = HTTPClient(settings, on: services.eventLoops, clock: services.clock)
        ec2 = EC2InstanceMetadata(client, clock: services.clock) { name in
            if name == "AWS_EC2_METADATA_SERVICE_ENDPOINT", let metadataServer { return metadataServer.text }
            return environment(name)
        }
    }

    // MARK: Files

    /// The content of a file; nil when there is none.
    func file(_ path: String) async throws(DetectionError) -> String? {
        let path = root + path
        do {
            return try await blocking.run {
                Files.exists(path) ? try Files.readText(path, limit: .mebibytes(1)) : nil
            }
        } catch {
            throw .failed("\(error)")
        }
    }

    // MARK: HTTP

    /// The answer of a metadata service at `address`, an absolute URL; anything but success is `absent`.
    func metadata(
        _ address: String, _ fields: [(name: String, value: String)] = [], method: HTTPMethod = .get
    ) async throws(DetectionError) -> [UInt8] {
        guard var url = HTTPURL(address) else { throw .failed("\(address) is no URL") }
        if let metadataServer { url = metadataServer.replacing(path: url.path, query: url.query) }
        var request = HTTPClientRequest(method, url)
        if method != .get { request.body = [] }
        for field in fields { request.fields[field.name] = field.value }
        return try await answer(to: request)
    }

    func metadataText(
        _ address: String, _ fields: [(name: String, value: String)] = [], method: HTTPMethod = .get
    ) async throws(DetectionError) -> String {
        String(decoding: try await metadata(address, fields, method: method), as: UTF8.self)
    }

    func metadataDocument(
        _ address: String, _ fields: [(name: String, value: String)] = []
    ) async throws(DetectionError) -> JSONValue {
        try Self.parse(try await metadata(address, fields), from: address)
    }

    static func parse(_ bytes: [UInt8], from source: String) throws(DetectionError) -> JSONValue {
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw .failed("\(source) answered no JSON: \(error)")
        }
    }

    /// The body of a successful answer.
    func answer(to request: HTTPClientRequest) async throws(DetectionError) -> [UInt8] {
        do {
            let response = try await client.send(request)
            let body = try await response.collect()
            guard response.status.isSuccess else {
                throw DetectionError.absent("\(request.url) answered \(response.status.code)")
            }
            return body
        } catch let error as DetectionError {
            throw error
        } catch {
            throw .absent("\(request.url): \(error)")
        }
    }

    /// What the metadata of the EC2 instance has at `path`, nil when nothing; no service is `absent`.
    func instance(_ path: String) async throws(DetectionError) -> String? {
        do {
            return try await ec2.get(path).map { String(decoding: $0, as: UTF8.self) }
        } catch {
            throw .absent("EC2 metadata: \(error)")
        }
    }

    // MARK: Kubernetes

    /// The object at `path` of the API server.
    func kubernetes(_ path: String, _ connection: KubernetesConnection) async throws(DetectionError) -> JSONValue {
        let bytes: [UInt8]
        do {
            bytes = try await kubernetes.client(for: connection).get(path, limit: .mebibytes(4))
        } catch {
            throw .absent("the Kubernetes API at \(path): \(error)")
        }
        return try Self.parse(bytes, from: path)
    }
}
