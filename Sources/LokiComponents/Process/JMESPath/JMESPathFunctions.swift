import TextFormats

enum JMESPathArgument {
    case value(JSONValue)
    case expression(JMESPath.Node)
}

/// The functions of the JMESPath Community specification.
enum JMESPathFunctions {
    private enum Parameter { case any, number, string, array, object, numbers, strings, expression }

    private struct Signature {
        var parameters: [[Parameter]]
        var optional = 0
        var isVariadic = false
    }

    private static let signatures: [String: Signature] = [
        "abs": Signature(parameters: [[.number]]),
        "avg": Signature(parameters: [[.numbers]]),
        "ceil": Signature(parameters: [[.number]]),
        "contains": Signature(parameters: [[.array, .string], [.any]]),
        "ends_with": Signature(parameters: [[.string], [.string]]),
        "find_first": Signature(parameters: [[.string], [.string], [.number], [.number]], optional: 2),
        "find_last": Signature(parameters: [[.string], [.string], [.number], [.number]], optional: 2),
        "floor": Signature(parameters: [[.number]]),
        "from_items": Signature(parameters: [[.array]]),
        "group_by": Signature(parameters: [[.array], [.expression]]),
        "items": Signature(parameters: [[.object]]),
        "join": Signature(parameters: [[.string], [.strings]]),
        "keys": Signature(parameters: [[.object]]),
        "length": Signature(parameters: [[.string, .array, .object]]),
        "lower": Signature(parameters: [[.string]]),
        "map": Signature(parameters: [[.expression], [.array]]),
        "max": Signature(parameters: [[.numbers, .strings]]),
        "max_by": Signature(parameters: [[.array], [.expression]]),
        "merge": Signature(parameters: [[.object]], isVariadic: true),
        "min": Signature(parameters: [[.numbers, .strings]]),
        "min_by": Signature(parameters: [[.array], [.expression]]),
        "not_null": Signature(parameters: [[.any]], isVariadic: true),
        "pad_left": Signature(parameters: [[.string], [.number], [.string]], optional: 1),
        "pad_right": Signature(parameters: [[.string], [.number], [.string]], optional: 1),
        "replace": Signature(parameters: [[.string], [.string], [.string], [.number]], optional: 1),
        "reverse": Signature(parameters: [[.array, .string]]),
        "sort": Signature(parameters: [[.strings, .numbers]]),
        "sort_by": Signature(parameters: [[.array], [.expression]]),
        "split": Signature(parameters: [[.string], [.string], [.number]], optional: 1),
        "starts_with": Signature(parameters: [[.string], [.string]]),
        "sum": Signature(parameters: [[.numbers]]),
        "to_array": Signature(parameters: [[.any]]),
        "to_number": Signature(parameters: [[.any]]),
        "to_string": Signature(parameters: [[.any]]),
        "trim": Signature(parameters: [[.string], [.string]], optional: 1),
        "trim_left": Signature(parameters: [[.string], [.string]], optional: 1),
        "trim_right": Signature(parameters: [[.string], [.string]], optional: 1),
        "type": Signature(parameters: [[.any]]),
        "upper": Signature(parameters: [[.string]]),
        "values": Signature(parameters: [[.object]]),
        "zip": Signature(parameters: [[.array], [.array]], isVariadic: true),
    ]

    /// Longest text a padding may make; data decides the width.
    private static let maximumPadding = 1 << 20

    static func call(
        _ name: String, _ arguments: [JMESPathArgument], _ evaluation: inout JMESPathEvaluation
    ) throws(JMESPathError) -> JSONValue {
        guard let signature = signatures[name] else { throw JMESPathError("unknown function: \(name)") }
        let least = signature.parameters.count - signature.optional
        guard arguments.count >= least else {
            throw JMESPathError("invalid arity, the function '\(name)' expects at least \(least) arguments")
        }
        guard signature.isVariadic || arguments.count <= signature.parameters.count else {
            throw JMESPathError("invalid arity, the function '\(name)' expects \(signature.parameters.count) arguments")
        }
        var values: [JSONValue] = []
        var expression: JMESPath.Node?
        for (index, argument) in arguments.enumerated() {
            let allowed = signature.parameters[min(index, signature.parameters.count - 1)]
            switch argument {
            case .expression(let node):
                guard allowed.contains(.expression) else {
                    throw JMESPathError("invalid type for argument \(index + 1) of '\(name)'")
                }
                expression = node
            case .value(let value):
                guard allowed.contains(where: { accepts($0, value) }) else {
                    throw JMESPathError("invalid type for argument \(index + 1) of '\(name)'")
                }
                values.append(value)
            }
        }
        if let expression { return try callByExpression(name, values, expression, &evaluation) }
        if let result = try callOnText(name, values) { return result }
        return try callOnValues(name, values)
    }

