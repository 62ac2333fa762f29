import Glibc

/// The program under measurement, running.
struct Program {
    let identifier: pid_t

    /// Starts `path run configuration`; its log goes to `log`.
    init(_ path: String, _ arguments: [String], log: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var identifier = pid_t()
        var pointers: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        let result = posix_spawn(&identifier, path, &actions, nil, pointers, environ)
        guard result == 0 else { throw BenchmarkError("cannot start \(path): error \(result)") }
        self.identifier = identifier
    }

    /// CPU time used so far, of all threads, in nanoseconds.
    var processorTime: Int64 {
        var clock = clockid_t()
        guard clock_getcpuclockid(identifier, &clock) == 0 else { return 0 }
        return Clocks.read(clock)
    }

    /// The largest resident set so far, in bytes.
    var peakResidentBytes: Int { status("VmHWM:") }
    var residentBytes: Int { status("VmRSS:") }

    private func status(_ name: String) -> Int {
        guard let file = fopen("/proc/\(identifier)/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard text.hasPrefix(name) else { continue }
            let digits = text.filter { $0 >= "0" && $0 <= "9" }
            return (Int(digits) ?? 0) * 1024
        }
        return 0
    }

    var isRunning: Bool {
        var status: CInt = 0
        return waitpid(identifier, &status, WNOHANG) == 0
    }

    /// Asks it to end and waits until it has.
    func stop() {
        kill(identifier, SIGTERM)
        var status: CInt = 0
        for _ in 0..<300 {
            if waitpid(identifier, &status, WNOHANG) != 0 { return }
            usleep(50_000)
        }
        kill(identifier, SIGKILL)
        waitpid(identifier, &status, 0)
    }
}
