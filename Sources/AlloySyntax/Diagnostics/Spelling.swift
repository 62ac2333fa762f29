/// Finds the name that was meant where an unknown one was written.
public enum Spelling {
    /// Longer names are not compared.
    private static let maximumLength = 128

    /// The candidate closest to `name`; `nil` when none is close. The first of equally close ones wins.
    public static func suggestion(for name: String, among candidates: some Sequence<String>) -> String? {
        let written = Array(name.utf8)
        guard !written.isEmpty, written.count <= maximumLength else { return nil }
        var best: String?
        var bestDistance = max(1, written.count / 3) + 1
        for candidate in candidates where candidate != name {
            let distance = distance(written, Array(candidate.utf8), below: bestDistance)
            if distance < bestDistance {
                best = candidate
                bestDistance = distance
            }
        }
        return best
    }

    /// `did you mean "x"?` for the closest candidate; `nil` when none is close.
    public static func note(for name: String, among candidates: some Sequence<String>) -> String? {
        suggestion(for: name, among: candidates).map { "did you mean \(StringLiteral.quoted($0))?" }
    }

    /// How many insertions, removals, replacements and swaps of neighbours lie between two names; `limit` when as many
    /// or more.
    private static func distance(_ left: [UInt8], _ right: [UInt8], below limit: Int) -> Int {
        guard right.count <= maximumLength, abs(left.count - right.count) < limit else { return limit }
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            current.reserveCapacity(right.count + 1)
            for column in 0..<right.count {
                let isSame = left[row] == right[column]
                var cost = min(last[column] + (isSame ? 0 : 1), min(last[column + 1], current[column]) + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            guard let smallest = current.min(), smallest < limit else { return limit }
            beforeLast = last
            last = current
        }
        return min(last[right.count], limit)
    }
}
