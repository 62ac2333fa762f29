import AlloySyntax
import Transport

/// Google's clouds: Compute Engine, Kubernetes Engine, Cloud Run, Cloud Functions and App Engine.
///
/// Source: Google Cloud's documentation, "View and query VM metadata", and each product's environment variables.
struct GoogleCloudDetector: ResourceDetector {
    static let name = "gcp"
    static let doc = "The place at Google Cloud."
    static let attributes =
        DetectableAttribute.on(
            "cloud.account.id", "cloud.availability_zone", "cloud.platform", "cloud.provider", "cloud.region")
        + [DetectableAttribute("faas.id", isOn: false, isDeprecated: true)]
        + DetectableAttribute.on(
            "faas.instance", "faas.name", "faas.version", "gcp.cloud_run.job.execution", "gcp.cloud_run.job.task_index")
        + [
            DetectableAttribute("gcp.gce.instance.hostname", isOn: false),
            DetectableAttribute("gcp.gce.instance.name", isOn: false),
        ]
        + DetectableAttribute.on(
            "gcp.gce.instance.group_manager.name", "gcp.gce.instance.group_manager.region",
            "gcp.gce.instance.group_manager.zone", "host.id", "host.name", "host.type", "k8s.cluster.name")

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let service = Metadata(probe: probe)
        let project = try await service.required("project/project-id")
        var resource = DetectedResource()
        resource.set("cloud.provider", "gcp")
        resource.set("cloud.account.id", project)
        if probe.environment("KUBERNETES_SERVICE_HOST") != nil {
            try await addKubernetes(service, to: &resource)
        } else if probe.environment("K_CONFIGURATION") != nil, probe.environment("FUNCTION_TARGET") == nil {
            try await addFunction("gcp_cloud_run", service, to: &resource)
        } else if let job = probe.environment("CLOUD_RUN_JOB") {
            resource.set("cloud.platform", "gcp_cloud_run")
            resource.set("faas.name", job)
            resource.set("cloud.region", try await service.last("instance/region"))
            resource.set("faas.instance", try await service.required("instance/id"))
            resource.set("gcp.cloud_run.job.execution", probe.environment("CLOUD_RUN_EXECUTION"))
            resource.set("gcp.cloud_run.job.task_index", probe.environment("CLOUD_RUN_TASK_INDEX"))
        } else if probe.environment("FUNCTION_TARGET") != nil {
            try await addFunction("gcp_cloud_functions", service, to: &resource)
        } else if let name = probe.environment("GAE_SERVICE") {
            resource.set("cloud.platform", "gcp_app_engine")
            resource.set("faas.name", name)
            resource.set("faas.version", probe.environment("GAE_VERSION"))
            resource.set("faas.instance", probe.environment("GAE_INSTANCE"))
            try await addZone(service, to: &resource)
        } else {
            try await addMachine(service, to: &resource)
        }
        return resource
    }

    private func addKubernetes(_ service: Metadata, to resource: inout DetectedResource) async throws(DetectionError) {
        resource.set("cloud.platform", "gcp_kubernetes_engine")
        let location = try await service.required("instance/attributes/cluster-location")
        switch location.count(where: { $0 == "-" }) {
        case 1: resource.set("cloud.region", location)
        case 2: resource.set("cloud.availability_zone", location)
        default: throw .failed("the cluster's location \"\(location)\" is neither a region nor a zone")
        }
        resource.set("k8s.cluster.name", try await service.required("instance/attributes/cluster-name"))
        resource.set("host.id", try await service.required("instance/id"))
        // Not to be had with Workload Identity.
        resource.set("host.name", try await service.optional("instance/name"))
    }

    private func addFunction(
        _ platform: String, _ service: Metadata, to resource: inout DetectedResource
    ) async throws(DetectionError) {
        resource.set("cloud.platform", platform)
        resource.set("faas.name", service.probe.environment("K_SERVICE"))
        resource.set("faas.version", service.probe.environment("K_REVISION"))
        resource.set("faas.instance", try await service.required("instance/id"))
        resource.set("cloud.region", try await service.last("instance/region"))
    }

    private func addMachine(_ service: Metadata, to resource: inout DetectedResource) async throws(DetectionError) {
        resource.set("cloud.platform", "gcp_compute_engine")
        try await addZone(service, to: &resource)
        resource.set("host.type", try await service.last("instance/machine-type"))
        resource.set("host.id", try await service.required("instance/id"))
        let name = try await service.optional("instance/name")
        resource.set("host.name", name)
        resource.set("gcp.gce.instance.name", name)
        resource.set("gcp.gce.instance.hostname", try await service.optional("instance/hostname"))
        // projects/<number>/zones|regions/<place>/instanceGroupManagers/<name>
        let creator = try await service.optional("instance/attributes/created-by") ?? ""
        let parts = creator.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 6, parts[0] == "projects", parts[4] == "instanceGroupManagers" else { return }
        resource.set("gcp.gce.instance.group_manager.name", parts[5])
        if parts[2] == "zones" { resource.set("gcp.gce.instance.group_manager.zone", parts[3]) }
        if parts[2] == "regions" { resource.set("gcp.gce.instance.group_manager.region", parts[3]) }
    }

    /// The zone and the region it is in.
    private func addZone(_ service: Metadata, to resource: inout DetectedResource) async throws(DetectionError) {
        let zone = try await service.last("instance/zone")
        let parts = zone.split(separator: "-")
        guard parts.count == 3 else { throw .failed("the zone \"\(zone)\" is not country-region-zone") }
        resource.set("cloud.availability_zone", zone)
        resource.set("cloud.region", parts[..<2].joined(separator: "-"))
    }

    private struct Metadata {
        let probe: HostProbe

        func required(_ path: String) async throws(DetectionError) -> String {
            let host = probe.environment("GCE_METADATA_HOST") ?? "169.254.169.254"
            let text = try await probe.metadataText(
                "http://\(host)/computeMetadata/v1/\(path)", [("metadata-flavor", "Google")])
            return String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        }

        func optional(_ path: String) async throws(DetectionError) -> String? {
            do throws(DetectionError) {
                return try await required(path)
            } catch .absent {
                return nil
            }
        }

        /// The last part of a value that is a path of a resource.
        func last(_ path: String) async throws(DetectionError) -> String {
            let text = try await required(path)
            return text.split(separator: "/").last.map(String.init) ?? text
        }
    }
}
