import ComponentKit
import Essentials
import Glibc
import SelfMetrics
import Synchronization
import Transport

/// Where the exporter looks on the machine.
struct CadvisorPaths: Sendable {
    var cgroups = "/sys/fs/cgroup"
    var procfs = "/proc"
    var sysfs = "/sys"
    /// What the machine's own paths begin with.
    var rootfs = ""
    var crioSocket = "/var/run/crio/crio.sock"

    /// In a container the machine's root is expected under `/rootfs`, as upstream does.
    static var machine: CadvisorPaths {
        var paths = CadvisorPaths()
        if access("/rootfs/proc", F_OK) == 0 {
            paths.procfs = "/rootfs/proc"
            paths.rootfs = "/rootfs"
        }
        return paths
    }
}

/// Reads the groups of one configuration and writes the page.
final class CadvisorScraper: Sendable {
    private struct State {
        let page = MetricPage()
        let files = ProcFiles()
        let groups: GroupFiles
        let times = GroupTimes()
        let written = WrittenBytes()
        let scheduler = SchedulerTimes()
        var topology: MachineTopology?
        var resources: ResourceControl?

        init() { groups = GroupFiles(files) }
    }

    let runtimes: ContainerRuntimes
    private let applications: ApplicationMetrics
    private let settings: CadvisorSettings
    private let paths: CadvisorPaths
    private let clock: EngineClock
    private let tree: CgroupTree
    private let state = Mutex(State())

    init(
        _ settings: CadvisorSettings, paths: CadvisorPaths = .machine, on loops: EventLoops, clock: EngineClock,
        log: Log
    ) {
        self.settings = settings
        self.paths = paths
        self.clock = clock
        tree = CgroupTree(root: paths.cgroups)
        runtimes = ContainerRuntimes(
            settings, on: loops, clock: clock, log: log, crioSocket: paths.rootfs + paths.crioSocket)
        applications = ApplicationMetrics(procfs: paths.procfs, on: loops, clock: clock, log: log)
    }

    func shutDown() {
        runtimes.shutDown()
        applications.shutDown()
    }

    func scrape(on blocking: BlockingPool) async throws -> [UInt8] {
        let tree = tree
        let names = try await blocking.run { tree.names() }
        let facts = await runtimes.facts(for: Set(names.compactMap(CgroupTree.containerID)))
        if settings.kinds.contains(.application) { await applications.refresh(facts, on: blocking) }
        return try await blocking.run { [self] in page(names, facts) }
    }

    private func page(_ names: [String], _ facts: [String: ContainerFacts]) -> [UInt8] {
        let now = clock.wallNanoseconds / 1_000_000_000
        let version = runtimes.dockerVersion
        return state.withLock { state in
            let page = state.page
            let files = state.files
            page.begin()
            let machine = MachineFacts(
                files, proc: paths.procfs, sys: paths.sysfs, root: paths.rootfs, now: now)
            if settings.kinds.contains(.cpuTopology), state.topology == nil {
                state.topology = MachineTopology(files, sys: paths.sysfs)
            }
            machine.add(to: page, state.topology)
            state.scheduler.begin(keeping: names)
            if settings.kinds.contains(.resourceControl), state.resources == nil {
                state.resources = ResourceControl(
                    files, proc: paths.procfs, interval: settings.resourceControlInterval)
            }
            state.resources?.begin(keeping: names)
            page.add(
                page.gauge(
                    "cadvisor_version_info",
                    "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor "
                        + "version & cadvisor revision."),
                labels: [
                    ("cadvisorRevision", ""), ("cadvisorVersion", ""), ("dockerVersion", version),
                    ("kernelVersion", machine.kernelVersion), ("osVersion", machine.systemVersion),
                ], 1)
            let disks = MachineStorage.disks(files, proc: paths.procfs)
            let writer = ContainerPage(page: page, kinds: settings.kinds, disks: disks)
            state.groups.begin()
            defer { state.groups.end() }
            let reader = CgroupReader(tree: tree, files: state.groups, times: state.times, kinds: settings.kinds)
            let mounts =
                settings.kinds.contains(.disk) ? MachineStorage.fileSystems(files, proc: paths.procfs) : []
            state.times.begin(keeping: names)
            state.written.begin(keeping: facts.keys, now: clock.monotonicNanoseconds)
            for name in names {
                let known = CgroupTree.containerID(name).flatMap { facts[$0] }
                guard known != nil || settings.exportsRaw(name) else { continue }
                add(name, known, machine, mounts, writer, reader, state.written, now)
                let base = ContainerPage.labels(name, known, settings)
                addProcesses(
                    name, writer, files, state.scheduler, known == nil && name != "/" ? nil : state.resources, base)
                if let known, settings.kinds.contains(.application) {
                    applications.add(known.id, to: page, base: base)
                }
            }
            page.add(
                page.gauge(
                    "container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise"), 0
            )
            return page.render()
        }
    }

