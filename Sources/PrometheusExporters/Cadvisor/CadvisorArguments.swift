package import AlloySyntax
import ComponentKit
import Essentials
import Transport

/// A kind of metrics that can be turned on and off, by its name in the arguments.
enum CadvisorKind: String, CaseIterable, Sendable {
    case advancedTCP = "advtcp"
    case application = "app"
    case cpu
    case cpuLoad
    case cpuTopology = "cpu_topology"
    case cpuSet = "cpuset"
    case disk
    case diskIO
    case hugePages = "hugetlb"
    case memory
    case memoryByNode = "memory_numa"
    case network
    case outOfMemory = "oom_event"
    case perCPU = "percpu"
    case perfEvents = "perf_event"
    case pressure
    case process
    case referencedMemory = "referenced_memory"
    case resourceControl = "resctrl"
    case scheduler = "sched"
    case tcp
    case udp

    static let disabledByDefault: Set<CadvisorKind> = [
        .advancedTCP, .cpuTopology, .cpuSet, .hugePages, .memoryByNode, .process, .referencedMemory, .resourceControl,
        .scheduler, .tcp, .udp,
    ]
}

/// Arguments of `prometheus.exporter.cadvisor`.
package struct CadvisorArguments: Block {
    let settings: CadvisorSettings

    package init(from block: inout BlockReader) {
        var made = CadvisorSettings()
        made.storesLabels = block.optional(
            "store_container_labels", default: true,
            "Whether the labels and chosen environment variables of containers become labels of their metrics.")
        made.allowedLabels = block.optional(
            "allowlisted_container_labels", default: [],
            "Container labels that become labels when `store_container_labels` is off.")
        made.allowedEnvironment = block.optional(
            "env_metadata_allowlist", default: [], "Prefixes of environment variables that become labels.")
        made.rawPrefixes = block.optional(
            "raw_cgroup_prefix_allowlist", default: [],
            "Prefixes of paths of cgroups outside of containers that are exported; all when left out.")
        let perf: String = block.optional("perf_events_config", default: "", "File that tells which perf events count.")
        let interval: Duration = block.optional(
            "resctrl_interval", default: .zero, "Time between updates of monitoring groups.")
        let disabled: [String]? = block.optional(
            "disabled_metrics", "Kinds of metrics left out.", defaultProse: "(see docs)")
        let enabled: [String] = block.optional(
            "enabled_metrics", default: [], "The only kinds of metrics exported; wins over `disabled_metrics`.")
        let _: Duration = block.optional(
            "storage_duration", default: .seconds(120), "How long values are kept; they are read when scraped.")
        made.containerdSocket = block.optional(
            "containerd_host", default: "/run/containerd/containerd.sock", "Socket of containerd.")
        made.containerdNamespace = block.optional(
            "containerd_namespace", default: "k8s.io", "Namespace of the containers in containerd.")
        let host: String = block.optional(
            "docker_host", default: "unix:///var/run/docker.sock", "Address of the Docker daemon.")
        let usesTLS: Bool = block.optional("use_docker_tls", default: false, "Whether Docker is asked over TLS.")
        var tls = TLSClientSettings()
        tls.certificateFile = block.optional("docker_tls_cert", default: "cert.pem", "Certificate sent to Docker.")
        tls.keyFile = block.optional("docker_tls_key", default: "key.pem", "Key of that certificate.")
        tls.caFile = block.optional("docker_tls_ca", default: "ca.pem", "Authority that signed Docker's certificate.")
        made.dockerOnly = block.optional(
            "docker_only", default: false, "Whether cgroups outside of containers are left out, but for the root.")
        made.skipsRootStats = block.optional(
            "disable_root_cgroup_stats", default: false, "Whether the root cgroup is left out.")

        // Counting them takes a library that cAdvisor has in a build of its own only; other builds say so and go on.
        if !perf.isEmpty {
            block.warn("perf_events_config", "has no effect: perf events are not counted, as in builds without libpfm")
        }
        if interval < .zero { block.reject("resctrl_interval", "must not be negative") }
        made.resourceControlInterval = interval
        if block.isSet("storage_duration") {
            block.warn("storage_duration", "has no effect: values are read when they are scraped, and none is kept")
        }
        if made.containerdSocket.hasPrefix("unix://") { made.containerdSocket.removeFirst(7) }
        if let endpoint = DockerEndpoint(host, tls: usesTLS ? tls : nil) {
            made.docker = endpoint
        } else {
            block.reject("docker_host", "is not an address: use unix:///path, tcp://host:port or http://host:port")
        }
        made.kinds = Self.kinds(enabled: enabled, disabled: disabled, &block)
        settings = made
    }

    private static func kinds(
        enabled: [String], disabled: [String]?, _ block: inout BlockReader
    ) -> Set<CadvisorKind> {
        func read(_ names: [String], _ argument: String) -> Set<CadvisorKind> {
            var kinds: Set<CadvisorKind> = []
            for name in names {
                guard let kind = CadvisorKind(rawValue: name) else {
                    block.reject(argument, "names the unsupported kind \"\(name)\"")
                    continue
                }
                kinds.insert(kind)
            }
            return kinds
        }
        let off = disabled.map { read($0, "disabled_metrics") } ?? CadvisorKind.disabledByDefault
        let on = read(enabled, "enabled_metrics")
        if !on.isEmpty { return on }
        return Set(CadvisorKind.allCases).subtracting(off)
    }
}

/// Everything the exporter is told, checked.
struct CadvisorSettings: Sendable {
    var storesLabels = true
    /// How often a group's place in resctrl is looked for again; zero is never.
    var resourceControlInterval = Duration.zero
    var allowedLabels: [String] = []
    var allowedEnvironment: [String] = []
    var rawPrefixes: [String] = []
    var containerdSocket = ""
    var containerdNamespace = "k8s.io"
    var docker: DockerEndpoint?
    var dockerOnly = false
    var skipsRootStats = false
    var kinds: Set<CadvisorKind> = []

    /// Whether a cgroup that belongs to no container is exported.
    func exportsRaw(_ name: String) -> Bool {
        if name == "/" { return true }
        if rawPrefixes.isEmpty { return !dockerOnly }
        return rawPrefixes.contains { name.hasPrefix($0) }
    }
}
