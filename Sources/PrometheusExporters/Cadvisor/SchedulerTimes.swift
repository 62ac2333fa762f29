import Essentials

/// How long processes of groups have run and waited to run, also those that are gone: the sums never fall.
///
/// Agrees with google/cadvisor `container/libcontainer`. One owner at a time.
final class SchedulerTimes {
    /// Nanoseconds run, nanoseconds waited, and times run.
    struct Times: Equatable {
        var run: UInt64 = 0
        var waited: UInt64 = 0
        var periods: UInt64 = 0

        static func += (left: inout Times, right: Times) {
            left.run &+= right.run
            left.waited &+= right.waited
            left.periods &+= right.periods
        }
    }

    private struct Group {
        /// Of processes that are gone.
        var ended = Times()
        var processes: [UInt64: Times] = [:]
    }

    private var groups: [String: Group] = [:]

    /// Forgets groups that are no longer among `names`.
    func begin(keeping names: [String]) {
        if groups.isEmpty { return }
        let kept = Set(names)
        groups = groups.filter { kept.contains($0.key) }
    }

    /// The sums of the group `name`, whose processes are `ids`.
    func times(of name: String, _ ids: [UInt64], proc: String, files: ProcFiles) -> Times {
        var group = groups[name] ?? Group()
        var alive: [UInt64: Times] = [:]
        for id in ids {
            guard let now = Self.read("\(proc)/\(id)/schedstat", files) else { continue }
            if let before = group.processes.removeValue(forKey: id), before.run > now.run {
                // Another process of the same number.
                group.ended += before
            }
            alive[id] = now
        }
        for times in group.processes.values { group.ended += times }
        group.processes = alive
        groups[name] = group
        return alive.values.reduce(into: group.ended) { $0 += $1 }
    }

    private static func read(_ path: String, _ files: ProcFiles) -> Times? {
        let times: Times?? = try? files.withFile(path) { bytes in
            let words = bytes.words(limit: 3)
            guard words.count == 3, let run = words[0].unsigned, let waited = words[1].unsigned,
                let periods = words[2].unsigned
            else { return nil }
            return Times(run: run, waited: waited, periods: periods)
        }
        return times ?? nil
    }

    /// The processes of a group and of those in it.
    static func processes(_ directory: String, _ files: ProcFiles, depth: Int = 0) -> [UInt64] {
        var ids = (try? files.withFile(directory + "/cgroup.procs") { $0.lines.compactMap(\.unsigned) }) ?? []
        guard depth < 32 else { return ids }
        for name in (try? Files.list(directory)) ?? [] where Directory.isDirectory(directory + "/" + name) {
            ids += processes(directory + "/" + name, files, depth: depth + 1)
        }
        return ids
    }
}

/// Memory that processes have touched, from `/proc/PID/smaps`.
enum ReferencedMemory {
    /// Bytes touched by the processes `ids` since the kernel was last told to forget, which this exporter never does.
    static func bytes(_ ids: [UInt64], proc: String, files: ProcFiles) -> UInt64 {
        var kibibytes: UInt64 = 0
        for id in ids {
            _ = try? files.withFile("\(proc)/\(id)/smaps") { bytes in
                for line in bytes.lines where line.starts(with: "Referenced:") {
                    kibibytes &+= line.part(11..<line.count).words(limit: 1).first?.unsigned ?? 0
                }
            }
        }
        return kibibytes &* 1024
    }
}
