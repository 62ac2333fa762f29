package import AlloySyntax
import TextFormats

/// Arguments of `prometheus.exporter.unix`.
package struct UnixArguments: Block {
    let settings: UnixSettings

    package init(from block: inout BlockReader) {
        var made = UnixSettings()
        made.includesExporterMetrics = block.optional(
            "include_exporter_metrics", default: false, "Whether metrics about the exporter itself are included.")
        made.paths.procfs = block.optional("procfs_path", default: "/proc", "Where the process file system is mounted.")
        made.paths.sysfs = block.optional("sysfs_path", default: "/sys", "Where the system file system is mounted.")
        made.paths.rootfs = block.optional("rootfs_path", default: "/", "Where the machine's root is mounted.")
        made.paths.udevData = block.optional(
            "udev_data_path", default: "/run/udev/data", "Where udev keeps what it knows about devices.")
        let enable: [String] = block.optional(
            "enable_collectors", default: [], "Collectors to run beside the default ones; wins over the other lists.")
        let disable: [String] = block.optional("disable_collectors", default: [], "Collectors not to run.")
        let set: [String] =
            block.optional("set_collectors", "Collectors to run instead of the default ones.") ?? []

        let arp: ARPArguments = block.block("arp", "Options of the `arp` collector.")
        let bcache: BCacheArguments = block.block("bcache", "Options of the `bcache` collector.")
        let cpu: CPUArguments = block.block("cpu", "Options of the `cpu` collector.")
        let disk: DiskArguments = block.block("disk", "Options of the `diskstats` collector.")
        let ethtool: EthtoolArguments = block.block("ethtool", "Options of the `ethtool` collector.")
        let filesystem: FilesystemArguments = block.block("filesystem", "Options of the `filesystem` collector.")
        let hwmon: HardwareMonitorArguments = block.block("hwmon", "Options of the `hwmon` collector.")
        let ipvs: IPVSArguments = block.block("ipvs", "Options of the `ipvs` collector.")
        let ntp: NTPArguments = block.block("ntp", "Options of the `ntp` collector.")
        let netclass: NetClassArguments = block.block("netclass", "Options of the `netclass` collector.")
        let netdev: NetDevArguments = block.block("netdev", "Options of the `netdev` collector.")
        let netstat: NetStatArguments = block.block("netstat", "Options of the `netstat` collector.")
        let perf: PerfArguments = block.block("perf", "Options of the `perf` collector.")
        let power: PowerSupplyArguments = block.block("powersupply", "Options of the `powersupplyclass` collector.")
        let runit: RunitArguments = block.block("runit", "Options of the `runit` collector.")
        let supervisord: SupervisordArguments = block.block("supervisord", "Options of the `supervisord` collector.")
        let sysctl: SysctlArguments = block.block("sysctl", "Options of the `sysctl` collector.")
        let systemd: SystemdArguments = block.block("systemd", "Options of the `systemd` collector.")
        let tape: TapeArguments = block.block("tapestats", "Options of the `tapestats` collector.")
        let textfile: TextFileArguments = block.block("textfile", "Options of the `textfile` collector.")
        let vmstat: VMStatArguments = block.block("vmstat", "Options of the `vmstat` collector.")
        made.arp = arp.filter
        made.asksForNeighbours = arp.usesNetlink
        made.cpu = cpu
        made.exportsBCachePriorities = bcache.exportsPriorities
        made.disk = disk.filter
        made.ethtool = ethtool
        made.filesystem = filesystem
        made.hwmon = hwmon.filter
        made.ipvs = ipvs
        made.netclass = netclass
        made.netdev = netdev
        made.netstatFields = netstat.fields
        made.ignoredPowerSupplies = power.ignored
        made.ignoredTapes = tape.ignored
        made.runitDirectory = runit.directory
        made.ntp = ntp
        made.supervisordURL = supervisord.url
        made.perf = perf
        made.sysctl = sysctl
        made.systemd = systemd
        made.textfileDirectory = textfile.directory
        made.vmstatFields = vmstat.fields

        let selection = CollectorSelection(enable: enable, disable: disable, set: set)
        for refusal in selection.refusals { block.reject(refusal.argument, refusal.reason) }
        for warning in selection.warnings { block.warn(warning.argument, warning.reason) }
        made.collectors = selection.enabled
        settings = made
    }
}

/// Everything the collectors are told, checked.
struct UnixSettings: Sendable {
    var includesExporterMetrics = false
    var paths = NodePaths(procfs: "/proc", sysfs: "/sys", rootfs: "/", udevData: "/run/udev/data")
    var collectors: [CollectorKind] = []
    var arp = DeviceFilter()
    /// Whether neighbours come over netlink.
    var asksForNeighbours = false
    var exportsBCachePriorities = false
    var cpu = CPUArguments.none
    var disk = DeviceFilter()
    var ethtool = EthtoolArguments.none
    var filesystem = FilesystemArguments.none
    var hwmon = DeviceFilter()
    var ipvs = IPVSArguments.none
    var netclass = NetClassArguments.none
    var netdev = NetDevArguments.none
    var netstatFields: RegularExpression?
    var ignoredPowerSupplies: RegularExpression?
    var ignoredTapes: RegularExpression?
    var runitDirectory = "/etc/service"
    var ntp = NTPArguments.none
    var supervisordURL = "http://localhost:9001/RPC2"
    var perf = PerfArguments.none
    var sysctl = SysctlArguments.none
    var systemBus = DBusConnection.systemSocket
    var systemd = SystemdArguments.none
    var textfileDirectory = ""
    var vmstatFields: RegularExpression?
}

/// Which devices count: those that match what is included and not what is excluded; matching is unanchored.
struct DeviceFilter: Sendable {
    var excluded: RegularExpression?
    var included: RegularExpression?

    func ignores(_ name: Bytes) -> Bool {
        if let excluded, excluded.matches(name) { return true }
        if let included, !included.matches(name) { return true }
        return false
    }

    func ignores(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { ignores(Bytes($0)) }
    }
}

extension BlockReader {
    /// A regular expression; nil when left out or empty.
    mutating func filter(_ name: String, _ doc: String) -> RegularExpression? {
        let text: String? = optional(name, doc)
        guard let text, !text.isEmpty else { return nil }
        return compile(name, text)
    }

    /// A regular expression with a default. An empty one matches everything, as upstream.
    mutating func pattern(_ name: String, default fallback: String, _ doc: String) -> RegularExpression? {
        compile(name, optional(name, default: fallback, doc))
    }

    mutating func compile(_ name: String, _ text: String) -> RegularExpression? {
        do throws(RegularExpressionError) {
            return try RegularExpression(text)
        } catch {
            reject(name, "is not a regular expression: \(error)")
            return nil
        }
    }
}
