import Wire

/// Names of metrics and labels as Prometheus writes them (OpenTelemetry specification, "Prometheus and OpenMetrics
/// Compatibility"; prometheus.io, "Metric and label naming").
enum PrometheusName {
    /// The name of a metric, with suffixes for unit and kind where they are wanted.
    static func metric(_ name: String, unit: String, _ kind: OTLPMetricKind, isMonotonic: Bool, addsSuffixes: Bool)
        -> String
    {
        guard addsSuffixes else {
            let parts = name.utf8.split { !isAlphanumeric($0) && $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: ":") }
            return notDigitFirst(parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "_"))
        }
        var tokens = words(name)
        let units = unit.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(trimmed)
        if let main = units.first, isNamed(main) {
            let word = words(MetricUnits.word(ofUnit: main)).joined(separator: "_")
            if !word.isEmpty, !tokens.contains(word) { tokens.append(word) }
        }
        if units.count > 1, isNamed(units[1]) {
            let word = words(MetricUnits.rateWord(ofUnit: units[1])).joined(separator: "_")
            if !word.isEmpty, !tokens.contains(word) { tokens += ["per", word] }
        }
        if kind == .sum, isMonotonic { tokens = tokens.filter { $0 != "total" } + ["total"] }
        // Counters of things often have the unit 1 without being ratios.
        if unit == "1", kind == .gauge { tokens = tokens.filter { $0 != "ratio" } + ["ratio"] }
        return notDigitFirst(tokens.joined(separator: "_"))
    }

    /// The name of a label.
    static func label(_ key: UnsafeRawBufferPointer) -> [UInt8] {
        guard let first = key.first else { return [] }
        var name = key.map { isAlphanumeric($0) || $0 == UInt8(ascii: "_") ? $0 : UInt8(ascii: "_") }
        if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) {
            name.insert(contentsOf: Array("key_".utf8), at: 0)
        } else if name.first == UInt8(ascii: "_"), !name.starts(with: Array("__".utf8)) {
            name.insert(contentsOf: Array("key".utf8), at: 0)
        }
        return name
    }

    private static func words(_ text: String) -> [String] {
        text.utf8.split { !isAlphanumeric($0) }.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    /// Whether a unit is one and no remark in braces.
    private static func isNamed(_ unit: String) -> Bool { !unit.isEmpty && !unit.contains { $0 == "{" || $0 == "}" } }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    private static func notDigitFirst(_ name: String) -> String {
        name.utf8.first.map { (48...57).contains($0) } == true ? "_" + name : name
    }
}
