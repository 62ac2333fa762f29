/// The functions of expressions that ask about each element of a list.
enum ExpressionPredicate: String, Sendable {
    case all, any, none, one, filter, map, count, find, findIndex, findLast, findLastIndex

    /// Asks `condition` about the elements; without one, which only `count` may lack, they are conditions themselves.
    func value(
        of list: ExpressionValue, _ condition: ExpressionNode?, _ entry: StanzaEntry, _ variables: [ExpressionValue]
    ) throws(StanzaError) -> ExpressionValue {
        let elements: [ExpressionValue]
        switch list {
        case .list(let found): elements = found
        case let other: throw StanzaError("function \(rawValue) does not take \(other.kindName)")
        }
        let condition = condition ?? .element
        if self == .map {
            var results: [ExpressionValue] = []
            results.reserveCapacity(elements.count)
            for (index, element) in elements.enumerated() {
                results.append(try condition.value(entry, .init(element: element, index: index, variables: variables)))
            }
            return .list(results)
        }
        let isBackwards = self == .findLast || self == .findLastIndex
        var matches: [ExpressionValue] = []
        var count = 0
        for step in elements.indices {
            let index = isBackwards ? elements.count - 1 - step : step
            let element = elements[index]
            let holds = try condition.flag(entry, .init(element: element, index: index, variables: variables))
            switch self {
            case .all where !holds: return .bool(false)
            case .any where holds: return .bool(true)
            case .none where holds: return .bool(false)
            case .find where holds, .findLast where holds: return element
            case .findIndex where holds, .findLastIndex where holds: return .int(Int64(index))
            case .filter where holds: matches.append(element)
            default: break
            }
            if holds { count += 1 }
        }
        switch self {
        case .all, .none: return .bool(true)
        case .any: return .bool(false)
        case .one: return .bool(count == 1)
        case .count: return .int(Int64(count))
        case .filter, .map: return .list(matches)
        case .find, .findLast: return .null
        case .findIndex, .findLastIndex: return .int(-1)
        }
    }
}
