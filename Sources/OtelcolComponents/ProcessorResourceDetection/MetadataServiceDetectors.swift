import AlloySyntax
import ComponentKit
import Essentials
import TextFormats
import Transport

/// Linode of Akamai. Source: Akamai TechDocs, "Metadata service API".
struct AkamaiDetector: ResourceDetector {
    static let name = "akamai"
    static let doc = "The instance at Akamai (Linode)."
    static let attributes = DetectableAttribute.on("cloud.provider", "cloud.region", "host.id", "host.name")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let answer = try await probe.metadata(
            "http://169.254.169.254/v1/token",
            [("metadata-token-expiry-seconds", "3600"), ("accept", "application/json")], method: HTTPMethod("PUT"))
        // A list of one text as JSON, the text itself otherwise.
        let token = (try? JSONValue(parsing: answer))?[0]?.stringValue ?? String(decoding: answer, as: UTF8.self)
        let instance = try await probe.metadataDocument(
            "http://169.254.169.254/v1/instance", [("metadata-token", token), ("accept", "application/json")])
        var resource = DetectedResource()
        resource.set("cloud.provider", "akamai_cloud")
        resource.set("cloud.region", instance["region"]?.stringValue)
        resource.set("host.id", instance["id"]?.intValue.map { String($0) })
        resource.set("host.name", instance["label"]?.stringValue)
        return resource
    }
}

/// DigitalOcean. Source: DigitalOcean's reference, "Metadata API".
struct DigitalOceanDetector: ResourceDetector {
    static let name = "digitalocean"
    static let doc = "The droplet at DigitalOcean."
    static let attributes = DetectableAttribute.on("cloud.provider", "cloud.region", "host.id", "host.name")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let droplet = try await probe.metadataDocument("http://169.254.169.254/metadata/v1.json")
        guard let id = droplet["droplet_id"]?.intValue else { throw .absent("the metadata has no droplet_id") }
        var resource = DetectedResource()
        resource.set("cloud.provider", "digitalocean")
        resource.set("cloud.region", droplet["region"]?.stringValue)
        resource.set("host.id", String(id))
        resource.set("host.name", droplet["hostname"]?.stringValue)
        return resource
    }
}

/// Hetzner Cloud. Source: Hetzner's reference, "Server Metadata".
struct HetznerDetector: ResourceDetector {
    static let name = "hetzner"
    static let doc = "The server at Hetzner Cloud."
    static let attributes = DetectableAttribute.on(
        "cloud.availability_zone", "cloud.provider", "cloud.region", "host.id", "host.name")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let base = "http://169.254.169.254/hetzner/v1/metadata/"
        var resource = DetectedResource()
        resource.set("host.name", try await probe.metadataText(base + "hostname"))
        resource.set("cloud.provider", "hetzner")
        resource.set("host.id", try? await probe.metadataText(base + "instance-id"))
        resource.set("cloud.region", try? await probe.metadataText(base + "region"))
        resource.set("cloud.availability_zone", try? await probe.metadataText(base + "availability-zone"))
        return resource
    }
}

/// OpenStack Nova. Source: OpenStack's documentation of Nova, "Metadata".
struct NovaDetector: ResourceDetector {
    static let name = "nova"
    static let doc = "The instance of OpenStack Nova."
    static let attributes = DetectableAttribute.on(
        "cloud.platform", "cloud.provider", "cloud.region", "cloud.availability_zone", "host.id", "host.name",
        "host.type")

    let failsOnMissingMetadata: Bool
    private let labels: KeyPatterns

