import CSnappy
import Glibc

/// Takes remote-write requests (1.0) apart and checks every sample: right series, a scrape that was served, once.
final class Checker {
    struct Counts {
        var requests = 0
        var bytes = 0
        /// Samples that are what was served, each counted once.
        var correct = 0
        var duplicates = 0
        /// Values nobody served, of another series than the labels say, or with another time than their scrape.
        var corrupt = 0
        /// Samples of series that should have been dropped on the way.
        var unwanted = 0
        var staleMarkers = 0
        /// Samples about the scrapes themselves, such as `up`.
        var reports = 0
        var malformed = 0
    }

    private(set) var counts = Counts()
    private let options: Options
    private let pages: [Page]
    /// By scrape: a bit for each series that has arrived.
    private var arrived: [UnsafeMutablePointer<UInt64>?] = []
    /// By scrape: the timestamp of each target's samples.
    private var times: [UnsafeMutablePointer<Int64>?] = []
    private var words: Int { (options.targets * options.series + 63) / 64 }
    private var scratch: UnsafeMutablePointer<UInt8> = .allocate(capacity: 1 << 20)
    private var scratchSize = 1 << 20

    init(_ options: Options, _ pages: [Page]) {
        self.options = options
        self.pages = pages
    }

    /// Checks a compressed request; false when it is not one.
    func take(_ body: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        counts.requests += 1
        counts.bytes += count
        var length = 0
        let isWhole = body.withMemoryRebound(to: CChar.self, capacity: count) { input in
            guard snappy_uncompressed_length(input, count, &length) == SNAPPY_OK, length < 256 << 20 else {
                return false
            }
            if length > scratchSize {
                scratch.deallocate()
                scratch = .allocate(capacity: length)
                scratchSize = length
            }
            return scratch.withMemoryRebound(to: CChar.self, capacity: length) {
                snappy_uncompress(input, count, $0, &length) == SNAPPY_OK
            }
        }
        guard isWhole, takeRequest(scratch, length) else {
            counts.malformed += 1
            return false
        }
        return true
    }

    private func takeRequest(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var message = Message(bytes, count)
        while message.next() {
            if message.field == 1, message.kind == 2 {
                guard takeSeries(message.payload, message.length) else { return false }
            }
        }
        return message.isWhole
    }

    private func takeSeries(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var message = Message(bytes, count)
        var series = -1
        var isReport = false
        while message.next() {
            guard message.kind == 2 else { continue }
            switch message.field {
            case 1:
                guard readLabel(message.payload, message.length, &series, &isReport) else { return false }
            case 2:
                var sample = Message(message.payload, message.length)
                var bits: UInt64 = 0
                var time: Int64 = 0
                while sample.next() {
                    if sample.field == 1 { bits = sample.number }
                    if sample.field == 2 { time = Int64(bitPattern: sample.number) }
                }
                guard sample.isWhole else { return false }
                takeSample(series, isReport, bits, time)
            default: break
            }
        }
        return message.isWhole
    }

    private func readLabel(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ series: inout Int, _ isReport: inout Bool
    ) -> Bool {
        var label = Message(bytes, count)
        var name: (UnsafePointer<UInt8>, Int)?
        while label.next() {
            if label.field == 1 { name = (label.payload, label.length) }
            if label.field == 2, let name {
                if name.1 == 6, memcmp(name.0, "series", 6) == 0 {
                    series = 0
                    for index in 0..<label.length { series = series &* 10 &+ Int(label.payload[index] &- 48) }
                } else if name.1 == 8, memcmp(name.0, "__name__", 8) == 0 {
                    isReport =
                        label.length == 2 && memcmp(label.payload, "up", 2) == 0
                        || label.length > 7 && memcmp(label.payload, "scrape_", 7) == 0
                }
            }
        }
        return label.isWhole
    }

    private func takeSample(_ series: Int, _ isReport: Bool, _ bits: UInt64, _ time: Int64) {
        if isReport {
            counts.reports += 1
            return
        }
        if bits == 0x7FF0_0000_0000_0002 {
            counts.staleMarkers += 1
            return
        }
        guard let (stated, scrape) = Value.decode(Double(bitPattern: bits)), stated == series,
            series < options.targets * options.series
        else {
            counts.corrupt += 1
            return
        }
        let target = series / options.series
        guard scrape >= 1, scrape <= pages[target].begun else {
            counts.corrupt += 1
            return
        }
        if options.isDropped(series % options.series) {
            counts.unwanted += 1
            return
        }
        let bits = arrivals(of: scrape)
        let mask: UInt64 = 1 << UInt64(series & 63)
        if bits[series >> 6] & mask != 0 {
            counts.duplicates += 1
            return
        }
        bits[series >> 6] |= mask
        guard let times = times[scrape] else { return }
        if times[target] == 0 { times[target] = time }
        if times[target] == time { counts.correct += 1 } else { counts.corrupt += 1 }
    }

    private func arrivals(of scrape: Int) -> UnsafeMutablePointer<UInt64> {
        while arrived.count <= scrape {
            arrived.append(nil)
            times.append(nil)
        }
        if let bits = arrived[scrape] { return bits }
        let bits = UnsafeMutablePointer<UInt64>.allocate(capacity: words)
        bits.initialize(repeating: 0, count: words)
        arrived[scrape] = bits
        let time = UnsafeMutablePointer<Int64>.allocate(capacity: options.targets)
        time.initialize(repeating: 0, count: options.targets)
        times[scrape] = time
        return bits
    }

    /// Samples of answered scrapes that have not arrived; the last scrape of each target, which the end of the collector
    /// may have cut off, apart from the others.
    var missing: (earlier: Int, last: Int) {
        var earlier = 0
        var last = 0
        for (target, page) in pages.enumerated() where page.served > 0 {
            for scrape in 1...page.served {
                let bits = scrape < arrived.count ? arrived[scrape] : nil
                var count = 0
                for index in 0..<options.series where !options.isDropped(index) {
                    let series = target * options.series + index
                    if let bits, bits[series >> 6] >> UInt64(series & 63) & 1 == 1 { continue }
                    count += 1
                }
                if scrape == page.served { last += count } else { earlier += count }
            }
        }
        return (earlier, last)
    }
}

/// Fields of a protobuf message, one after another.
private struct Message {
    private var at: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>
    private(set) var isWhole = true
    private(set) var field = 0
    private(set) var kind = 0
    /// Of a field with a length.
    private(set) var payload: UnsafePointer<UInt8>
    private(set) var length = 0
    /// Of any other.
    private(set) var number: UInt64 = 0

    init(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
        at = bytes
        end = bytes + count
        payload = bytes
    }

    mutating func next() -> Bool {
        guard isWhole, at < end, let tag = varint() else { return false }
        field = Int(tag >> 3)
        kind = Int(tag & 7)
        switch kind {
        case 0:
            guard let value = varint() else { return false }
            number = value
        case 1:
            guard end - at >= 8 else { return fail() }
            number = UnsafeRawPointer(at).loadUnaligned(as: UInt64.self)
            at += 8
        case 2:
            guard let size = varint() else { return false }
            guard size <= UInt64(end - at) else { return fail() }
            payload = at
            length = Int(size)
            at += length
        case 5:
            guard end - at >= 4 else { return fail() }
            at += 4
        default: return fail()
        }
        return true
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < end, shift < 64 {
            let byte = at.pointee
            at += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        _ = fail()
        return nil
    }

    private mutating func fail() -> Bool {
        isWhole = false
        return false
    }
}