    private func add(
        _ name: String, _ facts: ContainerFacts?, _ machine: MachineFacts, _ mounts: [MountedFileSystem],
        _ writer: ContainerPage, _ reader: CgroupReader, _ written: WrittenBytes, _ now: Int64
    ) {
        let base = ContainerPage.labels(name, facts, settings)
        var values = reader.read(name)
        let isRoot = name == "/"
        if isRoot {
            values.hasMemory = machine.memory > 0
            values.memoryLimit = machine.memory
            values.swapLimit = machine.swap
            if tree.isUnified, values.memoryUsage == 0 { values.memoryUsage = usedMemory(reader.files.others) }
        }
        // Not before the machine was started.
        let made = max(reader.times.createdAt(name, in: tree, now: now), machine.bootTime)
        let created = facts?.createdAt ?? made
        let started = facts.map { $0.startedAt ?? made } ?? created
        writer.addSpecification(values, created: created, started: started, base)
        if isRoot, settings.skipsRootStats { return }
        writer.addValues(values, health: facts?.health ?? -1, now: now, base)
        let process = isRoot ? 1 : facts?.processID ?? 0
        if process > 0, isRoot || facts?.ownsNetwork == true {
            let network = ContainerNetwork(files: reader.files.others, page: writer.page, kinds: settings.kinds)
            network.add("\(paths.procfs)/\(process)", base)
        }
        if settings.kinds.contains(.process), let group = tree.directory("cpu", name) {
            let counts = ProcessCounts(
                group: group, proc: paths.procfs, firstProcess: process, files: reader.files.others)
            writer.addProcesses(counts, values, base)
        }
        if isRoot {
            addFileSystems(mounts, values, writer, base)
        } else if let facts, settings.kinds.contains(.disk), !facts.writtenPaths.isEmpty {
            addWritten(facts, mounts, writer, written, base)
        }
    }

    /// What only the processes of a group tell.
    private func addProcesses(
        _ name: String, _ writer: ContainerPage, _ files: ProcFiles, _ scheduler: SchedulerTimes,
        _ resources: ResourceControl?,
        _ base: [UInt8]
    ) {
        if name == "/", settings.skipsRootStats { return }
        guard let directory = tree.directory("cpu", name) else { return }
        if settings.kinds.contains(.scheduler) {
            let ids = SchedulerTimes.processes(directory, files)
            writer.addScheduler(scheduler.times(of: name, ids, proc: paths.procfs, files: files), base)
        }
        // Groups around containers have their threads, which can be in one monitoring group only.
        if let resources {
            let ids = SchedulerTimes.processes(directory, files)
            let usages = resources.usage(
                of: name, ids, proc: paths.procfs, now: clock.monotonicNanoseconds, files)
            writer.addResources(usages, base)
        }
        if settings.kinds.contains(.referencedMemory) {
            let ids = (try? files.withFile(directory + "/cgroup.procs") { $0.lines.compactMap(\.unsigned) }) ?? []
            writer.addReferenced(ReferencedMemory.bytes(ids, proc: paths.procfs, files: files), base)
        }
    }

    // MARK: Disks

    private func addFileSystems(
        _ mounts: [MountedFileSystem], _ values: CgroupValues, _ writer: ContainerPage, _ base: [UInt8]
    ) {
        for mount in mounts {
            guard let space = MachineStorage.space(paths.rootfs + mount.mountPoint), space.total > 0 else { continue }
            writer.addSpace(
                device: mount.device, limit: space.total, usage: space.total &- min(space.free, space.total),
                inodes: space.inodes, freeInodes: space.freeInodes, base)
            guard settings.kinds.contains(.diskIO) else { continue }
            let disk = writer.disks[MachineStorage.Device(major: mount.major, minor: mount.minor)]
            let isCounted = values.serviced.contains { device in
                device.major == mount.major && device.minor == mount.minor
                    && disk.map { "/dev/" + $0.name } == mount.device
            }
            writer.addDisk(disk ?? DiskCounters(), device: mount.device, isCounted: isCounted, base)
        }
    }

    private func addWritten(
        _ facts: ContainerFacts, _ mounts: [MountedFileSystem], _ writer: ContainerPage, _ written: WrittenBytes,
        _ base: [UInt8]
    ) {
        let directories = facts.writtenPaths.map { paths.rootfs + $0 }
        var status = stat()
        guard stat(directories[0], &status) == 0 else { return }
        let major = UInt64((status.st_dev >> 8) & 0xFFF) | UInt64((status.st_dev >> 32) & ~0xFFF)
        let minor = UInt64(status.st_dev & 0xFF) | UInt64((status.st_dev >> 12) & ~0xFF)
        guard let mount = mounts.first(where: { $0.major == major && $0.minor == minor }),
            let space = MachineStorage.space(directories[0]),
            let usage = written.usage(facts.id, paths: directories, clock: clock)
        else { return }
        writer.addSpace(
            device: mount.device, limit: space.total, usage: usage.bytes, inodes: usage.inodes, freeInodes: 0, base)
    }

    // MARK: Times and totals

    /// The root group of version 2 has no usage of its own.
    private func usedMemory(_ files: ProcFiles) -> UInt64 {
        var total: UInt64 = 0
        var free: UInt64 = 0
        _ = try? files.withFile(paths.procfs + "/meminfo") { bytes in
            for line in bytes.lines {
                let words = line.words(limit: 2)
                guard words.count == 2, let value = words[1].unsigned else { continue }
                if words[0].equals("MemTotal:") { total = value &* 1024 }
                if words[0].equals("MemFree:") { free = value &* 1024 }
            }
        }
        return total > free ? total - free : 0
    }
}
