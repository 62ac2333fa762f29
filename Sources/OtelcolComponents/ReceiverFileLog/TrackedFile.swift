import Essentials
import LogSources
import TextFormats
import Wire

/// One file and how far it was read. Blocks; one owner at a time.
///
/// A log that is not whole stays in the file and is read again when there is more, or taken as it is when the file has
/// not grown for the flush period.
final class TrackedFile {
    let id: Int
    var path: String
    /// Nil while the file is not open.
    var content: FileContent?
    var device: UInt64 = 0
    var inode: UInt64 = 0
    /// Bytes from the beginning, as many as there were when last looked at, up to the fingerprint's size.
    var fingerprint: [UInt8]
    /// Where the next log begins, as read; and as delivered.
    var position: Int64 = 0
    var committed: Int64 = 0
    /// Logs read, and delivered.
    var record: Int64 = 0
    var committedRecord: Int64 = 0
    /// The bytes before `position`, to tell a copy from another file that begins alike.
    var tail: [UInt8] = []
    /// The same of `committed`; empty when those are not known.
    var committedTail: [UInt8] = []
    /// How the file looked when last opened or looked at.
    var size: Int64 = -1
    var modified: Int64 = 0
    /// The round in which a path stood for the file last.
    var lastSeen = 0
    var attributes: [OTLPAnyValue.Map.Entry] = []
    /// What lines at the beginning say; nil while they were not read.
    var header: OTLPAnyValue.Map?
    private var quietSize: Int64 = -1
    private var quietSince: Int64 = 0

    static let tailBytes = 256

    init(id: Int, path: String, fingerprint: [UInt8]) {
        self.id = id
        self.path = path
        self.fingerprint = fingerprint
    }

    var isCompressed: Bool { content?.isCompressed ?? false }

    /// Whether `content`, which begins with `head`, goes on where this file was left.
    func isContinued(by content: FileContent, _ head: [UInt8], size: Int64, fingerprintBytes: Int) throws -> Bool {
        let count = min(fingerprint.count, fingerprintBytes)
        guard count > 0, head.count >= count, head[..<count] == fingerprint[..<count] else { return false }
        // The size of a compressed file says nothing; one that is shorter than what was read has no such tail.
        guard content.isCompressed || size >= position else { return false }
        return try tail.isEmpty || content.bytes(at: position - Int64(tail.count), upTo: tail.count) == tail
    }

    /// Goes back to what was delivered.
    func rollBack() {
        (position, tail, record) = (committed, committedTail, committedRecord)
    }

    /// The place of the next log and what goes with it.
    struct Place {
        var position: Int64
        var tail: [UInt8]
        var record: Int64
    }

    var place: Place {
        get { Place(position: position, tail: tail, record: record) }
        set { (position, tail, record) = (newValue.position, newValue.tail, newValue.record) }
    }

    /// Whether the open file begins as it did; not after it was truncated and written anew.
    func beginsAsBefore() throws -> Bool {
        guard let content, !content.isCompressed else { return true }
        return try content.bytes(at: 0, upTo: fingerprint.count) == fingerprint
    }

    // MARK: Reading

    /// What readings have in common.
    struct Settings: Sendable {
        var splitter: LogSplitter
        /// Nil is never.
        var flushPeriod: Duration?
        var numbersRecords: Bool
        var header: (pattern: RegularExpression, operators: StanzaPipeline)?
        var attributes: [(key: StanzaField, value: StanzaTemplate)]
        var resource: [(key: StanzaField, value: StanzaTemplate)]
    }

    /// Makes entries of about `limit` bytes; true when there may be more to read at once. `isLast` takes what is there as
    /// it is. `wall` is nanoseconds since 1970, `now` of the monotonic clock.
    func read(
        _ settings: Settings, limit: Int, isLast: Bool, wall: Int64, now: Int64, into entries: inout [StanzaEntry],
        _ tally: inout LogTally
    ) throws -> Bool {
        guard let content else { return false }
        if let header = settings.header, self.header == nil {
            guard try readHeader(content, header, wall, &tally) else { return false }
        }
        let maximum = settings.splitter.maximumBytes
        var wanted = min(max(limit, 65_536), 1 << 20)
        var taken = 0
        while true {
            let bytes = try content.bytes(at: position, upTo: wanted)
            let isAtEnd = bytes.count < wanted
            if bytes.isEmpty { return false }
            var flushes = isLast && isAtEnd
            if isAtEnd, case .whole = settings.splitter.rule { flushes = true }
            var used = take(bytes, settings, isLast: flushes, wall, &entries, &tally, &taken, limit)
            if used == 0, isAtEnd, !flushes, isQuiet(position + Int64(bytes.count), settings.flushPeriod, now) {
                used = take(bytes, settings, isLast: true, wall, &entries, &tally, &taken, limit)
            }
            if used == 0, bytes.count >= maximum {
                // A log that is longer is cut into pieces.
                used = cut(bytes, at: maximum, settings)
                add(bytes[..<used], at: position, settings, wall, &entries, &tally)
                taken += used
            }
            if used > 0 {
                remember(bytes[..<used])
                position += Int64(used)
                if taken >= limit { return true }
                if isAtEnd, used == bytes.count { return false }
                wanted = min(max(limit, 65_536), 1 << 20)
                continue
            }
            if isAtEnd { return false }
            wanted = min(wanted * 4, max(maximum + 8, wanted + 1))
        }
    }

