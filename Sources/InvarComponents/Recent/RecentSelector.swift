import Telemetry
import TextFormats
import Wire

/// Conditions on labels, as in `name{label="value", other=~"pattern"}`.
struct RecentSelector {
    private let name: String?
    private let selector: LogSelector?

    init(_ parts: (name: String?, selector: LogSelector?)) {
        name = parts.name
        selector = parts.selector
    }

    func matches(_ labels: LabelSet) -> Bool {
        if let name, labels["__name__"] != name { return false }
        return selector?.matches(labels) ?? true
    }

    static func parse(_ text: String) throws(RecentQueryError) -> (name: String?, selector: LogSelector?) {
        let text = text.split(whereSeparator: \.isWhitespace).isEmpty ? "" : text
        guard let brace = text.firstIndex(of: "{") else {
            let name = String(text.filter { !$0.isWhitespace })
            return (name.isEmpty ? nil : name, nil)
        }
        let name = text[..<brace].filter { !$0.isWhitespace }
        let conditions = String(text[brace...])
        if conditions.dropFirst().drop(while: \.isWhitespace).first == "}" { return (name.isEmpty ? nil : name, nil) }
        let selector: LogSelector
        do throws(LogQLError) {
            selector = try LogSelector(parsing: conditions)
        } catch {
            throw RecentQueryError(reason: "match: \(error)")
        }
        guard !selector.hasLineFilters else {
            throw RecentQueryError(reason: "match takes labels only: search lines with text or regex")
        }
        return (name.isEmpty ? nil : name, selector)
    }
}
