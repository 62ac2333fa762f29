package import AlloySyntax
import ComponentKit
package import Essentials
import Telemetry

/// `logging { ... }`.
struct LoggingBlock: Block {
    let level: LogLevel
    let format: LogFormat
    let receivers: [Receiver<LogBatch>]

    init(from block: inout BlockReader) {
        let level: LevelName = block.optional("level", default: .info, "Level at which log lines are written.")
        self.level = level.level
        format = block.optional("format", default: .logfmt, "Format of log lines.")
        let destination: Destination = block.optional(
            "destination", default: .stderr, "Where log lines are written.")
        receivers = block.optional("write_to", default: [], "Receivers log lines are sent to as well.")
        if destination == .windowsEventLog {
            block.reject("destination", "must be \"stderr\": \"windows_event_log\" exists on Windows only")
        }
    }

    private enum Destination: String, AlloyWord {
        case stderr
        case windowsEventLog = "windows_event_log"

        static var placeholder: Destination { .stderr }
    }

    private enum LevelName: String, AlloyWord {
        case debug, info, warn, error

        static var placeholder: LevelName { .info }

        var level: LogLevel { LogLevel(name: rawValue) ?? .info }
    }
}

/// `livedebugging { ... }`.
struct LiveDebuggingBlock: Block {
    let isEnabled: Bool

    init(from block: inout BlockReader) {
        isEnabled = block.optional("enabled", default: false, "Whether live debugging is allowed.")
    }
}

/// `tracing { ... }`. The process makes no spans of its own: nothing is lost by settings that would thin them out, but a
/// place to send them to is refused rather than left without any.
struct TracingBlock: Block {
    private static let usualFraction = 0.1

    let samplingFraction: Double
    let sendsTraceparent: Bool

    init(from block: inout BlockReader) {
        samplingFraction = block.optional(
            "sampling_fraction", default: Self.usualFraction, "Fraction of traces to keep.")
        sendsTraceparent = block.optional(
            "send_traceparent", default: false, "Whether the trace is passed on to servers called.")
        let receivers: [Receiver<OTLPBatch>] = block.optional(
            "write_to", default: [], "Consumers traces are sent to.")
        let sampler: Sampler? = block.optionalBlock("sampler", "Custom sampling.")
        if !(0...1).contains(samplingFraction) {
            block.reject("sampling_fraction", "must be a number between 0 and 1")
        } else if samplingFraction != Self.usualFraction {
            block.warn("sampling_fraction", "has no effect: there are no internal traces")
        }
        if !receivers.isEmpty { block.reject("write_to", "is not supported: there are no internal traces to send") }
        if sendsTraceparent { block.warn("send_traceparent", "has no effect: there are no internal traces") }
        if sampler?.jaegerRemote != nil { block.warn("sampler", "has no effect: there are no internal traces") }
    }

    private struct Sampler: Block {
        let jaegerRemote: JaegerRemote?

        init(from block: inout BlockReader) {
            jaegerRemote = block.optionalBlock("jaeger_remote", "Sampling decided by a Jaeger server.")
        }
    }

    private struct JaegerRemote: Block {
        init(from block: inout BlockReader) {
            let _: String = block.optional(
                "url", default: "http://127.0.0.1:5778/sampling", "URL of the sampling configuration.")
            let _: Int = block.optional("max_operations", default: 256, "Operations with a decision of their own.")
            let _: Duration = block.optional(
                "refresh_interval", default: .seconds(60), "Time between readings of the configuration.")
        }
    }
}

