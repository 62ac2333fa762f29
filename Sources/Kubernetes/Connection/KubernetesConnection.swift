import Essentials
package import Transport

/// How an API server is found and who asks it, as configured.
package enum KubernetesConnection: Sendable, Equatable {
    /// With the service account of the pod the process runs in.
    case inCluster
    /// As the current context of a kubeconfig file says.
    case kubeconfig(String)
    /// At a URL, with the HTTP client's own settings.
    case server(HTTPURL, HTTPClientSettings)
}

/// How an API server is reached, everything read that had to be.
package struct KubernetesServer: Sendable, Equatable {
    /// The server's URL; a path in it is put in front of every request's.
    package var url: HTTPURL
    package var settings: HTTPClientSettings
    /// The namespace the configuration belongs to; nil when it names none.
    package var namespace: String?

    package init(url: HTTPURL, settings: HTTPClientSettings, namespace: String? = nil) {
        self.url = url
        self.settings = settings
        self.namespace = namespace
    }
}

/// Why it is not known how to reach an API server.
package struct ConnectionError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Where a pod learns about the API server of its cluster.
///
/// Source: the Kubernetes documentation, "Accessing the Kubernetes API from a Pod".
package struct PodEnvironment: Sendable {
    package var serviceHost: String
    package var servicePort: String
    /// The directory with `token`, `ca.crt` and `namespace`.
    package var accountDirectory: String

    package init(
        serviceHost: String, servicePort: String,
        accountDirectory: String = "/var/run/secrets/kubernetes.io/serviceaccount"
    ) {
        self.serviceHost = serviceHost
        self.servicePort = servicePort
        self.accountDirectory = accountDirectory
    }

    /// What the process's own environment says.
    package static var process: PodEnvironment {
        PodEnvironment(
            serviceHost: ProcessVariables["KUBERNETES_SERVICE_HOST"] ?? "",
            servicePort: ProcessVariables["KUBERNETES_SERVICE_PORT"] ?? "")
    }

    /// How the pod reaches its API server. The token is read again whenever its file changes. Blocks.
    package func server() throws(ConnectionError) -> KubernetesServer {
        guard !serviceHost.isEmpty, !servicePort.isEmpty else {
            throw ConnectionError(
                "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be "
                    + "defined")
        }
        let host = serviceHost.contains(":") ? "[\(serviceHost)]" : serviceHost
        guard let url = HTTPURL("https://\(host):\(servicePort)") else {
            throw ConnectionError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not an address")
        }
        let token = accountDirectory + "/token"
        guard Files.exists(token) else { throw ConnectionError("open \(token): no such file or directory") }
        var settings = HTTPClientSettings()
        settings.authorisation = .bearer(.file(token))
        let authority = accountDirectory + "/ca.crt"
        if Files.exists(authority) { settings.tls.caFile = authority }
        return KubernetesServer(url: url, settings: settings, namespace: try? namespace())
    }

    /// The namespace of the pod. Blocks.
    package func namespace() throws(ConnectionError) -> String {
        let path = accountDirectory + "/namespace"
        let text: String
        do {
            text = try Files.readText(path, limit: .kibibytes(4))
        } catch {
            throw ConnectionError("could not determine the pod's namespace: \(error)")
        }
        guard let name = text.split(whereSeparator: \.isWhitespace).first else {
            throw ConnectionError("could not read own namespace name (empty file)")
        }
        return String(name)
    }
}

extension KubernetesConnection {
    /// Reads what the connection refers to. Blocks.
    package func server(in environment: PodEnvironment) throws(ConnectionError) -> KubernetesServer {
        switch self {
        case .inCluster: try environment.server()
        case .kubeconfig(let path): try Kubeconfig.server(path: path)
        case .server(let url, let settings): KubernetesServer(url: url, settings: settings)
        }
    }
}
