/// Collects diagnostics up to a bound, so that garbage of any size gives a report of readable size.
struct DiagnosticList {
    /// How many diagnostics one reading reports.
    static let limit = 100

    let source: SourceFile
    private(set) var items: [Diagnostic] = []
    private var isFull = false

    init(source: SourceFile) {
        self.source = source
    }

    /// Adds an error at one byte, or over the bytes up to `end`.
    mutating func add(_ message: String, at start: Int, to end: Int? = nil) {
        guard !isFull else { return }
        let range = SourceRange(file: source, start: start, end: end ?? start + 1)
        if items.count >= Self.limit {
            isFull = true
            items.append(Diagnostic(.error, "too many errors; the rest is not shown", at: range))
            return
        }
        items.append(Diagnostic(.error, message, at: range))
    }
}
