import Essentials
import Glibc
import Telemetry

/// Where the reading of a text body stands.
struct TextState: Sendable {
    /// The beginning of a line whose end has not arrived.
    var carry: [UInt8] = []
    /// While `carry` ends inside a quoted string: the size from which another attempt is worth its time.
    var retryAt = 0
    /// Lines read.
    var line = 0
    /// True once `# EOF` was read.
    var hasEnd = false
}

extension ExpositionReader {
    mutating func feedText(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) {
        guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
        var start = 0
        if !text.carry.isEmpty {
            if text.retryAt > 0 {
                try extendCarry(UnsafeRawBufferPointer(start: base, count: bytes.count))
                if text.carry.count >= text.retryAt { try readCarry(isLast: false) }
                return
            }
            guard let newline = memchr(base, 10, bytes.count) else {
                try extendCarry(bytes)
                return
            }
            start = UnsafeRawPointer(newline) - UnsafeRawPointer(base) + 1
            try extendCarry(UnsafeRawBufferPointer(start: base, count: start))
            try readCarry(isLast: false)
            if !text.carry.isEmpty {
                try extendCarry(UnsafeRawBufferPointer(start: base + start, count: bytes.count - start))
                return
            }
        }
        guard let end = ByteText.endOfLastLine(base, start, bytes.count) else {
            if start < bytes.count {
                try extendCarry(UnsafeRawBufferPointer(start: base + start, count: bytes.count - start))
            }
            return
        }
        let read = try readLines(base, start, end)
        if read < bytes.count {
            try extendCarry(UnsafeRawBufferPointer(start: base + read, count: bytes.count - read))
            if read < end { text.retryAt = text.carry.count * 2 }
        }
    }

    private mutating func extendCarry(_ bytes: UnsafeRawBufferPointer) throws(ExpositionError) {
        if text.carry.count + bytes.count > options.limits.lineBytes {
            // Lines after the one that straddles may be in here too; only that one counts.
            let isSingle = text.retryAt > 0 || !bytes.contains(10)
            if isSingle || text.carry.count > options.limits.lineBytes {
                throw failure(.lineTooLong, "line longer than \(options.limits.lineBytes) bytes")
            }
        }
        text.carry.append(contentsOf: bytes)
    }

    /// Reads the complete lines of the carry and keeps the rest.
    private mutating func readCarry(isLast: Bool) throws(ExpositionError) {
        var carry: [UInt8] = []
        swap(&carry, &text.carry)
        text.retryAt = 0
        var failed: ExpositionError?
        let (read, end): (Int, Int) = carry.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress, let end = ByteText.endOfLastLine(base, 0, buffer.count) else {
                return (0, 0)
            }
            do throws(ExpositionError) {
                return (try readLines(base, 0, end), end)
            } catch {
                failed = error
                return (0, end)
            }
        }
        if let failed { throw failed }
        if read < end {
            if isLast { throw failure(.malformed, "quoted string without an end") }
            text.retryAt = (carry.count - read) * 2
        }
        if read == carry.count {
            carry.removeAll(keepingCapacity: carry.capacity <= 1 << 16)
        } else {
            carry.removeFirst(read)
        }
        text.carry = carry
    }

    mutating func finishText() throws(ExpositionError) {
        let isOpenMetrics = format == .openMetricsText
        if !text.carry.isEmpty {
            if isOpenMetrics, text.retryAt == 0, !text.carry.elementsEqual("# EOF".utf8) {
                throw failure(.malformed, "data does not end with # EOF")
            }
            text.carry.append(10)
            try readCarry(isLast: true)
        }
        if isOpenMetrics, !text.hasEnd { throw failure(.malformed, "data does not end with # EOF") }
        try flushClassicHistogram()
    }

    /// Reads the lines of `[start, end)`, which ends in a line feed. Returns the index behind the last complete line: less
    /// than `end` only where a quoted string holds the last line feed.
    private mutating func readLines(
        _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int
    ) throws(ExpositionError) -> Int {
        var index = start
        while index < end {
            if text.hasEnd { throw failure(.malformed, "unexpected data after # EOF") }
            if !needsCare { index = readKnownLines(base, index, end) }
            guard index < end else { break }
            var problem: ExpositionError?
            do throws(LineFailure) {
                problem = try readLine(base, &index, end)
            } catch {
                switch error {
                case .incomplete: return index
                case .malformed(let message, let position):
                    throw failure(.malformed, describe(message, base, index, position, end))
                }
            }
            if let problem { throw problem }
        }
        return index
    }

    /// True where lines mean more than a sample each: parts of a histogram to convert, start times to collect.
    private var needsCare: Bool {
        switch families.currentKind {
        case .histogram: options.convertsClassicHistograms || collectsCreated
        case .counter, .summary: collectsCreated
        default: classic.isCollecting
        }
    }

    var collectsCreated: Bool { options.readsStartTimestamps && format == .openMetricsText }

    private func describe(
        _ message: StaticString, _ base: UnsafePointer<UInt8>, _ line: Int, _ position: Int, _ end: Int
    ) -> String {
        func excerpt(from start: Int, _ limit: Int) -> String {
            let available = max(0, end - start)
            var length = available
            if available > 0, let newline = memchr(base + start, 10, available) {
                length = UnsafeRawPointer(newline) - UnsafeRawPointer(base + start)
            }
            return ByteText.excerpt(UnsafeRawBufferPointer(start: base + start, count: length), limit: limit)
        }
        return "\(message), got \(excerpt(from: min(position, end), 20)) in \(excerpt(from: line, 80))"
    }
}

