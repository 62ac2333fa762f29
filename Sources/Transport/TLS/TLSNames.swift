import NIOSSL

/// Go's names of cipher suites and curves, for the ones BoringSSL has.
enum TLSNames {
    static func cipherSuite(_ name: String) -> NIOTLSCipher? {
        switch name {
        case "TLS_RSA_WITH_AES_128_CBC_SHA": .TLS_RSA_WITH_AES_128_CBC_SHA
        case "TLS_RSA_WITH_AES_256_CBC_SHA": .TLS_RSA_WITH_AES_256_CBC_SHA
        case "TLS_RSA_WITH_AES_128_GCM_SHA256": .TLS_RSA_WITH_AES_128_GCM_SHA256
        case "TLS_RSA_WITH_AES_256_GCM_SHA384": .TLS_RSA_WITH_AES_256_GCM_SHA384
        case "TLS_AES_128_GCM_SHA256": .TLS_AES_128_GCM_SHA256
        case "TLS_AES_256_GCM_SHA384": .TLS_AES_256_GCM_SHA384
        case "TLS_CHACHA20_POLY1305_SHA256": .TLS_CHACHA20_POLY1305_SHA256
        case "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": .TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
        case "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": .TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
        case "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": .TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
        case "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": .TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
        case "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        case "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        case "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        case "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        case "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256":
            .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        case "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256":
            .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        default: nil
        }
    }

    static func curve(_ name: String) -> NIOTLSCurve? {
        switch name {
        case "CurveP256": .secp256r1
        case "CurveP384": .secp384r1
        case "CurveP521": .secp521r1
        case "X25519": .x25519
        case "X25519MLKEM768": .x25519_MLKEM768
        default: nil
        }
    }

    /// The first name nobody here knows: argument and reason.
    static func problem(_ suites: [String], _ curves: [String]) -> (argument: String, reason: String)? {
        for name in suites where cipherSuite(name) == nil {
            return ("cipher_suites", "cipher suite \"\(name)\" is not supported")
        }
        for name in curves where curve(name) == nil {
            return ("curve_preferences", "curve \"\(name)\" is not supported")
        }
        return nil
    }

    static func version(_ version: TLSProtocolVersion) -> TLSVersion {
        switch version {
        case .tls10: .tlsv1
        case .tls11: .tlsv11
        case .tls12: .tlsv12
        case .tls13: .tlsv13
        }
    }
}
