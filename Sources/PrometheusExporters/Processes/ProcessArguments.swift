package import AlloySyntax
import TextFormats

/// Arguments of `prometheus.exporter.process`.
package struct ProcessArguments: Block {
    let settings: ProcessSettings

    package init(from block: inout BlockReader) {
        let procfs = block.optional("procfs_path", default: "/proc", "Where the process file system is mounted.")
        let children = block.optional(
            "track_children", default: true,
            "Whether a process that no matcher names belongs to the group of its parent.")
        let threads = block.optional("track_threads", default: true, "Whether threads are exported by name.")
        let smaps = block.optional(
            "gather_smaps", default: true, "Whether proportional memory is read, which is costly for the kernel.")
        let rechecks = block.optional(
            "recheck_on_scrape", default: false,
            "Whether processes that no matcher named are looked at again at every scrape.")
        let removes = block.optional(
            "remove_empty_groups", default: false, "Whether groups without processes are forgotten.")
        let matchers: [Matcher] = block.blocks(
            "matcher", "Processes that make a group; the first block that matches counts.")
        settings = ProcessSettings(
            procfs: procfs, tracksChildren: children, exportsThreads: threads, readsMaps: smaps, rechecks: rechecks,
            removesEmptyGroups: removes, matchers: matchers.compactMap(\.matcher))
    }

    /// A `matcher` block.
    struct Matcher: Block {
        let matcher: ProcessMatcher?

        init(from block: inout BlockReader) {
            let name = block.optional(
                "name", default: ProcessMatcher.defaultName,
                "Name of the group, as a template with the fields `Comm`, `ExeBase`, `ExeFull`, `Username`, `PID`, "
                    + "`StartTime`, `Cgroups` and `Matches`.")
            let comm: [String]? = block.optional("comm", "Names of commands, one of which must match.")
            let exe: [String]? = block.optional(
                "exe", "Names or paths of programs, one of which must be the first argument.")
            let cmdline: [String]? = block.optional(
                "cmdline", "Regular expressions that must all match the arguments, joined by spaces.")
            var expressions: [RegularExpression] = []
            for text in cmdline ?? [] {
                if let expression = block.compile("cmdline", text) { expressions.append(expression) }
            }
            if comm == nil, exe == nil, cmdline == nil {
                block.reject("no matchers provided: set comm, exe or cmdline")
            }
            do throws(ProcessNameError) {
                matcher = try ProcessMatcher(
                    name: name.isEmpty ? ProcessMatcher.defaultName : name, comm: comm, exe: exe,
                    cmdline: cmdline == nil ? nil : expressions)
            } catch {
                matcher = nil
                if block.isSet("name") { block.reject("name", "is no usable template: \(error)") }
            }
        }
    }
}

/// What the exporter is told, checked.
struct ProcessSettings: Sendable {
    var procfs = "/proc"
    var tracksChildren = true
    var exportsThreads = true
    var readsMaps = true
    var rechecks = false
    var removesEmptyGroups = false
    var matchers: [ProcessMatcher] = []
}
