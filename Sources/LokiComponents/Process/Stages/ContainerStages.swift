import AlloySyntax
import Essentials
import Telemetry
import TextFormats

// MARK: stage.cri

/// Reads lines of the Kubernetes container log format: `<time> stdout|stderr [F|P] <content>`.
struct CRIArguments: Block, StageConfiguration {
    let maxPartialLines: Int
    let maxPartialLineSize: UInt64
    let truncatesPartialLines: Bool

    init(from block: inout BlockReader) {
        maxPartialLines = block.optional(
            "max_partial_lines", default: 100, "Streams that may wait for the end of a line at the same time.")
        maxPartialLineSize = block.optional(
            "max_partial_line_size", default: 0, "Bytes a joined line may have when truncation is on.")
        truncatesPartialLines = block.optional(
            "max_partial_line_size_truncate", default: false, "Whether joined lines are cut to the maximum size.")
        if maxPartialLines <= 0 { block.reject("max_partial_lines", "must be greater than 0") }
    }

    func add(to program: inout ProgramBuilder) {
        program.append(
            CRIStage(
                self, number: program.position, flags: program.slot("flags"), stream: program.slot("stream"),
                content: program.slot("content"), time: program.slot("time"), memory: program.services.memory))
    }
}

private final class CRIStage: Stage {
    private struct Partial {
        var entry: HeldEntry
        var lines: Int
        var order: Int
    }

    private let arguments: CRIArguments
    private let number: Int32
    private let flags: Int
    private let stream: Int
    private let content: Int
    private let time: Int
    private let memory: HeldMemory
    private let layout = GoTimeLayout("RFC3339Nano")
    private let streamLabel = Array("stream".utf8)
    private let limit: Int?
    private var times = RFC3339Reader()
    /// The labels last made with `stdout` and with `stderr`.
    private var made = (stdout: Made(), stderr: Made())
    private var partials: [LabelSet: Partial] = [:]
    private var nextOrder = 0

    private struct Made {
        var epoch = -1
        var from: Int32 = 0
        var to: Int32 = 0
    }

    init(
        _ arguments: CRIArguments, number: Int, flags: Int, stream: Int, content: Int, time: Int, memory: HeldMemory
    ) {
        self.arguments = arguments
        self.number = Int32(number)
        self.flags = flags
        self.stream = stream
        self.content = content
        self.time = time
        self.memory = memory
        limit = arguments.truncatesPartialLines ? Int(clamping: arguments.maxPartialLineSize) : nil
    }

    func run(_ work: inout Work) -> Verdict {
        let line = work.line
        guard let parsed = CRILine(work.text.bytes(line), &times) else { return .next }
        let timeSlice = line.part(0, parsed.timeLength)
        let streamSlice = line.part(parsed.streamOffset, 6)
        work.set(time, to: timeSlice)
        work.set(stream, to: streamSlice)
        let rest = line.part(parsed.contentOffset, line.length - parsed.contentOffset)
        work.set(content, to: rest)
        if let flag = parsed.flagOffset {
            work.set(flags, to: line.part(flag, 1))
        } else {
            work.set(flags, to: work.text.append("F"))
        }
        work.line = rest
        if let timestamp = parsed.timestamp {
            work.timestamp = timestamp
        } else if let time = layout.parseIfPossible(work.text.bytes(timeSlice)), let nanoseconds = time.unixNanoseconds
        {
            work.timestamp = nanoseconds
        }
        if parsed.isError {
            setStream(streamSlice, &made.stderr, &work)
        } else {
            setStream(streamSlice, &made.stdout, &work)
        }
        if !parsed.isPartial {
            if !partials.isEmpty { join(&work) }
            return .next
        }
        return keep(&work)
    }

    @inline(__always)
    private func setStream(_ slice: TextSlice, _ made: inout Made, _ work: inout Work) {
        if made.from == work.labels, made.epoch == work.table.epoch {
            work.labels = made.to
            return
        }
        let from = work.labels
        work.setLabel(streamLabel, to: slice, stage: number)
        made = Made(epoch: work.table.epoch, from: from, to: work.labels)
    }

