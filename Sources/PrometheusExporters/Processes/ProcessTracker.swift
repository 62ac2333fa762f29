import Essentials

/// Follows processes from scrape to scrape and sums them up by group.
///
/// Agrees with github.com/ncabatoff/process-exporter `proc`: counters begin with the first look and never fall; they count
/// what a process does while it is seen, or all of it when it began after the first look.
final class ProcessTracker {
    /// A group at one moment.
    struct Group {
        var counters = ProcessCounters()
        var processes = 0
        var memory = ProcessMemory()
        var openFiles: UInt64 = 0
        var worstOpenFilesRatio = 0.0
        /// Nanoseconds since 1970; nil without a process.
        var oldestStart: Int64?
        var threadCount: UInt64 = 0
        var states = ProcessStates()
        /// Threads by the place they wait in.
        var places: [String: Int] = [:]
        var threads: [String: NamedThreads] = [:]
    }

    struct NamedThreads {
        var count = 0
        var counters = ProcessCounters()
    }

    fileprivate struct Tracked {
        struct Thread {
            var name: String
            var counters: ProcessCounters
            var latest = ProcessCounters()
            var place: String
        }

        var group: String
        var start: Int64
        var measure: ProcessMeasure
        /// What was added since the last look.
        var latest = ProcessCounters()
        var threads: [ProcessKey: Thread] = [:]
    }

    private struct Newcomer {
        var stat: ProcessReader.Stat
        var identity: ProcessIdentity
    }

    private let settings: ProcessSettings
    private let reader: ProcessReader
    private let clock: EngineClock
    private var boot: Int64?
    /// Nanoseconds since 1970.
    private var firstLook: Int64?
    private var tracked: [ProcessKey: Tracked] = [:]
    private var ignored: Set<ProcessKey> = []
    private var keys: [Int32: ProcessKey] = [:]
    private var userNames: [UInt32: String] = [:]
    private var totals: [String: ProcessCounters] = [:]
    private var threadTotals: [String: [String: NamedThreads]] = [:]

    private(set) var readErrors = 0
    private(set) var partialErrors = 0

    init(_ settings: ProcessSettings, clock: EngineClock) {
        self.settings = settings
        self.clock = clock
        reader = ProcessReader(procfs: settings.procfs, readsMaps: settings.readsMaps, files: ProcFiles())
    }

    /// Looks at all processes. Throws when they cannot be listed. Blocks.
    func look() throws -> [String: Group] {
        let boot = try self.boot ?? reader.bootTime()
        self.boot = boot
        if firstLook == nil { firstLook = clock.wallNanoseconds }
        let newcomers = try update(boot)
        admit(newcomers, boot)
        return groups()
    }

    // MARK: Processes

    /// Measures what is tracked, forgets what is gone, and returns what is new.
    private func update(_ boot: Int64) throws -> [Newcomer] {
        var newcomers: [Newcomer] = []
        var seen: Set<ProcessKey> = []
        var known: [Int32: ProcessKey] = [:]
        for pid in try reader.processIDs() {
            do {
                let stat = try reader.stat(pid)
                seen.insert(stat.key)
                known[pid] = stat.key
                if ignored.contains(stat.key) { continue }
                if tracked[stat.key] != nil {
                    let measure = try reader.measure(stat)
                    if measure.isPartial { partialErrors += 1 }
                    tracked[stat.key]?.take(measure)
                } else {
                    let identity = try reader.identity(stat, boot: boot, userNames: &userNames)
                    newcomers.append(Newcomer(stat: stat, identity: identity))
                }
            } catch is ProcessGone {
                if let key = known[pid] { seen.remove(key) }
            } catch {
                readErrors += 1
                if let key = known[pid] { seen.remove(key) }
            }
        }
        for key in tracked.keys where !seen.contains(key) { tracked[key] = nil }
        ignored.formIntersection(seen)
        keys = known
        return newcomers
    }

