import Essentials
import Wire

/// How entries are joined: the settings of `recombine`.
struct RecombineSettings: Sendable {
    enum Mark: Sendable {
        case first(StanzaExpression)
        case last(StanzaExpression)
        /// The field is `F`.
        case finalTag(StanzaField)
    }

    let mark: Mark
    let field: StanzaField
    let separator: [UInt8]
    let maximumEntries: Int
    let maximumUnmatched: Int
    let keepsOldest: Bool
    let patience: Duration
    let source: StanzaField
    let maximumSources: Int
    /// Zero is no limit.
    let maximumBytes: Int

    /// Parts of logs of the CRI.
    static func ofContainers(maximumBytes: Int, tag: StanzaField) -> RecombineSettings {
        RecombineSettings(maximumBytes: maximumBytes, tag: tag)
    }

    private init(maximumBytes: Int, tag: StanzaField) {
        mark = .finalTag(tag)
        field = .body
        separator = []
        maximumEntries = 0
        maximumUnmatched = 0
        keepsOldest = false
        patience = .seconds(5)
        source = .attribute("log.file.path")
        maximumSources = 1000
        self.maximumBytes = maximumBytes
    }

    init?(_ reader: inout OperatorReader) {
        let first = reader.expression("is_first_entry")
        let last = reader.expression("is_last_entry")
        if reader.isSet("is_first_entry") == reader.isSet("is_last_entry") {
            reader.reject("exactly one of 'is_first_entry' and 'is_last_entry' must be set")
        }
        field = reader.requiredField("combine_field")
        separator = Array((reader.string("combine_with") ?? "\n").utf8)
        maximumEntries = reader.int("max_batch_size", default: 1000)
        maximumUnmatched = reader.int("max_unmatched_batch_size", default: 100)
        let kept = reader.string("overwrite_with") ?? "newest"
        if !["newest", "oldest"].contains(kept) { reader.reject("'overwrite_with' must be newest or oldest") }
        keepsOldest = kept == "oldest"
        patience = reader.duration("force_flush_period", default: .seconds(5))
        source = reader.field("source_identifier", default: .attribute("log.file.path"))
        maximumSources = max(1, reader.int("max_sources", default: 1000))
        maximumBytes = reader.byteCount("max_log_size", default: 0)
        if let first { mark = .first(first) } else if let last { mark = .last(last) } else { return nil }
    }
}

/// Holds the parts of logs, by source, until they are whole. One owner at a time.
///
/// What is held is bounded besides by ``maximumHeldBytes``: above it everything is given up as it is.
struct Recombiner {
    private struct Group {
        var base: StanzaEntry
        var count = 1
        var text: [UInt8] = []
        var since: Int64
        var hasMatched = false
        var origin: EntryOrigin?
    }

    static let maximumHeldBytes = 32 << 20

    private let settings: RecombineSettings
    private var groups: [[UInt8]: Group] = [:]
    private var heldBytes = 0

    init(_ settings: RecombineSettings) { self.settings = settings }

    /// Where held parts begin in their files.
    var origins: [EntryOrigin] { groups.values.compactMap(\.origin) }

    /// Takes an entry and gives those that are whole now, in order.
    mutating func add(_ entry: StanzaEntry) throws(StanzaError) -> [StanzaEntry] {
        let isMatch: Bool
        var isFirst = false
        switch settings.mark {
        case .first(let expression):
            isMatch = try expression.holds(entry)
            isFirst = isMatch
        case .last(let expression): isMatch = try expression.holds(entry)
        case .finalTag(let tag): isMatch = tag.get(entry) == .string("F")
        }
        let source = (try? settings.source.string(entry)) ?? []
        let part = try settings.field.string(entry)
        var output: [StanzaEntry] = []
        if isFirst, let whole = flush(source) { output.append(whole) }
        if groups[source] == nil, groups.count >= settings.maximumSources { output += flushAll() }
        var group = groups[source] ?? Group(base: entry, count: 0, since: entry.observed, origin: entry.origin)
        heldBytes -= group.text.count
        let isNew = group.count == 0
        group.count += 1
        if !isNew, !settings.keepsOldest { group.base = entry }
        if isMatch { group.hasMatched = true }
        if !group.text.isEmpty { group.text += settings.separator }
        group.text += part
        heldBytes += group.text.count
        groups[source] = group
        let isFull =
            settings.maximumBytes > 0 && group.text.count > settings.maximumBytes
            || settings.maximumEntries > 0 && group.count >= settings.maximumEntries
            || !group.hasMatched && settings.maximumUnmatched > 0 && group.count >= settings.maximumUnmatched
        if isFull || isMatch && !isFirst, let whole = flush(source) { output.append(whole) }
        if heldBytes > Self.maximumHeldBytes { output += flushAll() }
        return output
    }

    /// What has waited too long at `now`, nanoseconds since 1970.
    mutating func flushOld(_ now: Int64) -> [StanzaEntry] {
        let limit = settings.patience.nanoseconds
        let old = groups.filter { now &- $0.value.since >= limit }.keys
        return old.compactMap { flush($0) }
    }

    mutating func flushAll() -> [StanzaEntry] { Array(groups.keys).compactMap { flush($0) } }

    private mutating func flush(_ source: [UInt8]) -> StanzaEntry? {
        guard let group = groups.removeValue(forKey: source) else { return nil }
        heldBytes -= group.text.count
        var entry = group.base
        // The field was read from entries of this kind before, so that it can be put.
        try? settings.field.set(.text(group.text), in: &entry)
        entry.origin = group.origin
        return entry
    }
}
