import Essentials
import Glibc

/// Runs each target in a process of its own and keeps what ends one.
struct Driver {
    /// A single input may take this long, in a debug build on a busy machine.
    private static let patience: Int64 = 60_000_000_000

    private let choices: Choices
    private let targets: [FuzzTarget]

    init(_ choices: Choices, _ targets: [FuzzTarget]) {
        self.choices = choices
        self.targets = targets
    }

    /// The exit code: 1 when something was found.
    func run() -> CInt {
        print("# seed \(choices.seed), \(choices.seconds) s for \(targets.count) targets")
        let share = choices.seconds / Double(targets.count)
        var found = 0
        for (index, target) in targets.enumerated() {
            let path = "/tmp/invar-fuzz-\(getpid())-\(index)"
            guard let page = SharedPage(path) else {
                print("not ok \(target.name): cannot map \(path)")
                return 2
            }
            page.reset()
            let start = EngineClock.system.monotonicNanoseconds
            let problem = work(target, share, path, page)
            unlink(path)
            let seconds = Double(EngineClock.system.monotonicNanoseconds - start) / 1e9
            let told = "\(page.inputs) inputs, \(page.signatures) ways, \((seconds * 10).rounded() / 10) s"
            if let problem {
                found += 1
                print("not ok fuzz \(target.name): \(problem); input saved as \(save(page.input, target)) (\(told))")
            } else {
                print("ok fuzz \(target.name) (\(told))")
            }
        }
        return found == 0 ? 0 : 1
    }

    /// Nil when the worker ended well, otherwise what became of it.
    private func work(_ target: FuzzTarget, _ seconds: Double, _ path: String, _ page: SharedPage) -> String? {
        let arguments = [
            "/proc/self/exe", "--worker", path, "--seed", "\(choices.seed)", "--seconds", "\(seconds)", "--corpus",
            choices.corpus, target.name,
        ]
        var pid: pid_t = 0
        var pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        guard posix_spawn(&pid, "/proc/self/exe", nil, nil, &pointers, environ) == 0 else {
            return "cannot start a worker"
        }
        var status: CInt = 0
        var last = (inputs: -1, time: EngineClock.system.monotonicNanoseconds)
        while waitpid(pid, &status, WNOHANG) == 0 {
            let now = EngineClock.system.monotonicNanoseconds
            if page.inputs != last.inputs { last = (page.inputs, now) }
            if now - last.time > Self.patience {
                kill(pid, SIGKILL)
                waitpid(pid, &status, 0)
                return "hangs"
            }
            usleep(20_000)
        }
        let signal = status & 0x7F
        if signal != 0 { return "ended by signal \(signal)" }
        switch (status >> 8) & 0xFF {
        case 0: return nil
        case 1: return page.finding
        case let code: return "exit code \(code)"
        }
    }

    private func save(_ input: [UInt8], _ target: FuzzTarget) -> String {
        let directory = "\(choices.save)/\(target.name)"
        let name = "\(directory)/\(String(input.withUnsafeBytes { ByteHash.hash($0) }, radix: 16))"
        do {
            try Files.makeDirectory(directory)
            try Files.replace(name, with: input)
        } catch {
            return "nothing: \(error)"
        }
        return name
    }
}
