import AlloySyntax
import Essentials
import TextFormats
import Transport

/// The `arp` block.
struct ARPArguments: Block {
    let filter: DeviceFilter
    let usesNetlink: Bool

    init(from block: inout BlockReader) {
        filter = DeviceFilter(
            excluded: block.filter("device_exclude", "Devices left out, as a regular expression."),
            included: block.filter("device_include", "Devices taken, as a regular expression."))
        usesNetlink = block.optional(
            "netlink", default: false, "Whether entries are read over netlink instead of from `/proc/net/arp`.")
    }
}

/// The `cpu` block.
struct CPUArguments: Block {
    let bugs: RegularExpression?
    let exportsGuest: Bool
    let exportsInfo: Bool
    let flags: RegularExpression?

    static let none = CPUArguments()
    private init() {
        bugs = nil
        exportsGuest = false
        exportsInfo = false
        flags = nil
    }

    init(from block: inout BlockReader) {
        bugs = block.filter("bugs_include", "Entries of the `bugs` field that are exported; turns `info` on.")
        exportsGuest = block.optional("guest", default: false, "Whether time spent in guests is exported.")
        let info: Bool = block.optional("info", default: false, "Whether data of `/proc/cpuinfo` is exported.")
        flags = block.filter("flags_include", "Entries of the `flags` field that are exported; turns `info` on.")
        exportsInfo = info || bugs != nil || flags != nil
    }
}

/// The `disk` block.
struct DiskArguments: Block {
    let filter: DeviceFilter

    init(from block: inout BlockReader) {
        let excluded: String = block.optional(
            "device_exclude", default: #"^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$"#,
            "Devices left out, as a regular expression; without effect beside `device_include`.")
        let included = block.filter("device_include", "Devices taken, as a regular expression.")
        let exclusion = excluded.isEmpty ? nil : block.compile("device_exclude", excluded)
        filter = DeviceFilter(excluded: included == nil ? exclusion : nil, included: included)
    }
}

/// The `filesystem` block.
struct FilesystemArguments: Block {
    let excludedTypes: RegularExpression?
    let excludedMountPoints: RegularExpression?
    let mountTimeout: Duration

    static let none = FilesystemArguments()
    private init() {
        excludedTypes = nil
        excludedMountPoints = nil
        mountTimeout = .seconds(5)
    }

    private static let defaultTypes =
        "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs"
        + "|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$"

    init(from block: inout BlockReader) {
        excludedTypes = block.pattern(
            "fs_types_exclude", default: Self.defaultTypes, "File system types left out, as a regular expression.")
        excludedMountPoints = block.pattern(
            "mount_points_exclude", default: "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)",
            "Mount points left out, as a regular expression.")
        mountTimeout = block.optional(
            "mount_timeout", default: .seconds(5), "How long a mount may take to answer before it counts as stuck.")
    }
}

/// The `hwmon` block.
struct HardwareMonitorArguments: Block {
    let filter: DeviceFilter

    init(from block: inout BlockReader) {
        filter = DeviceFilter(
            excluded: block.filter("chip_exclude", "Chips left out, as a regular expression."),
            included: block.filter("chip_include", "Chips taken, as a regular expression."))
    }
}

/// The `netclass` block.
struct NetClassArguments: Block {
    let skipsInvalidSpeed: Bool
    let ignored: RegularExpression?

    static let none = NetClassArguments()
    private init() {
        skipsInvalidSpeed = false
        ignored = nil
    }

    init(from block: inout BlockReader) {
        skipsInvalidSpeed = block.optional(
            "ignore_invalid_speed_device", default: false, "Whether a negative speed is left out.")
        ignored = block.pattern("ignored_devices", default: "^$", "Devices left out, as a regular expression.")
    }
}

/// The `netdev` block.
struct NetDevArguments: Block {
    let exportsAddresses: Bool
    let filter: DeviceFilter

    static let none = NetDevArguments()
    private init() {
        exportsAddresses = false
        filter = DeviceFilter()
    }

    init(from block: inout BlockReader) {
        exportsAddresses = block.optional(
            "address_info", default: false, "Whether the addresses of every device are exported.")
        filter = DeviceFilter(
            excluded: block.filter("device_exclude", "Devices left out, as a regular expression."),
            included: block.filter("device_include", "Devices taken, as a regular expression."))
        if filter.excluded != nil, filter.included != nil {
            block.reject("device_exclude", "and \"device_include\" are mutually exclusive")
        }
    }
}

/// The `netstat` block.
struct NetStatArguments: Block {
    let fields: RegularExpression?

    private static let defaultFields =
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
        + "|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)"
        + "|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
        + "|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"

    init(from block: inout BlockReader) {
        fields = block.pattern("fields", default: Self.defaultFields, "Fields exported, as a regular expression.")
    }
}

/// The `powersupply` block.
struct PowerSupplyArguments: Block {
    let ignored: RegularExpression?

