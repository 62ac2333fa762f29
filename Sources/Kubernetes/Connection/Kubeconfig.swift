import Essentials
import TextFormats
import Transport

/// Reads kubeconfig files (kind `Config`, version `v1`; reference "Kubeconfig (v1)").
///
/// Only the current context counts. Ways to log in that run programs, and impersonation, are refused by name.
enum Kubeconfig {
    /// How the file at `path` reaches its server. Blocks.
    static func server(path: String) throws(ConnectionError) -> KubernetesServer {
        let document: YAMLValue
        do {
            let bytes = try Files.read(path, limit: .mebibytes(4))
            document = try bytes.span.bytes.withUnsafeBytes { (raw) throws(TextFormatError) in
                try YAMLParser(.v3).parse(raw)
            }
        } catch let error as TextFormatError {
            throw ConnectionError("error loading config file \"\(path)\": \(error)")
        } catch {
            throw ConnectionError("\(error)")
        }
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        return try Reader(document: document, path: path, directory: directory).server()
    }

    private struct Reader {
        let document: YAMLValue
        let path: String
        let directory: String

        func server() throws(ConnectionError) -> KubernetesServer {
            guard let current = text(document["current-context"]) else {
                throw refusal("no current-context")
            }
            guard let context = try entry("contexts", "context", current) else {
                throw refusal("context \"\(current)\" does not exist")
            }
            let clusterName = text(context["cluster"]) ?? ""
            guard let cluster = try entry("clusters", "cluster", clusterName) else {
                throw refusal("cluster \"\(clusterName)\" does not exist")
            }
            guard let address = text(cluster["server"]),
                let url = HTTPURL(address.contains("://") ? address : "http://" + address)
            else { throw refusal("cluster \"\(clusterName)\" has no usable server") }
            var settings = HTTPClientSettings()
            try readTLS(of: cluster, into: &settings)
            if let user = text(context["user"]) {
                guard let entry = try entry("users", "user", user) else {
                    throw refusal("user \"\(user)\" does not exist")
                }
                try readUser(user, entry, into: &settings)
            }
            if let problem = settings.tls.problem { throw refusal(problem.reason) }
            return KubernetesServer(url: url, settings: settings, namespace: text(context["namespace"]))
        }

        private func readTLS(of cluster: YAMLValue, into settings: inout HTTPClientSettings) throws(ConnectionError) {
            if let pem = try decoded(cluster, "certificate-authority-data") {
                settings.tls.caPEM = pem
            } else {
                settings.tls.caFile = file(cluster["certificate-authority"])
            }
            settings.tls.skipsVerification = cluster["insecure-skip-tls-verify"]?.boolValue ?? false
            settings.tls.serverName = text(cluster["tls-server-name"])
            if let proxy = text(cluster["proxy-url"]) { settings.proxy.url = Secret(proxy) }
            if let problem = settings.proxy.problem { throw refusal("proxy-url: \(problem.reason)") }
        }

        private func readUser(
            _ name: String, _ user: YAMLValue, into settings: inout HTTPClientSettings
        ) throws(ConnectionError) {
            for (key, remedy) in [
                ("exec", "programs are not run to get credentials; use a token or a client certificate"),
                ("auth-provider", "providers of credentials are not supported; use a token or a client certificate"),
                ("as", "impersonation is not supported"), ("as-uid", "impersonation is not supported"),
                ("as-groups", "impersonation is not supported"),
                ("as-user-extra", "impersonation is not supported"),
            ] {
                guard let given = user[key], !given.isNull else { continue }
                throw refusal("user \"\(name)\" has \"\(key)\": \(remedy)")
            }
            if let pem = try decoded(user, "client-certificate-data") {
                settings.tls.certificatePEM = pem
            } else {
                settings.tls.certificateFile = file(user["client-certificate"])
            }
            if let pem = try decoded(user, "client-key-data") {
                settings.tls.keyPEM = Secret(pem)
            } else {
                settings.tls.keyFile = file(user["client-key"])
            }
            // A file wins over a token beside it, because it may be renewed.
            if let path = file(user["tokenFile"]) {
                settings.authorisation = .bearer(.file(path))
            } else if let token = text(user["token"]) {
                settings.authorisation = .bearer(.inline(Secret(token)))
            } else if let username = text(user["username"]) {
                settings.authorisation = .basic(
                    username: username, password: text(user["password"]).map { .inline(Secret($0)) })
            }
        }

        /// The value under `key` of the element called `name` in the list `list`.
        private func entry(_ list: String, _ key: String, _ name: String) throws(ConnectionError) -> YAMLValue? {
            guard let elements = document[list], !elements.isNull else { return nil }
            guard let sequence = elements.sequenceValue else { throw refusal("\(list) is not a list") }
            guard let found = sequence.first(where: { text($0["name"]) == name }) else { return nil }
            return found[key] ?? .mapping(YAMLMapping())
        }

        /// A text that is not empty.
        private func text(_ value: YAMLValue?) -> String? {
            guard let text = value?.stringValue, !text.isEmpty else { return nil }
            return text
        }

        /// A path, relative ones taken from the file's own directory.
        private func file(_ value: YAMLValue?) -> String? {
            guard let path = text(value) else { return nil }
            return path.hasPrefix("/") ? path : directory + "/" + path
        }

        private func decoded(_ value: YAMLValue, _ key: String) throws(ConnectionError) -> String? {
            guard let encoded = text(value[key]) else { return nil }
            let plain = encoded.utf8.filter { $0 > 32 }
            guard let bytes = TextFormats.Base64.decode(plain) else { throw refusal("\(key) is not base64") }
            return String(decoding: bytes, as: UTF8.self)
        }

        private func refusal(_ reason: String) -> ConnectionError {
            ConnectionError("kubeconfig \"\(path)\": \(reason)")
        }
    }
}
