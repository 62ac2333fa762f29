import Essentials
import Glibc
import SelfMetrics

/// `processes`: processes and threads by state.
final class ProcessesCollector: NodeCollector {
    func collect(_ scrape: NodeScrape) throws {
        var processes = 0
        var threads = 0
        var states: [UInt8: Int] = [:]
        var threadStates: [UInt8: Int] = [:]
        for name in try Files.list(scrape.paths.procfs) where Self.isNumber(name) {
            let path = scrape.paths.proc(name)
            guard let process = try status(scrape, path + "/stat") else { continue }
            processes += 1
            threads += process.threads
            states[process.state, default: 0] += 1
            if process.threads == 1 {
                threadStates[process.state, default: 0] += 1
                continue
            }
            for thread in (try? Files.list(path + "/task")) ?? [] where Self.isNumber(thread) {
                if thread == name {
                    threadStates[process.state, default: 0] += 1
                } else if let status = try status(scrape, path + "/task/" + thread + "/stat") {
                    threadStates[status.state, default: 0] += 1
                }
            }
        }
        let page = scrape.page
        func add(_ name: String, _ help: String, _ value: Int) {
            page.add(page.gauge("node_processes_" + name, help), Double(value))
        }
        add("threads", "Allocated threads in system", threads)
        let limit = try scrape.files.unsigned(scrape.paths.proc("sys/kernel/threads-max"))
        page.add(page.gauge("node_processes_max_threads", "Limit of threads in the system"), Double(limit))
        let state = page.gauge("node_processes_state", "Number of processes in each state.")
        for (letter, count) in states.sorted(by: { $0.key < $1.key }) {
            page.add(state, "state", String(Unicode.Scalar(letter)), Double(count))
        }
        let threadState = page.gauge("node_processes_threads_state", "Number of threads in each state.")
        for (letter, count) in threadStates.sorted(by: { $0.key < $1.key }) {
            page.add(threadState, "thread_state", String(Unicode.Scalar(letter)), Double(count))
        }
        let maximum = try scrape.files.unsigned(scrape.paths.proc("sys/kernel/pid_max"))
        add("pids", "Number of PIDs", processes)
        page.add(page.gauge("node_processes_max_processes", "Number of max PIDs limit"), Double(maximum))
    }

    /// State and number of threads (proc_pid_stat(5)); nil when the process has ended meanwhile.
    private func status(_ scrape: NodeScrape, _ path: String) throws -> (state: UInt8, threads: Int)? {
        do {
            return try scrape.files.withFile(path) { bytes in
                // The name, in parentheses, may hold anything; the fields begin behind its last parenthesis.
                guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { throw MalformedFile(path: path) }
                let words = bytes.part((end + 1)..<bytes.count).words(limit: 18)
                guard words.count == 18, let state = words[0].first, let threads = words[17].integer else {
                    throw MalformedFile(path: path)
                }
                return (state, Int(clamping: max(0, min(threads, 1 << 32))))
            }
        } catch let error as SystemError where error.isNotFound || error.code == ESRCH {
            return nil
        }
    }

    private static func isNumber(_ name: String) -> Bool { name.utf8.allSatisfy { $0 >= 48 && $0 <= 57 } }
}
