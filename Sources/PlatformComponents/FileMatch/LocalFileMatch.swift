package import AlloySyntax
package import ComponentKit
import Essentials
import Glibc
import Synchronization
import Telemetry

/// Turns targets whose `__path__` is a pattern into one target for each file that matches.
///
/// Patterns are those of the doublestar library. Symbolic links are followed. The files of a target are sorted by
/// path; targets keep their order.
package final class LocalFileMatch: Component {
    package static let spec = ComponentSpec(
        "local.file_match", .generallyAvailable, "Finds the files that match the patterns of targets.")

    package struct Arguments: Block {
        var pathTargets: [Target]
        let syncPeriod: Duration
        let ignoreOlderThan: Duration

        package init(from block: inout BlockReader) {
            pathTargets = block.required(
                "path_targets",
                "Targets with a pattern in `__path__` and, if wanted, a pattern for files to leave out in "
                    + "`__path_exclude__`.")
            syncPeriod = block.optional("sync_period", default: .seconds(10), "How often files are searched.")
            ignoreOlderThan = block.optional(
                "ignore_older_than", default: .zero, "Files unchanged for longer are left out; zero leaves out none.")
            if syncPeriod <= .zero { block.reject("sync_period", "must be greater than 0") }
        }
    }

    package struct Exports: WritableBlock {
        var targets: [Target]
        package static let placeholder = Exports(targets: [])
        package func write(to block: inout BlockWriter) {
            block.attribute("targets", targets, "One target for each file, with its path in `__path__`.")
        }
    }

    let arguments: Live<Arguments>
    let context: Context<Exports>
    private let warnings: LogLimiter

    package init(_ arguments: Live<Arguments>, _ context: Context<Exports>) throws {
        self.arguments = arguments
        self.context = context
        warnings = LogLimiter(every: .seconds(60), clock: context.clock)
    }

    package func run() async throws {
        while true {
            let (settings, version) = arguments.snapshot
            let now = context.clock.wallNanoseconds
            let found = try await context.services.blocking.run { FileSearch(settings, now: now).run() }
            try Task.checkCancellation()
            context.export(Exports(targets: found.targets))
            report(found)
            try await waitForNext(after: version, settings.syncPeriod)
        }
    }

    private func report(_ found: FileSearch.Result) {
        for problem in found.problems {
            warnings.attempt { _ in
                context.log.error("Failed to search files", nil, ["err": problem])
            }
        }
        if let problem = found.problems.first {
            context.report(.unhealthy(problem))
        } else {
            context.report(.healthy("\(found.targets.count) files found"))
        }
    }

    /// The next search is due after `period`, or as soon as there are new arguments.
    private func waitForNext(after version: UInt64, _ period: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { [arguments, context] group in
            group.addTask { try await context.clock.sleep(for: period) }
            group.addTask { try await arguments.change(after: version) }
            try await group.next()
            group.cancelAll()
        }
    }
}

/// One search for the files of all targets.
struct FileSearch {
    struct Result: Sendable {
        var targets: [Target] = []
        /// What went wrong, one sentence each.
        var problems: [String] = []
    }

    /// Files one component may export.
    private static let maximumFiles = 100_000

    private let settings: LocalFileMatch.Arguments
    private let nowNanoseconds: Int64
    private let workingDirectory: String

    init(_ settings: LocalFileMatch.Arguments, now: Int64) {
        self.settings = settings
        nowNanoseconds = now
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        workingDirectory = getcwd(&buffer, buffer.count).map { String(cString: $0) } ?? "/"
    }

    func run() -> Result {
        var result = Result()
        for target in settings.pathTargets {
            do throws(GlobError) {
                try search(target, &result)
            } catch {
                result.problems.append("\(error)")
            }
        }
        return result
    }

    private func search(_ target: Target, _ result: inout Result) throws(GlobError) {
        guard let pattern = target["__path__"], !pattern.isEmpty else { return }
        let excluded: Glob?
        if let text = target["__path_exclude__"], !text.isEmpty { excluded = try Glob(text) } else { excluded = nil }
        let limits = Glob.Limits(matches: Self.maximumFiles)
        let expansion = try Glob(pattern).expand(filesOnly: true, limits: limits)
        if expansion.isTruncated {
            result.problems.append("the search for \(pattern) was ended early: too many files, directories or levels")
        }
        for path in expansion.paths {
            if let excluded, excluded.matches(path) { continue }
            let absolute = path.hasPrefix("/") ? path : workingDirectory + "/" + path
            var status = stat()
            // A file may vanish meanwhile, and a link may lead nowhere.
            guard stat(absolute, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else { continue }
            if isTooOld(status) { continue }
            if result.targets.count >= Self.maximumFiles {
                result.problems.append("more than \(Self.maximumFiles) files match: the rest is left out")
                return
            }
            var own = LabelSetBuilder(target.own)
            own.set("__path__", to: absolute)
            result.targets.append(Target(own: own.finish(), group: target.group))
        }
    }

    func isTooOld(_ status: stat) -> Bool {
        guard settings.ignoreOlderThan != .zero else { return false }
        let (seconds, overflow) = Int64(status.st_mtim.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return false }
        let (changed, carry) = seconds.addingReportingOverflow(Int64(status.st_mtim.tv_nsec))
        return !carry && changed < nowNanoseconds &- settings.ignoreOlderThan.nanoseconds
    }
}
