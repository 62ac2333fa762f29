import AlloySyntax
import Kubernetes
import Transport

/// How a component asks the Kubernetes API: its `auth_type`.
struct ClusterAccess: Sendable, Equatable {
    private enum Method: String, CaseIterable {
        /// As nobody, and without a look at the server's certificate.
        case none
        case serviceAccount
        case kubeConfig
    }

    private let method: Method

    init(from block: inout BlockReader, default word: String) {
        let word = block.optional(
            "auth_type", default: word, "How the API is asked: `none`, `serviceAccount` or `kubeConfig`.")
        method = Method(rawValue: word) ?? .serviceAccount
        if word == "tls" {
            block.reject("auth_type", "\"tls\" is not supported: name the certificate in a kubeconfig file")
        } else if !word.isEmpty, Method(rawValue: word) == nil {
            block.reject("auth_type", "must be one of none, serviceAccount, kubeConfig")
        }
    }

    func connection(_ environment: (String) -> String?) throws(ConnectionError) -> KubernetesConnection {
        switch method {
        case .serviceAccount: return .inCluster
        case .kubeConfig:
            if let path = environment("KUBECONFIG") { return .kubeconfig(path) }
            guard let home = environment("HOME") else { throw ConnectionError("neither KUBECONFIG nor HOME is set") }
            return .kubeconfig(home + "/.kube/config")
        case .none:
            guard let host = environment("KUBERNETES_SERVICE_HOST"),
                let port = environment("KUBERNETES_SERVICE_PORT"),
                let url = HTTPURL("https://\(host.contains(":") ? "[\(host)]" : host):\(port)")
            else { throw ConnectionError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set") }
            var settings = HTTPClientSettings()
            settings.tls.skipsVerification = true
            return .server(url, settings)
        }
    }
}
