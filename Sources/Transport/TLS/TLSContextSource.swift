import Essentials
import NIOCore
import NIOSSL
import Synchronization

/// Gives the TLS context to use now, made anew when a file it was made from has changed.
///
/// When a changed file cannot be used (half-written, key and certificate not matching yet) the last good context
/// stays and the change is tried again at the next connection.
final class TLSContextSource: Sendable {
    struct Current: Sendable {
        let context: NIOSSLContext
        /// Grows when files changed, so that connections made before can be told apart.
        let generation: Int
    }

    private struct State {
        var current: Current?
        var stamps: [FileStamp?] = []
        var checked: NIODeadline?
    }

    private let state = Mutex(State())
    private let files: [String]
    private let reloadInterval: Duration?
    private let make: @Sendable () throws -> TLSConfiguration
    private let failed: @Sendable () -> Void

    /// A source for connecting; `protocols` are offered by ALPN.
    init(client settings: TLSClientSettings, protocols: [String]) {
        files = [settings.caFile, settings.certificateFile, settings.keyFile].compactMap(\.self)
        reloadInterval = settings.reloadInterval
        make = { try Self.configuration(settings, protocols) }
        failed = {}
    }

    /// A source for accepting; `failed` is called when changed files cannot be used.
    init(server settings: TLSServerSettings, protocols: [String], failed: @escaping @Sendable () -> Void = {}) {
        files = [settings.certificateFile, settings.keyFile, settings.clientCAFile].compactMap(\.self)
        reloadInterval = settings.reloadInterval
        make = { try Self.configuration(settings, protocols) }
        self.failed = failed
    }

    /// The context to use for a new connection; blocks for as long as `stat` of the files, or reading changed ones.
    func current() throws -> Current {
        if let recent { return recent }
        let stamps = files.map { FileStamp($0) }
        let (known, generation) = state.withLock { state -> (Current?, Int) in
            state.checked = .now()
            return (state.stamps == stamps ? state.current : nil, state.current?.generation ?? 0)
        }
        if let known { return known }
        do {
            let context = try NIOSSLContext(configuration: make())
            return state.withLock { state in
                let next = Current(context: context, generation: generation + 1)
                state.current = next
                state.stamps = stamps
                return next
            }
        } catch {
            failed()
            if let last = state.withLock({ $0.current }) { return last }
            throw error
        }
    }

    /// The context when it exists and its files are unchanged; costs a `stat` a file.
    func currentIfKnown() -> Current? {
        if let recent { return recent }
        let stamps = files.map { FileStamp($0) }
        return state.withLock { $0.stamps == stamps ? $0.current : nil }
    }

    /// The context while its files need not be looked at again.
    private var recent: Current? {
        guard let reloadInterval else { return nil }
        return state.withLock { state in
            guard let checked = state.checked, NIODeadline.now() < checked + reloadInterval.timeAmount else {
                return nil
            }
            return state.current
        }
    }

    // MARK: Making configurations

