/// A collector that exists here.
struct CollectorKind: Sendable {
    let name: String
    let isDefault: Bool
    let make: @Sendable (UnixSettings) -> any NodeCollector

    init(_ name: String, isDefault: Bool = true, _ make: @escaping @Sendable (UnixSettings) -> any NodeCollector) {
        self.name = name
        self.isDefault = isDefault
        self.make = make
    }
}

/// Which collectors there are, here and upstream.
enum CollectorTable {
    /// Sorted by name.
    static let available: [CollectorKind] = [
        CollectorKind("arp") { ARPCollector($0) },
        CollectorKind("bcache") { BCacheCollector($0) },
        CollectorKind("bonding") { _ in BondingCollector() },
        CollectorKind("btrfs") { _ in BtrfsCollector() },
        CollectorKind("buddyinfo", isDefault: false) { _ in BuddyInfoCollector() },
        CollectorKind("cgroups", isDefault: false) { _ in CgroupsCollector() },
        CollectorKind("conntrack") { _ in ConntrackCollector() },
        CollectorKind("cpu") { CPUCollector($0) },
        CollectorKind("cpufreq") { _ in CPUFrequencyCollector() },
        CollectorKind("cpu_vulnerabilities", isDefault: false) { _ in CPUVulnerabilitiesCollector() },
        CollectorKind("diskstats") { DiskStatsCollector($0) },
        CollectorKind("dmi") { _ in DMICollector() },
        CollectorKind("drbd", isDefault: false) { _ in DRBDCollector() },
        CollectorKind("drm", isDefault: false) { _ in DRMCollector() },
        CollectorKind("edac") { _ in EDACCollector() },
        CollectorKind("entropy") { _ in EntropyCollector() },
        CollectorKind("ethtool", isDefault: false) { EthtoolCollector($0) },
        CollectorKind("fibrechannel") { _ in FibreChannelCollector() },
        CollectorKind("filefd") { _ in FileDescriptorCollector() },
        CollectorKind("filesystem") { FilesystemCollector($0) },
        CollectorKind("hwmon") { HardwareMonitorCollector($0) },
        CollectorKind("infiniband") { _ in InfiniBandCollector() },
        CollectorKind("interrupts", isDefault: false) { _ in InterruptsCollector() },
        CollectorKind("ipvs") { IPVSCollector($0) },
        CollectorKind("ksmd", isDefault: false) { _ in KSMCollector() },
        CollectorKind("lnstat", isDefault: false) { _ in LinuxNetworkCacheCollector() },
        CollectorKind("loadavg") { _ in LoadAverageCollector() },
        CollectorKind("logind", isDefault: false) { LogindCollector($0) },
        CollectorKind("mdadm") { _ in MDCollector() },
        CollectorKind("meminfo") { _ in MemInfoCollector() },
        CollectorKind("meminfo_numa", isDefault: false) { _ in NodeMemoryCollector() },
        CollectorKind("mountstats", isDefault: false) { _ in MountStatsCollector() },
        CollectorKind("netclass") { NetClassCollector($0) },
        CollectorKind("netdev") { NetDevCollector($0) },
        CollectorKind("netstat") { NetStatCollector($0) },
        CollectorKind("network_route", isDefault: false) { _ in NetworkRouteCollector() },
        CollectorKind("nfs") { _ in NFSCollector() },
        CollectorKind("nfsd") { _ in NFSServerCollector() },
        CollectorKind("ntp", isDefault: false) { NTPCollector($0) },
        CollectorKind("nvme") { _ in NVMeCollector() },
        CollectorKind("os") { _ in OSReleaseCollector() },
        CollectorKind("perf", isDefault: false) { PerfCollector($0) },
        CollectorKind("powersupplyclass") { PowerSupplyCollector($0) },
        CollectorKind("pressure") { _ in PressureCollector() },
        CollectorKind("processes") { _ in ProcessesCollector() },
        CollectorKind("qdisc", isDefault: false) { _ in QueueDisciplineCollector() },
        CollectorKind("rapl") { _ in RAPLCollector() },
        CollectorKind("runit", isDefault: false) { RunitCollector($0) },
        CollectorKind("schedstat") { _ in SchedStatCollector() },
        CollectorKind("selinux") { _ in SELinuxCollector() },
        CollectorKind("slabinfo", isDefault: false) { _ in SlabCollector() },
        CollectorKind("sockstat") { _ in SockStatCollector() },
        CollectorKind("softirqs", isDefault: false) { _ in SoftIRQsCollector() },
        CollectorKind("softnet") { _ in SoftNetCollector() },
        CollectorKind("stat") { _ in StatCollector() },
        CollectorKind("supervisord", isDefault: false) { SupervisordCollector($0) },
        CollectorKind("sysctl", isDefault: false) { SysctlCollector($0) },
        CollectorKind("systemd", isDefault: false) { SystemdCollector($0) },
        CollectorKind("tapestats") { TapeCollector($0) },
        CollectorKind("tcpstat", isDefault: false) { _ in TCPStatCollector() },
        CollectorKind("textfile") { TextFileCollector($0) },
        CollectorKind("thermal_zone") { _ in ThermalCollector() },
        CollectorKind("time") { _ in TimeCollector() },
        CollectorKind("timex") { _ in TimexCollector() },
        CollectorKind("udp_queues") { _ in UDPQueuesCollector() },
        CollectorKind("uname") { _ in UnameCollector() },
        CollectorKind("vmstat") { VMStatCollector($0) },
        CollectorKind("wifi", isDefault: false) { _ in WiFiCollector() },
        CollectorKind("xfs") { _ in XFSCollector() },
        CollectorKind("zfs") { _ in ZFSCollector() },
        CollectorKind("zoneinfo", isDefault: false) { _ in ZoneInfoCollector() },
    ]

    /// Known upstream on other systems; on Linux nothing happens when they are enabled.
    static let otherSystems: Set<String> = ["boottime", "devstat", "exec", "netisr", "thermal"]

    static func kind(_ name: String) -> CollectorKind? { available.first { $0.name == name } }
}

/// Decides which collectors run, as upstream does: the set given or else the defaults, minus the disabled, plus the
/// enabled, which win.
struct CollectorSelection {
    private(set) var enabled: [CollectorKind] = []
    /// Names that cannot be enabled: the argument and why.
    private(set) var refusals: [(argument: String, reason: String)] = []
    /// Names without effect: the argument and why.
    private(set) var warnings: [(argument: String, reason: String)] = []

    init(enable: [String], disable: [String], set: [String]) {
        var names: Set<String> = []
        if set.isEmpty {
            for kind in CollectorTable.available where kind.isDefault { names.insert(kind.name) }
        }
        admit(set, "set_collectors", into: &names)
        for name in disable {
            names.remove(name)
            if !Self.isKnown(name) {
                warnings.append(("disable_collectors", "names the unknown collector \"\(name)\""))
            }
        }
        admit(enable, "enable_collectors", into: &names)
        enabled = CollectorTable.available.filter { names.contains($0.name) }
    }

    private static func isKnown(_ name: String) -> Bool {
        CollectorTable.kind(name) != nil || CollectorTable.otherSystems.contains(name)
    }

    private mutating func admit(_ wanted: [String], _ argument: String, into names: inout Set<String>) {
        for name in wanted {
            if CollectorTable.kind(name) != nil {
                names.insert(name)
            } else if CollectorTable.otherSystems.contains(name) {
                warnings.append((argument, "names the collector \"\(name)\", which Linux does not have"))
            } else {
                refusals.append((argument, "names the unknown collector \"\(name)\""))
            }
        }
    }
}
