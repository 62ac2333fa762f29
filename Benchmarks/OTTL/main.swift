import Essentials
import Glibc
import OTTL
import Telemetry
import Wire

// Nanoseconds of CPU per log record for statements; run as `swift run -c release ottl-benchmark [rounds]`.

func cpuNanoseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func makeBatch(_ count: Int) -> OTLPBatch {
    var assembler = OTLPAssembler(kind: .logs)
    let resource = OTLPMessage()
    resource.clear(as: .resource)
    resource.attributes.set("service.name" as OTLPKey, to: "checkout")
    assembler.begin(resource: resource)
    let record = OTLPMessage()
    for index in 0..<count {
        record.clear(as: .logRecord)
        let log = OTLPLogRecord(record)
        log.timeUnixNano = 1_700_000_000_000_000_000 + UInt64(index)
        log.severityNumber = 9
        record.set(OTLPField.LogRecord.severityText, string: "INFO")
        record.set(
            OTLPField.LogRecord.body,
            value: OTLPAnyValue.string(
                "GET /api/v1/users/\(index) 200 took \(index % 97) ms from 10.0.0.\(index % 250)"))
        record.attributes.set("http.method" as OTLPKey, to: "GET")
        record.attributes.set("http.route" as OTLPKey, to: "/api/v1/users/{id}")
        record.attributes.set("http.status_code" as OTLPKey, to: OTLPAnyValue.int(200))
        record.attributes.set("host.name" as OTLPKey, to: "node-\(index % 40)")
        assembler.append(record)
    }
    return assembler.finish()
}

let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 200
let records = 2000
let batch = makeBatch(records)
let programs: [(String, [String])] = [
    ("set a literal", ["set(attributes[\"a\"], \"b\")"]),
    (
        "rename",
        ["set(attributes[\"method\"], attributes[\"http.method\"])", "delete_key(attributes, \"http.method\")"]
    ),
    ("condition that fails", ["set(attributes[\"a\"], \"b\") where attributes[\"http.method\"] == \"POST\""]),
    ("replace_pattern", ["replace_pattern(body, \"/users/[0-9]+\", \"/users/{id}\")"]),
    (
        "five statements",
        [
            "set(severity_text, \"WARN\") where attributes[\"http.status_code\"] >= 400",
            "set(attributes[\"env\"], \"production\")",
            "set(attributes[\"svc\"], resource.attributes[\"service.name\"])",
            "delete_matching_keys(attributes, \"^internal\")", "set(attributes[\"long\"], true) where Len(body) > 20",
        ]
    ),
]

/// Runs statements on every record of a batch once; the size of what comes out.
func run(_ statements: [OTTLStatement], on batch: OTLPBatch) throws -> Int {
    let walker = OTLPWalker()
    let frame = OTTLFrame(walker, clock: .system)
    return try walker.edit(batch, to: .item) { level in
        frame.begin(level)
        guard level == .item else { return .keep }
        for statement in statements { try statement.run(frame) }
        return .keep
    }.byteCount
}

for (name, texts) in programs {
    let statements = try texts.map { try OTTLStatement($0, in: .log) }
    var sink = 0
    for _ in 0..<10 { sink &+= try run(statements, on: batch) }
    let start = cpuNanoseconds()
    for _ in 0..<rounds { sink &+= try run(statements, on: batch) }
    let spent = cpuNanoseconds() - start
    print("\(name): \(Int(spent / Double(rounds * records))) ns a record")
    if sink == 0 { print("nothing came out") }
}
