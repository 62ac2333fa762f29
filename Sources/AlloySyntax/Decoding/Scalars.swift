public import Essentials

extension Bool: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "bool" }

    public static var placeholder: Bool { false }

    public init(alloy value: Value) throws(ValueError) {
        switch value {
        case .bool(let bool): self = bool
        case .null: self = false
        default: throw ValueError(expected: .bool, got: value)
        }
    }

    public var alloyValue: Value { .bool(self) }
}

extension String: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "string" }

    public static var placeholder: String { "" }

    /// Reads text; a number reads as its digits, a secret is refused.
    public init(alloy value: Value) throws(ValueError) {
        switch value {
        case .string(let text): self = text
        case .number(let number): self = number.text
        case .null: self = ""
        case .optionalSecret(.plain(let text)): self = text
        case .secret, .optionalSecret(.secret): throw .secretAsString
        default: throw ValueError(expected: .string, got: value)
        }
    }

    public var alloyValue: Value { .string(self) }
}

extension Secret: AlloyTyped where Value == String {
    public static var alloyTypeName: String { "secret" }
}

extension Secret: AlloyDecodable, AlloyEncodable where Value == String {
    public static var placeholder: Secret<String> { Secret("") }

    /// Reads a secret, optional secret or text; numbers do not convert.
    public init(alloy value: AlloySyntax.Value) throws(ValueError) {
        switch value {
        case .secret(let secret): self = secret
        case .optionalSecret(let optional): self = optional.asSecret
        case .string(let text): self = Secret(text)
        case .null: self = Secret("")
        default: throw ValueError(expected: .capsule, got: value)
        }
    }

    public var alloyValue: AlloySyntax.Value { .secret(self) }
}

extension OptionalSecret: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "optional_secret" }

    public static var placeholder: OptionalSecret { .plain("") }

    public init(alloy value: Value) throws(ValueError) {
        switch value {
        case .secret(let secret): self = .secret(secret)
        case .optionalSecret(let optional): self = optional
        case .string(let text): self = .plain(text)
        case .null: self = .plain("")
        default: throw ValueError(expected: .capsule, got: value)
        }
    }

    public var alloyValue: Value { .optionalSecret(self) }
}

extension Duration: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "duration" }

    public static var placeholder: Duration { .zero }

    /// Reads a Go duration such as `1m30s`; a bare number other than zero lacks its unit and is refused.
    public init(alloy value: Value) throws(ValueError) {
        if case .null = value {
            self = .zero
            return
        }
        self = try DurationText.parse(String(alloy: value))
    }

    public var alloyValue: Value { .string(DurationText.format(self)) }
}

/// Reading numbers, and text that spells one, into the number types.
enum NumberReading {
    static func number(_ value: Value) throws(ValueError) -> Number {
        switch value {
        case .number(let number): return number
        case .null: return .int(0)
        case .string(let text), .optionalSecret(.plain(let text)):
            guard let number = parse(text) else { throw ValueError(expected: .number, got: value) }
            return number
        default: throw ValueError(expected: .number, got: value)
        }
    }

    static func integer<T: FixedWidthInteger>(_ value: Value) throws(ValueError) -> T {
        let number = try number(value)
        guard let integer = number.integer(T.self) else {
            throw ValueError("should be a number between \(T.min) and \(T.max)")
        }
        return integer
    }

    /// The number a string converts to: signed with a leading `-`, floating with a `.` or an exponent, else unsigned.
    private static func parse(_ text: String) -> Number? {
        let bytes = text.utf8
        guard let first = bytes.first else { return nil }
        if first == UInt8(ascii: "-") {
            guard bytes.dropFirst().allSatisfy(isDigit), let value = Int64(text) else { return nil }
            return .int(value)
        }
        if bytes.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }) {
            let allowed = bytes.allSatisfy { isDigit($0) || [0x2E, 0x65, 0x45, 0x2B, 0x2D].contains($0) }
            guard allowed, let value = Double(text), value.isFinite else { return nil }
            return .float(value)
        }
        guard bytes.allSatisfy(isDigit), let value = UInt64(text) else { return nil }
        return .uint(value)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
}

extension Double: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "float" }

    public static var placeholder: Double { 0 }

    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.number(value).double }

    public var alloyValue: Value { .number(.float(self)) }
}
