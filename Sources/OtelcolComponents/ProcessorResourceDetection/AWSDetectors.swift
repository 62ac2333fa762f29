import AlloySyntax
import Essentials
import Kubernetes
import TextFormats
import Transport

/// An EC2 instance, by its metadata service.
struct EC2Detector: ResourceDetector {
    static let name = "ec2"
    static let doc = "The instance of AWS EC2."
    static let attributes = DetectableAttribute.on(
        "cloud.account.id", "cloud.availability_zone", "cloud.platform", "cloud.provider", "cloud.region", "host.id",
        "host.image.id", "host.name", "host.type")

    let failsOnMissingMetadata: Bool
    private let tags: KeyPatterns
    private let attempts: Int
    private let maximumBackoff: Duration
    private let takesTagsFromMetadata: Bool

    init(from block: inout BlockReader) {
        tags = KeyPatterns("tags", "Expressions for keys of tags to set as attributes `ec2.tag.<key>`.", from: &block)
        attempts = block.optional("max_attempts", default: 3, "How often the metadata service is asked.")
        maximumBackoff = block.optional(
            "max_backoff", default: Duration.seconds(20), "The longest wait between two attempts.")
        takesTagsFromMetadata = block.optional(
            "tags_from_imds", default: false, "Whether tags come from the metadata service, not from the EC2 API.")
        failsOnMissingMetadata = MissingMetadata.read(from: &block)
        if attempts < 0 { block.reject("max_attempts", "must not be negative") }
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        guard try await firstAnswer(probe) != nil else { throw .absent("the EC2 metadata has no instance-id") }
        let instance = try await EC2Instance(probe)
        guard let hostname = try await probe.instance("/latest/meta-data/hostname") else {
            throw .failed("the EC2 metadata has no hostname")
        }
        var resource = DetectedResource()
        resource.set("cloud.provider", "aws")
        resource.set("cloud.platform", "aws_ec2")
        resource.set("cloud.region", instance.region)
        resource.set("cloud.account.id", instance.accountID)
        resource.set("cloud.availability_zone", instance.availabilityZone)
        resource.set("host.id", instance.instanceID)
        resource.set("host.image.id", instance.imageID)
        resource.set("host.type", instance.instanceType)
        resource.set("host.name", hostname)
        if !tags.isEmpty {
            let pairs = takesTagsFromMetadata ? try await metadataTags(probe) : try await apiTags(probe, instance)
            for (key, value) in pairs where tags.match(key) { resource.set("ec2.tag.\(key)", value) }
        }
        return resource
    }

    /// The instance's ID, asked for as often as configured.
    private func firstAnswer(_ probe: HostProbe) async throws(DetectionError) -> String? {
        var backoff = Backoff(minimum: .milliseconds(100), maximum: maximumBackoff)
        var left = max(attempts, 1)
        while true {
            do throws(DetectionError) {
                return try await probe.instance("/latest/meta-data/instance-id")
            } catch {
                left -= 1
                if left == 0 { throw error }
                do { try await probe.clock.sleep(for: backoff.next()) } catch { throw .failed("cancelled") }
            }
        }
    }

    private func metadataTags(_ probe: HostProbe) async throws(DetectionError) -> [(String, String)] {
        let path = "/latest/meta-data/tags/instance"
        guard let list = try await probe.instance(path) else {
            throw .failed("the EC2 metadata has no tags: allow InstanceMetadataTags for the instance")
        }
        var pairs: [(String, String)] = []
        for key in list.split(whereSeparator: \.isNewline).map(String.init) where tags.match(key) {
            if let value = try await probe.instance("\(path)/\(Percent.encode(key))") { pairs.append((key, value)) }
        }
        return pairs
    }

