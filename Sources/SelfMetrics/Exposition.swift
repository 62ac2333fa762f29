/// Prints collected families in the Prometheus text format 0.0.4.
///
/// Source of the format: "Exposition formats", prometheus.io/docs/instrumenting/exposition_formats.
package enum Exposition {
    /// The format's media type.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package static func text(_ families: [CollectedFamily]) -> [UInt8] {
        var out: [UInt8] = []
        for family in families where !family.samples.isEmpty {
            out += "# HELP \(family.name) ".utf8
            appendEscaped(family.help, quotes: false, to: &out)
            out += "\n# TYPE \(family.name) \(family.kind.rawValue)\n".utf8
            for sample in family.samples {
                out += family.name.utf8
                out += sample.suffix.utf8
                if !sample.labels.isEmpty {
                    var separator: UInt8 = UInt8(ascii: "{")
                    for label in sample.labels {
                        out.append(separator)
                        separator = UInt8(ascii: ",")
                        out += label.name.utf8
                        out += "=\"".utf8
                        appendEscaped(label.value, quotes: true, to: &out)
                        out.append(UInt8(ascii: "\""))
                    }
                    out.append(UInt8(ascii: "}"))
                }
                out.append(UInt8(ascii: " "))
                out += number(sample.value).utf8
                out.append(UInt8(ascii: "\n"))
            }
        }
        return out
    }

    /// The shortest text that reads back as `value`: `1`, `0.25`, `1e+21`, `+Inf`, `NaN`.
    package static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value.rounded() == value, value.magnitude < 1e15 { return "\(Int64(value))" }
        return "\(value)"
    }

    private static func appendEscaped(_ text: String, quotes: Bool, to out: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): out += "\\\\".utf8
            case UInt8(ascii: "\n"): out += "\\n".utf8
            case UInt8(ascii: "\"") where quotes: out += "\\\"".utf8
            default: out.append(byte)
            }
        }
    }
}
