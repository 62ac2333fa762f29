import TextFormats
import Wire

/// Numbers of consistent probability sampling: 56 bits of randomness against a threshold below which items are rejected
/// (OpenTelemetry specification, "TraceState: Probability Sampling").
enum Sampling {
    static let maximum: UInt64 = 1 << 56

    /// The threshold for a probability. `digits` hexadecimal digits are kept, and as many more as lead it: zeros near
    /// probability 1, `f` near 0.
    static func threshold(_ probability: Double, digits: Int) -> UInt64 {
        if probability >= 1 { return 0 }
        if probability < 1 / Double(maximum) { return maximum }
        let leading = max(-probability.exponent - 1, -(1 - probability).exponent - 1) / 4
        let rejected = maximum - UInt64((probability * Double(maximum)).rounded())
        let kept = min(14, digits + leading)
        if kept == 14 { return rejected }
        let step = UInt64(1) << UInt64((14 - kept) * 4)
        return (rejected + step / 2) / step * step
    }

    /// The probability that a threshold lets through.
    static func probability(_ threshold: UInt64) -> Double {
        Double(maximum - min(threshold, maximum)) / Double(maximum)
    }

    /// The hexadecimal digits of a threshold without the zeros at its end.
    static func text(_ threshold: UInt64) -> String {
        if threshold == 0 { return "0" }
        let digits = String(threshold, radix: 16)
        var padded = String(repeating: "0", count: max(0, 14 - digits.count)) + digits
        while padded.hasSuffix("0") { padded.removeLast() }
        return padded
    }

    /// All 14 hexadecimal digits of a randomness.
    static func randomnessText(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 14 - digits.count)) + digits
    }

    /// The threshold that digits stand for; nil when they are none.
    static func threshold(fromText text: some StringProtocol) -> UInt64? {
        guard !text.isEmpty, text.utf8.count <= 14, let value = UInt64(text, radix: 16), !text.hasPrefix("+") else {
            return nil
        }
        return value << UInt64((14 - text.utf8.count) * 4)
    }

    /// The randomness in 14 digits; nil when they are none.
    static func randomness(fromText text: some StringProtocol) -> UInt64? {
        guard text.utf8.count == 14, !text.hasPrefix("+"), !text.hasPrefix("-") else { return nil }
        return UInt64(text, radix: 16)
    }

    /// The last 56 bits of a trace ID.
    static func randomness(ofTrace id: UnsafeRawBufferPointer) -> UInt64? {
        guard id.count == 16, id.contains(where: { $0 != 0 }) else { return nil }
        return id[9...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    }

    /// The randomness the older mode makes of bytes: the low 14 bits of FNV-1a of the seed and the bytes, counted from
    /// the other end, decide; what is below them fills up.
    static func hashed(_ bytes: UnsafeRawBufferPointer, seed: UInt32) -> UInt64 {
        let start = withUnsafeBytes(of: seed.littleEndian) { FNV1a.hash32($0) }
        let hash = UInt64(FNV1a.hash32(bytes, start))
        let bucket = hash & 0x3FFF
        let rest = hash >> 18
        return (0x3FFF - bucket) << 42 | (rest ^ rest << 10) << 14 | bucket
    }

    /// The threshold of the older mode, which counts in 16384ths; ``maximum`` when nothing is kept.
    static func hashThreshold(percentage: Float) -> UInt64 {
        (0x4000 - UInt64(min(max(percentage, 0), 100) * 163.84)) << 42
    }
}

/// The OpenTelemetry part of a trace state: `ot=th:c;rv:...`, other fields kept.
struct SamplingState {
    private(set) var fields: [(key: String, value: String)] = []
    /// The members of other vendors, as they came.
    private var others: [String] = []

    init(_ state: UnsafeRawBufferPointer) {
        for member in String(decoding: state, as: UTF8.self).split(separator: ",") {
            let text = member.drop { $0 == " " || $0 == "\t" }
            guard text.hasPrefix("ot=") else {
                others.append(String(text))
                continue
            }
            for field in text.dropFirst(3).split(separator: ";") {
                let parts = field.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2 { fields.append((String(parts[0]), String(parts[1]))) }
            }
        }
    }

    subscript(key: String) -> String? {
        get { fields.first { $0.key == key }?.value }
        set {
            fields.removeAll { $0.key == key }
            if let newValue { fields.insert((key, newValue), at: 0) }
        }
    }

    /// Randomness and threshold first, as the collector writes them.
    var text: String {
        let ordered =
            fields.filter { $0.key == "rv" } + fields.filter { $0.key == "th" }
            + fields.filter { $0.key != "rv" && $0.key != "th" }
        let own = ordered.isEmpty ? [] : ["ot=" + ordered.map { "\($0.key):\($0.value)" }.joined(separator: ";")]
        return (own + others).joined(separator: ",")
    }
}
