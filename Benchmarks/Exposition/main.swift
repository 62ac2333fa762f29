import Essentials
import Glibc
import Telemetry
import Wire

// Nanoseconds of CPU per sample for reading text expositions; run as `swift run -c release exposition-benchmark [rounds [targets]]`.

func cpuNanoseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func body(target: Int, series: Int, round: Int, value: (Int, Int) -> String) -> [UInt8] {
    var text = ""
    for family in 0..<(series / 20) {
        text += "# HELP http_requests_family_\(family)_total How many requests of kind \(family) were answered.\n"
        text += "# TYPE http_requests_family_\(family)_total counter\n"
        for index in 0..<20 {
            text +=
                "http_requests_family_\(family)_total{method=\"GET\",code=\"200\",handler=\"/api/v1/query_\(index)\","
            text += "cluster=\"eu-west-\(target % 3)\",namespace=\"monitoring\",pod=\"prometheus-server-\(index)\"} "
            text += value(family * 20 + index, round) + "\n"
        }
    }
    return Array(text.utf8)
}

let targets = CommandLine.arguments.dropFirst(2).first.flatMap { Int($0) } ?? 50
let repetitions = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 40
let perTarget = 1000
let kinds: [(String, (Int, Int) -> String)] = [
    ("integers", { "\($0 * 7919 + $1 * 13)" }),
    ("floats of 17 digits", { "\(Double($0) * 0.1234567 + Double($1) / 3)" }),
]
for (name, value) in kinds {
    let rounds = (0..<4).map { round in
        (0..<targets).map { body(target: $0, series: perTarget, round: round, value: value) }
    }
    let readers = UnsafeMutablePointer<ExpositionReader>.allocate(capacity: targets)
    for index in 0..<targets {
        (readers + index).initialize(
            to: ExpositionReader { labels in
                labels.set("instance", to: "host:9100")
                labels.set("job", to: "bench")
                return true
            })
    }
    func scrapeAll(_ round: Int) throws -> Int {
        var samples = 0
        for index in 0..<targets {
            readers[index].begin(.prometheusText, at: Int64(round) * 1000)
            try rounds[round % 4][index].withUnsafeBytes { bytes in
                var offset = 0
                while offset < bytes.count {
                    let end = min(offset + 65_536, bytes.count)
                    try readers[index].feed(UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
                    offset = end
                }
            }
            try readers[index].finish()
            samples += readers[index].takeBatch().itemCount
        }
        return samples
    }
    var start = cpuNanoseconds()
    var samples = try scrapeAll(0)
    print("\(name): first scrape \((cpuNanoseconds() - start) / Double(samples)) ns a sample")
    start = cpuNanoseconds()
    samples = 0
    for round in 1...max(1, repetitions) { samples += try scrapeAll(round) }
    print("\(name): \((cpuNanoseconds() - start) / Double(samples)) ns a sample over \(samples) samples")
    print("\(name): \(readers[0].byteCount / readers[0].seriesCount) bytes a series")
}
