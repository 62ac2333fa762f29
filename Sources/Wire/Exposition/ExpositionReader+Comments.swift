import Glibc
import Telemetry

extension ExpositionReader {
    /// Reads a line that begins with `#` at `start` and moves `index` behind it.
    mutating func readComment(
        _ base: UnsafePointer<UInt8>, _ index: inout Int, _ start: Int, _ end: Int
    ) throws(LineFailure) -> ExpositionError? {
        guard let newline = memchr(base + start, 10, end - start) else { throw .incomplete }
        let lineEnd = UnsafeRawPointer(newline) - UnsafeRawPointer(base)
        let key = UnsafeRawBufferPointer(start: base + start, count: lineEnd - start)
        do throws(ExpositionError) {
            try flushClassicHistogram()
            let known = cache.find(key, after: previous)
            if let known, families.repeatLine(cache.entries[Int(known)].payload, entry: known) {
                cache.setLastSeen(known)
                previous = known
            } else if let comment = try parseComment(key, base, start) {
                try note(comment, key, known)
            }
        } catch {
            return error
        }
        index = lineEnd + 1
        text.line += 1
        return nil
    }

    private mutating func note(
        _ comment: CommentText, _ key: UnsafeRawBufferPointer, _ known: UInt32?
    ) throws(ExpositionError) {
        let entry: UInt32
        if let known {
            entry = known
            cache.setLastSeen(known)
        } else {
            guard let added = cache.insert(key, ref: SeriesCache.Code.metadata, after: previous) else {
                throw failure(.tooManySeries, "too many series")
            }
            entry = added
        }
        previous = entry
        cache.setPayload(
            entry,
            families.note(
                family: comment.family, comment.field, kind: comment.kind, text: comment.text, unit: comment.unit,
                entry: entry, reusing: cache.entries[Int(entry)].payload))
    }

    /// What a comment line tells; nil where it is only for people.
    private mutating func parseComment(
        _ line: UnsafeRawBufferPointer, _ base: UnsafePointer<UInt8>, _ start: Int
    ) throws(ExpositionError) -> CommentText? {
        let isOpenMetrics = format == .openMetricsText
        var rest = UnsafeRawBufferPointer(rebasing: line[1...])
        if isOpenMetrics {
            guard rest.first == 32 else { throw failure(.malformed, "expected a space after #") }
            rest = UnsafeRawBufferPointer(rebasing: rest[1...])
            if ByteText.equal(rest, "EOF") {
                text.hasEnd = true
                return nil
            }
        } else {
            let blanks = rest.prefix { $0 == 32 || $0 == 9 }.count
            guard blanks > 0 else { return nil }
            rest = UnsafeRawBufferPointer(rebasing: rest[blanks...])
        }
        var comment = CommentText()
        guard let field = Self.field(rest, isOpenMetrics: isOpenMetrics) else {
            if isOpenMetrics {
                throw failure(.malformed, "expected HELP, TYPE, UNIT or EOF, got \(ByteText.excerpt(line))")
            }
            return nil
        }
        comment.field = field
        rest = UnsafeRawBufferPointer(rebasing: rest[4...])
        var index = 1
        if !isOpenMetrics { while index < rest.count, rest[index] == 32 || rest[index] == 9 { index += 1 } }
        let nameStart = index
        guard let (family, next) = Self.familyName(rest, index) else {
            throw failure(.malformed, "expected a metric name in \(ByteText.excerpt(line))")
        }
        comment.family = family
        index = next
        if isOpenMetrics, index >= rest.count || rest[index] != 32 {
            throw failure(.malformed, "expected a space after the metric name in \(ByteText.excerpt(line))")
        }
        var told = UnsafeRawBufferPointer(rebasing: rest[min(index + 1, rest.count)...])
        if !isOpenMetrics, told.allSatisfy({ $0 == 32 || $0 == 9 }) {
            told = UnsafeRawBufferPointer(rebasing: told[..<0])
        }
        switch field {
        case .type: comment.kind = try kind(told, isOpenMetrics: isOpenMetrics)
        case .unit:
            let name = UnsafeRawBufferPointer(rebasing: rest[nameStart..<next])
            comment.unit = try unit(told, of: name)
        default:
            guard ByteText.isUTF8(told) else { throw failure(.malformed, "help text is not UTF-8") }
            guard options.collectsMetadata else { break }
            var help: [UInt8] = []
            SeriesSyntax.unescape(told, into: &help, keepsQuotes: !isOpenMetrics)
            comment.text = String(decoding: help, as: UTF8.self)
        }
        return comment
    }

