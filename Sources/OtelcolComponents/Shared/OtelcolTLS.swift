import AlloySyntax
import ComponentKit
import Essentials
import Transport

/// What the `tls` blocks of clients and servers have in common.
private struct SharedTLS {
    var caPEM: String?
    var caFile: String?
    var certificatePEM: String?
    var certificateFile: String?
    var keyPEM: Secret<String>?
    var keyFile: String?
    var minimumVersion = TLSProtocolVersion.tls12
    var maximumVersion: TLSProtocolVersion?
    var reloadInterval: Duration?
    var cipherSuites: [String]
    var includesSystemRoots: Bool
    var curvePreferences: [String]

    init(from block: inout BlockReader) {
        caPEM = block.nonEmpty("ca_pem", "Certificates of authorities that are trusted, as PEM.")
        caFile = block.nonEmpty("ca_file", "File with certificates of authorities that are trusted.")
        certificatePEM = block.nonEmpty("cert_pem", "Certificate chain, as PEM.")
        certificateFile = block.nonEmpty("cert_file", "File with the certificate chain.")
        let key: Secret<String>? = block.optional("key_pem", "Key of the certificate, as PEM.")
        keyPEM = key.flatMap { $0.isEmpty ? nil : $0 }
        keyFile = block.nonEmpty("key_file", "File with the key of the certificate.")
        minimumVersion =
            Self.version("min_version", "Oldest version of TLS spoken.", "TLS 1.2", from: &block) ?? .tls12
        maximumVersion = Self.version("max_version", "Newest version of TLS spoken.", "TLS 1.3", from: &block)
        if let maximumVersion, maximumVersion.rawValue < minimumVersion.rawValue {
            block.reject("max_version", "must not be older than min_version")
        }
        let interval = block.optional(
            "reload_interval", default: Duration.zero,
            "How often files are looked at for changes; zero is at every connection.")
        reloadInterval = interval > .zero ? interval : nil
        cipherSuites = block.optional(
            "cipher_suites", default: [], "Cipher suites of TLS 1.2 and older, by their names in Go.")
        let includesInsecure = block.optional(
            "include_insecure_cipher_suites", default: false, "Whether weak cipher suites may be named.")
        includesSystemRoots = block.optional(
            "include_system_ca_certs_pool", default: false,
            "Whether the system's authorities are trusted beside those given.")
        curvePreferences = block.optional("curve_preferences", default: [], "Curves in order of preference.")
        let weak = cipherSuites.first { $0.hasPrefix("TLS_RSA_") || $0.hasSuffix("_CBC_SHA256") || $0.contains("3DES") }
        if let weak, !includesInsecure {
            block.reject("cipher_suites", "\(weak) is weak: set include_insecure_cipher_suites to use it")
        }
        let tpm: TPM? = block.optionalBlock("tpm", "Keys in a trusted platform module.")
        if tpm?.isEnabled == true { block.reject("tpm", "trusted platform modules are not supported") }
    }

    private static func version(
        _ name: String, _ doc: String, _ shown: String, from block: inout BlockReader
    ) -> TLSProtocolVersion? {
        let text = block.optional(name, default: shown, doc)
        let number = text.hasPrefix("TLS ") ? String(text.dropFirst(4)) : text
        switch number {
        case "1.0": return .tls10
        case "1.1": return .tls11
        case "1.2": return .tls12
        case "1.3": return .tls13
        case "": return nil
        default:
            block.reject(name, "must be one of 1.0, 1.1, 1.2, 1.3")
            return nil
        }
    }
}

/// The `tpm` block, refused when it is enabled.
private struct TPM: Block, Sendable {
    let isEnabled: Bool

    init(from block: inout BlockReader) {
        isEnabled = block.optional("enabled", default: false, "Whether the module is used.")
        _ = block.optional("path", default: "", "Device or socket of the module.")
        _ = block.optional("owner_auth", default: "", "Authorisation of the module's owner.")
        _ = block.optional("auth", default: "", "Authorisation of the key.")
    }
}

/// The `tls` block of a client.
struct ClientTLS: Block, Sendable, Equatable {
    let settings: TLSClientSettings
    /// Whether the client speaks without TLS where the scheme of the endpoint leaves it open.
    let isInsecure: Bool

    init(from block: inout BlockReader) {
        let shared = SharedTLS(from: &block)
        var made = TLSClientSettings()
        made.caPEM = shared.caPEM
        made.caFile = shared.caFile
        made.certificatePEM = shared.certificatePEM
        made.certificateFile = shared.certificateFile
        made.keyPEM = shared.keyPEM
        made.keyFile = shared.keyFile
        made.minimumVersion = shared.minimumVersion
        made.maximumVersion = shared.maximumVersion
        made.reloadInterval = shared.reloadInterval
        made.cipherSuites = shared.cipherSuites
        made.curvePreferences = shared.curvePreferences
        made.includesSystemRoots = shared.includesSystemRoots
        isInsecure = block.optional("insecure", "Whether the server is spoken to without TLS.") ?? false
        made.skipsVerification =
            block.optional("insecure_skip_verify", "Whether any certificate of the server is accepted.") ?? false
        made.serverName = block.nonEmpty("server_name", "Name verified instead of the host of the endpoint.")
        if let problem = made.problem { block.reject(problem.reason) }
        settings = made
    }
}

/// The `tls` block of a server.
struct ServerTLS: Block, Sendable, Equatable {
    let settings: TLSServerSettings

    init(from block: inout BlockReader) {
        let shared = SharedTLS(from: &block)
        var made = TLSServerSettings()
        made.certificatePEM = shared.certificatePEM
        made.certificateFile = shared.certificateFile
        made.keyPEM = shared.keyPEM
        made.keyFile = shared.keyFile
        made.minimumVersion = shared.minimumVersion
        made.maximumVersion = shared.maximumVersion
        made.reloadInterval = shared.reloadInterval
        made.cipherSuites = shared.cipherSuites
        made.curvePreferences = shared.curvePreferences
        made.clientCAFile = block.nonEmpty(
            "client_ca_file", "File with certificates of authorities; clients must show a certificate of theirs.")
        if made.clientCAFile != nil { made.clientAuthentication = .requireAndVerify }
        for (name, isSet) in [
            ("ca_pem", shared.caPEM != nil), ("ca_file", shared.caFile != nil),
            ("include_system_ca_certs_pool", shared.includesSystemRoots),
        ] where isSet {
            block.warn(name, "has no effect on a server: client_ca_file names the authorities of clients")
        }
        if let problem = made.problem { block.reject(problem.reason) }
        settings = made
    }
}
