import Glibc

/// What a target answers: a whole response kept in memory, in which a scrape changes the values only.
final class Page {
    private(set) var bytes: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    private var capacity: Int
    private let valueOffsets: UnsafeMutablePointer<Int32>
    private let generationOffsets: UnsafeMutablePointer<Int32>?
    private let options: Options
    private let firstSeries: Int
    /// Scrapes begun and answered to the end.
    private(set) var begun = 0
    private(set) var served = 0
    var isBusy: Bool { begun != served }

    private static let generationDigits = 6

    init(_ target: Int, _ options: Options) {
        self.options = options
        firstSeries = target * options.series
        capacity = options.series * 160 + 512
        bytes = .allocate(capacity: capacity)
        valueOffsets = .allocate(capacity: options.series)
        generationOffsets = options.churn > 0 ? .allocate(capacity: options.series) : nil
        build()
    }

    private func build() {
        var lines: [UInt8] = []
        lines.reserveCapacity(256)
        for index in 0..<options.series {
            let family = "bench_requests_\(index / 20)_total"
            if index % 20 == 0 {
                append("# HELP \(family) Requests of one kind, a family of the benchmark.\n# TYPE \(family) counter\n")
            }
            var line = "\(family){code=\"\(Options.codes[index % 5])\",handler=\"/api/v1/resource/\(index % 20)\","
            line += "method=\"\(index % 3 == 0 ? "GET" : "POST")\",series=\"\(firstSeries + index)\""
            append(line)
            if let generationOffsets {
                append(",generation=\"")
                generationOffsets[index] = Int32(count)
                append("000000\"")
            }
            append("} ")
            valueOffsets[index] = Int32(count)
            append("10000000000\n")
        }
        // The head goes in front, now that the length is known.
        let head = Array(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: \(count)\r\n\r\n"
                .utf8)
        reserve(head.count)
        memmove(bytes + head.count, bytes, count)
        head.withUnsafeBufferPointer { _ = memcpy(bytes, $0.baseAddress!, head.count) }
        count += head.count
        for index in 0..<options.series {
            valueOffsets[index] += Int32(head.count)
            if let generationOffsets { generationOffsets[index] += Int32(head.count) }
        }
    }

    private func append(_ text: String) {
        var text = text
        text.withUTF8 { source in
            reserve(source.count)
            memcpy(bytes + count, source.baseAddress!, source.count)
            count += source.count
        }
    }

    private func reserve(_ more: Int) {
        guard count + more > capacity else { return }
        capacity = (count + more) * 2
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        memcpy(larger, bytes, count)
        bytes.deallocate()
        bytes = larger
    }

    /// Writes the values of the next scrape.
    func begin() {
        begun += 1
        for index in 0..<options.series {
            write(Value.encode(series: firstSeries + index, scrape: begun), Value.digits, at: Int(valueOffsets[index]))
        }
        guard let generationOffsets else { return }
        let period = 100 / options.churn
        var index = (period - begun % period) % period
        while index < options.series {
            write(begun, Self.generationDigits, at: Int(generationOffsets[index]))
            index += period
        }
    }

    func end() { served = begun }

    /// The scrape came to nothing: the next one has its number.
    func abort() { begun = served }

    private func write(_ number: Int, _ digits: Int, at offset: Int) {
        var rest = UInt(number)
        var at = bytes + offset + digits
        for _ in 0..<digits {
            at -= 1
            let next = rest / 10
            at.pointee = UInt8(truncatingIfNeeded: 48 &+ rest &- next &* 10)
            rest = next
        }
    }
}