    /// Puts what waited for this stream in front of the line.
    private func join(_ work: inout Work) {
        guard let partial = partials.removeValue(forKey: work.labelSet) else { return }
        work.tally.isRepeatable = false
        work.tally.held -= partial.lines
        work.tally.merged += partial.lines
        memory.subtract(partial.entry.text.count)
        prepend(partial.entry, &work)
    }

    private func prepend(_ held: HeldEntry, _ work: inout Work) {
        let head = held.text.withUnsafeBytes { work.text.append($0.part(held.line.offset, held.line.length)) }
        let tail = work.text.append(copying: work.line)
        work.line = TextSlice(offset: head.offset, length: head.length + tail.length)
        truncate(&work)
    }

    private func truncate(_ work: inout Work) {
        guard let limit, work.line.length > limit else { return }
        work.line.length = limit
        work.tally.linesTruncated += 1
    }

    private func keep(_ work: inout Work) -> Verdict {
        work.tally.isRepeatable = false
        work.tally.held += 1
        let labels = work.labelSet
        var released: [HeldEntry] = []
        var lines = 1
        if partials.count >= arguments.maxPartialLines || memory.isFull {
            work.log.warn("too many lines wait for their end, sending them as they are")
            work.tally.partialLinesFlushed += partials.count
            released = takeHeld(dueAt: nil, &work)
        } else if let partial = partials.removeValue(forKey: labels) {
            memory.subtract(partial.entry.text.count)
            lines += partial.lines
            prepend(partial.entry, &work)
        }
        truncate(&work)
        let held = work.hold()
        memory.add(held.text.count)
        partials[labels] = Partial(entry: held, lines: lines, order: nextOrder)
        nextOrder += 1
        return released.isEmpty ? .stop : .release(released)
    }

    func takeHeld(dueAt now: Int64?, _ work: inout Work) -> [HeldEntry] {
        guard now == nil else { return [] }
        let taken = partials.values.sorted { $0.order < $1.order }
        partials = [:]
        for partial in taken {
            memory.subtract(partial.entry.text.count)
            work.tally.held -= partial.lines
            work.tally.merged += partial.lines - 1
        }
        return taken.map(\.entry)
    }
}

/// The parts of a line in the container log format, by place.
struct CRILine {
    let timeLength: Int
    let streamOffset: Int
    let contentOffset: Int
    /// Where the `P` or `F` stands, if there is one.
    let flagOffset: Int?
    let isPartial: Bool
    /// `stderr` rather than `stdout`.
    let isError: Bool
    /// Nanoseconds since 1970 where the time has the usual form.
    let timestamp: Int64?

    /// Reads `line`; `times` remembers what it can use for the next one.
    @inline(__always)
    init?(_ line: UnsafeRawBufferPointer, _ times: inout RFC3339Reader) {
        guard let space = line.index(of: 0x20) else { return nil }
        timestamp = times.parse(line.part(0, space))
        if timestamp == nil {
            for index in 0..<space {
                let byte = line[index]
                // The time ends at the first space of any kind, and only a plain one may follow it.
                if byte < 0x0E, byte >= 0x09 { return nil }
                if byte >= 0x80 {
                    guard !hasWideSpace(line.part(0, space)) else { return nil }
                    break
                }
            }
        }
        timeLength = space
        streamOffset = space + 1
        guard line.count >= streamOffset + 7, line[streamOffset + 6] == 0x20 else { return nil }
        // `stdout` and `stderr` as numbers.
        let head = UInt32(littleEndian: line.loadUnaligned(fromByteOffset: streamOffset, as: UInt32.self))
        let tail = UInt16(littleEndian: line.loadUnaligned(fromByteOffset: streamOffset + 4, as: UInt16.self))
        switch UInt64(head) | UInt64(tail) << 32 {
        case 0x74_756F_6474_73: isError = false
        case 0x72_7265_6474_73: isError = true
        default: return nil
        }
        var index = streamOffset + 7
        var flag: Int?
        if index < line.count, line[index] == UInt8(ascii: "P") || line[index] == UInt8(ascii: "F") {
            flag = index
            index += 1
        }
        flagOffset = flag
        isPartial = flag.map { line[$0] == UInt8(ascii: "P") } ?? false
        if index < line.count, line[index] == 0x20 { index += 1 }
        contentOffset = index
    }
}

