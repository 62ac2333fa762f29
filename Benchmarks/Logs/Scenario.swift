import Glibc

/// One measurement of the whole program: files are read, processed and pushed.
struct Scenario {
    enum Load {
        /// Files are there as a whole, read as fast as possible.
        case backlog(megabytes: Int)
        /// Lines are written while they are read.
        case live(linesPerSecond: Int, seconds: Int)
    }

    var name: String
    var files: Int
    var load: Load
    var writesAhead = false
    /// `batch_wait`; nil is the default of a second.
    var batchWait: String?

    func run(_ program: String, in directory: String) throws -> Report {
        mkdir(directory, 0o755)
        let logs = LogFiles(directory: directory, count: files)
        defer { logs.remove() }
        var bytes = 0
        let lines: Int
        let isLive: Bool
        switch load {
        case .backlog(let megabytes):
            isLive = false
            lines = megabytes * 1_000_000 / 240 / files
            bytes = try logs.writeBacklog(linesPerFile: lines, start: Clocks.wall() - 600_000_000_000)
        case .live(let linesPerSecond, let seconds):
            isLive = true
            lines = logs.liveLinesPerFile(linesPerSecond: linesPerSecond, seconds: seconds)
            logs.createEmpty()
        }
        let sink = try PushSink(logs, linesPerFile: lines, measuresLatency: isLive)
        sink.start()
        defer { sink.stop() }
        let (probe, httpPort) = try PushSink.listen()
        close(probe)
        let configuration = directory + "/logs.alloy"
        try write(self.configuration(logs, sink.port), to: configuration)
        let storage = "\(directory)/storage-\(getpid())-\(sink.port)"
        let process = try Program(
            program,
            [
                "run", configuration, "--storage.path=\(storage)", "--server.http.listen-addr=127.0.0.1:\(httpPort)",
            ], log: directory + "/program.log")
        defer { process.stop() }
        // Start-up is not what is measured.
        usleep(2_000_000)
        guard process.isRunning else { throw BenchmarkError("the program ended: see \(directory)/program.log") }
        let restingBytes = process.residentBytes
        let begin = process.processorTime
        let wallBegin = Clocks.monotonic()
        switch load {
        case .backlog: try logs.reveal()
        case .live(let linesPerSecond, let seconds):
            bytes = try logs.writeLive(linesPerSecond: linesPerSecond, seconds: seconds)
        }
        let total = lines * files
        let patience = Clocks.monotonic() + 300_000_000_000
        while sink.distinct < total, process.isRunning, Clocks.monotonic() < patience { usleep(5000) }
        let wall = Clocks.monotonic() - wallBegin
        let used = process.processorTime - begin
        return Report(
            name: name, files: files, lines: total, bytes: bytes, processorNanoseconds: used, wallNanoseconds: wall,
            peakBytes: process.peakResidentBytes, restingBytes: restingBytes, sink: sink.result)
    }

    private func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else { throw BenchmarkError("cannot write \(path)") }
        fputs(text, file)
        fclose(file)
    }

    private func configuration(_ logs: LogFiles, _ port: UInt16) -> String {
        let targets = (0..<files).map { "{\"__path__\" = \"\(logs.path($0))\", \"job\" = \"bench\"}," }
        return """
            logging { level = "warn" }

            loki.source.file "bench" {
                targets = [
                    \(targets.joined(separator: "\n        "))
                ]
                forward_to = [loki.process.bench.receiver]
            }

            loki.process "bench" {
                stage.cri { }
                stage.regex { expression = "level=(?P<level>\\\\w+)" }
                stage.labels { values = { level = "" } }
                forward_to = [loki.write.bench.receiver]
            }

            loki.write "bench" {
                endpoint {
                    url = "http://127.0.0.1:\(port)/loki/api/v1/push"
                    \(batchWait.map { "batch_wait = \"\($0)\"" } ?? "")
                }
                \(writesAhead ? "wal { enabled = true }" : "")
            }

            """
    }
}

/// What one run showed.
struct Report {
    var name: String
    var files: Int
    var lines: Int
    var bytes: Int
    var processorNanoseconds: Int64
    var wallNanoseconds: Int64
    var peakBytes: Int
    var restingBytes: Int
    var sink: PushSink.Result

    static let heading = """
        | scenario | files | lines | MB | wall s | CPU s per million lines | MB per CPU s | peak RSS MB | lost | duplicated | corrupt | latency p50 / p99 / max ms |
        |---|---|---|---|---|---|---|---|---|---|---|---|
        """

    var row: String {
        let seconds = Double(processorNanoseconds) / 1e9
        var latency = ""
        if !sink.latencies.isEmpty {
            let sorted = sink.latencies.sorted()
            func milliseconds(_ part: Double) -> Int { Int(sorted[Int(Double(sorted.count - 1) * part)] / 1_000_000) }
            latency = "\(milliseconds(0.5)) / \(milliseconds(0.99)) / \(milliseconds(1))"
        }
        let cells: [String] = [
            name, String(files), String(lines), String(bytes / 1_000_000), rounded(Double(wallNanoseconds) / 1e9, 1),
            rounded(seconds / Double(lines) * 1e6, 2), rounded(Double(bytes) / 1e6 / seconds, 0),
            rounded(Double(peakBytes) / 1e6, 0), String(lines - sink.distinct), String(sink.duplicated),
            String(sink.corrupt), latency,
        ]
        return "| " + cells.joined(separator: " | ") + " |"
    }

    var isFlawless: Bool { sink.distinct == lines && sink.duplicated == 0 && sink.corrupt == 0 }

    private func rounded(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return "-" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let whole = (value * scale).rounded() / scale
        return digits == 0 ? String(Int(whole)) : String(whole)
    }
}
