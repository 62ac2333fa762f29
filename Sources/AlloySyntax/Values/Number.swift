/// An Alloy number, which remembers whether it is signed, unsigned or floating.
///
/// Arithmetic between two kinds happens in the wider one: unsigned, then signed, then floating.
public enum Number: Sendable {
    /// A signed integer.
    case int(Int64)
    /// An unsigned integer.
    case uint(UInt64)
    /// A floating-point number.
    case float(Double)

    /// The number as a floating-point one; integers above 2^53 lose their last digits.
    public var double: Double {
        switch self {
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        case .float(let value): value
        }
    }

    /// The decimal digits, never with an exponent; `NaN`, `+Inf` and `-Inf` for what is not a number.
    public var text: String {
        switch self {
        case .int(let value): String(value)
        case .uint(let value): String(value)
        case .float(let value): FloatText.plain(value)
        }
    }

    /// The number as another integer type, its fraction cut off; `nil` when it does not fit.
    public func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) -> T? {
        switch self {
        case .int(let value): T(exactly: value)
        case .uint(let value): T(exactly: value)
        case .float(let value): T(exactly: value.rounded(.towardZero))
        }
    }

    /// The signed reading that arithmetic between signed and unsigned numbers uses: two's complement.
    var wrappedInt: Int64 {
        switch self {
        case .int(let value): value
        case .uint(let value): Int64(bitPattern: value)
        case .float(let value): Int64(exactly: value.rounded(.towardZero)) ?? 0
        }
    }

    /// How wide the kind is: 0 unsigned, 1 signed, 2 floating.
    var width: Int {
        switch self {
        case .uint: 0
        case .int: 1
        case .float: 2
        }
    }
}

extension Number: Equatable {
    /// Compares values across kinds: `3` equals `3.0`.
    public static func == (left: Number, right: Number) -> Bool {
        switch (left, right) {
        case (.uint(let a), .uint(let b)): a == b
        case (.float, _), (_, .float): left.double == right.double
        default: left.wrappedInt == right.wrappedInt
        }
    }
}

/// The spellings of floating-point numbers that Go's `strconv.FormatFloat` produces with the shortest digits.
enum FloatText {
    /// Digits without an exponent, whatever the magnitude (Go's format `f`).
    static func plain(_ value: Double) -> String {
        if let special = special(value) { return special }
        let (digits, point) = shortest(value)
        let sign = value.sign == .minus ? "-" : ""
        if point <= 0 {
            if digits == "0" { return sign + "0" }
            return sign + "0." + String(repeating: "0", count: -point) + digits
        }
        if point >= digits.utf8.count {
            return sign + digits + String(repeating: "0", count: point - digits.utf8.count)
        }
        return sign + String(digits.prefix(point)) + "." + String(digits.dropFirst(point))
    }

    /// The spelling of Go's `encoding/json`: an exponent below 1e-6 and from 1e21 on; `nil` for what JSON cannot say.
    static func json(_ value: Double) -> String? {
        guard value.isFinite else { return nil }
        let magnitude = value.magnitude
        if magnitude == 0 || (magnitude >= 1e-6 && magnitude < 1e21) { return plain(value) }
        let (digits, point) = shortest(value)
        let exponent = point - 1
        let fraction = digits.utf8.count > 1 ? "." + digits.dropFirst() : ""
        let sign = value.sign == .minus ? "-" : ""
        let exponentSign = exponent < 0 ? "-" : "+"
        return "\(sign)\(digits.prefix(1))\(fraction)e\(exponentSign)\(exponent.magnitude)"
    }

    private static func special(_ value: Double) -> String? {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return nil
    }

    /// The shortest digits that read back as `value`, without leading or trailing zeros, and where the point stands.
    private static func shortest(_ value: Double) -> (digits: String, point: Int) {
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        let text = Array(value.magnitude.description.utf8)
        var index = 0
        while index < text.count {
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: ".") {
                point = digits.count
            } else if byte == UInt8(ascii: "e") {
                exponent = Int(String(decoding: text[index...], as: UTF8.self)) ?? 0
                break
            } else {
                digits.append(byte)
            }
        }
        var position = (point ?? digits.count) + exponent
        let leading = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leading)
        position -= leading
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        if digits.isEmpty { return ("0", 1) }
        return (String(decoding: digits, as: UTF8.self), position)
    }
}