    init(from block: inout BlockReader) {
        ignored = block.pattern("ignored_supplies", default: "^$", "Supplies left out, as a regular expression.")
    }
}

/// The `tapestats` block.
struct TapeArguments: Block {
    let ignored: RegularExpression?

    init(from block: inout BlockReader) {
        ignored = block.pattern("ignored_devices", default: "^$", "Devices left out, as a regular expression.")
    }
}

/// The `textfile` block.
struct TextFileArguments: Block {
    let directory: String

    init(from block: inout BlockReader) {
        directory = block.optional("directory", "Directory, or pattern for directories, with `*.prom` files.") ?? ""
    }
}

/// The `vmstat` block.
struct VMStatArguments: Block {
    let fields: RegularExpression?

    init(from block: inout BlockReader) {
        fields = block.pattern(
            "fields", default: "^(oom_kill|pgpg|pswp|pg.*fault).*", "Fields exported, as a regular expression.")
    }
}

/// The `ethtool` block.
struct EthtoolArguments: Block {
    let filter: DeviceFilter
    let metrics: RegularExpression?

    static let none = EthtoolArguments(metrics: nil)

    init(filter: DeviceFilter = DeviceFilter(), metrics: RegularExpression?) {
        self.filter = filter
        self.metrics = metrics
    }

    init(from block: inout BlockReader) {
        filter = DeviceFilter(
            excluded: block.filter("device_exclude", "Devices left out, as a regular expression."),
            included: block.filter("device_include", "Devices taken, as a regular expression."))
        metrics = block.pattern("metrics_include", default: ".*", "Statistics exported, as a regular expression.")
        if filter.excluded != nil, filter.included != nil {
            block.reject("device_exclude", "and \"device_include\" are mutually exclusive")
        }
    }
}

/// The `ipvs` block.
struct IPVSArguments: Block {
    /// What the statistics of backends are told apart by.
    enum Label: String, CaseIterable {
        case localAddress = "local_address"
        case localPort = "local_port"
        case remoteAddress = "remote_address"
        case remotePort = "remote_port"
        case protocolName = "proto"
        case localMark = "local_mark"
    }

    /// In the order of the cases.
    let labels: [Label]

    static let none = IPVSArguments()
    private init() { labels = Label.allCases }

    init(from block: inout BlockReader) {
        let names: [String]? = block.optional(
            "backend_labels", "Labels the statistics of backends are summed by.",
            defaultProse: "local_address, local_port, remote_address, remote_port, proto, local_mark")
        guard let names else {
            labels = Label.allCases
            return
        }
        labels = Label.allCases.filter { names.contains($0.rawValue) }
        for name in names where Label(rawValue: name) == nil {
            block.reject("backend_labels", "names the unknown label \"\(name)\"")
        }
    }
}

/// The `sysctl` block.
struct SysctlArguments: Block {
    /// A value of the kernel, and the names of its parts where it has several.
    struct Item: Sendable {
        let name: String
        let keys: [String]

        init(_ text: String) {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            name = String(parts[0])
            keys =
                parts.count == 2
                ? parts[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init) : []
        }
    }

    let numbers: [Item]
    let texts: [Item]

    static let none = SysctlArguments()
    private init() {
        numbers = []
        texts = []
    }

    init(from block: inout BlockReader) {
        let include: [String] = block.optional(
            "include", default: [], "Numeric values exported; `name:a,b` names the parts of one with several.")
        let includeInfo: [String] = block.optional("include_info", default: [], "Text values exported.")
        numbers = include.map(Item.init)
        texts = includeInfo.map(Item.init)
        for (argument, items) in [("include", numbers), ("include_info", texts)] {
            for item in items where item.name.isEmpty || item.name.contains("/") || item.name.contains("..") {
                block.reject(argument, "names \"\(item.name)\", which is not the name of a value")
            }
        }
        for item in texts where !item.keys.isEmpty {
            block.reject("include_info", "names parts of \"\(item.name)\", which text values do not have")
        }
    }
}

// Blocks of collectors that do not exist here: they are read so that their arguments are checked and documented, and
// refused as a whole by the arguments around them.

/// The `bcache` block.
struct BCacheArguments: Block {
    let exportsPriorities: Bool

    init(from block: inout BlockReader) {
        exportsPriorities = block.optional("priority_stats", default: false, "Whether costly statistics are exported.")
    }
}

/// The `ntp` block.
struct NTPArguments: Block {
    var hops = 1
    var offsetTolerance = Duration.milliseconds(1)
    var maximumDistance = Duration.microseconds(3_466_080)
    var version = 4
    var server = "127.0.0.1"
    var port = 123

    static let none = NTPArguments()
    private init() {}