    private func admit(_ newcomers: [Newcomer], _ boot: Int64) {
        var unnamed: [ProcessKey: Newcomer] = [:]
        for newcomer in newcomers {
            if let group = settings.matchers.lazy.compactMap({ $0.group(of: newcomer.identity) }).first {
                track(newcomer, group)
            } else {
                unnamed[newcomer.stat.key] = newcomer
            }
        }
        guard settings.tracksChildren else { return }
        for newcomer in newcomers where unnamed[newcomer.stat.key] != nil { followParent(of: newcomer, unnamed) }
    }

    /// Gives a process the group of its nearest ancestor that has one, and its new ancestors in between as well.
    private func followParent(of newcomer: Newcomer, _ unnamed: [ProcessKey: Newcomer]) {
        var line = [newcomer]
        var group: String?
        var visited: Set<ProcessKey> = []
        while let last = line.last, visited.insert(last.stat.key).inserted {
            if let known = tracked[last.stat.key] {
                group = known.group
                line.removeLast()
                break
            }
            if ignored.contains(last.stat.key) {
                line.removeLast()
                break
            }
            guard let parent = keys[last.stat.parent] else { break }
            if let known = tracked[parent] {
                group = known.group
                break
            }
            guard !ignored.contains(parent), let next = unnamed[parent] else { break }
            line.append(next)
        }
        for member in line where tracked[member.stat.key] == nil {
            if let group {
                track(member, group)
            } else if !settings.rechecks {
                ignored.insert(member.stat.key)
            }
        }
    }

    private func track(_ newcomer: Newcomer, _ group: String) {
        do {
            let measure = try reader.measure(newcomer.stat)
            if measure.isPartial { partialErrors += 1 }
            var made = Tracked(group: group, start: newcomer.identity.start, measure: measure)
            for thread in measure.threads {
                made.threads[thread.key] = .init(name: thread.name, counters: thread.counters, place: thread.waitsIn)
            }
            if let firstLook, made.start > firstLook { made.latest = measure.counters }
            tracked[newcomer.stat.key] = made
        } catch is ProcessGone {
        } catch {
            readErrors += 1
        }
    }

    // MARK: Groups

    private func groups() -> [String: Group] {
        var groups: [String: Group] = [:]
        for process in tracked.values { process.add(to: &groups[process.group, default: Group()]) }
        for name in groups.keys {
            groups[name]?.counters += totals[name] ?? ProcessCounters()
            totals[name] = groups[name]?.counters
            let earlier = threadTotals[name] ?? [:]
            for (thread, entry) in earlier { groups[name]?.threads[thread]?.counters += entry.counters }
            threadTotals[name] = groups[name]?.threads.isEmpty == false ? groups[name]?.threads : nil
        }
        for (name, counters) in totals where groups[name] == nil {
            if settings.removesEmptyGroups {
                totals[name] = nil
                threadTotals[name] = nil
            } else {
                groups[name] = Group(counters: counters)
            }
        }
        return groups
    }
}

extension ProcessTracker.Tracked {
    fileprivate mutating func take(_ new: ProcessMeasure) {
        latest = new.counters - measure.counters
        measure = new
        var followed: [ProcessKey: Thread] = [:]
        for thread in new.threads {
            var made = Thread(name: thread.name, counters: thread.counters, place: thread.waitsIn)
            if let old = threads[thread.key] { made.latest = thread.counters - old.counters }
            followed[thread.key] = made
        }
        threads = followed
    }

    fileprivate func add(to group: inout ProcessTracker.Group) {
        group.processes += 1
        group.counters += latest
        group.memory += measure.memory
        if let open = measure.openFiles {
            group.openFiles &+= UInt64(open)
            let ratio = Double(open) / Double(measure.openFilesLimit)
            if ratio > group.worstOpenFilesRatio { group.worstOpenFilesRatio = ratio }
        }
        group.oldestStart = min(group.oldestStart ?? start, start)
        group.threadCount &+= measure.threadCount
        group.states += measure.states
        if !measure.waitsIn.isEmpty { group.places[measure.waitsIn, default: 0] += 1 }
        for thread in threads.values {
            if !thread.place.isEmpty { group.places[thread.place, default: 0] += 1 }
            group.threads[thread.name, default: .init()].count += 1
            group.threads[thread.name, default: .init()].counters += thread.latest
        }
    }
}
