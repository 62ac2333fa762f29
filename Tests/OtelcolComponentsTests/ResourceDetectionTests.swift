import AlloySyntax
import ComponentKit
import Essentials
import Foundation
import Synchronization
import Telemetry
import TestKit
import Testing
import Transport
import Wire

@testable import OtelcolComponents

/// Metadata services at one address on loopback: paths and what is there.
private final class MetadataServices {
    let harness: ComponentHarness
    private let asked: Box
    private let server: HTTPServer
    private let running: Task<Void, Never>

    private final class Box: Sendable {
        let requests = Mutex<[String]>([])
    }

    /// Answers what `answers` has for a path with its query, 404 otherwise. `fields` are noted with each request.
    init(_ answers: [String: String], noting fields: [String] = []) throws {
        let harness = ComponentHarness(OtelcolProcessorResourceDetection.self)
        let box = Box()
        var router = HTTPRouter()
        router.otherwise { request in
            let body = String(decoding: try await request.body.collect(), as: UTF8.self)
            let target = request.rawPath + (request.rawQuery.isEmpty ? "" : "?\(request.rawQuery)")
            let noted = fields.compactMap { name in request.fields[name].map { "\(name)=\($0)" } }
            let parts = [request.method.name, target, body] + noted
            box.requests.withLock { $0.append(parts.filter { !$0.isEmpty }.joined(separator: " ")) }
            guard let answer = answers[target] else { return .text(.notFound, "nothing here") }
            return .text(.ok, answer)
        }
        let made = router
        let loops = harness.services.eventLoops
        let server = try harness.run {
            try await HTTPServer.bind(
                HTTPServerSettings(address: .host("127.0.0.1", port: 0)), router: made, on: loops)
        }
        self.harness = harness
        self.server = server
        asked = box
        running = Task(executorPreference: harness.executor) { await server.run() }
    }

    deinit { running.cancel() }

    var url: String { "http://127.0.0.1:\(server.address.port ?? 0)" }
    var requests: [String] { asked.requests.withLock { $0 } }

    /// What a detector finds: attributes as text, or its error.
    func detect(
        _ detector: ConfiguredDetector, _ environment: [String: String] = [:], root: String = "/nowhere"
    ) throws -> [String: String] {
        let probe = HostProbe(
            harness.services, timeout: .seconds(5), root: root, metadataServer: HTTPURL(url)
        ) { environment[$0] }
        let found = try harness.run { try await detector.detect(probe) }
        var texts: [String: String] = [:]
        for attribute in found.attributes { texts[attribute.name] = text(attribute.value) }
        return texts
    }

    private func text(_ value: OTLPAnyValue) -> String {
        switch value {
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        case .int(let number): "\(number)"
        case .array(let list): "[\(list.map(text).joined(separator: " "))]"
        default: "\(value)"
        }
    }
}

/// A detector as a configuration has it.
private func detector(_ name: String, _ body: String = "") throws -> ConfiguredDetector {
    let source = SourceFile(name: "test", bytes: Array("\(name) {\n\(body)\n}".utf8))
    let tree = try Parser.parse(source)
    let result = BlockDecoder.decode(AllDetectors.self, body: tree.body, in: Scope())
    #expect(result.diagnostics.items.map(\.description) == [])
    return try #require(result.value?.detectors.first { $0.name == name })
}

private struct AllDetectors: Block {
    let detectors: [ConfiguredDetector]
    init(from block: inout BlockReader) { detectors = DetectorCatalog.read(from: &block) }
}

@Suite("Detectors of resources", .timeLimit(.minutes(2)))
struct ResourceDetectionTests {
    private static let identity = """
        {"accountId": "123456789012", "availabilityZone": "eu-west-1b", "imageId": "ami-77", "instanceId": "i-0abc",
         "instanceType": "m7g.large", "region": "eu-west-1"}
        """

