extension Int: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "int" }

    public static var placeholder: Int { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.int(Int64(self))) }
}

extension Int8: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "int" }

    public static var placeholder: Int8 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.int(Int64(self))) }
}

extension Int16: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "int" }

    public static var placeholder: Int16 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.int(Int64(self))) }
}

extension Int32: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "int" }

    public static var placeholder: Int32 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.int(Int64(self))) }
}

extension Int64: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "int" }

    public static var placeholder: Int64 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.int(Int64(self))) }
}

extension UInt: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "uint" }

    public static var placeholder: UInt { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.uint(UInt64(self))) }
}

extension UInt8: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "uint" }

    public static var placeholder: UInt8 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.uint(UInt64(self))) }
}

extension UInt16: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "uint" }

    public static var placeholder: UInt16 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.uint(UInt64(self))) }
}

extension UInt32: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "uint" }

    public static var placeholder: UInt32 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.uint(UInt64(self))) }
}

extension UInt64: AlloyDecodable, AlloyEncodable {
    public static var alloyTypeName: String { "uint" }

    public static var placeholder: UInt64 { 0 }

    /// Reads a number, its fraction cut off; one that does not fit is refused.
    public init(alloy value: Value) throws(ValueError) { self = try NumberReading.integer(value) }

    public var alloyValue: Value { .number(.uint(UInt64(self))) }
}
