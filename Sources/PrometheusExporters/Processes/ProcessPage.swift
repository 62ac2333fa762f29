import Essentials
import SelfMetrics
import Synchronization

/// Writes groups of processes as a page of metrics.
///
/// Names, helps, types and labels are those of github.com/ncabatoff/process-exporter `collector`.
final class ProcessScraper: Sendable {
    private struct State {
        let tracker: ProcessTracker
        let page = MetricPage()
        var errors = 0
    }

    private let state: Mutex<State>
    private let settings: ProcessSettings
    private let log: Log

    init(_ settings: ProcessSettings, clock: EngineClock, log: Log) {
        self.settings = settings
        self.log = log
        state = Mutex(State(tracker: ProcessTracker(settings, clock: clock)))
    }

    /// The first look, which counters begin with. Blocks. Throws when processes cannot be listed.
    func begin() throws { try state.withLock { _ = try $0.tracker.look() } }

    /// Looks and writes. Blocks.
    func scrape() -> [UInt8] {
        state.withLock { state in
            let page = state.page
            page.begin()
            do {
                let groups = try state.tracker.look()
                for (name, group) in groups.sorted(by: { $0.key < $1.key }) { write(name, group, to: page) }
            } catch {
                state.errors += 1
                log.error("Failed to read processes", error)
            }
            let prefix = "namedprocess_scrape_"
            page.add(
                page.counter(prefix + "errors", "general scrape errors: no proc metrics collected during a cycle"),
                Double(state.errors))
            page.add(
                page.counter(
                    prefix + "procread_errors", "incremented each time a proc's metrics collection fails"),
                Double(state.tracker.readErrors))
            page.add(
                page.counter(
                    prefix + "partial_errors",
                    "incremented each time a tracked proc's metrics collection fails partially, "
                        + "e.g. unreadable I/O stats"),
                Double(state.tracker.partialErrors))
            let build = page.gauge(
                "process_exporter_build_info",
                "A metric with a constant '1' value labeled by the platform of the process that exports the metrics.")
            page.add(build, "goos", "linux", 1)
            return page.render()
        }
    }

    private func write(_ name: String, _ group: ProcessTracker.Group, to page: MetricPage) {
        let prefix = "namedprocess_namegroup_"
        func gauge(_ suffix: String, _ help: String, _ value: Double) {
            page.add(page.gauge(prefix + suffix, help), "groupname", name, value)
        }
        gauge("num_procs", "number of processes in this group", Double(group.processes))
        gauge("open_filedesc", "number of open file descriptors for this group", Double(group.openFiles))
        gauge(
            "worst_fd_ratio",
            "the worst (closest to 1) ratio between open fds and max fds among all procs in this group",
            group.worstOpenFilesRatio)
        // The time of a group without processes is Go's year 1.
        gauge(
            "oldest_start_time_seconds", "start time in seconds since 1970/01/01 of oldest process in group",
            group.oldestStart.map { Double($0 / 1_000_000_000) } ?? -62_135_596_800)
        gauge("num_threads", "Number of threads", Double(group.threadCount))

        let memory = page.gauge(prefix + "memory_bytes", "number of bytes of memory in use")
        var kinds: [(String, UInt64)] = [
            ("resident", group.memory.resident), ("virtual", group.memory.virtual), ("swapped", group.memory.swapped),
        ]
        if settings.readsMaps {
            kinds.append(("proportionalResident", group.memory.proportional))
            kinds.append(("proportionalSwapped", group.memory.proportionalSwapped))
        }
        for (kind, value) in kinds { page.add(memory, "groupname", name, "memtype", kind, Double(value)) }

        let states = page.gauge(
            prefix + "states", "Number of processes in states Running, Sleeping, Waiting, Zombie, or Other")
        let counts: [(String, Int)] = [
            ("Running", group.states.running), ("Sleeping", group.states.sleeping), ("Waiting", group.states.waiting),
            ("Zombie", group.states.zombie), ("Other", group.states.other),
        ]
        for (state, count) in counts { page.add(states, "groupname", name, "state", state, Double(count)) }

        let places = page.gauge(
            prefix + "threads_wchan", "Number of threads in this group waiting on each wchan")
        for (place, count) in group.places.sorted(by: { $0.key < $1.key }) {
            page.add(places, "groupname", name, "wchan", place, Double(count))
        }
        writeCounters(name, group.counters, to: page, prefix)
        guard settings.exportsThreads else { return }
        for (thread, entry) in group.threads.sorted(by: { $0.key < $1.key }) {
            writeThreads(name, thread, entry, to: page, prefix)
        }
    }

    private func writeCounters(
        _ name: String, _ counters: ProcessCounters, to page: MetricPage, _ prefix: String
    ) {
        func counter(_ suffix: String, _ help: String, _ value: UInt64) {
            page.add(page.counter(prefix + suffix, help), "groupname", name, Double(value))
        }
        counter("read_bytes_total", "number of bytes read by this group", counters.readBytes)
        counter("write_bytes_total", "number of bytes written by this group", counters.writtenBytes)
        counter("major_page_faults_total", "Major page faults", counters.majorFaults)
        counter("minor_page_faults_total", "Minor page faults", counters.minorFaults)
        let cpu = page.counter(prefix + "cpu_seconds_total", "Cpu user usage in seconds")
        page.add(cpu, "groupname", name, "mode", "user", Double(counters.user) / 100)
        page.add(cpu, "groupname", name, "mode", "system", Double(counters.system) / 100)
        let switches = page.counter(prefix + "context_switches_total", "Context switches")
        page.add(
            switches, "ctxswitchtype", "voluntary", "groupname", name, Double(counters.voluntarySwitches))
        page.add(
            switches, "ctxswitchtype", "nonvoluntary", "groupname", name, Double(counters.involuntarySwitches))
    }

    private func writeThreads(
        _ name: String, _ thread: String, _ entry: ProcessTracker.NamedThreads, to page: MetricPage, _ prefix: String
    ) {
        let counters = entry.counters
        page.add(
            page.gauge(prefix + "thread_count", "Number of threads in this group with same threadname"),
            "groupname", name, "threadname", thread, Double(entry.count))
        let cpu = page.counter(prefix + "thread_cpu_seconds_total", "Cpu user/system usage in seconds")
        for (mode, value) in [("user", counters.user), ("system", counters.system)] {
            page.add(
                cpu, labels: [("groupname", name), ("mode", mode), ("threadname", thread)], Double(value) / 100)
        }
        let bytes = page.counter(
            prefix + "thread_io_bytes_total", "number of bytes read/written by these threads")
        for (mode, value) in [("read", counters.readBytes), ("write", counters.writtenBytes)] {
            page.add(bytes, labels: [("groupname", name), ("iomode", mode), ("threadname", thread)], Double(value))
        }
        page.add(
            page.counter(prefix + "thread_major_page_faults_total", "Major page faults for these threads"),
            "groupname", name, "threadname", thread, Double(counters.majorFaults))
        page.add(
            page.counter(prefix + "thread_minor_page_faults_total", "Minor page faults for these threads"),
            "groupname", name, "threadname", thread, Double(counters.minorFaults))
        let switches = page.counter(
            prefix + "thread_context_switches_total", "Context switches for these threads")
        for (kind, value) in [
            ("voluntary", counters.voluntarySwitches), ("nonvoluntary", counters.involuntarySwitches),
        ] {
            page.add(
                switches, labels: [("ctxswitchtype", kind), ("groupname", name), ("threadname", thread)],
                Double(value))
        }
    }
}
