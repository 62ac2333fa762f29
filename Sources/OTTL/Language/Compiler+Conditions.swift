import Wire

extension Compiler {
    func condition(_ node: ConditionNode) throws -> @Sendable (OTTLFrame) throws -> Bool {
        switch node {
        case .constant(let value): return { _ in value }
        case .any(let parts):
            let conditions = try parts.map { try condition($0) }
            if conditions.count == 2 {
                let (first, second) = (conditions[0], conditions[1])
                return { frame in try first(frame) || second(frame) }
            }
            return { frame in
                for condition in conditions { if try condition(frame) { return true } }
                return false
            }
        case .all(let parts):
            let conditions = try parts.map { try condition($0) }
            if conditions.count == 2 {
                let (first, second) = (conditions[0], conditions[1])
                return { frame in try first(frame) && second(frame) }
            }
            return { frame in
                for condition in conditions { if try !condition(frame) { return false } }
                return true
            }
        case .not(let inner):
            let condition = try condition(inner)
            return { try !condition($0) }
        case .call(let call):
            let value = try expression(.call(call))
            guard value.kind.can(be: .bool) else {
                throw OTTLError(
                    "\(call.name) makes a \(value.kind.rawValue), and a condition needs a bool: compare it with ==",
                    at: call.offset)
            }
            let name = call.name
            return { frame in
                guard case .bool(let result) = try value.evaluate(frame) else {
                    throw OTTLError("\(name) did not give a bool")
                }
                return result
            }
        case .comparison(let sign, let left, let right, _):
            return comparison(sign, try expression(left), try expression(right))
        }
    }

    private func comparison(
        _ sign: ComparisonOperator, _ left: Expression, _ right: Expression
    ) -> @Sendable (OTTLFrame) throws -> Bool {
        let isEquality = sign == .equal || sign == .notEqual
        if isEquality, case .string(let text)? = right.literal { return equality(left, text, sign == .equal) }
        if isEquality, case .string(let text)? = left.literal { return equality(right, text, sign == .equal) }
        if isEquality, right.kind == .none, right.literal != nil {
            return { frame in
                let value = try left.evaluate(frame)
                if case .none = value { return sign == .equal }
                return Comparison.holds(sign, value, .none)
            }
        }
        return { frame in Comparison.holds(sign, try left.evaluate(frame), try right.evaluate(frame)) }
    }

    /// Comparing with a literal string: bytes with bytes, nothing else.
    private func equality(
        _ value: Expression, _ text: [UInt8], _ wanted: Bool
    ) -> @Sendable (OTTLFrame) throws -> Bool {
        let literal = text.withRawBytes { OTLPKey($0) }
        return { frame in
            let isEqual = try value.evaluate(frame).withText { OTLPBytes.equal($0, literal.bytes) }
            return (isEqual ?? false) == wanted
        }
    }
}
