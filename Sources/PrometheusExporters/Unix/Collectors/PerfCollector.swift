import CNode
import Essentials
import Glibc
import SelfMetrics

/// An event that the kernel counts (perf_event_open(2)).
struct PerfEvent: Sendable {
    /// As the arguments name it.
    let profiler: String
    let metric: String
    let help: String
    let type: UInt32
    let config: UInt64

    private init(_ profiler: String, _ metric: String, _ help: String, _ type: UInt32, _ config: UInt64) {
        self.profiler = profiler
        self.metric = metric
        self.help = help
        self.type = type
        self.config = config
    }

    static let hardware: [PerfEvent] = [
        PerfEvent("CpuCycles", "cpucycles_total", "Number of CPU cycles (frequency scaled)", 0, 0),
        PerfEvent("CpuInstr", "instructions_total", "Number of CPU instructions", 0, 1),
        PerfEvent("CacheRef", "cache_refs_total", "Number of cache references (non frequency scaled)", 0, 2),
        PerfEvent("CacheMisses", "cache_misses_total", "Number of cache misses", 0, 3),
        PerfEvent("BranchInstr", "branch_instructions_total", "Number of CPU branch instructions", 0, 4),
        PerfEvent("BranchMisses", "branch_misses_total", "Number of CPU branch misses", 0, 5),
        PerfEvent(
            "StalledCyclesFrontend", "stalled_cycles_frontend_total", "Number of stalled frontend CPU cycles", 0, 7),
        PerfEvent(
            "StalledCyclesBackend", "stalled_cycles_backend_total", "Number of stalled backend CPU cycles", 0, 8),
        PerfEvent("RefCpuCycles", "ref_cpucycles_total", "Number of CPU cycles", 0, 9),
    ]

    static let software: [PerfEvent] = [
        PerfEvent("PageFault", "page_faults_total", "Number of page faults", 1, 2),
        PerfEvent("ContextSwitch", "context_switches_total", "Number of context switches", 1, 3),
        PerfEvent("CpuMigration", "cpu_migrations_total", "Number of CPU process migrations", 1, 4),
        PerfEvent("MinorFault", "minor_faults_total", "Number of minor page faults", 1, 5),
        PerfEvent("MajorFault", "major_faults_total", "Number of major page faults", 1, 6),
    ]

    /// Which cache, whether it is written to, and whether it missed.
    private static func cache(
        _ profiler: String, _ metric: String, _ help: String, _ cache: UInt64, writes: Bool = false, misses: Bool
    ) -> PerfEvent {
        PerfEvent(
            profiler, "cache_\(metric)_total", "Number " + help, 3,
            cache | (writes ? 1 << 8 : 0) | (misses ? 1 << 16 : 0))
    }

    static let caches: [PerfEvent] = [
        cache("L1DataReadHit", "l1d_read_hits", "L1 data cache read hits", 0, misses: false),
        cache("L1DataReadMiss", "l1d_read_misses", "L1 data cache read misses", 0, misses: true),
        cache("L1DataWriteHit", "l1d_write_hits", "L1 data cache write hits", 0, writes: true, misses: false),
        cache(
            "L1InstrReadMiss", "l1_instr_read_misses", "instruction L1 instruction read misses", 1, misses: true),
        cache("LLReadHit", "ll_read_hits", "last level read hits", 2, misses: false),
        cache("LLReadMiss", "ll_read_misses", "last level read misses", 2, misses: true),
        cache("LLWriteHit", "ll_write_hits", "last level write hits", 2, writes: true, misses: false),
        cache("LLWriteMiss", "ll_write_misses", "last level write misses", 2, writes: true, misses: true),
        cache("InstrTLBReadHit", "tlb_instr_read_hits", "instruction TLB read hits", 4, misses: false),
        cache("InstrTLBReadMiss", "tlb_instr_read_misses", "instruction TLB read misses", 4, misses: true),
        cache("BPUReadHit", "bpu_read_hits", "BPU read hits", 5, misses: false),
        cache("BPUReadMiss", "bpu_read_misses", "BPU read misses", 5, misses: true),
    ]

    /// What passes a point of the kernel, `subsystem:event`; nil when the kernel has none of the name.
    static func tracepoint(_ name: String, sysfs: String) -> PerfEvent? {
        let path = name.split(separator: ":").joined(separator: "/")
        for root in ["/kernel/tracing", "/kernel/debug/tracing"] {
            guard let bytes = try? Files.read("\(sysfs)\(root)/events/\(path)/id"),
                let id = bytes.withUnsafeBytes({ $0.trimmed.unsigned })
            else { continue }
            let metric = name.split(separator: ":").joined(separator: "_")
            return PerfEvent(name, metric, "Perf tracepoint " + name, 2, id)
        }
        return nil
    }

    /// CPUs as `0,2-8:2` names them; nil when it names none.
    static func cpus(_ text: String) -> [Int]? {
        var cpus: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
            let ends = pieces[0].split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, pieces.count <= ends.count, let first = ends[0], let last = ends[ends.count - 1],
                first >= 0, last >= first, last < 65_536
            else { return nil }
            guard let stride = pieces.count == 2 ? Int(pieces[1]) : 1, stride > 0 else { return nil }
            cpus += Swift.stride(from: first, through: last, by: stride)
        }
        return cpus
    }
}

/// `perf`: events of processors and the kernel, counted since the collector began.
///
/// Events that the machine cannot count are left out, as upstream. Deviation: a list of profilers is the list of those that
/// count; upstream counts the hardware's and software's others as well.
final class PerfCollector: NodeCollector {
    private struct Counter {
        var event: PerfEvent
        var cpu: Int
        var descriptor: Int32
    }

    private var counters: [Counter] = []
    private let missing: [String]

    init(_ settings: UnixSettings) {
        let arguments = settings.perf
        let points = arguments.tracepoints.map { ($0, PerfEvent.tracepoint($0, sysfs: settings.paths.sysfs)) }
        missing = points.filter { $0.1 == nil }.map(\.0)
        let cpus = arguments.cpus ?? Array(0..<max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        for event in arguments.events + points.compactMap(\.1) {
            for cpu in cpus {
                let descriptor = invar_perf_open(event.type, event.config, Int32(cpu))
                if descriptor >= 0 { counters.append(Counter(event: event, cpu: cpu, descriptor: descriptor)) }
            }
        }
    }

    /// Whether anything can be counted here.
    var isCounting: Bool { !counters.isEmpty }

    deinit { for counter in counters { close(counter.descriptor) } }

    func collect(_ scrape: NodeScrape) throws {
        for counter in counters {
            var value: UInt64 = 0
            guard read(counter.descriptor, &value, 8) == 8 else { throw SystemError("read", counter.event.profiler) }
            scrape.page.add(
                scrape.page.counter("node_perf_" + counter.event.metric, counter.event.help), "cpu", counter.cpu,
                Double(value))
        }
        if let name = missing.first { throw MalformedFile(path: name, reason: "no tracepoint of the kernel") }
        if !isCounting { throw NoData(reason: "no event can be counted here") }
    }
}
