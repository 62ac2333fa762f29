import AlloySyntax
import Essentials
import Telemetry
import TextFormats

// MARK: stage.multiline

struct MultilineArguments: Block, StageConfiguration {
    fileprivate let expression: String
    fileprivate let maxLines: UInt64
    fileprivate let maxWait: Duration
    fileprivate let trimsNewlines: Bool
    fileprivate let pattern: RegularExpression?

    init(from block: inout BlockReader) {
        expression = block.required("firstline", "RE2 expression that matches the first line of a block.")
        maxLines = block.optional("max_lines", default: 128, "Lines a block may have.")
        maxWait = block.optional(
            "max_wait_time", default: .seconds(3), "Silence after which a block is sent as it is.")
        trimsNewlines = block.optional(
            "trim_newlines", default: true, "Whether line breaks at the end of each line are removed.")
        if block.isSet("firstline"), expression.isEmpty {
            block.reject("firstline", "multiline stage config must define `firstline` regular expression")
        }
        do throws(RegularExpressionError) {
            pattern = try RegularExpression(expression)
        } catch {
            pattern = nil
            block.reject("firstline", "multiline stage first line regex compilation error: \(error)")
        }
        if maxWait <= .zero { block.reject("max_wait_time", "must be greater than 0") }
    }

    func add(to program: inout ProgramBuilder) {
        guard let pattern else { return }
        program.append(MultilineStage(self, pattern, memory: program.services.memory))
    }
}

private final class MultilineStage: Stage {
    private final class Stream {
        /// The entry of the first line; kept when a block is sent early, because the lines that follow take after it.
        var start: HeldEntry
        var text: [UInt8] = []
        var lines: UInt64 = 0
        var lastSeen: Int64 = 0
        let order: Int

        init(_ start: HeldEntry, order: Int) {
            self.start = start
            self.order = order
        }
    }

    private let pattern: RegularExpression
    private let maxLines: UInt64
    private let maxWait: Int64
    private let trimsNewlines: Bool
    private let memory: HeldMemory
    private var streams: [LabelSet: Stream] = [:]
    private var nextOrder = 0
    /// No stream falls due before this; may be early.
    private var earliest: Int64?

    init(_ arguments: MultilineArguments, _ pattern: RegularExpression, memory: HeldMemory) {
        self.pattern = pattern
        self.memory = memory
        maxLines = arguments.maxLines
        maxWait = arguments.maxWait.nanosecondsClamped
        trimsNewlines = arguments.trimsNewlines
    }

    func run(_ work: inout Work) -> Verdict {
        let now = work.clock.monotonicNanoseconds
        let isFirst = pattern.matches(work.text.bytes(work.line))
        let labels = work.labelSet
        var released: [HeldEntry] = []
        let stream: Stream
        if let found = streams[labels] {
            stream = found
            if stream.lines > 0, isFirst || now &- stream.lastSeen >= maxWait { released.append(flush(stream, &work)) }
            if isFirst { replaceStart(of: stream, by: work.hold()) }
        } else {
            // Lines before the first block of a stream belong to none.
            guard isFirst else { return .next }
            stream = Stream(work.hold(), order: nextOrder)
            nextOrder += 1
            memory.add(stream.start.text.count)
            streams[labels] = stream
        }
        work.tally.isRepeatable = false
        work.tally.held += 1
        append(work.text.bytes(work.line), to: stream)
        stream.lastSeen = now
        if stream.lines == maxLines || memory.isFull { released.append(flush(stream, &work)) }
        let deadline = now &+ maxWait
        if earliest.map({ deadline < $0 }) ?? true { earliest = deadline }
        return released.isEmpty ? .stop : .release(released)
    }

    private func replaceStart(of stream: Stream, by held: HeldEntry) {
        memory.subtract(stream.start.text.count)
        memory.add(held.text.count)
        stream.start = held
    }

    private func append(_ line: UnsafeRawBufferPointer, to stream: Stream) {
        var length = line.count
        if trimsNewlines {
            while length > 0, line[length - 1] == 0x0A || line[length - 1] == 0x0D { length -= 1 }
        }
        let before = stream.text.count
        if before > 0 { stream.text.append(0x0A) }
        stream.text.append(contentsOf: line.part(0, length))
        memory.add(stream.text.count - before)
        stream.lines += 1
    }

    /// The block as one entry; the stream begins the next one.
    private func flush(_ stream: Stream, _ work: inout Work) -> HeldEntry {
        let start = stream.start
        let entry = HeldEntry()
        entry.text = start.text
        entry.line = TextSlice(offset: entry.text.count, length: stream.text.count)
        entry.text.append(contentsOf: stream.text)
        entry.timestamp = start.timestamp
        entry.labels = start.labels
        entry.origin = start.origin
        entry.metadata = start.metadata
        entry.values = start.values
        entry.named = start.named
        memory.subtract(stream.text.count)
        work.tally.held -= Int(clamping: stream.lines)
        work.tally.merged += Int(clamping: stream.lines) - 1
        stream.text.removeAll(keepingCapacity: stream.text.count < 1 << 16)
        stream.lines = 0
        return entry
    }

    var nextDeadline: Int64? { streams.isEmpty ? nil : earliest }

    func takeHeld(dueAt now: Int64?, _ work: inout Work) -> [HeldEntry] {
        var released: [HeldEntry] = []
        var next: Int64?
        for (labels, stream) in streams.sorted(by: { $0.value.order < $1.value.order }) {
            let deadline = stream.lastSeen &+ maxWait
            if let now, deadline > now {
                if next.map({ deadline < $0 }) ?? true { next = deadline }
                continue
            }
            if stream.lines > 0 { released.append(flush(stream, &work)) }
            memory.subtract(stream.start.text.count)
            streams[labels] = nil
        }
        earliest = next
        return released
    }
}
