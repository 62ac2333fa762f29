package import AlloySyntax
import Essentials
package import Transport

/// The `http` and `grpc` blocks and `graceful_shutdown_timeout` of components that listen.
///
/// Call on the reader of the block that has them. Upstream starts a gRPC server whatever its use; here one is started
/// only where the configuration has a `grpc` block.
package struct ServerArguments: Sendable, Equatable {
    package let http: HTTPServerSettings
    /// Nil without a `grpc` block.
    package let grpc: HTTPServerSettings?

    package init(from block: inout BlockReader) {
        let grace = block.optional(
            "graceful_shutdown_timeout", default: Duration.seconds(30),
            "Time given to requests under way when the server stops.")
        let http: HTTPListenArguments = block.block("http", "How HTTP is served.")
        let grpc: GRPCListenArguments? = block.optionalBlock(
            "grpc", "How gRPC is served; the component has no gRPC services, so every call is answered as unknown.")
        var settings = http.settings
        settings.shutdownTimeout = grace
        self.http = settings
        var other = grpc?.settings
        other?.shutdownTimeout = grace
        self.grpc = other
    }
}

/// The `http` block of a component that listens.
package struct HTTPListenArguments: Block, Sendable {
    package let settings: HTTPServerSettings

    package init(from block: inout BlockReader) {
        var made = HTTPServerSettings(address: ListenArguments.address(from: &block, port: 8080))
        made.maximumConnections = ListenArguments.connectionLimit(from: &block)
        made.readTimeout = block.optional(
            "server_read_timeout", default: Duration.seconds(30), "Time a request may take to arrive.")
        made.writeTimeout = block.optional(
            "server_write_timeout", default: Duration.seconds(30), "Time a client may take to accept a response.")
        made.idleTimeout = block.optional(
            "server_idle_timeout", default: Duration.seconds(120), "Time a connection may wait for its next request.")
        let tls: TLSListenArguments? = block.optionalBlock("tls", "Certificates and versions of TLS.")
        let http2: HTTP2ListenArguments = block.block("http2", "How HTTP/2 is served.")
        made.tls = tls?.settings
        made.isHTTP2Enabled = http2.isEnabled
        made.maximumConcurrentStreams = http2.maximumConcurrentStreams
        settings = made
    }
}

/// The `grpc` block of a component that listens.
package struct GRPCListenArguments: Block, Sendable {
    package let settings: HTTPServerSettings
    /// Bytes of the largest message taken.
    package let maximumReceivedMessage: Int

    /// What Go prints for the longest duration, which stands for no limit.
    private static let infinity = Duration.nanoseconds(Int64.max)

    package init(from block: inout BlockReader) {
        var made = HTTPServerSettings(address: ListenArguments.address(from: &block, port: 0))
        made.maximumConnections = ListenArguments.connectionLimit(from: &block)
        for (name, doc) in [
            ("max_connection_age", "Time after which a connection is closed."),
            ("max_connection_age_grace", "Time calls under way are given when a connection is closed for its age."),
        ] {
            let age = block.optional(name, default: Self.infinity, doc)
            if age != Self.infinity { block.warn(name, "has no effect: the server has no gRPC services") }
        }
        let idle = block.optional(
            "max_connection_idle", default: Self.infinity, "Time a connection may be without a call.")
        made.idleTimeout = idle == Self.infinity ? nil : idle
        maximumReceivedMessage = block.optional(
            "server_max_recv_msg_size", default: 4 << 20, "Bytes of the largest message taken.")
        let sent = block.optional("server_max_send_msg_size", default: 4 << 20, "Bytes of the largest message sent.")
        if sent != 4 << 20 {
            block.warn("server_max_send_msg_size", "has no effect: the server has no gRPC services, so it sends none")
        }
        let streams = block.optional(
            "server_max_concurrent_streams", default: UInt64(100),
            "Calls a connection may have under way; 0 is no limit.")
        let tls: TLSListenArguments? = block.optionalBlock("tls", "Certificates and versions of TLS.")
        made.tls = tls?.settings
        made.isHTTP2Enabled = true
        made.maximumBodyBytes = ByteCount(bytes: max(maximumReceivedMessage, 0))
        made.maximumConcurrentStreams = streams == 0 ? Int(Int32.max) : Int(clamping: min(streams, UInt64(Int32.max)))
        settings = made
    }
}