    private static func accepts(_ parameter: Parameter, _ value: JSONValue) -> Bool {
        switch (parameter, value) {
        case (.any, _), (.number, .number), (.string, .string), (.array, .array), (.object, .object): return true
        case (.numbers, .array(let array)): return array.allSatisfy { $0.doubleValue != nil }
        case (.strings, .array(let array)): return array.allSatisfy { $0.stringValue != nil }
        default: return false
        }
    }

    private static func integer(_ value: JSONValue, _ name: String) throws(JMESPathError) -> Int {
        guard let number = value.doubleValue, let integer = Int(exactly: number) else {
            throw JMESPathError("invalid value, the function '\(name)' expects an integer")
        }
        return integer
    }

    private static func count(_ value: JSONValue, _ name: String) throws(JMESPathError) -> Int {
        let number = try integer(value, name)
        guard number >= 0 else {
            throw JMESPathError("invalid value, the function '\(name)' expects a non-negative integer")
        }
        return number
    }

    // MARK: With an expression

    private static func callByExpression(
        _ name: String, _ values: [JSONValue], _ expression: JMESPath.Node, _ evaluation: inout JMESPathEvaluation
    ) throws(JMESPathError) -> JSONValue {
        guard case .array(let array)? = values.first else { throw JMESPathError("'\(name)' expects a list") }
        var keys: [JSONValue] = []
        for element in array { keys.append(try evaluation.value(of: expression, at: element)) }
        switch name {
        case "map": return .array(keys)
        case "group_by":
            if array.isEmpty { return .null }
            var groups = JSONObject()
            for (key, element) in zip(keys, array) {
                guard let text = key.stringValue else {
                    throw JMESPathError("invalid type, the expression must evaluate to a string")
                }
                groups[text] = .array((groups[text]?.arrayValue ?? []) + [element])
            }
            return .object(groups)
        default:
            if array.isEmpty { return name == "sort_by" ? .array([]) : .null }
            if array.count > 1 { try requireOneKind(keys) }
            let order = array.indices.sorted { left, right in
                isLess(keys[left], keys[right]) || (!isLess(keys[right], keys[left]) && left < right)
            }
            switch name {
            case "sort_by": return .array(order.map { array[$0] })
            case "min_by": return array[order[0]]
            default:
                // The first of several equal ones, as for the least.
                let last = order[order.count - 1]
                let best = array.indices.first { !isLess(keys[$0], keys[last]) } ?? last
                return array[best]
            }
        }
    }

    private static func requireOneKind(_ keys: [JSONValue]) throws(JMESPathError) {
        let areNumbers = keys.allSatisfy { $0.doubleValue != nil }
        let areStrings = keys.allSatisfy { $0.stringValue != nil }
        if !areNumbers, !areStrings { throw JMESPathError("invalid type, must be number or string") }
    }

    private static func isLess(_ left: JSONValue, _ right: JSONValue) -> Bool {
        if let a = left.doubleValue, let b = right.doubleValue { return a < b }
        if let a = left.stringValue, let b = right.stringValue { return a.utf8.lexicographicallyPrecedes(b.utf8) }
        return false
    }

    // MARK: On text