    @Test("EC2: a session token with each request, the identity document, tags from the metadata")
    func ec2() throws {
        let services = try MetadataServices(
            [
                "/latest/api/token": "ticket", "/latest/meta-data/instance-id": "i-0abc",
                "/latest/dynamic/instance-identity/document": Self.identity,
                "/latest/meta-data/hostname": "ip-10-0-0-7.internal",
                "/latest/meta-data/tags/instance": "Name\nteam", "/latest/meta-data/tags/instance/team": "ops",
            ], noting: ["x-aws-ec2-metadata-token"])
        let found = try services.detect(
            try detector(
                "ec2",
                "tags = [\"^team$\"]\ntags_from_imds = true\nresource_attributes {\nhost.type { enabled = false }\n}"))
        #expect(
            found == [
                "cloud.provider": "aws", "cloud.platform": "aws_ec2", "cloud.region": "eu-west-1",
                "cloud.account.id": "123456789012", "cloud.availability_zone": "eu-west-1b", "host.id": "i-0abc",
                "host.image.id": "ami-77", "host.name": "ip-10-0-0-7.internal", "ec2.tag.team": "ops",
            ])
        #expect(services.requests.first == "PUT /latest/api/token")
        #expect(
            services.requests.dropFirst().allSatisfy { $0.hasSuffix("x-aws-ec2-metadata-token=ticket") },
            "one token serves all requests")
    }

    @Test("EC2: tags from the API, signed with the credentials of the instance's role")
    func ec2Tags() throws {
        let services = try MetadataServices(
            [
                "/latest/api/token": "ticket", "/latest/meta-data/instance-id": "i-0abc",
                "/latest/dynamic/instance-identity/document": Self.identity, "/latest/meta-data/hostname": "h",
                "/latest/meta-data/iam/security-credentials/": "collector",
                "/latest/meta-data/iam/security-credentials/collector": """
                {"AccessKeyId": "AKROLE", "SecretAccessKey": "s", "Token": "session", "Expiration": "2033-01-01T00:00:00Z"}
                """,
                "/": """
                <DescribeTagsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><tagSet>
                <item><resourceId>i-0abc</resourceId><key>Name</key><value>a &amp; b</value></item>
                <item><key>cost</key><value>12</value></item></tagSet></DescribeTagsResponse>
                """,
            ], noting: ["authorization", "x-amz-security-token"])
        let found = try services.detect(
            try detector("ec2", "tags = [\"^Name$\"]"),
            ["AWS_ENDPOINT_URL_EC2": services.url + "/", "AWS_EC2_METADATA_SERVICE_ENDPOINT": services.url])
        #expect(found.filter { $0.key.hasPrefix("ec2.") } == ["ec2.tag.Name": "a & b"])
        let request = try #require(services.requests.last)
        #expect(
            request.hasPrefix(
                "POST / Action=DescribeTags&Version=2016-11-15&Filter.1.Name=resource-id&Filter.1.Value.1=i-0abc"))
        #expect(request.contains("Credential=AKROLE/") && request.hasSuffix("x-amz-security-token=session"))
    }

    @Test("ECS: the task, the cluster's ARN, logs of the other containers")
    func ecs() throws {
        let services = try MetadataServices([
            "/v4/self": #"{"DockerId": "own"}"#,
            "/v4/self/task": """
            {"TaskARN": "arn:aws:ecs:us-east-2:42:task/shop/aa11", "Family": "web", "Revision": "7", "Cluster": "shop",
             "LaunchType": "FARGATE", "AvailabilityZone": "us-east-2a", "Containers": [
              {"DockerId": "own", "Type": "NORMAL", "KnownStatus": "RUNNING", "LogDriver": "awslogs",
               "LogOptions": {"awslogs-group": "mine", "awslogs-region": "us-east-2", "awslogs-stream": "x"}},
              {"DockerId": "app", "Type": "NORMAL", "KnownStatus": "RUNNING", "LogDriver": "awslogs",
               "LogOptions": {"awslogs-group": "app", "awslogs-region": "us-east-2", "awslogs-stream": "app/1"}}]}
            """,
        ])
        let environment = ["ECS_CONTAINER_METADATA_URI_V4": services.url + "/v4/self"]
        #expect(
            try services.detect(try detector("ecs"), environment) == [
                "cloud.provider": "aws", "cloud.platform": "aws_ecs", "cloud.region": "us-east-2",
                "cloud.account.id": "42", "cloud.availability_zone": "us-east-2a",
                "aws.ecs.task.arn": "arn:aws:ecs:us-east-2:42:task/shop/aa11", "aws.ecs.task.id": "aa11",
                "aws.ecs.task.family": "web", "aws.ecs.task.revision": "7", "aws.ecs.launchtype": "fargate",
                "aws.ecs.cluster.arn": "arn:aws:ecs:us-east-2:42:cluster/shop", "aws.log.group.names": "[app]",
                "aws.log.group.arns": "[arn:aws:logs:us-east-2:42:log-group:app]", "aws.log.stream.names": "[app/1]",
                "aws.log.stream.arns": "[arn:aws:logs:us-east-2:42:log-group:app:log-stream:app/1]",
            ])
        #expect(throws: DetectionError.self) { try services.detect(try detector("ecs")) }
    }

    @Test("Lambda, Heroku and Google's serverless products tell by the environment")
    func environments() throws {
        let services = try MetadataServices([
            "/computeMetadata/v1/project/project-id": "shop-1", "/computeMetadata/v1/instance/id": "i77",
            "/computeMetadata/v1/instance/region": "projects/9/regions/europe-west1",
        ])
        let lambda = try services.detect(
            try detector("lambda"),
            [
                "AWS_LAMBDA_FUNCTION_NAME": "resize", "AWS_REGION": "eu-west-1", "AWS_LAMBDA_FUNCTION_VERSION": "3",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/resize", "AWS_LAMBDA_LOG_STREAM_NAME": "2026/[3]aa",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            ])
        #expect(
            lambda == [
                "cloud.provider": "aws", "cloud.platform": "aws_lambda", "cloud.region": "eu-west-1",
                "faas.name": "resize", "faas.version": "3", "faas.instance": "2026/[3]aa", "faas.max_memory": "512",
                "aws.log.group.names": "[/aws/lambda/resize]", "aws.log.stream.names": "[2026/[3]aa]",
            ])
        let heroku = try services.detect(
            try detector("heroku"), ["HEROKU_DYNO_ID": "d1", "HEROKU_APP_NAME": "shop", "HEROKU_SLUG_COMMIT": "c0ffee"])
        #expect(
            heroku == [
                "cloud.provider": "heroku", "heroku.dyno.id": "d1", "service.instance.id": "d1", "service.name": "shop",
                "heroku.release.commit": "c0ffee",
            ])
        let run = try services.detect(
            try detector("gcp"), ["K_CONFIGURATION": "c", "K_SERVICE": "front", "K_REVISION": "front-2"])
        #expect(
            run == [
                "cloud.provider": "gcp", "cloud.platform": "gcp_cloud_run", "cloud.account.id": "shop-1",
                "cloud.region": "europe-west1", "faas.name": "front", "faas.version": "front-2", "faas.instance": "i77",
            ])
        let job = try services.detect(
            try detector("gcp"),
            ["CLOUD_RUN_JOB": "nightly", "CLOUD_RUN_EXECUTION": "nightly-x", "CLOUD_RUN_TASK_INDEX": "4"])
        #expect(job["gcp.cloud_run.job.execution"] == "nightly-x" && job["gcp.cloud_run.job.task_index"] == "4")
    }

    @Test("Google Compute Engine and Kubernetes Engine")
    func google() throws {
        let services = try MetadataServices(
            [
                "/computeMetadata/v1/project/project-id": "shop-1", "/computeMetadata/v1/instance/id": "77",
                "/computeMetadata/v1/instance/name": "vm-1",
                "/computeMetadata/v1/instance/zone": "projects/9/zones/us-central1-c",
                "/computeMetadata/v1/instance/machine-type": "projects/9/machineTypes/e2-small",
                "/computeMetadata/v1/instance/attributes/created-by":
                    "projects/9/zones/us-central1-c/instanceGroupManagers/pool",
                "/computeMetadata/v1/instance/attributes/cluster-name": "prod",
                "/computeMetadata/v1/instance/attributes/cluster-location": "us-central1",
            ], noting: ["metadata-flavor"])
        #expect(
            try services.detect(
                try detector("gcp", "resource_attributes {\ngcp.gce.instance.name { enabled = true }\n}")) == [
                    "cloud.provider": "gcp", "cloud.platform": "gcp_compute_engine", "cloud.account.id": "shop-1",
                    "cloud.region": "us-central1", "cloud.availability_zone": "us-central1-c", "host.id": "77",
                    "host.name": "vm-1", "host.type": "e2-small", "gcp.gce.instance.name": "vm-1",
                    "gcp.gce.instance.group_manager.name": "pool",
                    "gcp.gce.instance.group_manager.zone": "us-central1-c",
                ])
        #expect(
            try services.detect(try detector("gcp"), ["KUBERNETES_SERVICE_HOST": "10.0.0.1"]) == [
                "cloud.provider": "gcp", "cloud.platform": "gcp_kubernetes_engine", "cloud.account.id": "shop-1",
                "cloud.region": "us-central1", "k8s.cluster.name": "prod", "host.id": "77", "host.name": "vm-1",
            ])
        #expect(services.requests.allSatisfy { $0.hasSuffix("metadata-flavor=Google") })
    }

    @Test("Azure: the machine, its tags, the cluster by its resource group")
    func azure() throws {
        let path = "/metadata/instance/compute?api-version=2021-12-13&format=json"
        let services = try MetadataServices([
            path: """
            {"name": "vm", "location": "westeurope", "vmId": "v-1", "vmSize": "D2", "subscriptionId": "sub", "zone": "2",
             "resourceGroupName": "MC_rg_shop_westeurope", "vmScaleSetName": "", "osProfile": {"computerName": "host1"},
             "tagsList": [{"name": "team", "value": "ops"}, {"name": "other", "value": "x"}]}
            """
        ])
        #expect(
            try services.detect(try detector("azure", "tags = [\"te.m\"]")) == [
                "cloud.provider": "azure", "cloud.platform": "azure_vm", "cloud.region": "westeurope",
                "cloud.account.id": "sub", "host.id": "v-1", "host.name": "host1", "azure.vm.name": "vm",
                "azure.vm.size": "D2", "azure.resourcegroup.name": "MC_rg_shop_westeurope", "azure.tag.team": "ops",
            ])
        let aks = try detector("aks", "resource_attributes {\nk8s.cluster.name { enabled = true }\n}")
        #expect(
            try services.detect(aks, ["KUBERNETES_SERVICE_HOST": "10.0.0.1"]) == [
                "cloud.provider": "azure", "cloud.platform": "azure_aks", "k8s.cluster.name": "shop",
            ])
        #expect(throws: DetectionError.absent("this is no Kubernetes pod")) { try services.detect(aks) }
    }

    @Test("Providers with a document: each field where it belongs", arguments: DocumentCase.all)
    func documents(_ example: DocumentCase) throws {
        let services = try MetadataServices(example.answers)
        #expect(try services.detect(try detector(example.detector)) == example.attributes)
        #expect(throws: DetectionError.self) {
            try MetadataServices([:]).detect(try detector(example.detector))
        }
    }

    @Test("Consul: the agent is asked with token, datacenter and namespace; one that is away is an error")
    func consul() throws {
        let services = try MetadataServices(
            [
                "/v1/agent/self?dc=west&ns=shop": """
                {"Config": {"NodeName": "n1", "Datacenter": "west", "NodeID": "id1"}, "Meta": {"rack": "r7", "x": "y"}}
                """
            ], noting: ["x-consul-token"])
        let body =
            "address = \"\(services.url)\"\ndatacenter = \"west\"\nnamespace = \"shop\"\ntoken = \"hush\"\nmeta = [\"rack\"]"
        #expect(
            try services.detect(try detector("consul", body)) == [
                "host.name": "n1", "cloud.region": "west", "host.id": "id1", "rack": "r7",
            ])
        #expect(services.requests == ["GET /v1/agent/self?dc=west&ns=shop x-consul-token=hush"])
        let other = try detector("consul", "address = \"\(services.url)\"")
        #expect(throws: DetectionError.failed("\(services.url)/v1/agent/self answered 404")) {
            try services.detect(other)
        }
    }

    @Test("The system: names from the hosts file, identity and release from files, addresses from the kernel")
    func system() throws {
        let folder = ComponentHarness.makeTemporaryDirectory()
        let node = SystemName().node
        try folder.write("etc/hosts", "127.0.0.1 localhost\n10.1.2.3 \(node).example.org \(node) # me\n")
        try folder.write("etc/machine-id", "abcdef0123\n")
        try folder.write(
            "etc/os-release", "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n")
        try folder.write(
            "proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Xeon  5\n"
                + "stepping\t: 7\ncache size\t: 1024 KB\n\nprocessor\t: 1\nmodel\t\t: 99\n")
        let names = SystemDetector.attributes.map { "\($0.name) { enabled = true }" }.joined(separator: "\n")
        let services = try MetadataServices([:])
        let found = try services.detect(
            try detector("system", "resource_attributes {\n\(names)\n}"), root: folder)
        #expect(found["host.name"] == "\(node).example.org")
        #expect(found["host.id"] == "abcdef0123" && found["os.type"] == "linux")
        #expect(found["os.name"] == "debian" && found["os.version"] == "12")
        #expect(found["os.description"] == "Debian 12 (\(SystemName().description))")
        #expect(found["os.build.id"] == SystemName().release)
        #expect(
            ["vendor.id", "family", "model.id", "model.name", "stepping", "cache.l2.size"].map {
                found["host.cpu.\($0)"]
            }
                == ["GenuineIntel", "6", "85", "Xeon 5", "7", "1024"])
        #expect(found["host.interface"]?.contains("lo") == true)
        #expect(found["host.ip"]?.contains("127.0.0.1") != true)
        let plain = try services.detect(try detector("system", "hostname_sources = [\"os\"]"), root: folder)
        #expect(plain == ["host.name": node, "os.type": "linux"])
    }

    @Test("Elastic Beanstalk and Dynatrace leave files")
    func files() throws {
        let folder = ComponentHarness.makeTemporaryDirectory()
        try folder.write(
            "var/elasticbeanstalk/xray/environment.conf",
            #"{"deployment_id": 23, "environment_name": "prod", "version_label": "v1.2"}"#)
        try folder.write(
            "var/lib/dynatrace/enrichment/dt_host_metadata.properties",
            "dt.entity.host=HOST-1\nhost.name=h=1\nother=x\nnonsense\n")
        let services = try MetadataServices([:])
        #expect(
            try services.detect(try detector("elasticbeanstalk"), root: folder) == [
                "cloud.provider": "aws", "cloud.platform": "aws_elastic_beanstalk", "service.instance.id": "23",
                "deployment.environment": "prod", "service.version": "v1.2",
            ])
        #expect(
            try services.detect(try detector("dynatrace"), root: folder) == [
                "dt.entity.host": "HOST-1", "host.name": "h=1",
            ])
        #expect(try services.detect(try detector("dynatrace")) == [:])
    }

    @Test(
        "The environment's list of attributes",
        arguments: [
            ("a=1, b = two%20words ,c=", ["a": "1", "b": "two words", "c": ""]), ("k=v,", ["k": "v"]), ("", [:]),
        ])
    func environmentList(_ text: String, _ expected: [String: String]) throws {
        let services = try MetadataServices([:])
        let detector = ConfiguredDetector(name: "env", detector: EnvironmentDetector(), isOff: [])
        #expect(try services.detect(detector, ["OTEL_RESOURCE_ATTRIBUTES": text]) == expected)
        #expect(try services.detect(detector, ["OTEL_RESOURCE": text]) == expected)
        #expect(throws: DetectionError.self) { try services.detect(detector, ["OTEL_RESOURCE_ATTRIBUTES": "novalue"]) }
    }
}

