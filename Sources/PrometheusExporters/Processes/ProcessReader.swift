import Essentials
import Glibc

/// One process or thread among all that ever were.
struct ProcessKey: Hashable, Sendable {
    var pid: Int32
    /// When it began, in hundredths of a second since the machine did.
    var start: UInt64
}

/// What only ever grows.
struct ProcessCounters: Equatable {
    /// Hundredths of a second.
    var user: UInt64 = 0
    var system: UInt64 = 0
    var readBytes: UInt64 = 0
    var writtenBytes: UInt64 = 0
    var majorFaults: UInt64 = 0
    var minorFaults: UInt64 = 0
    var voluntarySwitches: UInt64 = 0
    var involuntarySwitches: UInt64 = 0

    static func += (left: inout ProcessCounters, right: ProcessCounters) { left = left.combined(right, &+) }
    static func - (left: ProcessCounters, right: ProcessCounters) -> ProcessCounters { left.combined(right, &-) }

    private func combined(_ other: ProcessCounters, _ join: (UInt64, UInt64) -> UInt64) -> ProcessCounters {
        ProcessCounters(
            user: join(user, other.user), system: join(system, other.system),
            readBytes: join(readBytes, other.readBytes), writtenBytes: join(writtenBytes, other.writtenBytes),
            majorFaults: join(majorFaults, other.majorFaults), minorFaults: join(minorFaults, other.minorFaults),
            voluntarySwitches: join(voluntarySwitches, other.voluntarySwitches),
            involuntarySwitches: join(involuntarySwitches, other.involuntarySwitches))
    }
}

/// Processes or threads by state.
struct ProcessStates: Equatable {
    var running = 0
    var sleeping = 0
    var waiting = 0
    var zombie = 0
    var other = 0

    mutating func add(_ letter: UInt8) {
        switch letter {
        case UInt8(ascii: "R"): running += 1
        case UInt8(ascii: "S"): sleeping += 1
        case UInt8(ascii: "D"): waiting += 1
        case UInt8(ascii: "Z"): zombie += 1
        default: other += 1
        }
    }

    static func += (left: inout ProcessStates, right: ProcessStates) {
        left.running += right.running
        left.sleeping += right.sleeping
        left.waiting += right.waiting
        left.zombie += right.zombie
        left.other += right.other
    }
}

/// Bytes of memory.
struct ProcessMemory: Equatable {
    var resident: UInt64 = 0
    var virtual: UInt64 = 0
    var swapped: UInt64 = 0
    var proportional: UInt64 = 0
    var proportionalSwapped: UInt64 = 0

    static func += (left: inout ProcessMemory, right: ProcessMemory) {
        left.resident &+= right.resident
        left.virtual &+= right.virtual
        left.swapped &+= right.swapped
        left.proportional &+= right.proportional
        left.proportionalSwapped &+= right.proportionalSwapped
    }
}

/// What is known of a process at one moment.
struct ProcessMeasure {
    struct Thread {
        var key: ProcessKey
        var name: String
        var counters: ProcessCounters
        var waitsIn: String
    }

    var counters = ProcessCounters()
    var memory = ProcessMemory()
    /// Nil when it cannot be told.
    var openFiles: Int?
    var openFilesLimit: UInt64 = 0
    var threadCount: UInt64 = 0
    var states = ProcessStates()
    /// The place in the kernel it waits in; empty when it does not.
    var waitsIn = ""
    /// Empty for a process of one thread.
    var threads: [Thread] = []
    /// Whether something was not to be had.
    var isPartial = false
}

/// The process or thread has ended meanwhile.
struct ProcessGone: Error {}

/// Reads processes from a mounted procfs.
///
/// Source of the formats: proc(5). Which files count and how agrees with github.com/ncabatoff/process-exporter `proc`.
struct ProcessReader {
    struct Stat {
        var name: String
        var state: UInt8
        var parent: Int32
        var key: ProcessKey
        var minorFaults: UInt64
        var majorFaults: UInt64
        var user: UInt64
        var system: UInt64
        var threadCount: UInt64
        var virtualBytes: UInt64
        var residentPages: UInt64
    }

    private struct Status {
        var effectiveUser: UInt32 = 0
        var swapped: UInt64 = 0
        var voluntary: UInt64 = 0
        var involuntary: UInt64 = 0
    }