    init(from block: inout BlockReader) {
        failsOnMissingMetadata = MissingMetadata.read(from: &block)
        labels = KeyPatterns("labels", "Expressions for keys of `meta` to set as attributes.", from: &block)
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let document = try await probe.metadataDocument("http://169.254.169.254/openstack/latest/meta_data.json")
        guard let id = document["uuid"]?.stringValue, !id.isEmpty else { throw .absent("the metadata has no uuid") }
        var resource = DetectedResource()
        resource.set("cloud.provider", "openstack")
        resource.set("cloud.platform", "openstack_nova")
        resource.set("cloud.availability_zone", document["availability_zone"]?.stringValue)
        resource.set("host.id", id)
        resource.set("host.name", document["hostname"]?.stringValue)
        resource.set(
            "host.type", try? await probe.metadataText("http://169.254.169.254/latest/meta-data/instance-type"))
        for (key, value) in document["meta"]?.objectValue?.map({ ($0.key, $0.value) }) ?? [] {
            if labels.match(key) { resource.set("openstack.nova.meta.\(key)", value.stringValue) }
        }
        return resource
    }
}

/// Oracle Cloud Infrastructure. Source: Oracle's documentation, "Getting Instance Metadata".
struct OracleCloudDetector: ResourceDetector {
    static let name = "oraclecloud"
    static let doc = "The instance at Oracle Cloud."
    static let attributes = DetectableAttribute.on(
        "cloud.platform", "cloud.provider", "cloud.region", "cloud.availability_zone", "host.id", "host.name",
        "host.type", "k8s.cluster.name", "oracle_cloud.realm")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let instance = try await probe.metadataDocument(
            "http://169.254.169.254/opc/v2/instance/", [("authorization", "Bearer Oracle")])
        let cluster = instance["metadata"]?["oke-cluster-display-name"]?.stringValue
        var resource = DetectedResource()
        resource.set("cloud.provider", "oracle_cloud")
        resource.set("cloud.platform", cluster?.isEmpty == false ? "oracle_cloud_oke" : "oracle_cloud_compute")
        resource.set("cloud.region", instance["canonicalRegionName"]?.stringValue)
        resource.set("cloud.availability_zone", instance["availabilityDomain"]?.stringValue)
        resource.set("host.id", instance["id"]?.stringValue)
        resource.set("host.name", instance["displayName"]?.stringValue)
        resource.set("host.type", instance["shape"]?.stringValue)
        resource.set("k8s.cluster.name", cluster)
        resource.set("oracle_cloud.realm", instance["regionInfo"]?["realmKey"]?.stringValue)
        return resource
    }
}

/// Scaleway. Source: Scaleway's documentation of instances, "Metadata API".
struct ScalewayDetector: ResourceDetector {
    static let name = "scaleway"
    static let doc = "The instance at Scaleway."
    static let attributes = DetectableAttribute.on(
        "cloud.account.id", "cloud.availability_zone", "cloud.platform", "cloud.provider", "cloud.region", "host.id",
        "host.image.id", "host.image.name", "host.name", "host.type")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let instance = try await probe.metadataDocument("http://169.254.42.42/conf?format=json")
        let zone = instance["location"]?["zone_id"]?.stringValue
        var resource = DetectedResource()
        resource.set("cloud.account.id", instance["organization"]?.stringValue)
        resource.set("cloud.availability_zone", zone)
        resource.set("cloud.provider", "scaleway_cloud")
        resource.set("cloud.platform", "scaleway_cloud_compute")
        resource.set("cloud.region", zone.flatMap { zone in zone.lastIndex(of: "-").map { String(zone[..<$0]) } })
        resource.set("host.id", instance["id"]?.stringValue)
        resource.set("host.image.id", instance["image"]?["id"]?.stringValue)
        resource.set("host.image.name", instance["image"]?["name"]?.stringValue)
        resource.set("host.name", instance["name"]?.stringValue)
        resource.set("host.type", instance["commercial_type"]?.stringValue)
        return resource
    }
}

/// UpCloud. Source: UpCloud's guides, "UpCloud metadata service".
struct UpCloudDetector: ResourceDetector {
    static let name = "upcloud"
    static let doc = "The server at UpCloud."
    static let attributes = DetectableAttribute.on("cloud.provider", "cloud.region", "host.id", "host.name")