/// A provider that answers one or more documents.
struct DocumentCase: Sendable, CustomTestStringConvertible {
    var detector: String
    var answers: [String: String]
    var attributes: [String: String]
    var testDescription: String { detector }

    static let all = [
        DocumentCase(
            detector: "akamai",
            answers: [
                "/v1/token": #"["ticket"]"#, "/v1/instance": #"{"id": 5, "label": "l1", "region": "eu-central"}"#,
            ],
            attributes: [
                "cloud.provider": "akamai_cloud", "cloud.region": "eu-central", "host.id": "5", "host.name": "l1",
            ]),
        DocumentCase(
            detector: "digitalocean",
            answers: ["/metadata/v1.json": #"{"droplet_id": 9, "hostname": "d", "region": "ams3"}"#],
            attributes: [
                "cloud.provider": "digitalocean", "cloud.region": "ams3", "host.id": "9", "host.name": "d",
            ]),
        DocumentCase(
            detector: "hetzner",
            answers: [
                "/hetzner/v1/metadata/hostname": "srv", "/hetzner/v1/metadata/instance-id": "4711",
                "/hetzner/v1/metadata/region": "eu-central", "/hetzner/v1/metadata/availability-zone": "fsn1-dc14",
            ],
            attributes: [
                "cloud.provider": "hetzner", "cloud.region": "eu-central", "cloud.availability_zone": "fsn1-dc14",
                "host.id": "4711", "host.name": "srv",
            ]),
        DocumentCase(
            detector: "nova",
            answers: [
                "/openstack/latest/meta_data.json": """
                {"uuid": "u1", "hostname": "os1", "availability_zone": "nova", "project_id": "p", "meta": {"a": "b"}}
                """, "/latest/meta-data/instance-type": "m1.small",
            ],
            attributes: [
                "cloud.provider": "openstack", "cloud.platform": "openstack_nova", "cloud.availability_zone": "nova",
                "host.id": "u1", "host.name": "os1", "host.type": "m1.small",
            ]),
        DocumentCase(
            detector: "oraclecloud",
            answers: [
                "/opc/v2/instance/": """
                {"id": "ocid1", "displayName": "o1", "shape": "VM", "canonicalRegionName": "eu-frankfurt-1",
                 "availabilityDomain": "AD-1", "regionInfo": {"realmKey": "oc1"}, "metadata": {}}
                """
            ],
            attributes: [
                "cloud.provider": "oracle_cloud", "cloud.platform": "oracle_cloud_compute",
                "cloud.region": "eu-frankfurt-1", "cloud.availability_zone": "AD-1", "host.id": "ocid1",
                "host.name": "o1", "host.type": "VM", "oracle_cloud.realm": "oc1",
            ]),
        DocumentCase(
            detector: "scaleway",
            answers: [
                "/conf?format=json": """
                {"id": "s1", "name": "sc", "organization": "org", "commercial_type": "DEV1-S",
                 "image": {"id": "im", "name": "Debian"}, "location": {"zone_id": "fr-par-2"}}
                """
            ],
            attributes: [
                "cloud.account.id": "org", "cloud.availability_zone": "fr-par-2", "cloud.region": "fr-par",
                "cloud.provider": "scaleway_cloud", "cloud.platform": "scaleway_cloud_compute", "host.id": "s1",
                "host.image.id": "im", "host.image.name": "Debian", "host.name": "sc", "host.type": "DEV1-S",
            ]),
        DocumentCase(
            detector: "upcloud",
            answers: [
                "/metadata/v1.json":
                    #"{"cloud_name": "upcloud", "region": "fi-hel1", "instance_id": "7", "hostname": "u"}"#
            ],
            attributes: ["cloud.provider": "upcloud", "cloud.region": "fi-hel1", "host.id": "7", "host.name": "u"]),
        DocumentCase(
            detector: "vultr",
            answers: [
                "/v1.json": #"{"hostname": "v", "instance-v2-id": "v2", "region": {"regioncode": "EWR"}}"#
            ],
            attributes: ["cloud.provider": "vultr", "cloud.region": "ewr", "host.id": "v2", "host.name": "v"]),
        DocumentCase(
            detector: "tencent_cvm",
            answers: [
                "/latest/meta-data/app-id": "1", "/latest/meta-data/placement/region": "ap-gz",
                "/latest/meta-data/placement/zone": "ap-gz-3", "/latest/meta-data/instance-id": "ins",
                "/latest/meta-data/instance-name": "t", "/latest/meta-data/instance/image-id": "img",
                "/latest/meta-data/instance/instance-type": "S5",
            ],
            attributes: [
                "cloud.provider": "tencent_cloud", "cloud.platform": "tencent_cloud_cvm", "cloud.account.id": "1",
                "cloud.region": "ap-gz", "cloud.availability_zone": "ap-gz-3", "host.id": "ins", "host.name": "t",
                "host.image.id": "img", "host.type": "S5",
            ]),
        DocumentCase(
            detector: "alibaba_ecs",
            answers: [
                "/latest/api/token": "ticket", "/latest/meta-data/owner-account-id": "1",
                "/latest/meta-data/region-id": "cn-hz", "/latest/meta-data/zone-id": "cn-hz-b",
                "/latest/meta-data/instance-id": "i-1", "/latest/meta-data/hostname": "a",
                "/latest/meta-data/image-id": "img", "/latest/meta-data/instance/instance-type": "ecs.g7",
            ],
            attributes: [
                "cloud.provider": "alibaba_cloud", "cloud.platform": "alibaba_cloud_ecs", "cloud.account.id": "1",
                "cloud.region": "cn-hz", "cloud.availability_zone": "cn-hz-b", "host.id": "i-1", "host.name": "a",
                "host.image.id": "img", "host.type": "ecs.g7",
            ]),
    ]
}

extension String {
    /// Writes a file below the folder this is the path of.
    fileprivate func write(_ path: String, _ text: String) throws {
        let url = URL(fileURLWithPath: "\(self)/\(path)")
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: url, atomically: true, encoding: .utf8)
    }
}
