import Testing

@testable import Transport

/// An authority with a server and a client certificate, made with the `openssl` program for one test.
struct Certificates {
    let folder = TemporaryFolder()

    var ca: String { "\(folder.path)/ca.crt" }
    func certificate(_ name: String) -> String { "\(folder.path)/\(name).crt" }
    func key(_ name: String) -> String { "\(folder.path)/\(name).key" }

    init() async throws {
        try await run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key("ca"),
                "-out", ca,
                "-days", "2", "-subj", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE",
            ])
        try await issue("server", names: "DNS:localhost,IP:127.0.0.1")
        try await issue("client", names: "DNS:client")
    }

    /// Signs a certificate for a new key.
    func issue(_ name: String, names: String) async throws {
        try folder.write("\(name).ext", "subjectAltName=\(names)\n")
        try await run(
            "openssl",
            [
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key(name),
                "-out", "\(folder.path)/\(name).csr", "-subj", "/CN=\(name)",
            ])
        try await run(
            "openssl",
            [
                "x509", "-req", "-in", "\(folder.path)/\(name).csr", "-CA", ca, "-CAkey", key("ca"), "-CAcreateserial",
                "-days", "2",
                "-extfile", "\(folder.path)/\(name).ext", "-out", certificate(name),
            ])
    }

    var server: TLSServerSettings {
        var settings = TLSServerSettings()
        settings.certificateFile = certificate("server")
        settings.keyFile = key("server")
        return settings
    }

    func listening(_ change: (inout TLSServerSettings) -> Void = { _ in }) -> HTTPServerSettings {
        var settings = HTTPServerSettings(address: loopback)
        var tls = server
        change(&tls)
        settings.tls = tls
        return settings
    }
}
