import AlloySyntax
import ComponentKit
import Essentials
import Kubernetes
import TextFormats
import Transport

/// The `auth_type` and `context` of a detector.
private struct DetectorAccess: Sendable {
    private let access: ClusterAccess

    init(from block: inout BlockReader) {
        access = ClusterAccess(from: &block, default: "none")
        let context = block.optional("context", default: "", "The context of the kubeconfig file.")
        if !context.isEmpty { block.reject("context", "is not supported: the file's current-context is used") }
    }

    func connection(_ probe: HostProbe) throws(DetectionError) -> KubernetesConnection {
        do throws(ConnectionError) {
            return try access.connection(probe.environment)
        } catch {
            throw .absent("\(error)")
        }
    }
}

/// The node of the pod the program runs in.
struct KubernetesNodeDetector: ResourceDetector {
    static let name = "kubernetes_node"
    static let doc = "The Kubernetes node the program runs on."
    static let attributes = DetectableAttribute.on("k8s.node.name", "k8s.node.uid")

    private let access: DetectorAccess
    private let variable: String

    init(from block: inout BlockReader) {
        access = DetectorAccess(from: &block)
        variable = block.optional(
            "node_from_env_var", default: "K8S_NODE_NAME", "The environment variable that names the node.")
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        guard let name = probe.environment(variable) else {
            throw .failed("the environment variable \(variable) names no node: set it from spec.nodeName")
        }
        let path = "/api/v1/nodes/\(Percent.encode(name))"
        let node = try await probe.kubernetes(path, try access.connection(probe))
        var resource = DetectedResource()
        resource.set("k8s.node.name", node["metadata"]?["name"]?.stringValue)
        resource.set("k8s.node.uid", node["metadata"]?["uid"]?.stringValue)
        return resource
    }
}

/// A cluster made by kubeadm.
struct KubeadmDetector: ResourceDetector {
    static let name = "kubeadm"
    static let doc = "The Kubernetes cluster, as kubeadm made it."
    static let attributes = DetectableAttribute.on("k8s.cluster.name", "k8s.cluster.uid")

    private let access: DetectorAccess

    init(from block: inout BlockReader) { access = DetectorAccess(from: &block) }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let connection = try access.connection(probe)
        let map = try await probe.kubernetes("/api/v1/namespaces/kube-system/configmaps/kubeadm-config", connection)
        let system = try await probe.kubernetes("/api/v1/namespaces/kube-system", connection)
        var resource = DetectedResource()
        resource.set("k8s.cluster.name", try name(in: map["data"]))
        resource.set("k8s.cluster.uid", system["metadata"]?["uid"]?.stringValue)
        return resource
    }

    /// A key of the map, or of the configuration that kubeadm keeps in one as YAML.
    private func name(in data: JSONValue?) throws(DetectionError) -> String? {
        if let name = data?["clusterName"]?.stringValue { return name }
        guard let text = data?["ClusterConfiguration"]?.stringValue else { return nil }
        do {
            return try Array(text.utf8).withUnsafeBytes { try YAMLParser(.v3).parse($0)["clusterName"]?.stringValue }
        } catch {
            throw .failed("the ClusterConfiguration of kubeadm-config is no YAML: \(error)")
        }
    }
}

/// A cluster of OpenShift. Source: the OpenShift Container Platform reference, "Infrastructure [config.openshift.io/v1]".
struct OpenShiftDetector: ResourceDetector {
    static let name = "openshift"
    static let doc = "The cluster of OpenShift."
    static let attributes = DetectableAttribute.on(
        "cloud.platform", "cloud.provider", "cloud.region", "k8s.cluster.name")

    private let address: HTTPURL?
    private let token: Secret<String>
    private let tls: ClientTLS?

    init(from block: inout BlockReader) {
        let text = block.optional("address", default: "", "The API server; that of the pod's cluster when empty.")
        let token = block.optional("token", default: "", "The token to ask with; the pod's own when empty.")
        self.token = Secret(token)
        tls = block.optionalBlock("tls", "How the API server is reached over TLS.")
        address = HTTPURL(text)
        if !text.isEmpty, address == nil { block.reject("address", "must be a URL") }
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let path = "/apis/config.openshift.io/v1/infrastructures/cluster/status"
        let status = try await probe.kubernetes(path, try connection(probe))["status"]
        let platform = status?["platformStatus"]
        var resource = DetectedResource()
        resource.set("k8s.cluster.name", status?["infrastructureName"]?.stringValue)
        let (cloud, field): (String?, String)
        switch platform?["type"]?.stringValue?.lowercased() {
        case "aws": (cloud, field) = ("aws", "region")
        case "azure": (cloud, field) = ("azure", "cloudName")
        case "gcp": (cloud, field) = ("gcp", "region")
        case "ibmcloud": (cloud, field) = ("ibm_cloud", "location")
        case "openstack": (cloud, field) = (nil, "cloudName")
        default: return resource
        }
        resource.set("cloud.provider", cloud)
        resource.set("cloud.platform", cloud.map { $0 + "_openshift" })
        let type = platform?["type"]?.stringValue?.lowercased() ?? ""
        resource.set("cloud.region", platform?[type]?[field]?.stringValue?.lowercased())
        return resource
    }

    private func connection(_ probe: HostProbe) throws(DetectionError) -> KubernetesConnection {
        if address == nil, token.isEmpty, tls == nil { return .inCluster }
        let folder = probe.kubernetes.environment.accountDirectory
        var url = address
        if url == nil, let host = probe.environment("KUBERNETES_SERVICE_HOST"),
            let port = probe.environment("KUBERNETES_SERVICE_PORT")
        {
            url = HTTPURL("https://\(host.contains(":") ? "[\(host)]" : host):\(port)")
        }
        guard let url else { throw .absent("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set") }
        var settings = HTTPClientSettings()
        if let tls { settings.tls = tls.settings }
        if tls?.isInsecure != true, settings.tls.caFile == nil, settings.tls.caPEM == nil,
            Files.exists(folder + "/ca.crt")
        {
            settings.tls.caFile = folder + "/ca.crt"
        }
        settings.authorisation = .bearer(token.isEmpty ? .file(folder + "/token") : .inline(token))
        return .server(url, settings)
    }
}