// MARK: The known

extension ExpositionReader {
    /// Reads lines as long as each is the one that followed the last one before, and returns the index behind them.
    ///
    /// Whatever is not plain stays for ``readLine``, which reads the line from its beginning.
    private mutating func readKnownLines(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        let entries = cache.entries.base
        let keys = cache.keys.base
        let states = cache.states.base
        let iteration = cache.iteration
        let time = scrapeTime
        let limit = options.limits.samples > 0 ? options.limits.samples : Int.max
        let takesTimestamps = options.honorsTimestamps && format == .prometheusText
        let tracksTimestamps = options.tracksTimestampStaleness
        let expectsTimestamps = format == .prometheusText
        var continued = cache.continued
        var fresh = cache.fresh
        var previous = previous
        var next = cache.predicted(after: previous)
        var index = start
        var lines = 0
        var samples = 0
        var kept = 0
        let accepted = accepted
        while index < end, next != SeriesCache.none {
            let entry = entries + Int(next)
            let length = Int(entry.pointee.keyLength)
            guard length < end &- index,
                memcmp(base + index, keys + Int(entry.pointee.keyOffset), length) == 0
            else { break }
            var i = index &+ length
            let ref = entry.pointee.ref
            if ref == SeriesCache.Code.metadata {
                guard base[i] == 10, families.repeatLine(entry.pointee.payload, entry: next) else { break }
                entry.pointee.lastSeen = iteration
                previous = next
                next = entry.pointee.successor
                index = i &+ 1
                lines &+= 1
                if needsCare { break }
                continue
            }
            guard base[i] == 32, ref != SeriesCache.Code.unmapped else { break }
            i &+= 1
            guard var value = FloatText.scan(base, &i) else { break }
            var sampleTime = time
            var isExplicit = false
            if base[i] == 32, expectsTimestamps {
                i &+= 1
                let first = i
                var stated: Int64 = 0
                var digit = base[i] &- 48
                while digit < 10, i &- first < 18 {
                    stated = stated &* 10 &+ Int64(digit)
                    i &+= 1
                    digit = base[i] &- 48
                }
                guard i > first else { break }
                if takesTimestamps {
                    guard stated <= latestTime else { break }
                    sampleTime = stated
                    isExplicit = true
                }
            }
            guard base[i] == 10 else { break }
            if ref < SeriesCache.Code.first {
                let state = states + Int(ref)
                guard accepted &+ kept < limit, isExplicit || state.pointee.seen != iteration else { break }
                state.pointee.seen = iteration
                if !isExplicit || tracksTimestamps, state.pointee.tracked != iteration {
                    state.pointee.tracked = iteration
                    if state.pointee.isLive { continued &+= 1 } else { fresh &+= 1 }
                }
                if value != value { value = Sample.normalNaN }
                appendRow(ref, value, sampleTime)
                kept &+= 1
            }
            entry.pointee.lastSeen = iteration
            samples &+= 1
            lines &+= 1
            index = i &+ 1
            previous = next
            next = entry.pointee.successor
        }
        self.previous = previous
        self.accepted = accepted &+ kept
        cache.continued = continued
        cache.fresh = fresh
        counts.scraped += samples
        counts.postRelabeling += kept
        text.line += lines
        return index
    }
}

