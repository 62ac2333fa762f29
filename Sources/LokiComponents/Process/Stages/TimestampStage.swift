import AlloySyntax
import Essentials
import Telemetry
import TextFormats

// MARK: stage.timestamp

struct TimestampArguments: Block, StageConfiguration {
    private let source: String
    private let format: String
    private let fallbackFormats: [String]
    private let location: String?
    private let onFailure: String
    private let onDuplicate: String
    private let zone: GoTimeZone?

    init(from block: inout BlockReader) {
        source = block.required("source", "Extracted value that holds the time.")
        format = block.required("format", "Go layout, or the name of one, or `Unix`, `UnixMs`, `UnixUs`, `UnixNs`.")
        fallbackFormats = block.optional(
            "fallback_formats", default: [], "Formats tried when the first does not fit.")
        location = block.optional("location", "IANA time zone of times that name none.")
        let onFailure = block.optional(
            "action_on_failure", default: "fudge", "What happens when there is no time: `fudge` or `skip`.")
        let onDuplicate = block.optional(
            "action_on_duplicate_timestamp", default: "fudge",
            "What happens to a time equal to the one before: `fudge` or `keep`.")
        self.onFailure = onFailure.isEmpty ? "fudge" : onFailure
        self.onDuplicate = onDuplicate.isEmpty ? "fudge" : onDuplicate
        var zone: GoTimeZone?
        if let location {
            do {
                zone = try GoTimeZone.load(location)
            } catch {
                block.reject("location", "invalid location specified: \(error)")
            }
        }
        self.zone = zone
        if block.isSet("source"), source.isEmpty {
            block.reject("source", "timestamp source value is required if timestamp is specified")
        }
        if block.isSet("format"), format.isEmpty { block.reject("format", "timestamp format is required") }
        if !["skip", "fudge"].contains(self.onFailure) {
            block.reject(
                "action_on_failure", "invalid action on failure (supported values are [skip fudge])")
        }
        if !["keep", "fudge"].contains(self.onDuplicate) {
            block.reject(
                "action_on_duplicate_timestamp",
                "invalid action on duplicate timestamp (supported values are [keep fudge])")
        }
    }

    func add(to program: inout ProgramBuilder) {
        program.append(
            TimestampStage(
                slot: program.slot(source), formats: ([format] + fallbackFormats).map { TimeFormat($0, zone) },
                fudgesFailures: onFailure == "fudge", fudgesDuplicates: onDuplicate == "fudge"))
    }
}

/// One way to read a time.
private enum TimeFormat {
    /// Whole units since 1970, of so many nanoseconds; seconds may have a fraction.
    case unix(unit: Int64)
    case layout(GoTimeLayout, GoTimeZone, isYearMissing: Bool)

    private static let zoneless: Set<String> = [
        "ANSIC", "UnixDate", "RubyDate", "RFC822", "RFC822Z", "RFC850", "RFC1123", "RFC1123Z", "RFC3339", "RFC3339Nano",
    ]

    init(_ name: String, _ zone: GoTimeZone?) {
        switch name {
        case "Unix": self = .unix(unit: 1_000_000_000)
        case "UnixMs": self = .unix(unit: 1_000_000)
        case "UnixUs": self = .unix(unit: 1000)
        case "UnixNs": self = .unix(unit: 1)
        default:
            let isNamed = Self.zoneless.contains(name)
            let digits = Array(name.utf8)
            let namesYear = digits.indices.contains { place in
                digits[place] == UInt8(ascii: "0") && place + 1 < digits.count && digits[place + 1] == UInt8(ascii: "6")
            }
            let isYearMissing = !isNamed && !namesYear
            self = .layout(GoTimeLayout(name), isNamed ? .utc : zone ?? .utc, isYearMissing: isYearMissing)
        }
    }

    func parse(_ text: UnsafeRawBufferPointer, now: Int64) -> Int64? {
        switch self {
        case .unix(let unit): return Self.parseUnix(text, unit)
        case .layout(let layout, let zone, let isYearMissing):
            if !isYearMissing, zone === GoTimeZone.utc,
                layout.layout == "2006-01-02T15:04:05.999999999Z07:00"
                    || layout.layout == "2006-01-02T15:04:05Z07:00", let nanoseconds = parseRFC3339(text)
            {
                return nanoseconds
            }
            guard let time = layout.parseIfPossible(text, in: zone) else { return nil }
            guard isYearMissing else { return time.unixNanoseconds }
            return Self.complete(time, layout, zone, now: now)
        }
    }

