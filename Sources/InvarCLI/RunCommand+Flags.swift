import AlloySyntax
import ArgumentParser
import ComponentKit
import Essentials
import TextFormats

/// The flags that say which components and expressions a configuration may use.
struct FeatureFlags: ParsableArguments {
    @Option(
        name: .customLong("stability.level"),
        help: "Least stable features allowed: experimental, public-preview or generally-available.")
    var stabilityLevel = "generally-available"
    @Option(
        name: .customLong("feature.community-components.enabled"), help: "Whether community components may be used.")
    var communityComponents = false
    @Option(name: .customLong("config.format"), help: "Format of the configuration: alloy.")
    var configFormat = "alloy"
    @Option(
        name: .customLong("config.bypass-conversion-errors"),
        help: ArgumentHelp("Not supported yet.", visibility: .hidden))
    var bypassConversionErrors = false
    @Option(name: .customLong("config.extra-args"), help: ArgumentHelp("Not supported yet.", visibility: .hidden))
    var extraArguments = ""

    /// The level; refuses unknown words and flags whose feature is not there yet.
    func stability() throws -> Stability {
        guard let level = Stability(rawValue: stabilityLevel) else {
            throw CommandFailure(
                "Error: --stability.level must be experimental, public-preview or generally-available, not \"\(stabilityLevel)\""
            )
        }
        if configFormat != "alloy" {
            throw CommandFailure("Error: --config.format=\(configFormat) is not supported: only alloy is")
        }
        if bypassConversionErrors { throw unsupported("--config.bypass-conversion-errors") }
        if !extraArguments.isEmpty { throw unsupported("--config.extra-args") }
        return level
    }
}

/// A flag whose feature is not there: refused by name rather than ignored.
func unsupported(_ flag: String) -> CommandFailure {
    CommandFailure("Error: \(flag) is not supported by this version of invar; remove it to go on without it")
}

/// Flags of clustering: refused until clustering is there, unless what they say is their default.
struct ClusterFlags: ParsableArguments {
    @Option(name: .customLong("cluster.enabled"), help: ArgumentHelp("Not supported yet.", visibility: .hidden))
    var isEnabled = false
    @Option(name: .customLong("cluster.node-name"), help: .hidden) var nodeName: String?
    @Option(name: .customLong("cluster.advertise-address"), help: .hidden) var advertiseAddress: String?
    @Option(name: .customLong("cluster.join-addresses"), help: .hidden) var joinAddresses: String?
    @Option(name: .customLong("cluster.discover-peers"), help: .hidden) var discoverPeers: String?
    @Option(name: .customLong("cluster.advertise-interfaces"), help: .hidden) var advertiseInterfaces: String?
    @Option(name: .customLong("cluster.rejoin-interval"), help: .hidden) var rejoinInterval: String?
    @Option(name: .customLong("cluster.max-join-peers"), help: .hidden) var maxJoinPeers: String?
    @Option(name: .customLong("cluster.name"), help: .hidden) var name: String?
    @Option(name: .customLong("cluster.enable-tls"), help: .hidden) var enableTLS = false
    @Option(name: .customLong("cluster.tls-ca-path"), help: .hidden) var tlsCAPath: String?
    @Option(name: .customLong("cluster.tls-cert-path"), help: .hidden) var tlsCertPath: String?
    @Option(name: .customLong("cluster.tls-key-path"), help: .hidden) var tlsKeyPath: String?
    @Option(name: .customLong("cluster.tls-server-name"), help: .hidden) var tlsServerName: String?
    @Option(name: .customLong("cluster.wait-for-size"), help: .hidden) var waitForSize: String?
    @Option(name: .customLong("cluster.wait-timeout"), help: .hidden) var waitTimeout: String?
    @Option(name: .customLong("cluster.use-discovery-v1"), help: .hidden) var useDiscoveryV1 = false

    /// Refuses the first flag that asks for something.
    func refuse() throws {
        if isEnabled { throw unsupported("--cluster.enabled") }
        if enableTLS { throw unsupported("--cluster.enable-tls") }
        let given: [(flag: String, value: String?, usual: String)] = [
            ("--cluster.node-name", nodeName, ""), ("--cluster.advertise-address", advertiseAddress, ""),
            ("--cluster.join-addresses", joinAddresses, ""), ("--cluster.discover-peers", discoverPeers, ""),
            ("--cluster.advertise-interfaces", advertiseInterfaces, "eth0,en0"),
            ("--cluster.rejoin-interval", rejoinInterval, "1m"), ("--cluster.max-join-peers", maxJoinPeers, "5"),
            ("--cluster.name", name, ""), ("--cluster.tls-ca-path", tlsCAPath, ""),
            ("--cluster.tls-cert-path", tlsCertPath, ""), ("--cluster.tls-key-path", tlsKeyPath, ""),
            ("--cluster.tls-server-name", tlsServerName, ""), ("--cluster.wait-for-size", waitForSize, "0"),
            ("--cluster.wait-timeout", waitTimeout, "0s"),
        ]
        for (flag, value, usual) in given where value != nil && value != usual { throw unsupported(flag) }
    }
}

/// Flags of the HTTP server.
struct ServerFlags: ParsableArguments {
    @Option(name: .customLong("server.http.listen-addr"), help: "Address the HTTP server listens on.")
    var listenAddress = "127.0.0.1:12345"
    @Option(
        name: .customLong("server.http.memory-addr"), help: "Address that reaches the server from inside the process.")
    var memoryAddress = "alloy.internal:12345"
    @Option(name: .customLong("server.http.ui-path-prefix"), help: "Path prefix of pages and the web interface.")
    var pathPrefix = "/"
    @Option(name: .customLong("server.http.enable-pprof"), help: "Whether /debug/pprof is served.")
    var enableProfiles = true
    @Option(name: .customLong("server.http.disable-support-bundle"), help: "Do not serve /-/support.")
    var disableSupportBundle = false
    @Option(
        name: .customLong("server.http.enable-graphql"), help: ArgumentHelp("Not supported yet.", visibility: .hidden))
    var enableGraphQL = false
    @Option(
        name: .customLong("server.http.enable-graphql-playground"),
        help: ArgumentHelp("Not supported yet.", visibility: .hidden))
    var enablePlayground = false

    func refuse() throws {
        if enableGraphQL { throw unsupported("--server.http.enable-graphql") }
        if enablePlayground { throw unsupported("--server.http.enable-graphql-playground") }
    }
}

/// Parses a Go duration of a flag.
func duration(_ text: String, flag: String) throws -> Duration {
    do {
        return try GoDuration.parse(text)
    } catch {
        throw CommandFailure("Error: \(flag): \(error)")
    }
}
