import Glibc
package import Telemetry
import TextFormats

/// A compiled LogQL expression: which entries a stage applies to.
///
/// Label patterns match the whole value and a dot matches line breaks, as in Prometheus; line patterns match anywhere.
/// A label that is not there has the empty value. Matching allocates nothing.
package final class LogSelector: Sendable {
    package let expression: LogQLExpression
    private let matchers: [CompiledMatcher]
    private let filters: [CompiledFilter]

    /// Compiles `expression`; throws when a pattern is not a regular expression.
    package init(_ expression: LogQLExpression) throws(LogQLError) {
        self.expression = expression
        var matchers: [CompiledMatcher] = []
        for matcher in expression.matchers { matchers.append(try CompiledMatcher(matcher)) }
        self.matchers = matchers
        var filters: [CompiledFilter] = []
        for filter in expression.lineFilters { filters.append(try CompiledFilter(filter)) }
        self.filters = filters
    }

    /// Parses and compiles `text`.
    package convenience init(parsing text: String) throws(LogQLError) {
        try self.init(LogQLExpression(parsing: text))
    }

    package var hasLineFilters: Bool { !filters.isEmpty }

    /// True when every matcher accepts `labels`.
    package func matches(_ labels: LabelSet) -> Bool {
        for matcher in matchers {
            let isAccepted = matcher.name.withUnsafeBytes { labels.withValue(of: $0) { matcher.accepts($0) } }
            if !isAccepted { return false }
        }
        return true
    }

    /// True when every matcher accepts the labels of `builder`.
    package func matches(_ builder: borrowing LabelSetBuilder) -> Bool {
        for matcher in matchers {
            let isAccepted = matcher.name.withUnsafeBytes { builder.withValue(of: $0) { matcher.accepts($0) } }
            if !isAccepted { return false }
        }
        return true
    }

    /// True when every line filter accepts `line`.
    package func matches(line: UnsafeRawBufferPointer) -> Bool {
        for filter in filters where !filter.accepts(line) { return false }
        return true
    }
}

private struct CompiledMatcher: Sendable {
    enum Test: Sendable {
        case text([UInt8])
        case pattern(RegularExpression)
    }

    let name: [UInt8]
    private let test: Test
    private let isNegated: Bool

    init(_ matcher: LogQLExpression.Matcher) throws(LogQLError) {
        name = Array(matcher.name.utf8)
        isNegated = matcher.operation == .notEqual || matcher.operation == .notMatches
        switch matcher.operation {
        case .equal, .notEqual: test = .text(Array(matcher.value.utf8))
        case .matches, .notMatches:
            test = .pattern(try compile(matcher.value, dotMatchesNewline: true, at: matcher.position))
        }
    }

    func accepts(_ value: UnsafeRawBufferPointer?) -> Bool {
        let value = value ?? UnsafeRawBufferPointer(start: nil, count: 0)
        let isMatch: Bool
        switch test {
        case .text(let text): isMatch = text.count == value.count && text.withUnsafeBytes { isEqual($0, value) }
        case .pattern(let pattern): isMatch = pattern.matchesWhole(value)
        }
        return isMatch != isNegated
    }
}

private struct CompiledFilter: Sendable {
    private let pattern: RegularExpression
    private let isNegated: Bool

    init(_ filter: LogQLExpression.LineFilter) throws(LogQLError) {
        isNegated = filter.operation == .notContains || filter.operation == .notMatches
        // A pattern that is one literal is searched for as such, without the expression engine.
        let isText = filter.operation == .contains || filter.operation == .notContains
        pattern = try compile(
            isText ? Self.quoted(filter.value) : filter.value, dotMatchesNewline: false, at: filter.position)
    }

    func accepts(_ line: UnsafeRawBufferPointer) -> Bool { pattern.matches(line) != isNegated }

    /// The pattern that matches `text` alone.
    private static func quoted(_ text: String) -> String {
        var pattern = String.UnicodeScalarView()
        for character in text.unicodeScalars {
            if "\\.+*?()|[]{}^$".unicodeScalars.contains(character) { pattern.append("\\") }
            pattern.append(character)
        }
        return String(pattern)
    }
}

private func compile(
    _ pattern: String, dotMatchesNewline: Bool, at position: LogQLPosition
) throws(LogQLError) -> RegularExpression {
    do throws(RegularExpressionError) {
        return try RegularExpression(pattern, dotMatchesNewline: dotMatchesNewline)
    } catch {
        throw LogQLError(position: position, message: error.description)
    }
}

private func isEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard let left = a.baseAddress, let right = b.baseAddress else { return a.count == b.count }
    return memcmp(left, right, a.count) == 0
}
