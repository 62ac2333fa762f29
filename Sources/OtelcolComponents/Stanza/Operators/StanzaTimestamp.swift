import AlloySyntax
import OTTL
import TextFormats
import Wire

/// Reads the time of an entry from a field: the `timestamp` block of parsers, and `time_parser`.
struct StanzaTimestamp: Sendable {
    private enum Layout: Sendable {
        case calendar(GoTimeLayout, GoTimeZone)
        /// Units of the whole number and of the fraction, in nanoseconds.
        case epoch(String)
    }

    private let field: StanzaField
    private let layout: Layout
    /// Zones by abbreviation.
    private let zones: [String: GoTimeZone]

    /// Nil when the settings are refused.
    init?(_ reader: inout OperatorReader) {
        let field = reader.requiredField("parse_from")
        let type = reader.string("layout_type") ?? "strptime"
        let text = reader.required("layout")
        let location = reader.string("location") ?? ""
        var zones: [String: GoTimeZone] = [:]
        func zone(_ name: String) -> GoTimeZone? {
            do throws(TextFormatError) {
                return try GoTimeZone.load(name)
            } catch {
                reader.reject("invalid 'location': \(error)")
                return nil
            }
        }
        if let map = reader.value("time_zone_locations") {
            if let fields = map.objectFields {
                for (key, value) in fields.pairs {
                    guard case .string(let name) = value, let found = zone(name) else {
                        reader.reject("'time_zone_locations' must be an object of names of zones")
                        continue
                    }
                    zones[key] = found
                }
            } else {
                reader.reject("'time_zone_locations' must be an object")
            }
        }
        self.field = field
        self.zones = zones
        switch type {
        case "epoch":
            guard ["s", "ms", "us", "ns", "s.ms", "s.us", "s.ns"].contains(text) else {
                reader.reject("invalid 'layout' for epoch: specify 's', 'ms', 'us', 'ns', 's.ms', 's.us' or 's.ns'")
                return nil
            }
            layout = .epoch(text)
        case "strptime", "gotime", "":
            var format = text
            if type != "gotime" {
                do throws(OTTLError) {
                    format = try TimeFormat.layoutText(
                        text, overrides: ["L": "999", "f": "999999", "s": "999999999", "z": "Z0700"])
                } catch {
                    reader.reject("'layout': \(error.message)")
                    return nil
                }
            }
            guard let zone = zone(location.isEmpty ? (format.hasSuffix("Z") ? "UTC" : "Local") : location) else {
                return nil
            }
            layout = .calendar(GoTimeLayout(verbatim: format), zone)
        default:
            reader.reject("unsupported layout_type \(type): valid values are 'strptime', 'gotime' and 'epoch'")
            return nil
        }
    }

    /// Puts the time into the entry.
    func parse(_ entry: inout StanzaEntry) throws(StanzaError) {
        guard let value = field.get(entry) else { throw StanzaError("time parser: entry is missing \(field.text)") }
        let nanoseconds: Int64?
        switch layout {
        case .calendar(let layout, let zone):
            guard case .string(let bytes) = value else {
                throw StanzaError("time parser: \(value.kindName) cannot be read as a time")
            }
            let time = try calendarTime(bytes, layout, zone)
            let now = GoTime(unixNanoseconds: entry.observed)
            nanoseconds = TimeFormat.withYear(time, now).unixNanoseconds
        case .epoch(let unit): nanoseconds = try Self.epoch(value, unit)
        }
        guard let nanoseconds else { throw StanzaError("time parser: time out of range") }
        entry.timestamp = nanoseconds
    }

    private func calendarTime(
        _ bytes: [UInt8], _ layout: GoTimeLayout, _ zone: GoTimeZone
    ) throws(StanzaError) -> GoTime {
        func parse(_ zone: GoTimeZone) throws(StanzaError) -> GoTime {
            do throws(TextFormatError) {
                return try bytes.withRawBytes { (raw) throws(TextFormatError) in try layout.parse(raw, in: zone) }
            } catch {
                throw StanzaError("time parser: \(error)")
            }
        }
        let time = try parse(zone)
        if let named = zones[time.zoneName] { return try parse(named) }
        // An abbreviation the zone does not know has no offset; it may be the name of a zone itself.
        if time.offset != 0 || time.zoneName == "UTC" || time.zoneName.isEmpty || time.zoneName == zone.name {
            return time
        }
        let isOwn = zone.span(at: time.unixSeconds).abbreviation == time.zoneName
        if isOwn { return time }
        guard let other = try? GoTimeZone.load(time.zoneName) else {
            throw StanzaError("time parser: unknown time zone \(time.zoneName)")
        }
        return try parse(other)
    }

    private static func epoch(_ value: OTLPAnyValue, _ unit: String) throws(StanzaError) -> Int64? {
        let hasFraction = unit.hasPrefix("s.")
        let text: String
        switch value {
        case .string(let bytes): text = String(decoding: bytes, as: UTF8.self)
        case .int(let number): text = hasFraction ? "\(number).0" : "\(number)"
        case .double(let number):
            guard number.magnitude < 9e18 else { return nil }
            let digits = unit == "s.ms" ? 3 : unit == "s.us" ? 6 : 9
            text = hasFraction ? GoNumber.formatFloat(number, "f", precision: digits) : "\(Int64(number))"
        default: throw StanzaError("time parser: \(value.kindName) cannot be read as a time")
        }
        let scales: [String: Int64] = [
            "s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1, "s.ms": 1_000_000, "s.us": 1000, "s.ns": 1,
        ]
        let scale = scales[unit] ?? 1
        let invalid = StanzaError("time parser: invalid value '\(text)' for layout '\(unit)'")
        guard hasFraction else {
            guard let number = Int64(text) else { throw invalid }
            let (product, overflow) = number.multipliedReportingOverflow(by: scale)
            return overflow ? nil : product
        }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let seconds = Int64(parts[0]), let rest = Int64(parts[1]) else { throw invalid }
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (fraction, fractionOverflow) = rest.multipliedReportingOverflow(by: scale)
        let (sum, sumOverflow) = whole.addingReportingOverflow(fraction)
        return overflow || fractionOverflow || sumOverflow ? nil : sum
    }
}