    /// Gives a time without a year the one that brings it close to `now`.
    private static func complete(_ time: GoTime, _ layout: GoTimeLayout, _ zone: GoTimeZone, now: Int64) -> Int64? {
        var civil = time.civil
        guard civil.year == 0 else { return nil }
        let today = GoTime(unixNanoseconds: now).civil
        civil.year = today.year
        if civil.month == 12, today.month == 1 { civil.year -= 1 }
        if civil.month == 1, today.month == 12 { civil.year += 1 }
        let local = civil.localSeconds
        let seconds = layout.hasZone ? local - Int64(time.offset) : zone.unixSeconds(ofLocal: local).seconds
        return GoTime(unixSeconds: seconds, nanoseconds: time.nanoseconds).unixNanoseconds
    }

    private static func parseUnix(_ text: UnsafeRawBufferPointer, _ unit: Int64) -> Int64? {
        if unit == 1_000_000_000, let point = text.index(of: UInt8(ascii: ".")),
            text.index(of: UInt8(ascii: "."), from: point + 1) == nil
        {
            let digits = text.count - point - 1
            guard let seconds = integer(text.part(0, point)), let fraction = integer(text.part(point + 1, digits))
            else { return nil }
            var power = 1.0
            for _ in 0..<min(400, abs(9 - digits)) { power *= 10 }
            let exact = digits <= 9 ? Double(fraction) * power : Double(fraction) / power
            guard exact.magnitude < 0x1p62 else { return nil }
            let (product, overflow) = seconds.multipliedReportingOverflow(by: unit)
            let (sum, carry) = product.addingReportingOverflow(Int64(exact))
            return overflow || carry ? nil : sum
        }
        guard let value = integer(text) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }

    private static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard !text.isEmpty, text.count <= 20 else { return nil }
        return Int64(text.string)
    }
}

private final class TimestampStage: Stage {
    /// The last time of one stream, as read and as given out.
    private struct Known {
        var parsed: Int64
        var adjusted: Int64
    }

    private static let maximumStreams = 10_000

    private let slot: Int
    private let formats: [TimeFormat]
    private let fudgesFailures: Bool
    private let fudgesDuplicates: Bool
    private var known: [Known] = []
    private var streams: [LabelSet: Int] = [:]
    /// Places in `known` by number of a label set, as long as the numbers hold.
    private var places: [Int32] = []
    private var epoch = -1

    init(slot: Int, formats: [TimeFormat], fudgesFailures: Bool, fudgesDuplicates: Bool) {
        self.slot = slot
        self.formats = formats
        self.fudgesFailures = fudgesFailures
        self.fudgesDuplicates = fudgesDuplicates
    }

    func run(_ work: inout Work) -> Verdict {
        guard let parsed = parse(&work) else {
            if fudgesFailures, let place = place(of: work.labels, &work, adding: nil) {
                known[place].adjusted &+= 1
                work.timestamp = known[place].adjusted
                work.tally.isRepeatable = false
            }
            return .next
        }
        work.timestamp = parsed
        guard fudgesFailures || fudgesDuplicates else { return .next }
        let added = Known(parsed: parsed, adjusted: parsed)
        guard let place = place(of: work.labels, &work, adding: added) else { return .next }
        if fudgesDuplicates, !isNew, known[place].parsed == parsed {
            work.timestamp = known[place].adjusted &+ 1
            work.tally.isRepeatable = false
        }
        known[place] = Known(parsed: parsed, adjusted: work.timestamp)
        return .next
    }

    private func parse(_ work: inout Work) -> Int64? {
        let value = work.value(slot)
        guard value.isThere, let text = work.text(of: value) else { return nil }
        let now = work.clock.wallNanoseconds
        for format in formats {
            if let time = format.parse(work.text.bytes(text), now: now) { return time }
        }
        return nil
    }

    /// Whether the last `place` was made by its call.
    private var isNew = false

    private func place(of labels: Int32, _ work: inout Work, adding new: Known?) -> Int? {
        if work.table.epoch != epoch {
            epoch = work.table.epoch
            places.removeAll(keepingCapacity: true)
        }
        isNew = false
        let id = Int(labels)
        while places.count <= id { places.append(-1) }
        if places[id] >= 0 { return Int(places[id]) }
        if let found = streams[work.labelSet] {
            places[id] = Int32(found)
            return found
        }
        guard let new else { return nil }
        if known.count >= Self.maximumStreams {
            known.removeAll()
            streams.removeAll()
            places = Array(repeating: -1, count: places.count)
        }
        known.append(new)
        streams[work.labelSet] = known.count - 1
        places[id] = Int32(known.count - 1)
        isNew = true
        return known.count - 1
    }
}
