import CLinux
import Essentials
import Glibc

/// Names and sizes of the machine, which do not change while it runs.
struct MachineFacts {
    var machineID = ""
    var systemUUID = ""
    var bootID = ""
    var kernelVersion = ""
    var systemVersion = ""
    var cores = 0
    var physicalCores = 0
    var sockets = 0
    var memory: UInt64 = 0
    var swap: UInt64 = 0
    /// Seconds since 1970, at a whole minute.
    var bootTime: Int64 = 0

    init(_ files: ProcFiles, proc: String, sys: String, root: String, now: Int64) {
        func text(_ paths: String...) -> String {
            for path in paths {
                if let text = try? files.text(path), !text.isEmpty { return text }
            }
            return ""
        }
        machineID = text(root + "/etc/machine-id", root + "/var/lib/dbus/machine-id")
        systemUUID = text(sys + "/class/dmi/id/product_uuid", proc + "/device-tree/vm,uuid", root + "/etc/machine-id")
        bootID = text(proc + "/sys/kernel/random/boot_id")
        kernelVersion = text(proc + "/sys/kernel/osrelease")
        systemVersion = Self.systemVersion(files, root)
        _ = try? files.withFile(proc + "/meminfo") { bytes in
            for line in bytes.lines {
                let words = line.words(limit: 3)
                guard words.count == 3, let value = words[1].unsigned else { continue }
                if words[0].equals("MemTotal:") { memory = value &* 1024 }
                if words[0].equals("SwapTotal:") { swap = value &* 1024 }
            }
        }
        readProcessors(files, sys + "/devices/system/cpu")
        let uptime = (try? files.withFile(proc + "/uptime") { $0.words(limit: 1).first?.number ?? 0 }) ?? 0
        bootTime = (now - (uptime >= 0 && uptime < 1e12 ? Int64(uptime) : 0)) / 60 * 60
    }

    private static func systemVersion(_ files: ProcFiles, _ root: String) -> String {
        for path in [root + "/etc/os-release", root + "/usr/lib/os-release"] {
            let found: String?? = try? files.withFile(path) { bytes in
                for line in bytes.lines where line.starts(with: "PRETTY_NAME=") {
                    let value = line.part(12..<line.count).trimmed.string
                    return value.hasPrefix("\"") && value.hasSuffix("\"") && value.utf8.count >= 2
                        ? String(value.dropFirst().dropLast()) : value
                }
                return nil
            }
            if let found, let found { return found }
        }
        return "Linux"
    }

    private mutating func readProcessors(_ files: ProcFiles, _ path: String) {
        var cores: Set<String> = []
        var sockets: Set<String> = []
        for name in Directory.numbered(path, "cpu") {
            let online = (try? files.text("\(path)/\(name)/online")) ?? "1"
            guard online != "0" else { continue }
            self.cores += 1
            guard let core = try? files.text("\(path)/\(name)/topology/core_id"),
                let package = try? files.text("\(path)/\(name)/topology/physical_package_id")
            else { continue }
            cores.insert(package + "/" + core)
            sockets.insert(package)
        }
        physicalCores = cores.count
        self.sockets = sockets.count
    }

    func add(to page: MetricPage, _ topology: MachineTopology?) {
        var base: [UInt8] = []
        for (name, value) in [("boot_id", bootID), ("machine_id", machineID), ("system_uuid", systemUUID)] {
            if !base.isEmpty { base.append(UInt8(ascii: ",")) }
            base += "\(name)=\"".utf8
            value.append(to: &base)
            base.append(UInt8(ascii: "\""))
        }
        func gauge(_ name: String, _ help: String, _ value: Double) {
            page.add(page.gauge(name, help), base: base, value)
        }
        gauge("machine_cpu_physical_cores", "Number of physical CPU cores.", Double(physicalCores))
        gauge("machine_cpu_cores", "Number of logical CPU cores.", Double(cores))
        gauge("machine_cpu_sockets", "Number of CPU sockets.", Double(sockets))
        gauge("machine_memory_bytes", "Amount of memory installed on the machine.", Double(memory))
        gauge("machine_swap_bytes", "Amount of swap memory available on the machine.", Double(swap))
        // Parts no machine outside of IBM Z and with persistent memory has.
        gauge("machine_cpu_books", "Number of CPU books.", 0)
        gauge("machine_cpu_drawers", "Number of CPU drawers.", 0)
        gauge("machine_nvm_avg_power_budget_watts", "NVM power budget.", 0)
        let persistent = page.gauge(
            "machine_nvm_capacity", "NVM capacity value labeled by NVM mode (memory mode or app direct mode).")
        page.add(persistent, base: base, "mode", "app_direct_mode", 0)
        page.add(persistent, base: base, "mode", "memory_mode", 0)
        topology?.add(to: page, base: base)
        page.add(
            page.gauge("machine_scrape_error", "1 if there was an error while getting machine metrics, 0 otherwise."), 0
        )
    }
}