// MARK: The unknown

extension ExpositionReader {
    /// Reads one line and moves `index` behind it. Returns rather than throws problems of the line itself, so that both
    /// kinds of error stay typed.
    private mutating func readLine(
        _ base: UnsafePointer<UInt8>, _ index: inout Int, _ end: Int
    ) throws(LineFailure) -> ExpositionError? {
        let isOpenMetrics = format == .openMetricsText
        var start = index
        if !isOpenMetrics { start = SeriesSyntax.skipBlanks(base, index, end) }
        let first = base[start]
        if first == 10 {
            if isOpenMetrics { throw .malformed("empty line", at: start) }
            index = start + 1
            text.line += 1
            return nil
        }
        if first == UInt8(ascii: "#") {
            return try readComment(base, &index, start, end)
        }
        let keyEnd = try syntax.scan(base, start, end, isOpenMetrics: isOpenMetrics)
        var sample = SampleText()
        let lineEnd =
            try isOpenMetrics
            ? sample.scanOpenMetrics(base, keyEnd, end, &syntax)
            : sample.scanPrometheus(base, keyEnd, end)
        do throws(ExpositionError) {
            let key = UnsafeRawBufferPointer(start: base + start, count: keyEnd - start)
            try storeLine(key, sample, base)
        } catch {
            return error
        }
        index = lineEnd
        text.line += 1
        return nil
    }

    private mutating func storeLine(
        _ key: UnsafeRawBufferPointer, _ sample: SampleText, _ base: UnsafePointer<UInt8>
    ) throws(ExpositionError) {
        let entry: UInt32
        var isNew = false
        if let found = cache.find(key, after: previous) {
            entry = found
        } else {
            guard let added = cache.insert(key, ref: SeriesCache.Code.unmapped, after: previous) else {
                throw failure(.tooManySeries, "too many series")
            }
            entry = added
        }
        previous = entry
        if needsCare || classic.isCollecting, try collect(entry, sample, base) { return }
        if cache.entries[Int(entry)].ref == SeriesCache.Code.unmapped {
            try resolve(entry)
            isNew = true
        }
        let ref = store(entry, sample.value, explicit: sample.timestamp, isNew: isNew)
        if let ref {
            if collectsCreated { noteSample(entry, ref) }
            if sample.exemplarStart > 0 { try storeExemplar(sample, base, ref, sample.timestamp, isNative: false) }
        }
    }

    /// Maps the labels of a text entry to a series.
    mutating func resolve(_ entry: UInt32) throws(ExpositionError) {
        try fillBuilder(entry)
        cache.setRef(entry, try mapBuilder())
    }

