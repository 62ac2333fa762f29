/// sprig's date functions over a clock and a local zone.
struct SprigDates: Sendable {
    typealias Function = GoTemplate.Function

    let now: @Sendable () -> GoTime
    let local: GoTimeZone

    var table: [String: Function] {
        let dates = self
        let inZone = Function([.string, .any, .string]) { values in
            dates.format(values[0].text, values[1], dates.zone(values[2].text))
        }
        let modify = Function([.string, .time]) { values in
            guard let shift = try? GoDuration.nanoseconds(values[0].text) else { return values[1] }
            return dates.shifted(values[1], by: shift)
        }
        let mustModify = Function([.string, .time]) { values in
            dates.shifted(values[1], by: try GoDuration.nanoseconds(values[0].text))
        }
        return [
            "now": Function([]) { _ in .time(dates.now().converted(to: dates.local)) },
            "date": Function([.string, .any]) { dates.format($0[0].text, $0[1], dates.local) },
            "dateInZone": inZone, "date_in_zone": inZone, "dateModify": modify, "date_modify": modify,
            "mustDateModify": mustModify, "must_date_modify": mustModify,
            "htmlDate": Function([.any]) { dates.format("2006-01-02", $0[0], dates.local) },
            "htmlDateInZone": Function([.any, .string]) { dates.format("2006-01-02", $0[0], dates.zone($0[1].text)) },
            "ago": Function([.any]) { values in
                let nanoseconds = dates.elapsed(since: dates.time(values[0]))
                let seconds = (Double(nanoseconds) / 1e9).rounded(.toNearestOrAwayFromZero)
                return .string(GoDuration.format(nanoseconds: Int64(seconds) &* 1_000_000_000))
            },
            "duration": Function([.any]) { values in
                var seconds: Int64 = 0
                if case .int(let number) = values[0] { seconds = number }
                if case .string(let text) = values[0] { seconds = GoNumber.parseInt(text) ?? 0 }
                return .string(GoDuration.format(nanoseconds: seconds &* 1_000_000_000))
            },
            "durationRound": Function([.any]) { .string(dates.rounded($0[0])) },
            "toDate": Function([.string, .string]) { values in
                let layout = GoTimeLayout(verbatim: values[0].text)
                return .time((try? layout.parse(values[1].text, in: dates.local)) ?? SprigDates.zero)
            },
            "mustToDate": Function([.string, .string]) { values in
                .time(try GoTimeLayout(verbatim: values[0].text).parse(values[1].text, in: dates.local))
            },
            "unixEpoch": Function([.time]) { values in .string(String(dates.time(values[0]).unixSeconds)) },
        ]
    }

    /// Go's zero time, 0001-01-01.
    private static let zero = GoTime(unixSeconds: -62_135_596_800)

    private func zone(_ name: String) -> GoTimeZone {
        if name == "Local" { return local }
        return (try? GoTimeZone.load(name)) ?? .utc
    }

    private func time(_ value: GoValue) -> GoTime {
        switch value {
        case .time(let time): time
        case .int(let seconds): GoTime(unixSeconds: seconds.clamped(to: -(1 << 50)...(1 << 50)))
        default: now()
        }
    }

    private func format(_ layout: String, _ value: GoValue, _ zone: GoTimeZone) -> GoValue {
        .string(GoTimeLayout(verbatim: layout).format(time(value).converted(to: zone)))
    }

    private func shifted(_ value: GoValue, by nanoseconds: Int64) -> GoValue {
        var time = time(value)
        let sum = Int64(time.nanoseconds) + nanoseconds % 1_000_000_000
        let carry = CivilTime.floorDivision(sum, 1_000_000_000)
        time.unixSeconds += nanoseconds / 1_000_000_000 + carry
        time.nanoseconds = Int32(sum - carry * 1_000_000_000)
        return .time(time)
    }

    private func elapsed(since time: GoTime) -> Int64 {
        let current = now()
        let (product, overflow) = (current.unixSeconds &- time.unixSeconds).multipliedReportingOverflow(
            by: 1_000_000_000)
        guard !overflow else { return current.unixSeconds < time.unixSeconds ? .min : .max }
        return product.addingReportingOverflow(Int64(current.nanoseconds - time.nanoseconds)).partialValue
    }

    /// The largest unit that fits more than once: `3y`, `2mo`, `5d`, `7h`, `9m`, `4s`.
    private func rounded(_ value: GoValue) -> String {
        var nanoseconds: Int64 = 0
        switch value {
        case .string(let text): nanoseconds = (try? GoDuration.nanoseconds(text)) ?? 0
        case .int(let number), .duration(let number): nanoseconds = number
        case .time(let time): nanoseconds = elapsed(since: time)
        default: break
        }
        let seconds: [(UInt64, String)] = [
            (31_536_000, "y"), (2_592_000, "mo"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s"),
        ]
        let magnitude = nanoseconds.magnitude
        for (unit, name) in seconds where magnitude > unit * 1_000_000_000 {
            return "\(magnitude / (unit * 1_000_000_000))\(name)"
        }
        return "0s"
    }
}

extension Int64 {
    fileprivate func clamped(to range: ClosedRange<Int64>) -> Int64 {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }
}
