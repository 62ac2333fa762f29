/// The functions of the namespace `array`.
enum ArrayFunctions {
    static let all: [Function] = [
        Function("array.concat") { arguments throws(Function.Failure) in
            var result: [Value] = []
            for index in arguments.indices { result += try arguments.array(index) }
            return .array(result)
        },
        Function("array.group_by") { arguments throws(Function.Failure) in try groupBy(arguments) },
        Function("array.combine_maps") { arguments throws(Function.Failure) in try combineMaps(arguments) },
    ]

    /// Groups objects by the string under a key: `(objects, key, drop those without it)`.
    private static func groupBy(_ arguments: [Value]) throws(Function.Failure) -> Value {
        guard arguments.count == 3 else { throw .call("group_by: expected 3 arguments, got \(arguments.count)") }
        let items = try arguments.objects(0)
        guard case .string(let key) = arguments[1] else {
            throw .argument(1, ValueError(expected: .string, got: arguments[1]))
        }
        guard case .bool(let dropMissing) = arguments[2] else {
            throw .argument(2, ValueError(expected: .bool, got: arguments[2]))
        }
        var order: [String] = []
        var groups: [String: [Value]] = [:]
        for (index, item) in items.enumerated() {
            var name = ""
            switch item[key] {
            case .string(let text): name = text
            case nil:
                if dropMissing { continue }
            case .some(let other):
                let error = ValueError(expected: .string, got: other)
                throw .argument(0, error.inside(.field(key)).inside(.index(index)))
            }
            if groups[name] == nil { order.append(name) }
            groups[name, default: []].append(.object(item))
        }
        return .array(
            order.map { name in
                var group: [String: Value] = [key: .string(name)]
                group["items"] = .array(groups[name] ?? [])
                return .object(group)
            })
    }

    /// Joins two lists of objects where they agree on keys: `(left, right, keys, keep the left ones that differ)`.
    ///
    /// As in Alloy, a left object is kept once for every right object it differs from.
    private static func combineMaps(_ arguments: [Value]) throws(Function.Failure) -> Value {
        guard arguments.count == 3 || arguments.count == 4 else {
            throw .call("combine_maps: expected 3 or 4 arguments, got \(arguments.count)")
        }
        let left = try arguments.objects(0)
        let right = try arguments.objects(1)
        var keys: [String] = []
        for (index, condition) in try arguments.array(2).enumerated() {
            guard case .string(let key) = condition else {
                throw .argument(2, ValueError(expected: .string, got: condition).inside(.index(index)))
            }
            keys.append(key)
        }
        if keys.isEmpty { throw .argument(2, ValueError("combine_maps: merge conditions must not be empty")) }
        var keepsLeft = false
        if arguments.count == 4 {
            guard case .bool(let keep) = arguments[3] else {
                throw .argument(3, ValueError(expected: .bool, got: arguments[3]))
            }
            keepsLeft = keep
        }
        guard case .array(let originals) = arguments[0] else { return .array([]) }

        var result: [Value] = []
        for (object, original) in zip(left, originals) {
            for other in right {
                let agrees = keys.allSatisfy { key in
                    if let one = object[key], let two = other[key] { one == two } else { false }
                }
                if agrees {
                    result.append(.object(object.dictionary.merging(other.dictionary) { _, second in second }))
                } else if keepsLeft {
                    result.append(original)
                }
                if result.count > maximumResults { throw .call("combine_maps: the result is too long") }
            }
        }
        return .array(result)
    }

    /// No list of targets is this long; two short lists must not multiply into one that exhausts memory.
    private static let maximumResults = 10_000_000
}

extension [Value] {
    /// An argument that must be an array.
    fileprivate func array(_ index: Int) throws(Function.Failure) -> [Value] {
        guard case .array(let elements) = self[index] else {
            throw .argument(index, ValueError(expected: .array, got: self[index]))
        }
        return elements
    }

    /// An argument that must be an array of objects, or of capsules that read as objects.
    fileprivate func objects(_ index: Int) throws(Function.Failure) -> [ObjectValue] {
        var objects: [ObjectValue] = []
        for (position, element) in try array(index).enumerated() {
            guard let object = element.objectFields else {
                throw .argument(index, ValueError(expected: .object, got: element).inside(.index(position)))
            }
            objects.append(object)
        }
        return objects
    }
}