    /// Puts the labels that the key of `entry` spells into the builder.
    mutating func fillBuilder(_ entry: UInt32) throws(ExpositionError) {
        let key = cache.key(entry)
        guard let base = key.bindMemory(to: UInt8.self).baseAddress else { return }
        // The scanner may have moved on to an exemplar; the key is short and this happens once.
        do throws(LineFailure) {
            _ = try syntax.scan(base, 0, key.count, isOpenMetrics: format == .openMetricsText)
        } catch {
            throw failure(.malformed, "series cannot be read")
        }
        builder.reset()
        let kind = families.currentKind
        let raw = UnsafeRawPointer(base)
        func part(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: raw + start, count: end - start)
        }
        appendLabel(Self.metricName, part(syntax.nameStart, syntax.nameEnd), false, syntax.isNameEscaped)
        var skipsType = false
        var skipsUnit = false
        if options.addsTypeAndUnitLabels {
            let unit = families.currentUnit
            skipsType = kind != .unknown
            skipsUnit = !unit.isEmpty
            if skipsType { builder.set("__type__", to: kind.rawValue) }
            if skipsUnit { builder.set("__unit__", to: unit) }
        }
        for (position, label) in syntax.labels.enumerated() {
            let name = part(label.nameStart, label.nameEnd)
            let value = part(label.valueStart, label.valueEnd)
            if skipsType, ByteText.equal(name, "__type__") { continue }
            if skipsUnit, ByteText.equal(name, "__unit__") { continue }
            var isTwice = ByteText.equal(name, "__name__")
            for other in syntax.labels[..<position] where !isTwice {
                isTwice = ByteText.equal(name, part(other.nameStart, other.nameEnd))
            }
            if isTwice { throw failure(.malformed, "label name \(ByteText.excerpt(name)) is not unique") }
            let isBound =
                kind == .histogram && ByteText.equal(name, "le")
                || kind == .summary && ByteText.equal(name, "quantile")
            if isBound, let bound = FloatText.parse(value) {
                var text = FloatText.bound(bound)
                text.withUTF8 { builder.appendUnchecked(name, UnsafeRawBufferPointer($0)) }
            } else {
                appendLabel(name, value, label.isNameEscaped, label.isValueEscaped)
            }
        }
    }

    private mutating func appendLabel(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ isNameEscaped: Bool, _ isValueEscaped: Bool
    ) {
        if !isNameEscaped, !isValueEscaped {
            builder.appendUnchecked(name, value)
            return
        }
        var both: [UInt8] = []
        if isNameEscaped { SeriesSyntax.unescape(name, into: &both) } else { both.append(contentsOf: name) }
        let split = both.count
        if isValueEscaped { SeriesSyntax.unescape(value, into: &both) } else { both.append(contentsOf: value) }
        both.withUnsafeBytes { bytes in
            let name = UnsafeRawBufferPointer(rebasing: bytes[..<split])
            builder.set(name, to: UnsafeRawBufferPointer(rebasing: bytes[split...]))
        }
    }

    static var metricName: UnsafeRawBufferPointer {
        let name: StaticString = "__name__"
        return UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    }

    /// Keeps the exemplar of a sample of `ref`. Native histograms take none without a timestamp of its own.
    mutating func storeExemplar(
        _ sample: SampleText, _ base: UnsafePointer<UInt8>, _ ref: SeriesRef, _ sampleTime: Int64?, isNative: Bool
    ) throws(ExpositionError) {
        if isNative, sample.exemplarTimestamp == nil { return }
        let written = UnsafeRawBufferPointer(
            start: base + sample.exemplarStart, count: sample.exemplarEnd - sample.exemplarStart)
        let identity = ByteHash.hash(written)
        if lastExemplars[ref] == identity { return }
        do throws(LineFailure) {
            _ = try syntax.scanExemplar(base, sample.exemplarStart, sample.exemplarEnd)
        } catch {
            throw failure(.malformed, "exemplar cannot be read")
        }
        builder.reset()
        var length = 0
        for label in syntax.labels {
            let origin = UnsafeRawPointer(base + sample.exemplarStart)
            let name = UnsafeRawBufferPointer(start: origin + label.nameStart, count: label.nameEnd - label.nameStart)
            let value = UnsafeRawBufferPointer(
                start: origin + label.valueStart, count: label.valueEnd - label.valueStart)
            length += name.count + value.count
            builder.set(name, to: value)
        }
        // OpenMetrics: "The combined length of the label names and values ... MUST NOT exceed 128 UTF-8 character code
        // points"; four bytes each at most.
        guard length <= 128 * 4 else { return }
        store(
            ExemplarSample(
                series: ref, labels: builder.finish(), value: sample.exemplarValue,
                timestamp: sample.exemplarTimestamp ?? (options.honorsTimestamps ? sampleTime : nil) ?? scrapeTime),
            identity: identity)
    }
}