    private static func callOnText(_ name: String, _ values: [JSONValue]) throws(JMESPathError) -> JSONValue? {
        guard case .string(let text)? = values.first else { return nil }
        let second = values.count > 1 ? values[1].stringValue : nil
        switch name {
        case "contains":
            guard let second else { return .bool(false) }
            return .bool(position(of: Array(second.utf8), in: Array(text.utf8), backwards: false) != nil)
        case "starts_with": return .bool(text.utf8.starts(with: (second ?? "").utf8))
        case "ends_with":
            let suffix = Array((second ?? "").utf8)
            return .bool(text.utf8.count >= suffix.count && Array(text.utf8.suffix(suffix.count)) == suffix)
        case "lower": return .string(text.lowercased())
        case "upper": return .string(text.uppercased())
        case "length": return .int(text.unicodeScalars.count)
        case "reverse":
            var reversed = String.UnicodeScalarView()
            reversed.append(contentsOf: text.unicodeScalars.reversed())
            return .string(String(reversed))
        case "find_first", "find_last": return try find(name, text, second ?? "", values)
        case "join":
            let parts = values[1].arrayValue?.compactMap(\.stringValue) ?? []
            return .string(parts.joined(separator: text))
        case "pad_left", "pad_right":
            let width = try count(values[1], name)
            let pad = values.count > 2 ? values[2].stringValue ?? " " : " "
            if pad.utf8.count > 1 {
                throw JMESPathError(
                    "invalid value, the function '\(name)' expects its 'pad' argument to be a string of length 1")
            }
            if width > maximumPadding { throw JMESPathError("'\(name)' pads to at most \(maximumPadding) bytes") }
            let padding = String(repeating: pad, count: max(0, width - text.utf8.count))
            return .string(name == "pad_left" ? padding + text : text + padding)
        case "replace":
            let limit = values.count > 3 ? try count(values[3], name) : Int.max
            return .string(replace(text, second ?? "", values[2].stringValue ?? "", limit))
        case "split": return try split(text, second ?? "", values)
        case "trim", "trim_left", "trim_right": return .string(trim(text, name, second ?? ""))
        default: return nil
        }
    }

    private static func position(of needle: [UInt8], in text: [UInt8], backwards: Bool) -> Int? {
        guard needle.count <= text.count else { return nil }
        if needle.isEmpty { return backwards ? text.count : 0 }
        if !backwards {
            return text.withUnsafeBytes { text in needle.withUnsafeBytes { text.index(of: $0) } }
        }
        return (0...(text.count - needle.count)).last { text[$0..<$0 + needle.count].elementsEqual(needle) }
    }

    private static func find(
        _ name: String, _ text: String, _ part: String, _ values: [JSONValue]
    ) throws(JMESPathError) -> JSONValue {
        if text.isEmpty || part.isEmpty { return .null }
        let bytes = Array(text.utf8)
        let start = values.count > 2 ? max(0, try integer(values[2], name)) : 0
        let end = values.count > 3 ? min(bytes.count, try integer(values[3], name)) : bytes.count
        guard start <= end else { return .null }
        let found = position(of: Array(part.utf8), in: Array(bytes[start..<end]), backwards: name == "find_last")
        return found.map { .int($0 + start) } ?? .null
    }