    private func apiTags(
        _ probe: HostProbe, _ instance: EC2Instance
    ) async throws(DetectionError) -> [(String, String)] {
        let answer = try await EC2API(region: instance.region).ask(
            "DescribeTags", [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", instance.instanceID)], probe)
        return answer.elements("item").compactMap { item in
            item.text("key").map { ($0, item.text("value") ?? "") }
        }
    }
}

/// The identity document of an EC2 instance.
struct EC2Instance: Sendable {
    let accountID: String
    let availabilityZone: String
    let imageID: String
    let instanceID: String
    let instanceType: String
    let region: String

    init(_ probe: HostProbe) async throws(DetectionError) {
        guard let text = try await probe.instance("/latest/dynamic/instance-identity/document") else {
            throw .failed("the EC2 metadata has no identity document")
        }
        let document = try HostProbe.parse(Array(text.utf8), from: "the EC2 identity document")
        func field(_ name: String) -> String { document[name]?.stringValue ?? "" }
        accountID = field("accountId")
        availabilityZone = field("availabilityZone")
        imageID = field("imageId")
        instanceID = field("instanceId")
        instanceType = field("instanceType")
        region = field("region")
    }
}

/// The Query API of EC2, asked with the credentials found. Source: the Amazon EC2 API Reference.
struct EC2API {
    let region: String

    func ask(
        _ action: String, _ items: [(name: String, value: String)], _ probe: HostProbe
    ) async throws(DetectionError) -> AWSAnswer {
        let suffix = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
        let address =
            probe.environment("AWS_ENDPOINT_URL_EC2") ?? probe.environment("AWS_ENDPOINT_URL")
            ?? "https://ec2.\(region).\(suffix)/"
        guard let url = HTTPURL(address) else { throw .failed("\(address) is no endpoint of EC2") }
        let form = Percent.form([("Action", action), ("Version", "2016-11-15")] + items)
        var request = HTTPClientRequest.post(url, Array(form.utf8), type: "application/x-www-form-urlencoded")
        var settings = SigV4Settings()
        settings.region = region
        settings.service = "ec2"
        let signer = AWSRequestSigner(settings, on: probe.loops, clock: probe.clock, environment: probe.environment)
        do {
            try await signer.sign(&request)
        } catch {
            throw .failed("\(action): \(error)")
        }
        do throws(DetectionError) {
            return AWSAnswer(String(decoding: try await probe.answer(to: request), as: UTF8.self))
        } catch {
            throw .failed("\(action): \(error)")
        }
    }
}

/// A task of ECS. Source: the Amazon ECS Developer Guide, "Task metadata endpoint", versions 4 and 3.
struct ECSDetector: ResourceDetector {
    static let name = "ecs"
    static let doc = "The task of AWS ECS."
    static let attributes = DetectableAttribute.on(
        "aws.ecs.cluster.arn", "aws.ecs.launchtype", "aws.ecs.task.arn", "aws.ecs.task.family", "aws.ecs.task.id",
        "aws.ecs.task.revision", "aws.log.group.arns", "aws.log.group.names", "aws.log.stream.arns",
        "aws.log.stream.names", "cloud.account.id", "cloud.availability_zone", "cloud.platform", "cloud.provider",
        "cloud.region")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let version4 = probe.environment("ECS_CONTAINER_METADATA_URI_V4")
        guard let endpoint = version4 ?? probe.environment("ECS_CONTAINER_METADATA_URI") else {
            throw .absent("neither ECS_CONTAINER_METADATA_URI_V4 nor ECS_CONTAINER_METADATA_URI is set")
        }
        let task = try await document(endpoint + "/task", probe)
        let arn = task["TaskARN"]?.stringValue ?? ""
        let parts = arn.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let region = parts.count > 5 ? parts[3] : ""
        let account = parts.count > 5 ? parts[4] : ""
        var resource = DetectedResource()
        resource.set("cloud.provider", "aws")
        resource.set("cloud.platform", "aws_ecs")
        resource.set("aws.ecs.task.arn", arn)
        resource.set("aws.ecs.task.family", task["Family"]?.stringValue)
        resource.set("aws.ecs.task.revision", task["Revision"]?.stringValue)
        resource.set("cloud.account.id", account)
        resource.set("cloud.region", region)
        if parts.count > 5 { resource.set("aws.ecs.task.id", parts[5].split(separator: "/").last.map(String.init)) }
        if let cluster = task["Cluster"]?.stringValue, !cluster.isEmpty {
            let isARN = cluster.contains(":")
            resource.set(
                "aws.ecs.cluster.arn", isARN ? cluster : "arn:aws:ecs:\(region):\(account):cluster/\(cluster)")
        }
        resource.set("cloud.availability_zone", task["AvailabilityZone"]?.stringValue)
        if let type = task["LaunchType"]?.stringValue?.lowercased(), type == "ec2" || type == "fargate" {
            resource.set("aws.ecs.launchtype", type)
        }
        let own = try await document(endpoint, probe)
        addLogs(of: task["Containers"]?.arrayValue ?? [], own: own["DockerId"]?.stringValue, account, to: &resource)
        return resource
    }

    private func document(_ address: String, _ probe: HostProbe) async throws(DetectionError) -> JSONValue {
        guard let url = HTTPURL(address) else { throw .failed("\(address) is no URL") }
        do throws(DetectionError) {
            return try HostProbe.parse(try await probe.answer(to: HTTPClientRequest(.get, url)), from: address)
        } catch {
            // The environment says that there is one.
            throw .failed("\(error)")
        }
    }

    /// Where the running containers of the task, but this one, send their logs.
    private func addLogs(
        of containers: [JSONValue], own: String?, _ account: String, to resource: inout DetectedResource
    ) {
        var groups: [String] = []
        var groupARNs: [String] = []
        var streams: [String] = []
        var streamARNs: [String] = []
        for container in containers {
            guard container["Type"]?.stringValue == "NORMAL", container["KnownStatus"]?.stringValue == "RUNNING",
                container["LogDriver"]?.stringValue == "awslogs", container["DockerId"]?.stringValue != own,
                let options = container["LogOptions"], let group = options["awslogs-group"]?.stringValue
            else { continue }
            let stream = options["awslogs-stream"]?.stringValue ?? ""
            let arn = "arn:aws:logs:\(options["awslogs-region"]?.stringValue ?? ""):\(account):log-group:\(group)"
            groups.append(group)
            groupARNs.append(arn)
            streams.append(stream)
            streamARNs.append("\(arn):log-stream:\(stream)")
        }
        resource.set("aws.log.group.names", groups)
        resource.set("aws.log.group.arns", groupARNs)
        resource.set("aws.log.stream.names", streams)
        resource.set("aws.log.stream.arns", streamARNs)
    }
}

/// A pod of EKS.
struct EKSDetector: ResourceDetector {
    static let name = "eks"
    static let doc = "The cluster of AWS EKS."
    static let attributes = [
        DetectableAttribute("cloud.account.id", isOn: false), DetectableAttribute("cloud.platform"),
        DetectableAttribute("cloud.provider"), DetectableAttribute("k8s.cluster.name", isOn: false),
    ]