    private static func configuration(_ settings: TLSClientSettings, _ protocols: [String]) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = TLSNames.version(settings.minimumVersion)
        configuration.maximumTLSVersion = settings.maximumVersion.map(TLSNames.version)
        configuration.applicationProtocols = protocols
        configuration.shutdownTimeout = .seconds(1)
        if settings.skipsVerification { configuration.certificateVerification = .none }
        if let roots = try certificates(settings.caPEM, settings.caFile, "ca") {
            if settings.includesSystemRoots {
                configuration.additionalTrustRoots = [.certificates(roots)]
            } else {
                configuration.trustRoots = .certificates(roots)
            }
        }
        let suites = settings.cipherSuites.compactMap(TLSNames.cipherSuite)
        if !suites.isEmpty { configuration.cipherSuiteValues = suites }
        let curves = settings.curvePreferences.compactMap(TLSNames.curve)
        if !curves.isEmpty { configuration.curves = curves }
        if let chain = try certificates(settings.certificatePEM, settings.certificateFile, "cert") {
            configuration.certificateChain = chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(try key(settings.keyPEM, settings.keyFile))
        }
        return configuration
    }

    private static func configuration(_ settings: TLSServerSettings, _ protocols: [String]) throws -> TLSConfiguration {
        if let problem = settings.problem {
            throw TLSConfigurationError(message: "\(problem.argument): \(problem.reason)")
        }
        guard let chain = try certificates(settings.certificatePEM, settings.certificateFile, "cert") else {
            throw TLSConfigurationError(message: "cert_file: a certificate is needed")
        }
        let privateKey = try key(settings.keyPEM, settings.keyFile)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
        configuration.minimumTLSVersion = TLSNames.version(settings.minimumVersion)
        configuration.maximumTLSVersion = settings.maximumVersion.map(TLSNames.version)
        configuration.applicationProtocols = protocols
        configuration.shutdownTimeout = .seconds(1)
        let suites = settings.cipherSuites.compactMap(TLSNames.cipherSuite)
        if !suites.isEmpty { configuration.cipherSuiteValues = suites }
        let curves = settings.curvePreferences.compactMap(TLSNames.curve)
        if !curves.isEmpty { configuration.curves = curves }
        if let roots = try certificates(settings.clientCAPEM, settings.clientCAFile, "client_ca") {
            configuration.trustRoots = .certificates(roots)
            configuration.sendCANameList = true
        }
        switch settings.clientAuthentication {
        case .none: configuration.certificateVerification = .none
        case .request, .verifyIfGiven: configuration.certificateVerification = .optionalVerification
        case .requireAny, .requireAndVerify: configuration.certificateVerification = .noHostnameVerification
        }
        return configuration
    }

    private static func certificates(_ pem: String?, _ file: String?, _ name: String) throws -> [NIOSSLCertificate]? {
        let bytes: [UInt8]
        if let pem {
            bytes = Array(pem.utf8)
        } else if let file {
            bytes = try Files.read(file, limit: .mebibytes(1))
        } else {
            return nil
        }
        let origin = file.map { "\(name)_file \($0)" } ?? "\(name)_pem"
        do {
            let certificates = try NIOSSLCertificate.fromPEMBytes(bytes)
            if !certificates.isEmpty { return certificates }
        } catch {}
        throw TLSConfigurationError(message: "\(origin): no usable certificate found")
    }

    private static func key(_ pem: Secret<String>?, _ file: String?) throws -> NIOSSLPrivateKey {
        let bytes: [UInt8]
        if let pem {
            bytes = pem.reveal { Array($0.utf8) }
        } else if let file {
            bytes = try Files.read(file, limit: .mebibytes(1))
        } else {
            throw TLSConfigurationError(message: "key_file: a key is needed beside the certificate")
        }
        do {
            return try NIOSSLPrivateKey(bytes: bytes, format: .pem)
        } catch {
            throw TLSConfigurationError(message: "\(file.map { "key_file \($0)" } ?? "key_pem"): no usable key found")
        }
    }
}

/// Makes the TLS handler of an accepted connection; `request` and `requireAny` take any certificate.
func makeServerTLSHandler(
    _ context: NIOSSLContext, authentication: TLSClientAuthentication
) -> NIOSSLServerHandler {
    switch authentication {
    case .request, .requireAny:
        NIOSSLServerHandler(context: context) { _, promise in promise.succeed(.certificateVerified) }
    case .none, .verifyIfGiven, .requireAndVerify:
        NIOSSLServerHandler(context: context)
    }
}

/// Makes the TLS handler of a connection to `host`; an IP literal is verified against the peer's address.
func makeClientTLSHandler(_ context: NIOSSLContext, host: String, serverName: String?) throws -> NIOSSLClientHandler {
    let name = serverName ?? host
    return try NIOSSLClientHandler(context: context, serverHostname: IPLiteral(name) == nil ? name : nil)
}
