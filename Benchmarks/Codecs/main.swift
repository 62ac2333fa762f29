import Compression
import Essentials
import Glibc
import Telemetry
import Wire

// Nanoseconds of CPU per item for the codecs that have no benchmark of their own; run as
// `swift run -c release codecs-benchmark [rounds]`. `Benchmarks/instructions.sh` counts instructions instead.

func cpuNanoseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 200
let itemCount = 2000

/// Prints what one of `items` costs when `body` treats all of them, the best of five runs.
func measure(_ name: String, items: Int = itemCount, bytes: Int, _ body: () throws -> Int) rethrows {
    var best = Double.infinity
    var result = try body()
    for _ in 0..<5 {
        let start = cpuNanoseconds()
        for _ in 0..<max(1, rounds / 5) { result &+= try body() }
        best = min(best, (cpuNanoseconds() - start) / Double(max(1, rounds / 5)))
    }
    let perItem = padded("\(Int((best / Double(items)).rounded()))", 8)
    let rate = padded("\(Int((Double(bytes) / best * 1e3).rounded()))", 8)
    print("\(name)\(String(repeating: " ", count: max(1, 34 - name.utf8.count)))\(perItem) ns\(rate) MB/s")
    blackHole = result
}

func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.utf8.count)) + text
}

/// Keeps results from being optimised away.
nonisolated(unsafe) var blackHole = 0

func logLines() -> LogBatch {
    var batch = LogBatch()
    for index in 0..<itemCount {
        let labels = LabelSet([
            ("app", "store"), ("level", index % 4 == 0 ? "warn" : "info"), ("pod", "s-\(index % 8)"),
        ])
        batch.append(
            "request \(index) to bucket data-\(index % 31) took \(index % 900) ms, 4096 bytes, from 10.0.12.\(index % 250)",
            labels: labels, timestamp: 1_700_000_000_000_000_000 + Int64(index))
    }
    return batch
}

func logRecords() -> OTLPBatch {
    var assembler = OTLPAssembler(kind: .logs)
    let resource = OTLPMessage()
    resource.clear(as: .resource)
    resource.attributes.set("service.name" as OTLPKey, to: "checkout")
    assembler.begin(resource: resource)
    let record = OTLPMessage()
    for index in 0..<itemCount {
        record.clear(as: .logRecord)
        OTLPLogRecord(record).timeUnixNano = 1_700_000_000_000_000_000 + UInt64(index)
        record.set(OTLPField.LogRecord.body, value: OTLPAnyValue.string("GET /v1/users/\(index) took \(index % 97) ms"))
        record.attributes.set("http.method" as OTLPKey, to: "GET")
        record.attributes.set("http.status_code" as OTLPKey, to: OTLPAnyValue.int(200))
        record.attributes.set("host.name" as OTLPKey, to: "node-\(index % 40)")
        assembler.append(record)
    }
    return assembler.finish()
}

func run() throws {
    print(
        "per item, and megabytes of the plain form a second; \(itemCount) items, best of 5 x \(max(1, rounds / 5)) rounds"
    )

    // Loki push
    let lines = logLines()
    var builder = LokiPushBuilder()
    builder.append(lines)
    var push: [UInt8] = []
    builder.encode(into: &push)
    measure("Loki push, encode", bytes: push.count) {
        builder.reset()
        builder.append(lines)
        push.removeAll(keepingCapacity: true)
        builder.encode(into: &push)
        return push.count
    }
    var pushDecoder = LokiPushDecoder()
    try measure("Loki push, decode protobuf", bytes: push.count) {
        try push.withUnsafeBytes { try pushDecoder.decodeProtobuf($0) }.batch.itemCount
    }
    var text = #"{"streams":[{"stream":{"app":"store"},"values":["#
    for index in 0..<itemCount {
        text +=
            #"\#(index == 0 ? "" : ",")["\#(1_700_000_000_000_000_000 + index)","request \#(index) took 5 ms, 4096 bytes"]"#
    }
    let json = Array((text + "]}]}").utf8)
    try measure("Loki push, decode JSON", bytes: json.count) {
        try json.withUnsafeBytes { try pushDecoder.decodeJSON($0) }.batch.itemCount
    }

    // OTLP
    let records = logRecords()
    let request = records.requestBytes
    try measure("OTLP logs, check and count", bytes: request.count) {
        try request.withUnsafeBytes { try OTLPScanner.scan($0, as: .logs) }
    }
    let walker = OTLPWalker()
    try measure("OTLP logs, look up an attribute", bytes: request.count) {
        var found = 0
        try walker.walk(records, to: .item) { level in
            if level == .item, walker.item.attributes["host.name" as OTLPKey] != nil { found += 1 }
            return .keep
        }
        return found
    }
    try measure("OTLP logs, set an attribute", bytes: request.count) {
        try walker.edit(records, to: .item) { level in
            if level == .item { walker.item.attributes.set("team" as OTLPKey, to: "storage") }
            return .keep
        }.itemCount
    }
    let written = request.withUnsafeBytes { OTLPJSON.encode($0, of: .logs) }
    measure("OTLP logs, write JSON", bytes: request.count) {
        request.withUnsafeBytes { OTLPJSON.encode($0, of: .logs) }.count
    }
    try measure("OTLP logs, read JSON", bytes: written.count) {
        try written.withUnsafeBytes { try OTLPJSON.decode($0, as: .logs) }.count
    }

    // Compression of the push request
    let gzip = Gzip()
    let zstandard = try Zstandard()
    var compressed: [UInt8] = []
    func measureCompression(_ name: String, _ compress: (inout [UInt8]) throws -> Void) rethrows {
        try measure("\(name), compress", bytes: push.count) {
            compressed.removeAll(keepingCapacity: true)
            try compress(&compressed)
            return compressed.count
        }
    }
    try measureCompression("snappy") { try Snappy.compress(push, into: &$0) }
    try measure("snappy, decompress", bytes: push.count) { try Snappy.decompress(compressed, limit: 1 << 24).count }
    try measureCompression("gzip") { try gzip.compress(push, into: &$0) }
    try measure("gzip, decompress", bytes: push.count) { try Gzip.decompress(compressed, limit: 1 << 24).count }
    try measureCompression("zstd") { try zstandard.compress(push, into: &$0) }
    try measure("zstd, decompress", bytes: push.count) { try Zstandard.decompress(compressed, limit: 1 << 24).count }
}

try run()
