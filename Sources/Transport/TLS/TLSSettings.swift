package import Essentials

/// A text given in the configuration or kept in a file that is read again when it changes.
package enum SecretSource: Sendable, Equatable {
    case inline(Secret<String>)
    case file(String)
}

/// A protocol version of TLS.
package enum TLSProtocolVersion: String, Sendable, CaseIterable {
    case tls10 = "TLS10"
    case tls11 = "TLS11"
    case tls12 = "TLS12"
    case tls13 = "TLS13"

    /// Reads Prometheus's spelling (`TLS12`) and Go's (`VersionTLS12`).
    package init?(configured text: String) {
        self.init(rawValue: text.hasPrefix("VersionTLS") ? String(text.dropFirst(7)) : text)
    }
}

/// How a client connects over TLS; the words of a `tls_config` block.
package struct TLSClientSettings: Sendable, Equatable {
    /// Certificates trusted instead of the system's, as PEM.
    package var caPEM: String?
    /// A file of certificates trusted instead of the system's.
    package var caFile: String?
    /// The client's own certificate chain, as PEM.
    package var certificatePEM: String?
    /// A file with the client's own certificate chain.
    package var certificateFile: String?
    /// The key of the client's certificate, as PEM.
    package var keyPEM: Secret<String>?
    /// A file with the key of the client's certificate.
    package var keyFile: String?
    /// The name sent and verified instead of the host of the URL.
    package var serverName: String?
    /// Accept any certificate.
    package var skipsVerification = false
    /// Trust the system's certificates beside those given.
    package var includesSystemRoots = false
    /// Names of cipher suites as in Go and the IANA registry; empty is a modern default. TLS 1.3's are fixed.
    package var cipherSuites: [String] = []
    /// Names of curves in order of preference (`CurveP256`, `X25519`, ...); empty is the default order.
    package var curvePreferences: [String] = []
    /// How often files are looked at for changes; nil is at every connection.
    package var reloadInterval: Duration?
    /// The oldest version accepted.
    package var minimumVersion = TLSProtocolVersion.tls12
    /// The newest version offered; nil is the newest known.
    package var maximumVersion: TLSProtocolVersion?

    /// The system's roots, no client certificate, TLS 1.2 or newer.
    package init() {}

    /// What is wrong with the combination: argument name and reason, nil when nothing is.
    package var problem: (argument: String, reason: String)? {
        if caPEM != nil, caFile != nil { return ("ca_pem", "at most one of ca_pem and ca_file must be set") }
        if certificatePEM != nil, certificateFile != nil {
            return ("cert_pem", "at most one of cert_pem and cert_file must be set")
        }
        if keyPEM != nil, keyFile != nil { return ("key_pem", "at most one of key_pem and key_file must be set") }
        let hasCertificate = certificatePEM != nil || certificateFile != nil
        let hasKey = keyPEM != nil || keyFile != nil
        if hasCertificate, !hasKey {
            return ("key_file", "exactly one of key_pem or key_file must be set when a client certificate is used")
        }
        if hasKey, !hasCertificate {
            return ("cert_file", "exactly one of cert_pem or cert_file must be set when a client key is used")
        }
        return TLSNames.problem(cipherSuites, curvePreferences)
    }
}

/// Whether a server asks its clients for certificates; the names are those of Go's `crypto/tls`.
package enum TLSClientAuthentication: String, Sendable, CaseIterable {
    case none = "NoClientCert"
    case request = "RequestClientCert"
    case requireAny = "RequireAnyClientCert"
    case verifyIfGiven = "VerifyClientCertIfGiven"
    case requireAndVerify = "RequireAndVerifyClientCert"
}

/// How a server speaks TLS; certificate files are read again when they change.
package struct TLSServerSettings: Sendable, Equatable {
    /// The certificate chain, as PEM.
    package var certificatePEM: String?
    /// A file with the certificate chain.
    package var certificateFile: String?
    /// The key, as PEM.
    package var keyPEM: Secret<String>?
    /// A file with the key.
    package var keyFile: String?
    /// Certificates client certificates are verified against, as PEM.
    package var clientCAPEM: String?
    /// A file of certificates client certificates are verified against.
    package var clientCAFile: String?
    /// Whether client certificates are asked for and verified.
    package var clientAuthentication = TLSClientAuthentication.none
    /// Names of cipher suites as in Go and the IANA registry; empty is a modern default. TLS 1.3's are fixed.
    package var cipherSuites: [String] = []
    /// Names of curves in order of preference (`CurveP256`, `X25519`, ...); empty is the default order.
    package var curvePreferences: [String] = []
    /// The oldest version accepted.
    package var minimumVersion = TLSProtocolVersion.tls12
    /// The newest version offered; nil is the newest known.
    package var maximumVersion: TLSProtocolVersion?
    /// How often files are looked at for changes; nil is at every connection.
    package var reloadInterval: Duration?

    /// Settings without a certificate, which must be given before use.
    package init() {}

    /// What is wrong with the combination: argument name and reason, nil when nothing is.
    package var problem: (argument: String, reason: String)? {
        if (certificatePEM == nil) == (certificateFile == nil) {
            return ("cert_file", "exactly one of cert_pem or cert_file must be set")
        }
        if (keyPEM == nil) == (keyFile == nil) { return ("key_file", "exactly one of key_pem or key_file must be set") }
        if clientCAPEM != nil, clientCAFile != nil {
            return ("client_ca_pem", "at most one of client_ca_pem and client_ca_file must be set")
        }
        let verifies = clientAuthentication == .requireAndVerify || clientAuthentication == .verifyIfGiven
        let hasCA = clientCAPEM != nil || clientCAFile != nil
        if hasCA, !verifies { return ("client_auth_type", "must verify certificates when a client CA is set") }
        return TLSNames.problem(cipherSuites, curvePreferences)
    }
}

/// A TLS configuration that cannot be used; the message names the file or argument.
package struct TLSConfigurationError: Error, Sendable, CustomStringConvertible {
    package let message: String
    package var description: String { message }
}
