import AlloySyntax

/// Collects diagnostics and keeps the first of them, so that a hostile configuration cannot make a huge report.
struct DiagnosticCollector {
    private static let limit = 100

    private var kept = Diagnostics()
    private var errorsLeftOut = 0

    /// What was collected, with a last line that tells how many errors were left out.
    var all: Diagnostics {
        var all = kept
        if errorsLeftOut > 0 { all.append(Diagnostic(.error, "\(errorsLeftOut) more errors", at: .unknown)) }
        return all
    }

    mutating func error(_ message: String, _ range: SourceRange, notes: [String] = []) {
        append(Diagnostic(.error, message, at: range, notes: notes))
    }

    mutating func warning(_ message: String, _ range: SourceRange, notes: [String] = []) {
        append(Diagnostic(.warning, message, at: range, notes: notes))
    }

    mutating func append(_ diagnostic: Diagnostic) {
        if kept.items.count < DiagnosticCollector.limit {
            kept.append(diagnostic)
        } else if diagnostic.severity == .error {
            errorsLeftOut += 1
        }
    }

    mutating func append(contentsOf diagnostics: Diagnostics) {
        for diagnostic in diagnostics.items { append(diagnostic) }
    }

    var hasErrors: Bool { errorsLeftOut > 0 || kept.hasErrors }
}

/// Looks for what a misspelt name was meant to be, a few times per graph: comparing names is slow.
struct SpellingAdvisor {
    private static let lookups = 20
    private static let candidateLimit = 5_000

    private var left = lookups
    private var candidates: [String: [String]] = [:]

    /// A note naming the closest candidate. The candidates of one key are asked for once.
    mutating func note(for name: String, key: String, among make: () -> [String]) -> [String] {
        guard left > 0 else { return [] }
        left -= 1
        let names = candidates[key] ?? Array(make().prefix(SpellingAdvisor.candidateLimit))
        candidates[key] = names
        return Spelling.note(for: name, among: names).map { [$0] } ?? []
    }
}
