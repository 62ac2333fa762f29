import Glibc

/// A decimal fraction, exact within 128 bits: what sprig's float arithmetic computes with.
struct DecimalNumber {
    var mantissa: Int128
    /// Digits after the point; never negative.
    var scale: Int

    init(mantissa: Int128, scale: Int) {
        self.mantissa = mantissa
        self.scale = scale
    }

    /// The shortest decimal that reads back as `value`; nil where that is too long.
    init?(_ value: Double) {
        guard value.isFinite else { return nil }
        let (digits, exponent) = GoNumber.shortest(value)
        guard var mantissa = Int128(String(decoding: digits, as: UTF8.self)) else { return nil }
        var scale = digits.count - 1 - exponent
        guard scale > -20, scale < 34 else { return nil }
        while scale < 0 {
            mantissa *= 10
            scale += 1
        }
        self.mantissa = value < 0 ? -mantissa : mantissa
        self.scale = scale
    }

    var double: Double {
        let digits = String(mantissa)
        return DecimalParser.parse("\(digits)e-\(scale)") ?? .nan
    }

    private func scaled(to wanted: Int) -> Int128? {
        var value = mantissa
        for _ in scale..<max(scale, wanted) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            value = product
        }
        return value
    }

    func adding(_ other: DecimalNumber) -> DecimalNumber? {
        let scale = max(scale, other.scale)
        guard let left = scaled(to: scale), let right = other.scaled(to: scale) else { return nil }
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? nil : DecimalNumber(mantissa: sum, scale: scale)
    }

    func multiplied(by other: DecimalNumber) -> DecimalNumber? {
        let (product, overflow) = mantissa.multipliedReportingOverflow(by: other.mantissa)
        return overflow ? nil : DecimalNumber(mantissa: product, scale: scale + other.scale)
    }

    /// The quotient rounded half up to 16 digits after the point.
    func divided(by other: DecimalNumber) -> DecimalNumber? {
        guard other.mantissa != 0 else { return nil }
        var numerator = mantissa
        for _ in 0..<max(0, 16 + other.scale - scale) {
            let (product, overflow) = numerator.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            numerator = product
        }
        let surplus = max(0, scale - other.scale - 16)
        var divisor = other.mantissa
        for _ in 0..<surplus {
            let (product, overflow) = divisor.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            divisor = product
        }
        let (quotient, rest) = numerator.quotientAndRemainder(dividingBy: divisor)
        let isHalf = rest.magnitude >= divisor.magnitude - rest.magnitude
        let isNegative = (numerator < 0) != (divisor < 0)
        return DecimalNumber(mantissa: isHalf ? quotient + (isNegative ? -1 : 1) : quotient, scale: 16)
    }
}

