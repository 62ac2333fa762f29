import Telemetry
import TextFormats

extension RecentPages {
    /// Bytes of lines in one answer.
    private static let answerBytes = 4 << 20

    /// Entries that match, the newest of them, in the order they came.
    func logs(_ query: RecentQuery) throws(RecentQueryError) -> JSONObject {
        let search = try LogSearch(query)
        let limit = try query.count("limit", default: 200, upTo: 1000)
        let after = try query.text("after").map { (text) throws(RecentQueryError) -> Int in
            guard let number = Int(text), number >= 0 else {
                throw RecentQueryError(reason: "after must be a cursor of an earlier answer")
            }
            return number
        }
        return store.read { state in
            var found: [JSONValue] = []
            var bytes = 0
            var isTruncated = false
            scan: for piece in state.entries.pieces.reversed() {
                if let after, piece.firstNumber + piece.entries.count <= after { break }
                let streams = piece.streams.map { search.selector.matches($0) }
                for (index, entry) in piece.entries.enumerated().reversed() {
                    let number = piece.firstNumber + index
                    if let after, number < after { break scan }
                    guard streams[Int(entry.stream)], search.matches(entry, piece) else { continue }
                    if found.count == limit || bytes > Self.answerBytes {
                        isTruncated = true
                        break scan
                    }
                    bytes += entry.length
                    found.append(
                        .object([
                            "id": .int(number), "timestamp": .string(String(entry.timestamp)),
                            "labels": Self.object(piece.streams[Int(entry.stream)]),
                            "metadata": Self.object(entry.metadata), "line": .string(piece.line(entry)),
                        ]))
                }
            }
            return [
                "entries": .array(found.reversed()), "cursor": .string(String(state.entries.nextNumber)),
                "truncated": .bool(isTruncated),
            ]
        }
    }
}

/// What entries are looked for.
private struct LogSearch {
    let selector: RecentSelector
    private let text: RegularExpression?
    private let expression: RegularExpression?
    private let start: Int64
    private let end: Int64

    init(_ query: RecentQuery) throws(RecentQueryError) {
        selector = try query.selector("match")
        do throws(RegularExpressionError) {
            let (words, pattern) = (Self.texts(query, "text"), Self.texts(query, "regex"))
            text = try words.map { text throws(RegularExpressionError) in
                try RegularExpression("(?i)" + Self.quoted(text))
            }
            expression = try pattern.map { text throws(RegularExpressionError) in try RegularExpression(text) }
        } catch {
            throw RecentQueryError(reason: "regex: \(error)")
        }
        _ = try query.text("text")
        _ = try query.text("regex")
        start = try query.number("start", default: 0, upTo: 1 << 53)
        end = try query.number("end", default: 1 << 53, upTo: 1 << 53)
    }

    private static func texts(_ query: RecentQuery, _ name: String) -> String? { (try? query.text(name)) ?? nil }

    private static func quoted(_ text: String) -> String {
        var quoted = ""
        for scalar in text.unicodeScalars {
            if scalar.isASCII, !scalar.properties.isAlphabetic, !("0"..."9").contains(scalar), scalar.value > 31 {
                quoted.unicodeScalars.append("\\")
            }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted
    }

    func matches(_ entry: RecentEntries.Entry, _ piece: RecentEntries.Piece) -> Bool {
        let milliseconds = entry.timestamp / 1_000_000
        guard milliseconds >= start, milliseconds <= end else { return false }
        guard text != nil || expression != nil else { return true }
        return piece.arena.withUnsafeBytes { arena in
            let line = UnsafeRawBufferPointer(rebasing: arena[entry.offset..<entry.offset + entry.length])
            return (text?.matches(line) ?? true) && (expression?.matches(line) ?? true)
        }
    }
}
