import Essentials
import Glibc

/// Alloy's operators on values.
enum Operators {
    /// Which operand an operator cannot take, and why.
    enum Failure: Error {
        case left(ValueError)
        case right(ValueError)
    }

    static func apply(_ operation: UnaryOperator, _ operand: Value) throws(ValueError) -> Value {
        switch operation {
        case .not:
            guard case .bool(let bool) = operand else { throw ValueError(expected: .bool, got: operand) }
            return .bool(!bool)
        case .negate:
            guard case .number(let number) = operand else { throw ValueError(expected: .number, got: operand) }
            if case .float(let value) = number { return .float(-value) }
            return .number(.int(0 &- number.wrappedInt))
        }
    }

    static func apply(_ operation: BinaryOperator, _ left: Value, _ right: Value) throws(Failure) -> Value {
        let (left, right) = unwrapped(left, right)
        switch operation {
        case .equal: return .bool(left == right)
        case .notEqual: return .bool(!(left == right))
        default: break
        }

        let allowed = operandTypes(of: operation)
        if !allowed.contains(left.type) { throw .left(refusal(of: left, by: operation, allowed)) }
        if !allowed.contains(right.type) { throw .right(refusal(of: right, by: operation, allowed)) }
        if left.type != right.type { throw .right(ValueError(expected: left.type, got: right)) }

        switch (left, right) {
        case (.bool(let a), .bool(let b)): return .bool(operation == .or ? a || b : a && b)
        case (.string(let a), .string(let b)):
            return operation == .add ? .string(a + b) : .bool(compare(operation, Array(a.utf8), Array(b.utf8)))
        case (.number(let a), .number(let b)): return try arithmetic(operation, a, b)
        case (.secret(let a), .secret(let b)): return .secret(a.appending(b))
        case (.optionalSecret(let a), .optionalSecret(let b)):
            if case .plain(let first) = a, case .plain(let second) = b {
                return .optionalSecret(.plain(first + second))
            }
            return .optionalSecret(.secret(a.asSecret.appending(b.asSecret)))
        default:
            throw .left(
                ValueError(
                    "could not perform binop \(operation.rawValue) for unknown types lhs \(left.type.rawValue) "
                        + "rhs \(right.type.rawValue)"))
        }
    }

    // MARK: Operand types

    private static func operandTypes(of operation: BinaryOperator) -> [ValueType] {
        switch operation {
        case .or, .and: [.bool]
        case .add: [.number, .string, .capsule]
        case .subtract, .multiply, .divide, .remainder, .power: [.number]
        default: [.number, .string]
        }
    }

    private static func refusal(
        of value: Value, by operation: BinaryOperator, _ allowed: [ValueType]
    ) -> ValueError {
        let names = allowed.map(\.rawValue).joined(separator: " ")
        return ValueError("should be one of [\(names)] for binop \(operation.rawValue), got \(value.type.rawValue)")
    }

    /// Brings text and the two kinds of secrets to one kind; the result of adding a secret is a secret.
    private static func unwrapped(_ left: Value, _ right: Value) -> (Value, Value) {
        switch (left, right) {
        case (.optionalSecret(let optional), .secret): return (.secret(optional.asSecret), right)
        case (.secret, .optionalSecret(let optional)): return (left, .secret(optional.asSecret))
        case (.secret, .string(let text)): return (left, .secret(Secret(text)))
        case (.string(let text), .secret): return (.secret(Secret(text)), right)
        case (.optionalSecret(.plain(let plain)), .string): return (.string(plain), right)
        case (.string, .optionalSecret(.plain(let plain))): return (left, .string(plain))
        case (.optionalSecret, .string(let text)): return (left, .optionalSecret(.secret(Secret(text))))
        case (.string(let text), .optionalSecret): return (.optionalSecret(.secret(Secret(text))), right)
        default: return (left, right)
        }
    }

    // MARK: Numbers

    private static func arithmetic(
        _ operation: BinaryOperator, _ left: Number, _ right: Number
    ) throws(Failure) -> Value {
        if operation == .divide || operation == .remainder, right == .int(0) {
            throw .right(ValueError("divide by zero error"))
        }
        switch (left, right) {
        case (.uint(let a), .uint(let b)): return integer(operation, a, b) { .number(.uint($0)) }
        case (.float, _), (_, .float): return floating(operation, left.double, right.double)
        default: return integer(operation, left.wrappedInt, right.wrappedInt) { .number(.int($0)) }
        }
    }

    /// Arithmetic of 64-bit integers, which wraps around.
    private static func integer<T: FixedWidthInteger>(
        _ operation: BinaryOperator, _ left: T, _ right: T, _ number: (T) -> Value
    ) -> Value {
        switch operation {
        case .add: number(left &+ right)
        case .subtract: number(left &- right)
        case .multiply: number(left &* right)
        case .divide: number(left.dividedReportingOverflow(by: right).partialValue)
        case .remainder: number(left.remainderReportingOverflow(dividingBy: right).partialValue)
        case .power: number(power(left, right))
        default: .bool(compare(operation, left, right))
        }
    }

    private static func floating(_ operation: BinaryOperator, _ left: Double, _ right: Double) -> Value {
        switch operation {
        case .add: .float(left + right)
        case .subtract: .float(left - right)
        case .multiply: .float(left * right)
        case .divide: .float(left / right)
        case .remainder: .float(fmod(left, right))
        case .power: .float(pow(left, right))
        default: .bool(compare(operation, left, right))
        }
    }

    /// `base` to the power of `exponent`, wrapping; a negative exponent gives `base`, as in Alloy.
    private static func power<T: FixedWidthInteger>(_ base: T, _ exponent: T) -> T {
        if exponent == 0 || base == 1 { return 1 }
        if exponent < 0 { return base }
        var result: T = 1
        var square = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result = result &* square }
            square = square &* square
            rest >>= 1
        }
        return result
    }

    private static func compare<T: Comparable>(_ operation: BinaryOperator, _ left: T, _ right: T) -> Bool {
        switch operation {
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        default: left >= right
        }
    }

    /// Compares text byte by byte.
    private static func compare(_ operation: BinaryOperator, _ left: [UInt8], _ right: [UInt8]) -> Bool {
        switch operation {
        case .less: left.lexicographicallyPrecedes(right)
        case .lessOrEqual: !right.lexicographicallyPrecedes(left)
        case .greater: right.lexicographicallyPrecedes(left)
        default: !left.lexicographicallyPrecedes(right)
        }
    }
}

extension Secret where Value == String {
    /// Both texts one after the other, still a secret.
    func appending(_ other: Secret<String>) -> Secret<String> {
        reveal { first in other.reveal { second in Secret(first + second) } }
    }
}
