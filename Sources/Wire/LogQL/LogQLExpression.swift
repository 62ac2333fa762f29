/// A stream selector with line filters, as it was written: what `stage.match` of `loki.process` takes.
///
/// The language is upstream's copy of LogQL (alloy `internal/loki/logql/expr.y`): `{name op "value", ...}` with at least
/// one matcher, then any number of line filters. Nothing of LogQL beyond that: no `|>`, parsers or label filters.
package struct LogQLExpression: Sendable, Equatable {
    /// How a label's value is compared.
    package enum MatchOperator: String, Sendable {
        case equal = "="
        case notEqual = "!="
        case matches = "=~"
        case notMatches = "!~"
    }

    /// How a line is searched.
    package enum FilterOperator: String, Sendable {
        case contains = "|="
        case notContains = "!="
        case matches = "|~"
        case notMatches = "!~"
    }

    package struct Matcher: Sendable, Equatable {
        package var name: String
        package var operation: MatchOperator
        package var value: String
        /// Where it begins in the text.
        package var position: LogQLPosition
    }

    package struct LineFilter: Sendable, Equatable {
        package var operation: FilterOperator
        package var value: String
        /// Where it begins in the text.
        package var position: LogQLPosition
    }

    package var matchers: [Matcher]
    package var lineFilters: [LineFilter]
}

/// A place in a LogQL text; both numbers start at 1, columns count characters.
package struct LogQLPosition: Sendable, Equatable {
    package var line = 1
    package var column = 1
}

/// Why a text is not a LogQL expression.
package struct LogQLError: Error, Sendable, Equatable, CustomStringConvertible {
    package let position: LogQLPosition
    package let message: String

    /// As upstream words it: `parse error at line 1, col 5: syntax error: unexpected IDENTIFIER`.
    package var description: String {
        "parse error at line \(position.line), col \(position.column): \(message)"
    }
}