    init(from block: inout BlockReader) {
        hops = block.optional("ip_ttl", default: 1, "Hops a request may take.")
        offsetTolerance = block.optional(
            "local_offset_tolerance", default: Duration.milliseconds(1), "Offset that still counts as synchronised.")
        maximumDistance = block.optional(
            "max_distance", default: Duration.microseconds(3_466_080), "Distance to the root that still counts.")
        version = block.optional("protocol_version", default: 4, "Version of the protocol.")
        server = block.optional("server", default: "127.0.0.1", "Server that is asked.")
        let isLocal: Bool = block.optional(
            "server_is_local", default: false, "Whether the server is this machine's, whatever its address.")
        if hops < 0 || hops > 255 { block.reject("ip_ttl", "must be between 0 and 255") }
        if offsetTolerance < .zero { block.reject("local_offset_tolerance", "must not be negative") }
        if version < 2 || version > 4 {
            block.reject("protocol_version", "must be 2, 3 or 4")
            version = 4
        }
        if !isLocal, !(IPLiteral(server)?.isLoopback ?? false) {
            block.reject("server", "must be an address of this machine unless server_is_local is true")
        }
    }
}

/// The `perf` block.
struct PerfArguments: Block {
    /// Nil for all.
    var cpus: [Int]?
    var tracepoints: [String] = []
    var events: [PerfEvent] = []

    static let none = PerfArguments()
    private init() {}

    init(from block: inout BlockReader) {
        let text: String? = block.optional("cpus", "CPUs that are profiled, such as `0,2-8:2`.")
        tracepoints = block.optional("tracepoint", "Tracepoints that are counted, as `subsystem:event`.") ?? []
        let kinds: [(list: String, off: String, doc: String, events: [PerfEvent])] = [
            ("hardware_profilers", "disable_hardware_profilers", "hardware profilers", PerfEvent.hardware),
            ("software_profilers", "disable_software_profilers", "software profilers", PerfEvent.software),
            ("cache_profilers", "disable_cache_profilers", "cache profilers", PerfEvent.caches),
        ]
        for kind in kinds {
            let isOff: Bool = block.optional(kind.off, default: false, "Whether \(kind.doc) are off.")
            let names: [String] = block.optional(kind.list, "The \(kind.doc) that run; all when left out.") ?? []
            for name in names where !kind.events.contains(where: { $0.profiler == name }) {
                block.reject(kind.list, "names the unknown profiler \"\(name)\"")
            }
            if !isOff { events += kind.events.filter { names.isEmpty || names.contains($0.profiler) } }
        }
        for name in tracepoints
        where name.split(separator: ":", omittingEmptySubsequences: false).count != 2
            || name.hasPrefix(":") || name.hasSuffix(":") || name.contains("/") || name.contains(".")
        {
            block.reject("tracepoint", "\"\(name)\" is not of the form subsystem:event")
        }
        if let text, !text.isEmpty {
            cpus = PerfEvent.cpus(text)
            if cpus == nil { block.reject("cpus", "is no list of CPUs") }
        }
    }
}

/// The `runit` block.
struct RunitArguments: Block {
    let directory: String

    init(from block: inout BlockReader) {
        directory = block.optional("service_dir", default: "/etc/service", "Directory of the services.")
    }
}

/// The `supervisord` block.
struct SupervisordArguments: Block {
    let url: String

    init(from block: inout BlockReader) {
        url = block.optional(
            "url", default: "http://localhost:9001/RPC2", "Address of its XML-RPC interface.")
        if !SupervisordCollector.isUsable(url) {
            block.reject("url", "is not an address: use http://host:port/path or unix:///path")
        }
    }
}

/// The `systemd` block.
struct SystemdArguments: Block {
    let exportsRestarts: Bool
    let exportsStartTimes: Bool
    let exportsTasks: Bool
    let excluded: RegularExpression?
    let included: RegularExpression?

    static let none = SystemdArguments(
        exportsRestarts: false, exportsStartTimes: false, exportsTasks: false, excluded: nil, included: nil)

    init(
        exportsRestarts: Bool, exportsStartTimes: Bool, exportsTasks: Bool, excluded: RegularExpression?,
        included: RegularExpression?
    ) {
        self.exportsRestarts = exportsRestarts
        self.exportsStartTimes = exportsStartTimes
        self.exportsTasks = exportsTasks
        self.excluded = excluded
        self.included = included
    }

    /// Whether a unit is exported: the expressions must match its whole name.
    func includes(_ name: String) -> Bool {
        included?.matchesWhole(name) != false && excluded?.matchesWhole(name) != true
    }

    init(from block: inout BlockReader) {
        exportsRestarts = block.optional(
            "enable_restarts", default: false, "Whether restarts of services are exported.")
        exportsStartTimes = block.optional("start_time", default: false, "Whether start times of units are exported.")
        exportsTasks = block.optional("task_metrics", default: false, "Whether tasks of units are exported.")
        excluded = block.pattern(
            "unit_exclude", default: #".+\.(automount|device|mount|scope|slice)"#,
            "Units left out, as a regular expression.")
        included = block.pattern("unit_include", default: ".+", "Units exported, as a regular expression.")
    }
}
