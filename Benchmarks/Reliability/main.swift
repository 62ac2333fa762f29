import Compression
import Essentials
import Glibc
import Storage
import Telemetry
import Wire

// What trust costs: the delivery ledger per batch, the durable queue per record and policy, and opening a backlog.
// Run as `swift run -c release reliability-benchmark [mebibytes of backlog]`.

let clock = EngineClock.system

/// The best of several rounds, in nanoseconds per repetition.
func best(_ repetitions: Int, rounds: Int = 15, _ body: () async throws -> Void) async rethrows -> Double {
    var best = Int64.max
    for _ in 0..<rounds {
        let start = clock.monotonicNanoseconds
        for _ in 0..<repetitions { try await body() }
        best = min(best, clock.monotonicNanoseconds - start)
    }
    return Double(best) / Double(repetitions)
}

func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

// MARK: The ledger

/// Takes everything and does nothing.
struct NoWork: Consumer {
    func consume(_ batch: consuming MetricBatch) async throws(DeliveryError) {}
}

var writer = SeriesTable.Writer()
for series in 0..<1000 {
    _ = writer.append(
        LabelSet([
            ("__name__", "http_request_duration_seconds_bucket_\(series / 40)"), ("instance", "host:9100"),
            ("job", "node"), ("le", "\(Double(series % 10) * 0.25)"), ("code", "\(200 + series % 40 / 10)"),
        ]))
}
var batch = MetricBatch(table: writer.table)
for series in 0..<1000 { batch.append(SeriesRef(series), Double(series * 31 % 997) * 1.5, at: 1_700_000_000_000) }

let ledger = ComponentLedger(componentID: "source")
let sink = ComponentLedger(componentID: "sink")
let receiver = Receiver<MetricBatch>(ledger: sink)
receiver.install(NoWork())
let fanout = Fanout([receiver], ledger: ledger)
let plain: any Consumer<MetricBatch> = NoWork()
let direct = try await best(20_000) { try await plain.consume(batch) }
let counted = try await best(20_000) {
    try await fanout(batch)
    sink.delivered(1000)
}
let drop = await best(20_000) { ledger.drop(1, .rule, rule: "stage") }

var encoder = RemoteWriteEncoder(.init(version: .v1))
var output: [UInt8] = []
var text = ""
for series in 0..<1000 { text += "metric_\(series / 40)_total{code=\"\(series % 40)\",method=\"GET\"} \(series)\n" }
let body = Array(text.utf8)
var reader = ExpositionReader { _ in true }
let work = try await best(50) {
    reader.begin(.prometheusText, at: 1_700_000_000_000)
    try body.withUnsafeBytes { bytes in try reader.feed(bytes) }
    try reader.finish()
    _ = reader.takeBatch()
    encoder.appendSamples(of: batch, rows: 0..<1000)
    output.removeAll(keepingCapacity: true)
    try encoder.finish { bytes, _ in try Snappy.compress(bytes, into: &output) }
}
print(
    "a call without books: \(rounded(direct)) ns, an edge with both books: \(rounded(counted)) ns, a drop: \(rounded(drop)) ns"
)
print("parsing, encoding and compressing 1000 samples: \(rounded(work / 1000)) us")
print("the books of a batch that passes one edge: \(rounded((counted - direct) / work * 100)) % of that")

// MARK: The queue

let pool = BlockingPool(name: "storage", threads: 2)
let base = CommandLine.arguments.dropFirst(2).first ?? "/tmp"
let directory = "\(base)/invar-reliability-benchmark"
let record = SegmentRecord(payload: [UInt8](repeating: 7, count: 64 << 10), items: 2000)

func append(_ sync: SyncPolicy, tasks: Int, count: Int) async throws -> Double {
    try? SegmentLog.remove(directory)
    var options = SegmentLog.Options(directory: directory)
    options.sync = sync
    options.memoryLimit = .zero
    let log = try await SegmentLog.open(options, destinations: ["a"], pool: pool, clock: clock)
    let upkeep = Task { try await log.maintain() }
    let start = clock.monotonicNanoseconds
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<tasks { group.addTask { for _ in 0..<count / tasks { try await log.append([record]) } } }
        try await group.waitForAll()
    }
    let elapsed = clock.monotonicNanoseconds - start
    upkeep.cancel()
    await log.close()
    try? SegmentLog.remove(directory)
    return Double(elapsed) / Double(count) / 1000
}

for (sync, name, count) in [
    (SyncPolicy.never, "never", 4000), (.interval(.seconds(1)), "each second", 4000), (.always, "always", 400),
] {
    for tasks in [1, 16] {
        let microseconds = try await append(sync, tasks: tasks, count: count)
        print("a record of 64 KiB, synchronised \(name), \(tasks) senders: \(rounded(microseconds)) us")
    }
}

// MARK: Opening

func residentBytes() -> Int {
    let fields = ((try? Files.readText("/proc/self/statm")) ?? "").split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(CInt(_SC_PAGESIZE)) : 0
}

let mebibytes = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 512
try? SegmentLog.remove(directory)
var options = SegmentLog.Options(directory: directory)
options.sync = .never
options.memoryLimit = .zero
options.sizeLimit = .mebibytes(mebibytes * 2)
var log = try await SegmentLog.open(options, destinations: ["a"], pool: pool, clock: clock)
let large = SegmentRecord(payload: [UInt8](repeating: 7, count: 1 << 20), items: 2000)
for _ in 0..<mebibytes { try await log.append([large]) }
// As after a crash: the last segment has no footer.
log.abandon()
let before = residentBytes()
let start = clock.monotonicNanoseconds
log = try await SegmentLog.open(options, destinations: ["a"], pool: pool, clock: clock)
let elapsed = Double(clock.monotonicNanoseconds - start) / 1e6
let more = Double(residentBytes() - before) / 1_048_576
let statistics = log.statistics
print(
    "opening \(mebibytes) MiB in \(statistics.segments) segments after a crash: \(rounded(elapsed)) ms, "
        + "\(rounded(more)) MiB more resident, \(statistics.pendingItems["a"] ?? 0) items pending")
await log.close()
try? SegmentLog.remove(directory)