    /// Whether the file has had this length for the flush period.
    private func isQuiet(_ length: Int64, _ period: Duration?, _ now: Int64) -> Bool {
        guard let period else { return false }
        if length != quietSize {
            (quietSize, quietSince) = (length, now)
            return false
        }
        return now &- quietSince >= period.nanoseconds
    }

    private func take(
        _ bytes: [UInt8], _ settings: Settings, isLast: Bool, _ wall: Int64, _ entries: inout [StanzaEntry],
        _ tally: inout LogTally, _ taken: inout Int, _ limit: Int
    ) -> Int {
        let maximum = settings.splitter.maximumBytes
        var used = 0
        bytes.withUnsafeBytes { raw in
            while taken < limit, var token = settings.splitter.next(in: raw, from: used, isLast: isLast) {
                if token.content.count > maximum {
                    let end = token.content.lowerBound + cut(bytes[token.content.lowerBound...], at: maximum, settings)
                    token = LogSplitter.Token(content: token.content.lowerBound..<end, next: end)
                }
                add(
                    bytes[token.content], at: position + Int64(token.content.lowerBound), settings, wall, &entries,
                    &tally)
                taken += token.next - used
                used = token.next
            }
        }
        return used
    }

    /// The length of the first piece of a log that is too long, at a character's boundary.
    private func cut(_ bytes: some RandomAccessCollection<UInt8>, at maximum: Int, _ settings: Settings) -> Int {
        let unit = settings.splitter.encoding.decoder.unit
        var count = max(unit, min(maximum, bytes.count) / unit * unit)
        guard unit == 1, settings.splitter.encoding.isUTF8 else { return count }
        for _ in 0..<3 where count > 1 && count < bytes.count {
            let next = bytes[bytes.index(bytes.startIndex, offsetBy: count)]
            if next & 0xC0 != 0x80 { break }
            count -= 1
        }
        return count
    }

    private func remember(_ bytes: ArraySlice<UInt8>) {
        tail = Array((tail + bytes.suffix(Self.tailBytes)).suffix(Self.tailBytes))
    }

    private func add(
        _ bytes: ArraySlice<UInt8>, at offset: Int64, _ settings: Settings, _ wall: Int64,
        _ entries: inout [StanzaEntry], _ tally: inout LogTally
    ) {
        let text = bytes.withUnsafeBytes { settings.splitter.text(of: $0) }
        if text.isEmpty {
            tally.empty += 1
            return
        }
        var entry = StanzaEntry(body: settings.splitter.encoding.body(text), observed: wall)
        entry.origin = EntryOrigin(file: id, offset: offset, record: record)
        entry.attributes = OTLPAnyValue.Map(unique: attributes)
        record += 1
        if settings.numbersRecords { entry.attributes["log.file.record_number"] = .int(record) }
        for item in header?.entries ?? [] { entry.attributes[item.key] = item.value }
        do throws(StanzaError) {
            for (field, value) in settings.attributes { try field.set(.text(try value.text(entry)), in: &entry) }
            for (field, value) in settings.resource {
                try StanzaField(.resource, field.keys).set(.text(try value.text(entry)), in: &entry)
            }
        } catch {
            tally.note(error, .send)
        }
        entries.append(entry)
    }

    // MARK: Header

    /// Reads the lines at the beginning that match; false when there is no other line yet.
    private func readHeader(
        _ content: FileContent, _ settings: (pattern: RegularExpression, operators: StanzaPipeline), _ wall: Int64,
        _ tally: inout LogTally
    ) throws -> Bool {
        let lines = LogSplitter(
            rule: .lines, encoding: .utf8, trimsLeading: true, trimsTrailing: true, maximumBytes: 1 << 20)
        let bytes = try content.bytes(at: 0, upTo: lines.maximumBytes)
        var state = StanzaPipeline.State(settings.operators)
        var found = OTLPAnyValue.Map()
        var place = 0
        while true {
            let token = bytes.withUnsafeBytes { lines.next(in: $0, from: place, isLast: false) }
            guard let token else {
                if bytes.count < lines.maximumBytes { return false }
                break
            }
            let text = bytes[token.content].withUnsafeBytes { lines.text(of: $0) }
            guard text.withUnsafeBytes({ settings.pattern.matches($0) }) else { break }
            var output: [StanzaEntry] = []
            var ignored = LogTally()
            state.process(StanzaEntry(body: .text(text), observed: wall), into: &output, &ignored)
            state.flushAll(into: &output, &ignored)
            state.writeSinks(&ignored)
            if let problem = ignored.problem { tally.note(problem, .send) }
            for entry in output { for item in entry.attributes.entries { found[item.key] = item.value } }
            place = token.next
        }
        header = found
        if position < Int64(place) {
            position = Int64(place)
            tail = Array(bytes[..<place].suffix(Self.tailBytes))
            if committed < position { (committed, committedTail) = (position, tail) }
        }
        return true
    }
}