    private let nodeVariable: String

    init(from block: inout BlockReader) {
        nodeVariable = block.optional(
            "node_from_env_var", default: "K8S_NODE_NAME", "The environment variable that names the node.")
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        guard probe.environment("KUBERNETES_SERVICE_HOST") != nil else { throw .absent("this is no Kubernetes pod") }
        let version = try await probe.kubernetes("/version", .inCluster)["gitVersion"]?.stringValue ?? ""
        guard version.contains("-eks-") else { throw .absent("version \(version) of Kubernetes is not EKS's") }
        var resource = DetectedResource()
        resource.set("cloud.provider", "aws")
        resource.set("cloud.platform", "aws_eks")
        let isMetadataThere = (try? await probe.instance("/latest/meta-data/instance-id")) ?? nil != nil
        let place = isMetadataThere ? try await metadataPlace(probe) : try await nodePlace(probe)
        let answer: AWSAnswer
        do throws(DetectionError) {
            answer = try await EC2API(region: place.region).ask(
                "DescribeInstances", [("InstanceId.1", place.id)], probe)
        } catch {
            // Without the right to ask, the instance's own metadata still tells the account.
            guard isMetadataThere else { throw error }
            resource.set("cloud.account.id", place.account)
            return resource
        }
        resource.set("cloud.account.id", place.account ?? answer.text("ownerId"))
        resource.set("k8s.cluster.name", Self.clusterName(answer))
        return resource
    }

