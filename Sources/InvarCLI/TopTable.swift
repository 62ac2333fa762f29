import TextFormats

/// What `invar top` shows: the components of two moments and what happened in between.
struct TopTable {
    /// By what rows are sorted; numbers from the largest.
    enum Order: String, CaseIterable {
        case id, `in`, out, dropped, held
    }

    /// One component.
    struct Row: Equatable {
        var id: String
        var health: String
        /// Items per second.
        var incoming = 0.0
        var outgoing = 0.0
        var dropped = 0.0
        /// Items dropped since the start, with the most frequent reason.
        var droppedItems = 0.0
        var reason = ""
        var held = 0.0
    }

    /// The program's answer at one moment.
    struct Moment {
        let milliseconds: Double
        let memoryUsed: Double
        let memoryLimit: Double
        fileprivate let components: [(id: String, health: String)]
        fileprivate let books: [String: Books]

        /// Reads the answer of `api/v0/console/pipeline`; nil when it is something else.
        init?(_ answer: JSONValue) {
            guard let time = answer["time"]?.doubleValue, let components = answer["components"]?.arrayValue,
                let ledger = answer["ledger"]?.arrayValue
            else { return nil }
            milliseconds = time
            memoryUsed = answer["memoryUsed"]?.doubleValue ?? 0
            memoryLimit = answer["memoryLimit"]?.doubleValue ?? 0
            self.components = components.compactMap { component in
                guard let id = component["id"]?.stringValue else { return nil }
                return (id, component["health"]?.stringValue ?? "unknown")
            }
            var books: [String: Books] = [:]
            for entry in ledger {
                if let id = entry["componentID"]?.stringValue { books[id] = Books(entry) }
            }
            self.books = books
        }
    }

    fileprivate struct Books {
        var incoming: Double
        var outgoing: Double
        var held: Double
        var dropped: Double
        var reason: String

        init(_ entry: JSONValue) {
            incoming = entry["in"]?.doubleValue ?? 0
            outgoing = entry["out"]?.doubleValue ?? 0
            held = (entry["held"]?.arrayValue ?? []).reduce(0) { $0 + ($1["items"]?.doubleValue ?? 0) }
            var reasons: [String: Double] = [:]
            for drop in entry["dropped"]?.arrayValue ?? [] {
                reasons[drop["reason"]?.stringValue ?? "", default: 0] += drop["items"]?.doubleValue ?? 0
            }
            dropped = reasons.values.reduce(0, +)
            let top = reasons.max { ($0.value, $1.key) < ($1.value, $0.key) }
            reason = top.map { $0.value > 0 ? $0.key : "" } ?? ""
        }
    }

    let rows: [Row]
    let now: Moment
    /// Between the moments.
    let seconds: Double

    init(from before: Moment, to now: Moment, order: Order) {
        self.now = now
        let seconds = max(0.001, (now.milliseconds - before.milliseconds) / 1000)
        self.seconds = seconds
        let rows = now.components.map { component -> Row in
            var row = Row(id: component.id, health: component.health)
            guard let current = now.books[component.id] else { return row }
            row.held = current.held
            row.droppedItems = current.dropped
            row.reason = current.reason
            // A program started anew counts from zero.
            if let old = before.books[component.id], old.incoming <= current.incoming {
                row.incoming = (current.incoming - old.incoming) / seconds
                row.outgoing = max(0, current.outgoing - old.outgoing) / seconds
                row.dropped = max(0, current.dropped - old.dropped) / seconds
            }
            return row
        }
        self.rows = rows.sorted { first, second in
            let (a, b) = (Self.weight(first, order), Self.weight(second, order))
            return a != b ? a > b : first.id < second.id
        }
    }

    private static func weight(_ row: Row, _ order: Order) -> Double {
        switch order {
        case .id: 0
        case .in: row.incoming
        case .out: row.outgoing
        case .dropped: row.dropped
        case .held: row.held
        }
    }

    /// The table in at most `height` lines of at most `width` columns.
    func lines(width: Int, height: Int) -> [String] {
        let ill = rows.filter { $0.health == "unhealthy" || $0.health == "exited" }.count
        var lines = [
            "\(rows.count) components, \(ill) unhealthy; buffers hold \(Self.bytes(now.memoryUsed)) of "
                + "\(Self.bytes(now.memoryLimit)); rates over \(Self.number(seconds)) s",
            "",
        ]
        let columns = 10
        let nameWidth = max(20, min(60, width - 9 - 5 * columns - 18))
        func row(_ name: String, _ health: String, _ cells: [String], _ reason: String) -> String {
            var text = Self.padded(name, nameWidth) + " " + Self.padded(health, 9)
            for cell in cells { text += String(repeating: " ", count: max(1, columns - cell.count)) + cell }
            return text + "  " + reason
        }
        lines.append(row("COMPONENT", "HEALTH", ["IN/s", "OUT/s", "DROP/s", "DROPPED", "HELD"], "REASON"))
        let room = max(1, height - lines.count)
        for entry in rows.prefix(rows.count > room ? room - 1 : room) {
            lines.append(
                row(
                    Self.printable(entry.id), Self.printable(entry.health),
                    [entry.incoming, entry.outgoing, entry.dropped, entry.droppedItems, entry.held].map(Self.number),
                    Self.printable(entry.reason)))
        }
        if rows.count > room { lines.append("... and \(rows.count - room + 1) more") }
        return lines.map { String($0.prefix(width)) }
    }

    /// A long name keeps its end, which tells it from others.
    private static func padded(_ text: String, _ width: Int) -> String {
        if text.count > width { return "~" + text.suffix(width - 1) }
        return text + String(repeating: " ", count: width - text.count)
    }

    /// Text that cannot steer a terminal.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator: "?"
                    default: scalar
                    }
                }))
    }

    /// A count in few characters.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        for (size, unit) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] where abs(value) >= size {
            return decimal(value / size) + unit
        }
        return decimal(value)
    }

    private static func bytes(_ value: Double) -> String {
        for (size, unit) in [(1024.0 * 1024 * 1024, "GiB"), (1024 * 1024, "MiB"), (1024, "KiB")] where value >= size {
            return decimal(value / size) + " " + unit
        }
        return decimal(value) + " B"
    }

    private static func decimal(_ value: Double) -> String {
        let tenths = (value * 10).rounded()
        if abs(value) >= 100 || tenths.truncatingRemainder(dividingBy: 10) == 0 { return "\(Int(value.rounded()))" }
        return "\(tenths / 10)"
    }
}