/// Reads times of the usual form; those of the minute before are read from the seconds on.
struct RFC3339Reader {
    /// The bytes of the minute last read, `2006-01-02T15:04`, and its beginning in nanoseconds since 1970.
    private var minute: (UInt64, UInt64)
    private var minuteStart: Int64 = 0

    init() {
        let epoch: StaticString = "1970-01-01T00:00"
        let bytes = UnsafeRawPointer(epoch.utf8Start)
        minute = (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    /// As ``parseRFC3339(_:)``.
    @inline(__always)
    mutating func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard text.count >= 20 else { return nil }
        let head = text.loadUnaligned(as: UInt64.self)
        let tail = text.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        guard head == minute.0, tail == minute.1, let rest = Self.nanoseconds(text) else {
            return parseSlowly(text, head, tail)
        }
        return minuteStart &+ rest
    }

    private mutating func parseSlowly(_ text: UnsafeRawBufferPointer, _ head: UInt64, _ tail: UInt64) -> Int64? {
        guard let time = parseRFC3339(text) else { return nil }
        if let rest = Self.nanoseconds(text) {
            minute = (head, tail)
            minuteStart = time - rest
        }
        return time
    }

    /// What `:05[.fraction]Z` from byte 16 on adds to the minute; nil for anything else.
    @inline(__always)
    private static func nanoseconds(_ text: UnsafeRawBufferPointer) -> Int64? {
        let last = text.count - 1
        guard text[16] == 0x3A, text[last] == 0x5A else { return nil }
        let (tens, ones) = (text[17] &- 0x30, text[18] &- 0x30)
        guard tens <= 5, ones <= 9 else { return nil }
        let seconds = Int64(tens) * 10 + Int64(ones)
        if last == 19 { return seconds * 1_000_000_000 }
        guard text[19] == 0x2E, last > 20, last <= 29 else { return nil }
        var fraction: Int64 = 0
        for index in 20..<last {
            let digit = text[index] &- 0x30
            guard digit <= 9 else { return nil }
            fraction = fraction &* 10 &+ Int64(digit)
        }
        for _ in last..<29 { fraction = fraction &* 10 }
        return seconds &* 1_000_000_000 &+ fraction
    }
}

private func hasWideSpace(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.string.unicodeScalars.contains { $0.properties.isWhitespace }
}

/// Nanoseconds since 1970 of `2006-01-02T15:04:05[.fraction](Z|+hh:mm)`; nil for anything unusual, which the caller
/// reads the slow way.
func parseRFC3339(_ text: UnsafeRawBufferPointer) -> Int64? {
    guard text.count >= 20, text[4] == 0x2D, text[7] == 0x2D, text[10] == 0x54, text[13] == 0x3A, text[16] == 0x3A
    else { return nil }
    func two(_ at: Int) -> Int {
        let tens = Int(text[at]) - 0x30
        let ones = Int(text[at + 1]) - 0x30
        return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1
    }
    let (century, years, month, day) = (two(0), two(2), two(5), two(8))
    let (hour, minute, second) = (two(11), two(14), two(17))
    guard century >= 17, century <= 21, years >= 0, month >= 1, month <= 12, day >= 1, day <= 28, hour >= 0, hour < 24,
        minute >= 0, minute < 60, second >= 0, second < 60
    else { return nil }
    var index = 19
    var fraction = 0
    if text[index] == 0x2E {
        index += 1
        var digits = 0
        while index < text.count, text[index] &- 0x30 <= 9 {
            if digits < 9 { fraction = fraction * 10 + Int(text[index] - 0x30) }
            digits += 1
            index += 1
        }
        guard digits > 0, digits <= 9 else { return nil }
        for _ in digits..<9 { fraction *= 10 }
    }
    var offset = 0
    guard index < text.count else { return nil }
    if text[index] == 0x5A {
        guard index + 1 == text.count else { return nil }
    } else {
        guard index + 6 == text.count, text[index + 3] == 0x3A, text[index] == 0x2B || text[index] == 0x2D else {
            return nil
        }
        let (hours, minutes) = (two(index + 1), two(index + 4))
        guard hours >= 0, hours < 24, minutes >= 0, minutes < 60 else { return nil }
        offset = (hours * 60 + minutes) * (text[index] == 0x2B ? 60 : -60)
    }
    // Days since 1970 with years that begin in March.
    let year = century * 100 + years - (month <= 2 ? 1 : 0)
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let days = year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    let (nanoseconds, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? nil : nanoseconds + Int64(fraction)
}

// MARK: stage.docker

/// Reads lines of Docker's json-file log format.
struct DockerArguments: Block, StageConfiguration {
    init(from block: inout BlockReader) {}

    func add(to program: inout ProgramBuilder) {
        program.append(
            DockerStage(
                number: program.position, output: program.slot("output"), stream: program.slot("stream"),
                time: program.slot("timestamp")))
    }
}

private final class DockerStage: Stage {
    private let number: Int32
    private let output: Int
    private let stream: Int
    private let time: Int
    private let layout = GoTimeLayout("RFC3339Nano")
    private let streamLabel = Array("stream".utf8)
    private let names: [[UInt8]] = [Array("log".utf8), Array("time".utf8), Array("stream".utf8)]

    init(number: Int, output: Int, stream: Int, time: Int) {
        self.number = Int32(number)
        self.output = output
        self.stream = stream
        self.time = time
    }

    func run(_ work: inout Work) -> Verdict {
        var fields: [TextSlice] = [.empty, .empty, .empty]
        var isWrong = false
        let line = work.line
        var buffer = work.takeScratch()
        defer { work.giveBack(buffer) }
        let bytes = work.text.bytes(line)
        var ranges: [JSONSkimmer.Found?] = [nil, nil, nil]
        let isDocument = JSONSkimmer.members(of: bytes) { key, _, value in
            for index in names.indices where isEqualIgnoringCase(key, names[index]) {
                if value.kind == .null { continue }
                if value.kind != .string { isWrong = true }
                ranges[index] = value
            }
        }
        guard isDocument, !isWrong else { return .next }
        for index in ranges.indices {
            guard let value = ranges[index] else { continue }
            let content = work.text.bytes(line).part(value.start + 1, value.end - value.start - 2)
            if !value.hasEscapes, content.isValidUTF8 {
                fields[index] = line.part(value.start + 1, content.count)
            } else {
                buffer.removeAll(keepingCapacity: true)
                JSONSkimmer.unescape(content, repairsUTF8: true, into: &buffer)
                fields[index] = work.text.append(buffer)
            }
        }
        guard !fields[0].isEmpty else { return .next }
        work.set(output, to: fields[0])
        work.set(stream, to: fields[2])
        work.set(time, to: fields[1])
        work.line = fields[0]
        work.setLabel(streamLabel, to: fields[2], stage: number)
        if let nanoseconds = parseRFC3339(work.text.bytes(fields[1])) {
            work.timestamp = nanoseconds
        } else if let nanoseconds = layout.parseIfPossible(work.text.bytes(fields[1]))?.unixNanoseconds {
            work.timestamp = nanoseconds
        }
        return .next
    }

    private func isEqualIgnoringCase(_ key: UnsafeRawBufferPointer, _ name: [UInt8]) -> Bool {
        guard key.count == name.count else { return false }
        for index in name.indices
        where (key[index] >= 0x41 && key[index] <= 0x5A ? key[index] | 0x20 : key[index]) != name[index] {
            return false
        }
        return true
    }
}