/// `http { ... }`: how the HTTP server proves itself and who may use it.
package struct HTTPBlock: Block, Sendable, Equatable {
    /// Who may use the server.
    package struct Authentication: Block, Sendable, Equatable {
        package let basic: BasicCredentials?
        /// Which paths ask for credentials.
        package let filter: PathFilter

        package init(from block: inout BlockReader) {
            basic = block.optionalBlock("basic", "Name and password clients must send.")
            filter = block.block("filter", "Paths that ask for credentials.")
        }
    }

    /// A name and a password.
    package struct BasicCredentials: Block, Sendable, Equatable {
        package let username: String
        package let password: Secret<String>

        package init(from block: inout BlockReader) {
            username = block.required("username", "Name clients must send.")
            password = block.required("password", "Password clients must send.")
        }
    }

    /// Paths by prefix.
    package struct PathFilter: Block, Sendable, Equatable {
        /// Path prefixes; empty means every path.
        package let paths: [String]
        /// Whether the paths listed ask for credentials, or all others.
        package let authenticatesMatchingPaths: Bool

        package init(from block: inout BlockReader) {
            paths = block.optional("paths", default: [], "Path prefixes.")
            authenticatesMatchingPaths = block.optional(
                "authenticate_matching_paths", default: true,
                "Whether the listed paths ask for credentials, or all others.")
        }
    }

    /// Certificate and key of the server, and what it asks of clients.
    package struct TLS: Block, Sendable, Equatable {
        package let certificatePEM: String
        package let certificateFile: String
        package let keyPEM: Secret<String>
        package let keyFile: String
        package let clientCAPEM: String
        package let clientCAFile: String
        /// Go's name of the policy: `NoClientCert` to `RequireAndVerifyClientCert`.
        package let clientAuthentication: ClientAuthentication
        package let cipherSuites: [String]
        package let curvePreferences: [String]
        /// `TLS10` to `TLS13`; empty for the default.
        package let minimumVersion: String
        package let maximumVersion: String

        package init(from block: inout BlockReader) {
            certificatePEM = block.optional("cert_pem", default: "", "PEM of the server's certificate.")
            certificateFile = block.optional("cert_file", default: "", "File with the server's certificate.")
            keyPEM = block.optional("key_pem", default: Secret(""), "PEM of the server's key.")
            keyFile = block.optional("key_file", default: "", "File with the server's key.")
            clientCAPEM = block.optional("client_ca_pem", default: "", "PEM of the clients' authority.")
            clientCAFile = block.optional("client_ca_file", default: "", "File with the clients' authority.")
            clientAuthentication = block.optional(
                "client_auth_type", default: .none, "What is asked of clients.")
            cipherSuites = block.optional("cipher_suites", default: [], "Cipher suites that may be used.")
            curvePreferences = block.optional("curve_preferences", default: [], "Elliptic curves that may be used.")
            minimumVersion = block.optional("min_version", default: "", "Oldest TLS version accepted.")
            maximumVersion = block.optional("max_version", default: "", "Newest TLS version accepted.")
            let windows: Ignored? = block.optionalBlock(
                "windows_certificate_filter", "Certificate from the Windows store.")
            if windows != nil { block.reject("windows_certificate_filter", "exists on Windows only") }
            check(&block)
        }

        private func check(_ block: inout BlockReader) {
            if !certificatePEM.isEmpty, !certificateFile.isEmpty {
                block.reject("cert_file", "must not be set together with cert_pem")
            }
            let hasKeyPEM = keyPEM.reveal { !$0.isEmpty }
            if hasKeyPEM, !keyFile.isEmpty { block.reject("key_file", "must not be set together with key_pem") }
            if !clientCAPEM.isEmpty, !clientCAFile.isEmpty {
                block.reject("client_ca_file", "must not be set together with client_ca_pem")
            }
            let versions = ["", "TLS10", "TLS11", "TLS12", "TLS13"]
            for (name, version) in [("min_version", minimumVersion), ("max_version", maximumVersion)]
            where !versions.contains(version) {
                block.reject(name, "must be one of \"TLS10\", \"TLS11\", \"TLS12\", \"TLS13\"")
            }
        }
    }

    /// What the server asks of its clients' certificates.
    package enum ClientAuthentication: String, AlloyWord {
        case none = "NoClientCert"
        case request = "RequestClientCert"
        case requireAny = "RequireAnyClientCert"
        case verifyIfGiven = "VerifyClientCertIfGiven"
        case requireAndVerify = "RequireAndVerifyClientCert"

        package static var placeholder: ClientAuthentication { .none }
    }

    private struct Ignored: Block {
        init(from block: inout BlockReader) {
            let _: Ignored.Server? = block.optionalBlock("server", "Server certificate.")
            let _: Ignored.Client? = block.optionalBlock("client", "Client certificates.")
        }

        struct Server: Block {
            init(from block: inout BlockReader) {
                let _: String = block.optional("store", default: "", "Name of the store.")
                let _: String = block.optional("system_store", default: "", "Name of the system store.")
                let _: [String] = block.optional("issuer_common_names", default: [], "Issuers looked for.")
                let _: String = block.optional("template_id", default: "", "Template looked for.")
                let _: Duration = block.optional("refresh_interval", default: .seconds(300), "Time between looks.")
            }
        }

        struct Client: Block {
            init(from block: inout BlockReader) {
                let _: [String] = block.optional("issuer_common_names", default: [], "Issuers accepted.")
                let _: String = block.optional("subject_regex", default: "", "Subjects accepted.")
                let _: String = block.optional("template_id", default: "", "Template accepted.")
            }
        }
    }

    package let authentication: Authentication?
    package let tls: TLS?

    /// The settings without an `http` block.
    package static let none = HTTPBlock()

    private init() {
        authentication = nil
        tls = nil
    }

    package init(from block: inout BlockReader) {
        authentication = block.optionalBlock("auth", "Who may use the HTTP server.")
        tls = block.optionalBlock("tls", "TLS of the HTTP server.")
    }
}
