import AlloySyntax
import ComponentKit
import Essentials
import Telemetry
import Transport

/// The arguments and blocks of a component that listens for gRPC (configgrpc of the OpenTelemetry Collector).
///
/// Call on the reader of the block that has them; ``service()`` makes a service that does what they say.
struct GRPCServerArguments: Sendable, Equatable {
    let settings: HTTPServerSettings
    let auth: AuthHandler?
    let includesMetadata: Bool
    let maximumMessage: Int

    init(from block: inout BlockReader, endpoint: String) {
        var made = HTTPServerSettings(address: .host("", port: 0))
        let text = block.optional("endpoint", default: endpoint, "Address to listen on, as `host:port`.")
        let transport = block.optional("transport", default: "tcp", "`tcp` or `unix`.")
        switch transport {
        case "tcp", "tcp4", "tcp6":
            if let address = ListenEndpoint.parse(text) {
                made.address = address
            } else {
                block.reject("endpoint", "must be an address as host:port")
            }
        case "unix": made.address = .unix(path: text)
        default: block.reject("transport", "must be tcp or unix")
        }
        let limit = block.optional(
            "max_recv_msg_size", default: ByteCount.mebibytes(4), "Bytes of the largest message taken.")
        maximumMessage = limit.bytes > 0 ? limit.bytes : 4 << 20
        let streams: UInt32 = block.optional("max_concurrent_streams", "Calls a connection may have under way.") ?? 0
        made.maximumConcurrentStreams = streams == 0 ? Int(Int32.max) : Int(streams)
        block.bufferSize(
            "read_buffer_size", default: ByteCount(bytes: 512 << 10), "Size of the buffer reads go through.")
        block.bufferSize("write_buffer_size", "Size of the buffer writes go through.")
        auth = AuthHandler.readForServer(from: &block)
        includesMetadata = block.optional(
            "include_metadata", default: false, "Whether the call's metadata travels with its data.")
        let tls: ServerTLS? = block.optionalBlock("tls", "Certificates and versions of TLS.")
        made.tls = tls?.settings
        let keepalive: KeepaliveArguments = block.block("keepalive", "How long connections live.")
        keepalive.apply(to: &made)
        made.isHTTP2Enabled = true
        // Calls have deadlines of their own; a connection that sends nothing is found by pings.
        made.readTimeout = nil
        made.readHeaderTimeout = .seconds(120)
        made.writeTimeout = .seconds(60)
        made.shutdownTimeout = .seconds(10)
        made.maximumBodyBytes = ByteCount(bytes: maximumMessage + 5)
        settings = made
    }

    /// A service with the limits and the authenticator of the arguments, without methods.
    func service(memory: MemoryAccount) -> GRPCService {
        GRPCService(maximumMessage: maximumMessage, memory: memory)
    }

    /// Who calls; throws when the authenticator refuses.
    func client(of request: GRPCRequest) async throws(GRPCStatus) -> OTLPClient? {
        var authentication: [OTLPClient.Field] = []
        if let authenticator = auth?.authenticator {
            do throws(AuthenticationError) {
                authentication = try await authenticator.authenticate(request.metadata)
            } catch {
                throw GRPCStatus(.unauthenticated, "\(error)")
            }
        }
        return OTLPClient(
            address: request.remoteAddress.text, metadata: includesMetadata ? request.metadata.asMetadata : [],
            authentication: authentication)
    }
}

/// The `keepalive` block of a gRPC server.
private struct KeepaliveArguments: Block, Sendable {
    let parameters: ServerParameters
    let policy: EnforcementPolicy

    init(from block: inout BlockReader) {
        parameters = block.block("server_parameters", "When connections are checked and closed.")
        policy = block.block("enforcement_policy", "How often clients may ping.")
    }

    func apply(to settings: inout HTTPServerSettings) {
        settings.idleTimeout = parameters.idle
        settings.maximumConnectionAge = parameters.age
        settings.maximumConnectionAgeGrace = parameters.grace
        settings.keepalive = HTTP2Keepalive(interval: parameters.time, timeout: parameters.timeout)
        settings.pingPolicy = HTTP2PingPolicy(
            minimumInterval: policy.minimumTime, permitsWithoutStreams: policy.permitsWithoutStream)
    }

    struct ServerParameters: Block, Sendable {
        /// What Go prints for the longest duration, which stands for no limit.
        private static let infinity = Duration.nanoseconds(Int64.max)

        let idle: Duration?
        let age: Duration?
        let grace: Duration?
        let time: Duration
        let timeout: Duration

        init(from block: inout BlockReader) {
            idle = Self.limit("max_connection_idle", "Time a connection may be without a call.", &block)
            age = Self.limit("max_connection_age", "Time after which a connection is asked to leave.", &block)
            grace = Self.limit("max_connection_age_grace", "Time calls under way are given then.", &block)
            let time = block.optional(
                "time", default: Duration.seconds(7200), "Silence after which the client is pinged.")
            self.time = time > .zero ? max(time, .seconds(1)) : .seconds(7200)
            let timeout = block.optional("timeout", default: Duration.seconds(20), "Time its answer may take.")
            self.timeout = timeout > .zero ? timeout : .seconds(20)
        }

        private static func limit(_ name: String, _ doc: String, _ block: inout BlockReader) -> Duration? {
            let value = block.optional(name, default: infinity, doc)
            return value == infinity || value <= .zero ? nil : value
        }
    }

    struct EnforcementPolicy: Block, Sendable {
        let minimumTime: Duration
        let permitsWithoutStream: Bool

        init(from block: inout BlockReader) {
            let time = block.optional(
                "min_time", default: Duration.seconds(300), "Least time between a client's pings.")
            minimumTime = time > .zero ? time : .seconds(300)
            permitsWithoutStream = block.optional(
                "permit_without_stream", default: false, "Whether clients may ping without a call under way.")
        }
    }
}