    private struct Place {
        var region: String
        var id: String
        var account: String?
    }

    private func metadataPlace(_ probe: HostProbe) async throws(DetectionError) -> Place {
        let instance = try await EC2Instance(probe)
        return Place(region: instance.region, id: instance.instanceID, account: instance.accountID)
    }

    /// By the node's provider ID, such as `aws:///us-west-2a/i-0123456789`.
    private func nodePlace(_ probe: HostProbe) async throws(DetectionError) -> Place {
        guard let node = probe.environment(nodeVariable) else {
            throw .failed("the environment variable \(nodeVariable) names no node: set it from spec.nodeName")
        }
        let object = try await probe.kubernetes("/api/v1/nodes/\(Percent.encode(node))", .inCluster)
        let provider = object["spec"]?["providerID"]?.stringValue ?? ""
        let parts = provider.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 5, parts[0] == "aws:", parts[3].count > 1, !parts[4].isEmpty else {
            throw .failed("node \(node) has the provider ID \"\(provider)\", which names no instance of EC2")
        }
        return Place(region: String(parts[3].dropLast()), id: String(parts[4]), account: nil)
    }

    private static func clusterName(_ answer: AWSAnswer) -> String? {
        for tag in answer.elements("tagSet").flatMap({ $0.elements("item") }) {
            guard let key = tag.text("key") else { continue }
            if key == "aws:eks:cluster-name" || key == "eks:cluster-name" { return tag.text("value") }
            if key.hasPrefix("kubernetes.io/cluster/") { return String(key.dropFirst(22)) }
        }
        return nil
    }
}

/// An application of Elastic Beanstalk, by the configuration of its X-Ray daemon.
struct ElasticBeanstalkDetector: ResourceDetector {
    static let name = "elasticbeanstalk"
    static let doc = "The environment of AWS Elastic Beanstalk, when X-Ray is enabled there."
    static let attributes = DetectableAttribute.on(
        "cloud.platform", "cloud.provider", "deployment.environment", "service.instance.id", "service.version")
    private static let path = "/var/elasticbeanstalk/xray/environment.conf"

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        guard let text = try await probe.file(Self.path) else { throw .absent("there is no \(Self.path)") }
        let document = try HostProbe.parse(Array(text.utf8), from: Self.path)
        var resource = DetectedResource()
        resource.set("cloud.provider", "aws")
        resource.set("cloud.platform", "aws_elastic_beanstalk")
        resource.set("service.instance.id", document["deployment_id"]?.intValue.map { String($0) })
        resource.set("deployment.environment", document["environment_name"]?.stringValue)
        resource.set("service.version", document["version_label"]?.stringValue)
        return resource
    }
}

/// A function of Lambda. Source: the AWS Lambda Developer Guide, "Defined runtime environment variables".
struct LambdaDetector: ResourceDetector {
    static let name = "lambda"
    static let doc = "The function of AWS Lambda."
    static let attributes = DetectableAttribute.on(
        "aws.log.group.names", "aws.log.stream.names", "cloud.platform", "cloud.provider", "cloud.region",
        "faas.instance", "faas.max_memory", "faas.name", "faas.version")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        guard let function = probe.environment("AWS_LAMBDA_FUNCTION_NAME") else {
            throw .absent("AWS_LAMBDA_FUNCTION_NAME is not set")
        }
        let stream = probe.environment("AWS_LAMBDA_LOG_STREAM_NAME")
        var resource = DetectedResource()
        resource.set("cloud.provider", "aws")
        resource.set("cloud.platform", "aws_lambda")
        resource.set("cloud.region", probe.environment("AWS_REGION"))
        resource.set("faas.name", function)
        resource.set("faas.version", probe.environment("AWS_LAMBDA_FUNCTION_VERSION"))
        resource.set("faas.instance", stream)
        resource.set("faas.max_memory", probe.environment("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
        resource.set("aws.log.group.names", probe.environment("AWS_LAMBDA_LOG_GROUP_NAME").map { [$0] } ?? [])
        resource.set("aws.log.stream.names", stream.map { [$0] } ?? [])
        return resource
    }
}
