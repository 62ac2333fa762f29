package import ComponentKit
package import Essentials
package import Runtime
import SelfMetrics
import Telemetry
package import Transport

/// The program's HTTP server: health, reload, metrics, the JSON interface and the pages of components.
///
/// Paths and bodies are those of Alloy's server; what is Invar's own is listed in `Docs/HTTP-API.md`.
package struct ConsoleServer: Sendable {
    /// What the command line says about the server.
    package struct Settings: Sendable {
        package var address: SocketAddress
        /// Where pages and `api/v0/web` live; begins and ends with a slash.
        package var pathPrefix: String
        package var servesSupportBundle: Bool
        package var servesProfiles: Bool
        /// Name and value of every flag, for the support bundle.
        package var flags: [(name: String, value: String)]
        package var version: String

        package init(
            address: SocketAddress, pathPrefix: String = "/", servesSupportBundle: Bool = true,
            servesProfiles: Bool = true, flags: [(name: String, value: String)] = [], version: String
        ) {
            self.address = address
            var prefix = pathPrefix.hasPrefix("/") ? pathPrefix : "/" + pathPrefix
            if !prefix.hasSuffix("/") { prefix += "/" }
            self.pathPrefix = prefix
            self.servesSupportBundle = servesSupportBundle
            self.servesProfiles = servesProfiles
            self.flags = flags
            self.version = version
        }
    }

    /// Loads the configuration again; nil when it was applied without errors, otherwise what is wrong.
    package typealias Reload = @Sendable () async -> String?

    private let server: HTTPServer
    private let runtime: Runtime
    private let log: Log
    private let onlookers: Onlookers

    /// The address bound, with the real port when 0 was asked for.
    package var address: SocketAddress { server.address }

    /// Binds the address. Requests are answered once ``run()`` is called.
    package static func bind(
        _ settings: Settings, runtime: Runtime, services: EngineServices, log: Log, recentLogs: RecentLogs,
        reload: @escaping Reload
    ) async throws -> ConsoleServer {
        let onlookers = Onlookers()
        let pages = ConsolePages(
            settings: settings, runtime: runtime, services: services, recentLogs: recentLogs, reload: reload,
            onlookers: onlookers)
        var listening = HTTPServerSettings(address: settings.address)
        // Whoever takes an answer slowly does not hold up the end for long.
        listening.shutdownTimeout = .seconds(5)
        let server = try await HTTPServer.bind(
            listening, router: pages.router, on: services.eventLoops,
            onFailure: { message in log.warn("Request failed", nil, ["detail": message]) })
        return ConsoleServer(server: server, runtime: runtime, log: log, onlookers: onlookers)
    }

    /// Answers requests and follows the `http` block until cancelled.
    package func run() async throws {
        try await withTaskCancellationHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await server.run() }
                group.addTask { try await followSettings() }
                try await group.next()
                group.cancelAll()
            }
        } onCancel: {
            onlookers.close()
        }
    }

    private func followSettings() async throws {
        while true {
            let (block, version) = runtime.http.snapshot
            server.replaceAuthentication(block.serverAuthentication)
            do {
                try server.replaceTLS(block.serverTLS)
            } catch {
                log.error("TLS settings of the http block cannot be used", error)
            }
            try await runtime.http.change(after: version)
        }
    }
}

extension HTTPBlock {
    /// The credentials demanded of clients.
    var serverAuthentication: HTTPServerAuthentication? {
        guard let authentication, let basic = authentication.basic else { return nil }
        return HTTPServerAuthentication(
            username: basic.username, password: basic.password, paths: authentication.filter.paths,
            authenticatesMatchingPaths: authentication.filter.authenticatesMatchingPaths)
    }

    /// The certificates of the server.
    var serverTLS: TLSServerSettings? {
        guard let tls else { return nil }
        var settings = TLSServerSettings()
        settings.certificatePEM = tls.certificatePEM.isEmpty ? nil : tls.certificatePEM
        settings.certificateFile = tls.certificateFile.isEmpty ? nil : tls.certificateFile
        settings.keyPEM = tls.keyPEM.isEmpty ? nil : tls.keyPEM
        settings.keyFile = tls.keyFile.isEmpty ? nil : tls.keyFile
        settings.clientCAPEM = tls.clientCAPEM.isEmpty ? nil : tls.clientCAPEM
        settings.clientCAFile = tls.clientCAFile.isEmpty ? nil : tls.clientCAFile
        settings.clientAuthentication =
            TLSClientAuthentication(rawValue: tls.clientAuthentication.rawValue) ?? .none
        settings.cipherSuites = tls.cipherSuites
        settings.curvePreferences = tls.curvePreferences
        settings.minimumVersion = TLSProtocolVersion(configured: tls.minimumVersion) ?? .tls12
        settings.maximumVersion = TLSProtocolVersion(configured: tls.maximumVersion)
        return settings
    }
}