/// The `http2` block of a component that listens.
package struct HTTP2ListenArguments: Block, Sendable {
    package let isEnabled: Bool
    package let maximumConcurrentStreams: Int

    package init(from block: inout BlockReader) {
        isEnabled = block.optional("enabled", "Whether HTTP/2 is served.") ?? false
        let streams = block.optional(
            "max_concurrent_streams", default: UInt64(100), "Requests a connection may have under way.")
        maximumConcurrentStreams = Int(clamping: min(max(streams, 1), UInt64(Int32.max)))
        let handlers: Int = block.optional("max_handlers", "Not used by any release.") ?? 0
        Self.note(handlers != 0, "max_handlers", &block)
        let decoder = block.optional(
            "max_decoder_header_table_size", default: UInt64(4096), "Size of the table that decodes header fields.")
        Self.note(decoder != 4096, "max_decoder_header_table_size", &block)
        let encoder = block.optional(
            "max_encoder_header_table_size", default: UInt64(4096), "Size of the table that encodes header fields.")
        Self.note(encoder != 4096, "max_encoder_header_table_size", &block)
        let frame: UInt64 = block.optional("max_read_frame_size", "Bytes of the largest frame taken.") ?? 0
        Self.note(frame != 0, "max_read_frame_size", &block)
        let permits: Bool = block.optional("permit_prohibited_ciphers", "Whether weak ciphers are allowed.") ?? false
        Self.note(permits, "permit_prohibited_ciphers", &block)
        for name in ["idle_timeout", "read_idle_timeout"] {
            let timeout: Duration =
                block.optional(name, "Time without frames after which a connection is checked.") ?? .zero
            Self.note(timeout != .zero, name, &block)
        }
        let ping = block.optional(
            "ping_timeout", default: Duration.seconds(15), "Time the answer to a check may take.")
        Self.note(ping != .seconds(15), "ping_timeout", &block)
        let write: Duration = block.optional("write_byte_timeout", "Time without progress of a write.") ?? .zero
        Self.note(write != .zero, "write_byte_timeout", &block)
        for name in ["max_upload_buffer_per_connection", "max_upload_buffer_per_stream"] {
            let size: Int = block.optional(name, "Bytes a client may send ahead.") ?? 0
            Self.note(size != 0, name, &block)
        }
    }

    private static func note(_ isSet: Bool, _ name: String, _ block: inout BlockReader) {
        if isSet { block.warn(name, "has no effect: the server's own bounds apply") }
    }
}

/// The `tls` block of a component that listens.
package struct TLSListenArguments: Block, Sendable {
    package let settings: TLSServerSettings

    package init(from block: inout BlockReader) {
        var made = TLSServerSettings()
        made.certificatePEM = Self.text("cert_pem", "Certificate chain, as PEM.", &block)
        let key = block.optional("key_pem", default: Secret(""), "Key of the certificate, as PEM.")
        made.keyPEM = key.reveal(\.isEmpty) ? nil : key
        made.certificateFile = Self.text("cert_file", "File with the certificate chain.", &block)
        made.keyFile = Self.text("key_file", "File with the key of the certificate.", &block)
        let authentication = Self.text(
            "client_auth_type", "Whether clients are asked for certificates.", &block,
            default: TLSClientAuthentication.none.rawValue)
        made.clientCAFile = Self.text("client_ca_file", "File with certificates that verify those of clients.", &block)
        made.clientCAPEM = block.nonEmpty("client_ca", "Certificates that verify those of clients, as PEM.")
        let suites = block.nonEmpty("cipher_suites", "Comma-separated cipher suites, by their names in Go.") ?? ""
        made.cipherSuites = suites.split(separator: ",").map { $0.filter { $0 != " " } }
        let version = block.nonEmpty("min_version", "Oldest version accepted: `VersionTLS10` to `VersionTLS13`.")
        if let authentication, let type = TLSClientAuthentication(rawValue: authentication) {
            made.clientAuthentication = type
        } else if authentication != nil {
            let names = TLSClientAuthentication.allCases.map(\.rawValue).joined(separator: ", ")
            block.reject("client_auth_type", "must be one of \(names)")
        }
        if let version {
            let short = version.hasPrefix("Version") ? String(version.dropFirst(7)) : version
            if let known = TLSProtocolVersion(configured: short) {
                made.minimumVersion = known
            } else {
                block.reject("min_version", "must be one of VersionTLS10, VersionTLS11, VersionTLS12, VersionTLS13")
            }
        }
        if let problem = made.problem { block.reject(problem.reason) }
        settings = made
    }

    private static func text(
        _ name: String, _ doc: String, _ block: inout BlockReader, default fallback: String = ""
    ) -> String? {
        let text = block.optional(name, default: fallback, doc)
        return text.isEmpty ? nil : text
    }
}

private enum ListenArguments {
    static func address(from block: inout BlockReader, port fallback: Int) -> SocketAddress {
        let host = block.optional("listen_address", default: "", "Address to listen on; empty is every address.")
        let port = block.optional("listen_port", default: fallback, "Port to listen on; 0 is any free one.")
        if port < 0 || port > 65_535 { block.reject("listen_port", "must be between 0 and 65535") }
        return .host(host, port: min(max(port, 0), 65_535))
    }

    static func connectionLimit(from block: inout BlockReader) -> Int? {
        let limit = block.optional("conn_limit", default: 0, "Connections open at a time; 0 is no limit.")
        if limit < 0 { block.reject("conn_limit", "must not be negative") }
        return limit > 0 ? limit : nil
    }
}