extension SprigFunctions {
    static let numbers: [String: Function] = [
        "atoi": Function([.string]) { .int(GoNumber.parseInt($0[0].text) ?? 0) },
        "int64": Function([.any]) { .int(Casting.int64($0[0])) },
        "int": Function([.any]) { .int(Casting.int64($0[0])) },
        "float64": Function([.any]) { .float(Casting.double($0[0])) },
        "toDecimal": Function([.any]) { .int(GoNumber.parseInt($0[0].text, base: 8) ?? 0) },
        "add1": Function([.any]) { .int(Casting.int64($0[0]) &+ 1) },
        "add": Function([], rest: .any) { .int($0.reduce(0) { $0 &+ Casting.int64($1) }) },
        "sub": Function([.any, .any]) { .int(Casting.int64($0[0]) &- Casting.int64($0[1])) },
        "mul": Function([.any], rest: .any) { .int($0.reduce(1) { $0 &* Casting.int64($1) }) },
        "div": Function([.any, .any]) { values in
            let divisor = Casting.int64(values[1])
            guard divisor != 0 else { throw TextFormatError("runtime error: integer divide by zero") }
            return .int(Casting.int64(values[0]).dividedReportingOverflow(by: divisor).partialValue)
        },
        "mod": Function([.any, .any]) { values in
            let divisor = Casting.int64(values[1])
            guard divisor != 0 else { throw TextFormatError("runtime error: integer divide by zero") }
            return .int(Casting.int64(values[0]).remainderReportingOverflow(dividingBy: divisor).partialValue)
        },
        "add1f": Function([.any]) { .float(decimal([$0[0], .int(1)], { $0.adding($1) }, +)) },
        "addf": Function([], rest: .any) { .float(decimal([.int(0)] + $0, { $0.adding($1) }, +)) },
        "subf": Function([.any], rest: .any) { values in
            .float(decimal(values, { $0.adding(DecimalNumber(mantissa: -$1.mantissa, scale: $1.scale)) }, -))
        },
        "mulf": Function([.any], rest: .any) { .float(decimal($0, { $0.multiplied(by: $1) }, *)) },
        "divf": Function([.any], rest: .any) { values in
            guard values.dropFirst().allSatisfy({ Casting.double($0) != 0 }) else {
                throw TextFormatError("decimal division by 0")
            }
            return .float(decimal(values, { $0.divided(by: $1) }, /))
        },
        "max": Function([.any], rest: .any) { .int($0.map { Casting.int64($0) }.max() ?? 0) },
        "biggest": Function([.any], rest: .any) { .int($0.map { Casting.int64($0) }.max() ?? 0) },
        "min": Function([.any], rest: .any) { .int($0.map { Casting.int64($0) }.min() ?? 0) },
        "maxf": Function([.any], rest: .any) { .float($0.map { Casting.double($0) }.max() ?? 0) },
        "minf": Function([.any], rest: .any) { .float($0.map { Casting.double($0) }.min() ?? 0) },
        "ceil": Function([.any]) { .float(Casting.double($0[0]).rounded(.up)) },
        "floor": Function([.any]) { .float(Casting.double($0[0]).rounded(.down)) },
        "round": Function([.any, .int], rest: .float) { values in
            let power = pow(10, Double(Casting.int(values[1])))
            let scaled = power * Casting.double(values[0])
            let threshold = values.count > 2 ? Casting.double(values[2]) : 0.5
            let isUp = scaled - scaled.rounded(.towardZero) >= threshold
            return .float(scaled.rounded(isUp ? .up : .down) / power)
        },
        "until": Function([.int]) { values in
            let count = Casting.int(values[0])
            return .list(try steps(0, count, count < 0 ? -1 : 1))
        },
        "untilStep": Function([.int, .int, .int]) { values in
            .list(try steps(Casting.int(values[0]), Casting.int(values[1]), Casting.int(values[2])))
        },
        "seq": Function([], rest: .int) { values in .string(try sequence(values.map { Casting.int($0) })) },
    ]

    /// Folds exactly in decimals while they fit, in doubles from there on.
    private static func decimal(
        _ values: [GoValue], _ exact: (DecimalNumber, DecimalNumber) -> DecimalNumber?,
        _ rough: (Double, Double) -> Double
    ) -> Double {
        let numbers = values.map { Casting.double($0) }
        guard let first = numbers.first else { return 0 }
        var result = DecimalNumber(first)
        for number in numbers.dropFirst() {
            guard let left = result, let right = DecimalNumber(number) else {
                result = nil
                break
            }
            result = exact(left, right)
        }
        return result?.double ?? numbers.dropFirst().reduce(first, rough)
    }

    private static func steps(_ start: Int, _ stop: Int, _ step: Int) throws -> [GoValue] {
        if stop == start || (stop < start) != (step < 0) || step == 0 { return [] }
        let (distance, overflow) = stop.subtractingReportingOverflow(start)
        let count = overflow ? UInt.max : (distance.magnitude - 1) / step.magnitude + 1
        guard count <= UInt(largestList) else { throw TextFormatError("list exceeds \(largestList) elements") }
        return (0..<Int(count)).map { .int(Int64(start + $0 * step)) }
    }

    private static func sequence(_ values: [Int]) throws -> String {
        guard (1...3).contains(values.count) else { return "" }
        let start = values.count == 1 ? 1 : values[0]
        let end = values[values.count - 1]
        guard abs(start.clampedForSequence) <= 1 << 40, abs(end.clampedForSequence) <= 1 << 40 else { return "" }
        let step = values.count == 3 ? values[1] : end < start ? -1 : 1
        if values.count == 3, end < start, step > 0 { return "" }
        let stop = end + (end < start ? -1 : 1)
        return try steps(start, stop, step).map(\.text).joined(separator: " ")
    }
}

extension Int {
    /// A magnitude that cannot overflow `abs`.
    fileprivate var clampedForSequence: Int { Swift.max(self, -.max) }
}
