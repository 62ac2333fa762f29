import Compression
import Essentials
import Storage
import Telemetry
import Wire

// Nanoseconds a sample from a batch to a compressed remote-write request: 50 targets of 1,000 series, 2,000 samples a request.

func makeTarget(_ target: Int) -> MetricBatch {
    var writer = SeriesTable.Writer()
    for series in 0..<1000 {
        _ = writer.append(
            LabelSet([
                ("__name__", "http_request_duration_seconds_bucket_\(series / 40)"),
                ("instance", "host-\(target).example.internal:9100"), ("job", "node"),
                ("le", "\(Double(series % 10) * 0.25)"), ("method", ["GET", "PUT", "POST"][series % 3]),
                ("code", "\(200 + series % 40 / 10)"),
            ]))
    }
    var batch = MetricBatch(table: writer.table)
    for series in 0..<1000 { batch.append(SeriesRef(series), Double(series * 31 % 997) * 1.5, at: 1_700_000_000_000) }
    return batch
}

func measure(_ name: String, _ version: RemoteWriteVersion, compress: Bool, _ batches: [MetricBatch]) throws {
    let clock = EngineClock.system
    var encoder = RemoteWriteEncoder(.init(version: version))
    var output: [UInt8] = []
    var best = Int64.max
    var bytes = 0
    for _ in 0..<30 {
        bytes = 0
        let start = clock.monotonicNanoseconds
        for batch in batches {
            encoder.appendSamples(of: batch, rows: 0..<batch.series.count)
            if encoder.counts.samples < 2000 { continue }
            try encoder.finish { request, _ in
                if compress {
                    output.removeAll(keepingCapacity: true)
                    try Snappy.compress(request, into: &output)
                    bytes += output.count
                } else {
                    bytes += request.count
                }
            }
        }
        best = min(best, clock.monotonicNanoseconds - start)
    }
    let samples = batches.count * 1000
    print("\(name): \(Double(best) / Double(samples)) ns/sample, \(Double(bytes) / Double(samples)) bytes/sample")
}

let batches = (0..<50).map(makeTarget)
for version in RemoteWriteVersion.allCases {
    try measure("\(version.rawValue) encode", version, compress: false, batches)
    try measure("\(version.rawValue) encode+snappy", version, compress: true, batches)
}

// Nanoseconds a record of 64 KiB takes to be appended and read back, from one task and from eight.
let pool = BlockingPool(name: "storage", threads: 2)
let record = SegmentRecord(payload: [UInt8](repeating: 7, count: 64 << 10), items: 2000)
for (policy, name) in [(SegmentLog.SyncPolicy.never, "never"), (.interval(.seconds(1)), "interval")] {
    for tasks in [1, 8] {
        let directory = "/tmp/remote-write-benchmark"
        try? SegmentLog.remove(directory)
        var options = SegmentLog.Options(directory: directory)
        options.sync = policy
        let log = try await SegmentLog.open(options, destinations: ["a"], pool: pool, clock: .system)
        guard let reader = log.reader(for: "a") else { fatalError("no reader") }
        let count = 2000
        let start = EngineClock.system.monotonicNanoseconds
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<tasks {
                group.addTask { for _ in 0..<count / tasks { try await log.append([record]) } }
            }
            group.addTask {
                for _ in 0..<count { if let stored = try await reader.next() { reader.complete(stored) } }
            }
            try await group.waitForAll()
        }
        let elapsed = EngineClock.system.monotonicNanoseconds - start
        print("queue, sync \(name), \(tasks) tasks: \(Double(elapsed) / Double(count) / 1000) us/record")
        await log.close()
        try? SegmentLog.remove(directory)
    }
}