    let failsOnMissingMetadata: Bool

    init(from block: inout BlockReader) { failsOnMissingMetadata = MissingMetadata.read(from: &block) }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let server = try await probe.metadataDocument("http://169.254.169.254/metadata/v1.json")
        guard let provider = server["cloud_name"]?.stringValue else { throw .absent("the metadata has no cloud_name") }
        var resource = DetectedResource()
        resource.set("cloud.provider", provider)
        resource.set("cloud.region", server["region"]?.stringValue)
        resource.set("host.id", server["instance_id"]?.stringValue)
        resource.set("host.name", server["hostname"]?.stringValue)
        return resource
    }
}

/// Vultr. Source: Vultr's reference, "Metadata API".
struct VultrDetector: ResourceDetector {
    static let name = "vultr"
    static let doc = "The instance at Vultr."
    static let attributes = DetectableAttribute.on("cloud.provider", "cloud.region", "host.id", "host.name")

    let failsOnMissingMetadata: Bool

    init(from block: inout BlockReader) { failsOnMissingMetadata = MissingMetadata.read(from: &block) }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let instance = try await probe.metadataDocument("http://169.254.169.254/v1.json")
        var resource = DetectedResource()
        resource.set("cloud.provider", "vultr")
        resource.set("cloud.region", instance["region"]?["regioncode"]?.stringValue?.lowercased())
        resource.set("host.id", instance["instance-v2-id"]?.stringValue)
        resource.set("host.name", instance["hostname"]?.stringValue)
        return resource
    }
}

/// Tencent Cloud CVM. Source: Tencent Cloud's documentation, "Viewing Instance Metadata".
struct TencentDetector: ResourceDetector {
    static let name = "tencent_cvm"
    static let doc = "The instance at Tencent Cloud."
    static let attributes = DetectableAttribute.on(
        "cloud.account.id", "cloud.availability_zone", "cloud.platform", "cloud.provider", "cloud.region", "host.id",
        "host.image.id", "host.name", "host.type")

    let failsOnMissingMetadata: Bool

    init(from block: inout BlockReader) { failsOnMissingMetadata = MissingMetadata.read(from: &block) }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let base = "http://metadata.tencentyun.com/latest/meta-data/"
        var resource = DetectedResource()
        resource.set("cloud.provider", "tencent_cloud")
        resource.set("cloud.platform", "tencent_cloud_cvm")
        resource.set("cloud.account.id", try await probe.metadataText(base + "app-id"))
        resource.set("cloud.region", try await probe.metadataText(base + "placement/region"))
        resource.set("cloud.availability_zone", try await probe.metadataText(base + "placement/zone"))
        resource.set("host.id", try await probe.metadataText(base + "instance-id"))
        resource.set("host.name", try await probe.metadataText(base + "instance-name"))
        resource.set("host.image.id", try await probe.metadataText(base + "instance/image-id"))
        resource.set("host.type", try await probe.metadataText(base + "instance/instance-type"))
        return resource
    }
}

/// Alibaba Cloud ECS. Source: Alibaba Cloud's documentation, "View instance metadata".
struct AlibabaDetector: ResourceDetector {
    static let name = "alibaba_ecs"
    static let doc = "The instance at Alibaba Cloud."
    static let attributes = DetectableAttribute.on(
        "cloud.account.id", "cloud.availability_zone", "cloud.platform", "cloud.provider", "cloud.region", "host.id",
        "host.image.id", "host.name", "host.type")

    let failsOnMissingMetadata: Bool

