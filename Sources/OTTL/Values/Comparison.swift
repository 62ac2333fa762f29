import TextFormats
import Wire

/// Comparing values by the rules of `pkg/ottl/LANGUAGE.md`: numbers as doubles where their types differ, everything
/// else of different types as unequal.
enum Comparison {
    static func holds(_ sign: ComparisonOperator, _ left: Datum, _ right: Datum) -> Bool {
        switch (left, right) {
        case (.none, .none): return ordered(sign, 0, 0)
        case (.bool(let a), .bool(let b)): return ordered(sign, a ? 1 : 0, b ? 1 : 0)
        case (.int(let a), .int(let b)): return ordered(sign, a, b)
        case (.int(let a), .double(let b)): return ordered(sign, Double(a), b)
        case (.double(let a), .int(let b)): return ordered(sign, a, Double(b))
        case (.double(let a), .double(let b)): return ordered(sign, a, b)
        case (.duration(let a), .duration(let b)): return ordered(sign, a, b)
        case (.time(let a), .time(let b)):
            return a.unixSeconds == b.unixSeconds
                ? ordered(sign, a.nanoseconds, b.nanoseconds) : ordered(sign, a.unixSeconds, b.unixSeconds)
        default: break
        }
        if let result = left.withText({ a in right.withText { b in ordered(sign, order(a, b), 0) } }) {
            return result ?? (sign == .notEqual)
        }
        if let result = left.withData({ a in right.withData { b in ordered(sign, order(a, b), 0) } }) {
            // No bytes at all count as nothing.
            return result ?? (a(left, isEmptyBesides: right) ? ordered(sign, 0, 0) : sign == .notEqual)
        }
        if a(right, isEmptyBesides: left) { return ordered(sign, 0, 0) }
        guard sign == .equal || sign == .notEqual else { return false }
        let isEqual = equalContainers(left, right)
        return sign == .equal ? isEqual : !isEqual
    }

    private static func a(_ data: Datum, isEmptyBesides other: Datum) -> Bool {
        other.isNone && data.withData { $0.isEmpty } == true
    }

    private static func equalContainers(_ left: Datum, _ right: Datum) -> Bool {
        if let a = left.elements, let b = right.elements {
            return a.count == b.count && zip(a, b).allSatisfy { holds(.equal, Datum($0), Datum($1)) }
        }
        if let a = left.entries, let b = right.entries {
            guard a.count == b.count else { return false }
            return a.entries.allSatisfy { entry in
                b[entry.key].map { holds(.equal, Datum(entry.value), Datum($0)) } ?? false
            }
        }
        if case .messages(let a, let first) = left, case .messages(let b, let second) = right {
            return a == b && first == second
        }
        return false
    }

    @inline(__always)
    static func ordered<Value: Comparable>(_ sign: ComparisonOperator, _ left: Value, _ right: Value) -> Bool {
        switch sign {
        case .equal: left == right
        case .notEqual: left != right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        }
    }

    /// Less than, equal to or greater than zero, by bytes.
    static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        let common = min(left.count, right.count)
        var index = 0
        while index < common {
            if left[index] != right[index] { return Int(left[index]) - Int(right[index]) }
            index += 1
        }
        return left.count - right.count
    }
}

/// Sums, differences, products and quotients of numbers, times and durations.
enum Arithmetic {
    static func result(_ sign: MathOperator, _ left: Datum, _ right: Datum) throws -> Datum {
        switch (left, right) {
        case (.int(let a), .int(let b)): return .int(try integers(sign, a, b))
        case (.double(let a), .double(let b)): return .double(try doubles(sign, a, b))
        case (.int, .double), (.double, .int):
            throw OTTLError("int and double do not mix in calculations: convert one with Int or Double")
        case (.time(let a), .time(let b)) where sign == .subtract:
            return .duration(try nanoseconds(a, minus: b))
        case (.time(let a), .duration(let b)) where sign == .add: return .time(try moved(a, by: b))
        case (.time(let a), .duration(let b)) where sign == .subtract:
            if b == .min { throw OTTLError("a duration out of range") }
            return .time(try moved(a, by: -b))
        case (.duration(let a), .time(let b)) where sign == .add: return .time(try moved(b, by: a))
        case (.duration(let a), .duration(let b)) where sign == .add || sign == .subtract:
            return .duration(try integers(sign, a, b))
        default:
            throw OTTLError("\(left.typeName) \(sign.rawValue) \(right.typeName) cannot be calculated")
        }
    }

    private static func integers(_ sign: MathOperator, _ left: Int64, _ right: Int64) throws -> Int64 {
        switch sign {
        case .add: return left &+ right
        case .subtract: return left &- right
        case .multiply: return left &* right
        case .divide:
            if right == 0 { throw OTTLError("division by zero") }
            return left.dividedReportingOverflow(by: right).partialValue
        }
    }

    private static func doubles(_ sign: MathOperator, _ left: Double, _ right: Double) throws -> Double {
        switch sign {
        case .add: return left + right
        case .subtract: return left - right
        case .multiply: return left * right
        case .divide:
            if right == 0 { throw OTTLError("division by zero") }
            return left / right
        }
    }

    static func negated(_ value: Datum) throws -> Datum {
        switch value {
        case .int(let value): return .int(0 &- value)
        case .double(let value): return .double(-value)
        case .duration(let value): return .duration(0 &- value)
        default: throw OTTLError("\(value.typeName) has no sign")
        }
    }

    private static func nanoseconds(_ left: GoTime, minus right: GoTime) throws -> Int64 {
        let (seconds, overflow) = left.unixSeconds.subtractingReportingOverflow(right.unixSeconds)
        let (product, tooLarge) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow || tooLarge { return left.unixSeconds < right.unixSeconds ? .min : .max }
        return product &+ Int64(left.nanoseconds - right.nanoseconds)
    }

    private static func moved(_ time: GoTime, by nanoseconds: Int64) throws -> GoTime {
        var moved = time
        let whole = CalendarMath.floorDivide(nanoseconds, 1_000_000_000)
        var rest = Int64(time.nanoseconds) + (nanoseconds - whole * 1_000_000_000)
        var (seconds, overflow) = time.unixSeconds.addingReportingOverflow(whole)
        if rest >= 1_000_000_000 {
            rest -= 1_000_000_000
            seconds = seconds &+ 1
        }
        // Clocks cannot show more than this, and their arithmetic must not overflow.
        if overflow || seconds.magnitude > 1 << 55 { throw OTTLError("a time out of range") }
        moved.unixSeconds = seconds
        moved.nanoseconds = Int32(rest)
        return moved
    }
}

enum CalendarMath {
    /// The quotient rounded down.
    static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }
}
