import AlloySyntax
import TextFormats

/// The metadata service of Azure. Source: Microsoft Learn, "Azure Instance Metadata Service".
private enum AzureMetadata {
    static func compute(_ probe: HostProbe) async throws(DetectionError) -> JSONValue {
        try await probe.metadataDocument(
            "http://169.254.169.254/metadata/instance/compute?api-version=2021-12-13&format=json",
            [("metadata", "True")])
    }
}

/// A virtual machine of Azure.
struct AzureDetector: ResourceDetector {
    static let name = "azure"
    static let doc = "The virtual machine at Azure."
    static let attributes =
        DetectableAttribute.on(
            "azure.resourcegroup.name", "azure.vm.name", "azure.vm.scaleset.name", "azure.vm.size",
            "cloud.account.id", "cloud.platform", "cloud.provider", "cloud.region", "host.id", "host.name")
        + [DetectableAttribute("cloud.availability_zone", isOn: false)]

    private let tags: KeyPatterns

    init(from block: inout BlockReader) {
        tags = KeyPatterns("tags", "Expressions for tags to set as attributes `azure.tag.<name>`.", from: &block)
    }

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        let compute = try await AzureMetadata.compute(probe)
        let name = compute["name"]?.stringValue
        let computer = compute["osProfile"]?["computerName"]?.stringValue
        var resource = DetectedResource()
        resource.set("cloud.provider", "azure")
        resource.set("cloud.platform", "azure_vm")
        resource.set("host.name", computer?.isEmpty == false ? computer : name)
        resource.set("cloud.region", compute["location"]?.stringValue)
        resource.set("cloud.availability_zone", compute["zone"]?.stringValue)
        resource.set("host.id", compute["vmId"]?.stringValue)
        resource.set("cloud.account.id", compute["subscriptionId"]?.stringValue)
        resource.set("azure.vm.name", name)
        resource.set("azure.vm.size", compute["vmSize"]?.stringValue)
        resource.set("azure.vm.scaleset.name", compute["vmScaleSetName"]?.stringValue)
        resource.set("azure.resourcegroup.name", compute["resourceGroupName"]?.stringValue)
        for tag in compute["tagsList"]?.arrayValue ?? [] {
            guard let key = tag["name"]?.stringValue, tags.match(key) else { continue }
            resource.set("azure.tag.\(key)", tag["value"]?.stringValue)
        }
        return resource
    }
}

/// A cluster of Azure Kubernetes Service.
struct AKSDetector: ResourceDetector {
    static let name = "aks"
    static let doc = "The cluster of Azure Kubernetes Service."
    static let attributes =
        DetectableAttribute.on("cloud.platform", "cloud.provider")
        + [DetectableAttribute("k8s.cluster.name", isOn: false)]

    init(from block: inout BlockReader) {}

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        guard probe.environment("KUBERNETES_SERVICE_HOST") != nil else { throw .absent("this is no Kubernetes pod") }
        let group = try await AzureMetadata.compute(probe)["resourceGroupName"]?.stringValue ?? ""
        var resource = DetectedResource()
        resource.set("cloud.provider", "azure")
        resource.set("cloud.platform", "azure_aks")
        // `MC_<resource group>_<cluster>_<location>`, unless one of them has an underscore or the name was chosen.
        let parts = group.split(separator: "_", omittingEmptySubsequences: false)
        let isMade = parts.count == 4 && parts[0].lowercased() == "mc"
        resource.set("k8s.cluster.name", isMade ? String(parts[2]) : group)
        return resource
    }
}