    private static func field(_ rest: UnsafeRawBufferPointer, isOpenMetrics: Bool) -> FamilyTable.Field? {
        guard rest.count > 4 else { return nil }
        guard rest[4] == 32 || (!isOpenMetrics && rest[4] == 9) else { return nil }
        let word = UnsafeRawBufferPointer(rebasing: rest[..<4])
        if ByteText.equal(word, "HELP") { return .help }
        if ByteText.equal(word, "TYPE") { return .type }
        return isOpenMetrics && ByteText.equal(word, "UNIT") ? .unit : nil
    }

    /// The plain or quoted name at `start` and the index behind it.
    private static func familyName(_ rest: UnsafeRawBufferPointer, _ start: Int) -> (String, Int)? {
        guard start < rest.count, let base = rest.bindMemory(to: UInt8.self).baseAddress else { return nil }
        if rest[start] == UInt8(ascii: "\"") {
            guard let (close, _) = try? SeriesSyntax.skipQuoted(base, start, rest.count, allowsLineFeed: true) else {
                return nil
            }
            return (String(decoding: rest[start + 1..<close], as: UTF8.self), close + 1)
        }
        guard !NameBytes.isDigit(rest[start]) else { return nil }
        let end = SeriesSyntax.skipName(base, start, rest.count, allowsColon: true)
        return end > start ? (String(decoding: rest[start..<end], as: UTF8.self), end) : nil
    }

    private func kind(
        _ word: UnsafeRawBufferPointer, isOpenMetrics: Bool
    ) throws(ExpositionError) -> MetricMetadata.Kind {
        let name = String(decoding: word.prefix(20), as: UTF8.self)
        switch (name, isOpenMetrics) {
        case ("counter", _): return .counter
        case ("gauge", _): return .gauge
        case ("histogram", _): return .histogram
        case ("summary", _): return .summary
        case ("untyped", false), ("unknown", true): return .unknown
        case ("gaugehistogram", true): return .gaugehistogram
        case ("info", true): return .info
        case ("stateset", true): return .stateset
        default: throw failure(.malformed, "invalid metric type \(ByteText.excerpt(word))")
        }
    }

    /// A unit must end the name of its family, behind an underscore.
    private func unit(
        _ unit: UnsafeRawBufferPointer, of name: UnsafeRawBufferPointer
    ) throws(ExpositionError) -> String {
        if unit.isEmpty { return "" }
        var name = name
        if name.first == UInt8(ascii: "\"") { name = UnsafeRawBufferPointer(rebasing: name.dropFirst().dropLast()) }
        let prefix = name.count - unit.count
        guard prefix >= 1, name[prefix - 1] == UInt8(ascii: "_"),
            ByteText.equal(UnsafeRawBufferPointer(rebasing: name[prefix...]), unit)
        else {
            throw failure(
                .malformed, "unit \(ByteText.excerpt(unit)) is not a suffix of metric \(ByteText.excerpt(name))")
        }
        return String(decoding: unit, as: UTF8.self)
    }
}

/// A comment line taken apart.
private struct CommentText {
    var family = ""
    var field = FamilyTable.Field.help
    var kind = MetricMetadata.Kind.unknown
    var text = ""
    var unit = ""
}