    init(from block: inout BlockReader) { failsOnMissingMetadata = MissingMetadata.read(from: &block) }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let token = try await probe.metadataText(
            "http://100.100.100.200/latest/api/token", [("x-aliyun-ecs-metadata-token-ttl-seconds", "21600")],
            method: HTTPMethod("PUT"))
        let field = [(name: "x-aliyun-ecs-metadata-token", value: token)]
        let base = "http://100.100.100.200/latest/meta-data/"
        var resource = DetectedResource()
        resource.set("cloud.provider", "alibaba_cloud")
        resource.set("cloud.platform", "alibaba_cloud_ecs")
        resource.set("cloud.account.id", try await probe.metadataText(base + "owner-account-id", field))
        resource.set("cloud.region", try await probe.metadataText(base + "region-id", field))
        resource.set("cloud.availability_zone", try await probe.metadataText(base + "zone-id", field))
        resource.set("host.id", try await probe.metadataText(base + "instance-id", field))
        resource.set("host.name", try await probe.metadataText(base + "hostname", field))
        resource.set("host.image.id", try await probe.metadataText(base + "image-id", field))
        resource.set("host.type", try await probe.metadataText(base + "instance/instance-type", field))
        return resource
    }
}

/// A Consul agent. Source: HashiCorp's reference, "Agent HTTP API: Read configuration".
struct ConsulDetector: ResourceDetector {
    static let name = "consul"
    static let doc = "The node as a Consul agent knows it."
    static let attributes = DetectableAttribute.on("cloud.region", "host.id", "host.name")

    private let address: String
    private let datacenter: String
    private let token: Secret<String>
    private let namespace: String
    private let meta: [String]

    init(from block: inout BlockReader) {
        address = block.optional("address", default: "", "The agent; CONSUL_HTTP_ADDR or 127.0.0.1:8500 when empty.")
        datacenter = block.optional("datacenter", default: "", "The datacenter asked for; the agent's own when empty.")
        token = block.optional("token", default: Secret(""), "The ACL token; CONSUL_HTTP_TOKEN when empty.")
        namespace = block.optional("namespace", default: "", "The namespace asked for.")
        meta = block.optional("meta", default: [], "Keys of the node's metadata to set as attributes.")
        if !address.isEmpty, Self.url(address) == nil { block.reject("address", "is no address of a Consul agent") }
    }

    private static func url(_ address: String) -> HTTPURL? {
        HTTPURL(address.contains("://") ? address : "http://\(address)")
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let given = address.isEmpty ? probe.environment("CONSUL_HTTP_ADDR") ?? "127.0.0.1:8500" : address
        guard let base = Self.url(given) else { throw .failed("\(given) is no address of a Consul agent") }
        var query: [(name: String, value: String)] = []
        if !datacenter.isEmpty { query.append(("dc", datacenter)) }
        if !namespace.isEmpty { query.append(("ns", namespace)) }
        let text = query.isEmpty ? nil : Percent.form(query)
        let path = base.path.hasSuffix("/") ? String(base.path.dropLast()) : base.path
        var request = HTTPClientRequest(.get, base.replacing(path: path + "/v1/agent/self", query: text))
        let token = token.isEmpty ? Secret(probe.environment("CONSUL_HTTP_TOKEN") ?? "") : token
        if !token.isEmpty { request.fields["x-consul-token"] = token.reveal { $0 } }
        let document: JSONValue
        do throws(DetectionError) {
            document = try HostProbe.parse(try await probe.answer(to: request), from: "the Consul agent")
        } catch {
            // An agent is no place to be in or not: who names it wants it.
            throw .failed("\(error)")
        }
        guard let config = document["Config"], let node = config["NodeName"]?.stringValue,
            let region = config["Datacenter"]?.stringValue, let id = config["NodeID"]?.stringValue
        else { throw .failed("the Consul agent's configuration has no NodeName, Datacenter or NodeID") }
        var resource = DetectedResource()
        resource.set("host.name", node)
        resource.set("cloud.region", region)
        resource.set("host.id", id)
        for key in meta { resource.set(key, document["Meta"]?[key]?.stringValue) }
        return resource
    }
}
