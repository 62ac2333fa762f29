import ComponentKit
package import Essentials
import Glibc
package import SelfMetrics

/// What the kernel and the program know about this process, under the names of the Prometheus client libraries.
package enum ProcessMetrics {
    /// Adds the collectors to `scope`, which must live as long as they are wanted.
    package static func register(in scope: MetricScope, version: String, budget: MemoryBudget, clock: EngineClock) {
        scope.gauge(
            "alloy_build_info", "A metric with a constant '1' value labeled by version of the build.",
            labels: [
                "version": version, "revision": "", "branch": "", "goversion": "", "goos": "linux",
                "goarch": architecture,
            ]
        ).set(1)
        scope.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.")
            .set(Double(clock.wallNanoseconds) / 1e9)
        scope.collector { [weak budget] in
            var families = readProcess()
            if let budget {
                families.append(
                    family(
                        "invar_memory_budget_bytes", "Bytes all buffers together may hold.", Double(budget.limit.bytes))
                )
                families.append(
                    family("invar_memory_budget_used_bytes", "Bytes buffers hold now.", Double(budget.usage.bytes)))
                families += accounts(of: budget)
            }
            return families
        }
    }

    private static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #else
            "unknown"
        #endif
    }

    private static func family(
        _ name: String, _ help: String, _ value: Double, _ kind: MetricKind = .gauge
    ) -> CollectedFamily {
        CollectedFamily(name: name, help: help, kind: kind, samples: [CollectedSample(value: value)])
    }

    /// What each component holds of the budget, and what it cannot work without.
    private static func accounts(of budget: MemoryBudget) -> [CollectedFamily] {
        let held = budget.holdings.map { CollectedSample(labels: [("account", $0.name)], value: Double($0.held.bytes)) }
        let minimums = budget.minimums.map {
            CollectedSample(labels: [("account", $0.name)], value: Double($0.bytes.bytes))
        }
        return [
            CollectedFamily(
                name: "invar_memory_account_used_bytes",
                help: "Bytes of the memory budget a component's buffers hold now.",
                kind: .gauge, samples: held),
            CollectedFamily(
                name: "invar_memory_account_minimum_bytes",
                help: "Bytes of the memory budget a component cannot work without.", kind: .gauge, samples: minimums),
        ]
    }

    private static func readProcess() -> [CollectedFamily] {
        var families: [CollectedFamily] = []
        if let text = try? Files.readText("/proc/self/stat"), let close = text.lastIndex(of: ")") {
            let fields = text[text.index(after: close)...].split(separator: " ")
            let ticks = Double(sysconf(CInt(_SC_CLK_TCK)))
            if fields.count > 21, ticks > 0 {
                let cpu = ((Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)) / ticks
                families.append(
                    family(
                        "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", cpu, .counter))
                families.append(
                    family("process_virtual_memory_bytes", "Virtual memory size in bytes.", Double(fields[20]) ?? 0))
                families.append(
                    family(
                        "process_resident_memory_bytes", "Resident memory size in bytes.",
                        (Double(fields[21]) ?? 0) * Double(sysconf(CInt(_SC_PAGESIZE)))))
            }
        }
        if let open = try? Files.list("/proc/self/fd") {
            families.append(family("process_open_fds", "Number of open file descriptors.", Double(open.count)))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            families.append(
                family("process_max_fds", "Maximum number of open file descriptors.", Double(limit.rlim_cur)))
        }
        return families
    }
}