    let procfs: String
    let readsMaps: Bool
    let files: ProcFiles
    private static let pageSize = UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))

    /// Seconds since 1970 at which the machine began.
    func bootTime() throws -> Int64 {
        try files.withFile(procfs + "/stat") { bytes in
            for line in bytes.lines where line.starts(with: "btime ") {
                if let value = line.part(6..<line.count).trimmed.integer { return value }
            }
            throw MalformedFile(path: procfs + "/stat", reason: "no btime")
        }
    }

    func processIDs() throws -> [Int32] { try Self.numbers(procfs) }

    private static func numbers(_ path: String) throws -> [Int32] { try Files.list(path).compactMap { Int32($0) } }

    /// Turns an end in the midst of reading into ``ProcessGone``.
    private func reading<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as SystemError where error.isNotFound || error.code == ESRCH {
            throw ProcessGone()
        }
    }

    func stat(_ pid: Int32) throws -> Stat { try stat(procfs + "/\(pid)", pid) }

    private func stat(_ directory: String, _ pid: Int32) throws -> Stat {
        try reading {
            try files.withFile(directory + "/stat") { bytes in
                guard let open = bytes.index(of: "("), let close = bytes.lastIndex(of: UInt8(ascii: ")")), open < close
                else { throw MalformedFile(path: directory + "/stat") }
                let words = bytes.part((close + 1)..<bytes.count).words(limit: 22)
                func number(_ index: Int) -> UInt64 { words[index].unsigned ?? 0 }
                guard words.count == 22, let state = words[0].first, let start = words[19].unsigned else {
                    throw MalformedFile(path: directory + "/stat")
                }
                return Stat(
                    name: bytes.part((open + 1)..<close).string, state: state,
                    parent: Int32(clamping: words[1].integer ?? 0), key: ProcessKey(pid: pid, start: start),
                    minorFaults: number(7), majorFaults: number(9), user: number(11), system: number(12),
                    threadCount: number(17), virtualBytes: number(20), residentPages: number(21))
            }
        }
    }

    private func status(_ directory: String) throws -> Status {
        try reading {
            try files.withFile(directory + "/status") { bytes in
                var status = Status()
                for line in bytes.lines {
                    if line.starts(with: "Uid:") {
                        let ids = line.part(4..<line.count).words(limit: 2)
                        if ids.count == 2 { status.effectiveUser = UInt32(clamping: ids[1].integer ?? 0) }
                    } else if line.starts(with: "VmSwap:") {
                        status.swapped = Self.kibibytes(line, 7)
                    } else if line.starts(with: "voluntary_ctxt_switches:") {
                        status.voluntary = line.part(24..<line.count).trimmed.unsigned ?? 0
                    } else if line.starts(with: "nonvoluntary_ctxt_switches:") {
                        status.involuntary = line.part(27..<line.count).trimmed.unsigned ?? 0
                    }
                }
                return status
            }
        }
    }

    private static func kibibytes(_ line: Bytes, _ start: Int) -> UInt64 {
        (line.part(start..<line.count).words(limit: 1).first?.unsigned ?? 0) &* 1024
    }

    // MARK: Identity

    /// `boot` is when the machine began, in seconds since 1970.
    func identity(_ stat: Stat, boot: Int64, userNames: inout [UInt32: String]) throws -> ProcessIdentity {
        let directory = procfs + "/\(stat.key.pid)"
        let arguments = try reading {
            try files.withFile(directory + "/cmdline") { bytes -> [String] in
                var rest = bytes
                while rest.last == 0 { rest = rest.part(0..<(rest.count - 1)) }
                if rest.isEmpty { return [] }
                return rest.split(separator: 0, omittingEmptySubsequences: false).map {
                    String(decoding: $0, as: UTF8.self)
                }
            }
        }
        let user = try status(directory).effectiveUser
        let groups: [String]? = files.optional {
            try files.withFile(directory + "/cgroup") { bytes in
                bytes.lines.compactMap { line in line.cut(at: ":")?.1.cut(at: ":")?.1.string }
            }
        }
        if userNames[user] == nil { userNames[user] = Self.userName(user) }
        return ProcessIdentity(
            name: stat.name, arguments: arguments, cgroups: groups ?? [], userName: userNames[user] ?? "",
            pid: stat.key.pid, start: Self.start(stat.key, boot: boot))
    }

    static func start(_ key: ProcessKey, boot: Int64) -> Int64 {
        boot &* 1_000_000_000 &+ Int64(truncatingIfNeeded: key.start) &* 10_000_000
    }

    /// The number of a user without a name.
    private static func userName(_ id: UInt32) -> String {
        var record = passwd()
        var room = [CChar](repeating: 0, count: 16_384)
        var found: UnsafeMutablePointer<passwd>?
        guard getpwuid_r(id, &record, &room, room.count, &found) == 0, found != nil, let name = record.pw_name else {
            return String(id)
        }
        return String(cString: name)
    }

    // MARK: Measures

    func measure(_ stat: Stat) throws -> ProcessMeasure {
        let directory = procfs + "/\(stat.key.pid)"
        var made = ProcessMeasure()
        let status = try status(directory)
        made.counters = counters(stat, status, directory, &made.isPartial)
        made.states.add(stat.state)
        made.threadCount = stat.threadCount
        made.openFiles = (try? Files.list(directory + "/fd"))?.count
        if made.openFiles == nil { made.isPartial = true }
        made.openFilesLimit = try reading { try openFilesLimit(directory) }
        if let place = waitingPlace(directory) { made.waitsIn = place } else { made.isPartial = true }
        made.memory = ProcessMemory(
            resident: stat.residentPages &* Self.pageSize, virtual: stat.virtualBytes, swapped: status.swapped)
        if readsMaps, !addMaps(directory, to: &made.memory) { made.isPartial = true }
        readThreads(directory, into: &made)
        return made
    }

    private func counters(
        _ stat: Stat, _ status: Status, _ directory: String, _ isPartial: inout Bool
    ) -> ProcessCounters {
        var made = ProcessCounters(
            user: stat.user, system: stat.system, majorFaults: stat.majorFaults, minorFaults: stat.minorFaults,
            voluntarySwitches: status.voluntary, involuntarySwitches: status.involuntary)
        let bytes: (UInt64, UInt64)? = files.optional {
            try files.withFile(directory + "/io") { bytes in
                var read: UInt64 = 0
                var written: UInt64 = 0
                for line in bytes.lines {
                    if line.starts(with: "read_bytes:") {
                        read = line.part(11..<line.count).trimmed.unsigned ?? 0
                    } else if line.starts(with: "write_bytes:") {
                        written = line.part(12..<line.count).trimmed.unsigned ?? 0
                    }
                }
                return (read, written)
            }
        }
        if let bytes { (made.readBytes, made.writtenBytes) = bytes } else { isPartial = true }
        return made
    }

    private func openFilesLimit(_ directory: String) throws -> UInt64 {
        try files.withFile(directory + "/limits") { bytes in
            for line in bytes.lines where line.starts(with: "Max open files") {
                let words = line.part(14..<line.count).words(limit: 1)
                guard let soft = words.first else { break }
                return soft.equals("unlimited") ? .max : soft.unsigned ?? 0
            }
            return 0
        }
    }

    private func waitingPlace(_ directory: String) -> String? {
        files.optional {
            try files.withFile(directory + "/wchan") { bytes in
                let place = bytes.trimmed
                return place.equals("0") ? "" : place.string
            }
        }
    }

    /// From the kernel's sum, or the parts where it makes none.
    private func addMaps(_ directory: String, to memory: inout ProcessMemory) -> Bool {
        for name in ["/smaps_rollup", "/smaps"] {
            do {
                try files.withFile(directory + name) { bytes in
                    for line in bytes.lines {
                        if line.starts(with: "Pss:") {
                            memory.proportional &+= Self.kibibytes(line, 4)
                        } else if line.starts(with: "SwapPss:") {
                            memory.proportionalSwapped &+= Self.kibibytes(line, 8)
                        }
                    }
                }
                return true
            } catch let error as SystemError where error.isNotFound {
                continue
            } catch {
                return false
            }
        }
        return false
    }

    /// With threads, switches and states are those of all of them; states count the process as well, as upstream.
    private func readThreads(_ directory: String, into made: inout ProcessMeasure) {
        guard let ids = try? Self.numbers(directory + "/task") else {
            made.isPartial = true
            return
        }
        if ids.count < 2 { return }
        var states = ProcessStates()
        var threads: [ProcessMeasure.Thread] = []
        var ignored = false
        for id in ids {
            let own = directory + "/task/\(id)"
            guard let stat = try? stat(own, id), let status = try? status(own) else { continue }
            let counters = counters(stat, status, own, &ignored)
            states.add(stat.state)
            threads.append(
                .init(key: stat.key, name: stat.name, counters: counters, waitsIn: waitingPlace(own) ?? ""))
        }
        guard threads.count > 1 else { return }
        made.counters.voluntarySwitches = threads.reduce(0) { $0 &+ $1.counters.voluntarySwitches }
        made.counters.involuntarySwitches = threads.reduce(0) { $0 &+ $1.counters.involuntarySwitches }
        made.states += states
        made.threads = threads
    }
}