    private static func replace(_ text: String, _ old: String, _ new: String, _ limit: Int) -> String {
        if old.isEmpty || limit == 0 { return text }
        let bytes = Array(text.utf8)
        let wanted = Array(old.utf8)
        var output: [UInt8] = []
        var index = 0
        var count = 0
        bytes.withUnsafeBytes { bytes in
            wanted.withUnsafeBytes { wanted in
                while count < limit, let found = bytes.index(of: wanted, from: index) {
                    output.append(contentsOf: bytes[index..<found])
                    output.append(contentsOf: new.utf8)
                    index = found + wanted.count
                    count += 1
                }
                output.append(contentsOf: bytes[index...])
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func split(
        _ text: String, _ separator: String, _ values: [JSONValue]
    ) throws(JMESPathError) -> JSONValue {
        if text.isEmpty { return .array([]) }
        let limit = values.count > 2 ? try count(values[2], "split") : Int.max
        if limit == 0 { return .array([.string(text)]) }
        if separator.isEmpty {
            let scalars = text.unicodeScalars.map { JSONValue.string(String($0)) }
            if scalars.count - 1 <= limit { return .array(scalars) }
            var rest = String.UnicodeScalarView()
            rest.append(contentsOf: text.unicodeScalars.dropFirst(limit))
            return .array(scalars.prefix(limit) + [.string(String(rest))])
        }
        var parts: [JSONValue] = []
        var rest = Array(text.utf8)
        while parts.count < limit, let found = position(of: Array(separator.utf8), in: rest, backwards: false) {
            parts.append(.string(String(decoding: rest[..<found], as: UTF8.self)))
            rest = Array(rest[(found + separator.utf8.count)...])
        }
        parts.append(.string(String(decoding: rest, as: UTF8.self)))
        return .array(parts)
    }

    private static func trim(_ text: String, _ name: String, _ cutset: String) -> String {
        let set = Set(cutset.unicodeScalars)
        var scalars = text.unicodeScalars[...]
        func isCut(_ scalar: Unicode.Scalar?) -> Bool {
            guard let scalar else { return false }
            return cutset.isEmpty ? scalar.properties.isWhitespace : set.contains(scalar)
        }
        if name != "trim_right" { while isCut(scalars.first) { scalars.removeFirst() } }
        if name != "trim_left" { while isCut(scalars.last) { scalars.removeLast() } }
        return String(scalars)
    }

    // MARK: On other values

    private static func callOnValues(_ name: String, _ values: [JSONValue]) throws(JMESPathError) -> JSONValue {
        let first = values.first ?? .null
        switch name {
        case "abs": return .double((first.doubleValue ?? 0).magnitude)
        case "ceil": return .double((first.doubleValue ?? 0).rounded(.up))
        case "floor": return .double((first.doubleValue ?? 0).rounded(.down))
        case "merge":
            var merged = JSONObject()
            for case .object(let object) in values { for member in object { merged[member.key] = member.value } }
            return .object(merged)
        case "not_null": return values.first { $0 != .null } ?? .null
        case "to_array":
            if case .array = first { return first }
            return .array([first])
        case "to_number":
            if case .number = first { return first }
            return first.stringValue.flatMap { GoNumber.parseFloat($0) }.map { .double($0) } ?? .null
        case "to_string":
            if case .string = first { return first }
            return .string(JSONWriter(sortsKeys: true).text(first))
        case "type": return .string(typeName(first))
        default: break
        }
        if case .object(let object) = first { return callOnObject(name, object) }
        if case .array(let array) = first { return try callOnArray(name, array, values) }
        throw JMESPathError("invalid type for argument 1 of '\(name)'")
    }

    private static func typeName(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "boolean"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    private static func callOnObject(_ name: String, _ object: JSONObject) -> JSONValue {
        switch name {
        case "keys": .array(object.map { .string($0.key) })
        case "values": .array(object.map(\.value))
        case "items": .array(object.map { .array([.string($0.key), $0.value]) })
        default: .int(object.count)
        }
    }

    private static func callOnArray(
        _ name: String, _ array: [JSONValue], _ values: [JSONValue]
    ) throws(JMESPathError) -> JSONValue {
        let numbers = array.compactMap(\.doubleValue)
        switch name {
        case "avg": return array.isEmpty ? .null : .double(numbers.reduce(0, +) / Double(numbers.count))
        case "sum": return .double(numbers.reduce(0, +))
        case "contains": return .bool(array.contains { $0.means(values[1]) })
        case "length": return .int(array.count)
        case "reverse": return .array(array.reversed())
        case "sort": return .array(array.sorted(by: isLess))
        case "max": return array.max(by: isLess) ?? .null
        case "min": return array.min(by: isLess) ?? .null
        case "from_items":
            var object = JSONObject()
            for element in array {
                guard case .array(let pair) = element, pair.count == 2, let key = pair[0].stringValue else {
                    throw JMESPathError(
                        "invalid value, each array must contain two elements, a pair of string and value")
                }
                object[key] = pair[1]
            }
            return .object(object)
        case "zip":
            let arrays = values.compactMap(\.arrayValue)
            let count = arrays.map(\.count).min() ?? 0
            return .array((0..<count).map { index in .array(arrays.map { $0[index] }) })
        default: throw JMESPathError("invalid type for argument 1 of '\(name)'")
        }
    }
}
