/// Turns what is wrong with a value into what is wrong with the expression it came from.
enum ValueDiagnostic {
    /// The longest part of a configuration a message repeats, in characters.
    private static let longestExcerpt = 400

    /// Names the smallest expression that made the offending part, and the way from there to the part.
    ///
    /// With `concealed`, the expression is shown as `(secret)` and the value not at all.
    static func make(_ error: ValueError, for expression: Expression, concealed: Bool = false) -> Diagnostic {
        var current = expression
        var rest = error.path[...]
        descent: while let step = rest.first {
            while case .parenthesized(let inner) = current.kind { current = inner }
            switch (step, current.kind) {
            case (.index(let index), .array(let elements)) where elements.indices.contains(index):
                current = elements[index]
            case (.field(let name), .object(let fields)):
                guard let field = fields.last(where: { $0.name.name == name }) else { break descent }
                current = field.value
            default: break descent
            }
            rest.removeFirst()
        }
        let excerpt = concealed ? "(secret)" : excerpt(of: current)
        var notes: [String] = []
        // A value the text does not show helps; one that stands there does not.
        if !rest.isEmpty, !concealed, let cause = error.cause, !cause.containsSecret {
            notes.append("the value is " + shortened(cause.alloyText))
        }
        return Diagnostic(
            .error, "\(excerpt)\(ValueError.text(of: rest)) \(error.sentence)", at: current.range, notes: notes)
    }

    private static func excerpt(of expression: Expression) -> String {
        shortened(ExpressionText.text(of: expression))
    }

    private static func shortened(_ text: String) -> String {
        text.count <= longestExcerpt ? text : text.prefix(longestExcerpt) + "..."
    }
}

/// Guesses what a misspelt name was meant to be.
enum Suggestion {
    /// A note naming the closest candidate, when one is close; else none.
    static func note(for name: String, among candidates: some Sequence<String>) -> [String] {
        let limit = max(1, name.utf8.count / 3)
        var best: (distance: Int, candidate: String)?
        for candidate in candidates where candidate != name {
            let length = candidate.utf8.count
            guard length <= 128, name.utf8.count <= 128, abs(length - name.utf8.count) <= limit else { continue }
            let distance = distance(Array(name.utf8), Array(candidate.utf8))
            guard distance <= limit else { continue }
            if let found = best, (found.distance, found.candidate) <= (distance, candidate) { continue }
            best = (distance, candidate)
        }
        return best.map { ["did you mean \(StringLiteral.quoted($0.candidate))?"] } ?? []
    }

    /// How many insertions, removals, replacements and swaps of neighbours turn one name into the other.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for (row, byte) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                var cost = previous[column] + (byte == other ? 0 : 1)
                cost = min(cost, previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, byte == right[column - 1], left[row - 1] == other {
                    cost = min(cost, beforePrevious[column - 1] + 1)
                }
                current.append(cost)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[right.count]
    }
}
