import Essentials
import Glibc
import Telemetry
import TextFormats

/// The entry being processed and everything stages share while they do: one per pipeline, reused for every entry.
struct Work: ~Copyable {
    let program: Program
    let clock: EngineClock
    let log: Log

    /// The line and all extracted text of the current entry.
    var text = TextArena()
    var line = TextSlice.empty
    /// Nanoseconds since 1970.
    var timestamp: Int64 = 0
    /// Number of the entry's labels in `table`.
    var labels: Int32 = 0
    /// Number of the labels whose values extracted values begin as.
    var origin: Int32 = 0
    var metadata: LabelSet = .empty

    private var values: [ExtractedValue]
    private var named: [NamedValue] = []
    private var namedIndex: [UInt64: Int] = [:]

    var table = LabelTable()
    var tally = Tally()
    /// Reused by stages for bytes on their way into `text` or a key.
    var scratch: [UInt8] = []
    var captures = RegularExpression.Captures()
    var builder = LabelSetBuilder()

    /// Notes what the stages do; nil but for explanations.
    var trace: WorkTrace?

    private(set) var outputs: [TimedBatch] = []
    private var output = LogBatch()
    /// Monotonic nanoseconds before which entries now leaving must not be forwarded.
    private var notBefore: Int64 = 0
    private var streamOfLabels: [Int32] = []
    private var cleanValues: [ExtractedValue]

    init(_ program: Program, clock: EngineClock, log: Log) {
        self.program = program
        self.clock = clock
        self.log = log
        cleanValues = Array(repeating: .unread, count: program.names.count)
        values = cleanValues
    }

    // MARK: Batches

    /// Runs every entry of `batch` through the program.
    mutating func process(_ batch: LogBatch) {
        table.trim()
        let epoch = table.epoch
        var numbers = [Int32](repeating: -1, count: batch.streams.count)
        batch.arena.withUnsafeBytes { arena in
            for entry in batch.entries {
                let stream = Int(entry.stream)
                guard numbers.indices.contains(stream), entry.lineOffset >= 0,
                    entry.lineOffset + entry.lineLength <= arena.count
                else { continue }
                if numbers[stream] < 0 { numbers[stream] = table.intern(batch.streams[stream]) }
                text.truncate(to: 0)
                line = text.append(arena.part(entry.lineOffset, entry.lineLength))
                timestamp = entry.timestamp
                metadata = entry.metadata
                labels = numbers[stream]
                origin = numbers[stream]
                clearValues()
                run(from: 0)
            }
        }
        assert(epoch == table.epoch)
    }

    /// Gives memory for what comes out next.
    mutating func lend(_ spare: consuming LogBatch) {
        if output.isEmpty { output = spare }
    }

    /// Lets the held entries that are due at `now` (all when nil) go on, stage by stage.
    mutating func release(dueAt now: Int64?) {
        for (position, stage) in program.stages.enumerated() {
            for held in stage.takeHeld(dueAt: now, &self) {
                text.truncate(to: 0)
                load(held)
                run(from: position + 1)
            }
        }
    }

    /// What left the pipeline since the last call, in order.
    mutating func takeOutputs() -> [TimedBatch] {
        cut()
        defer { outputs = [] }
        return outputs
    }

    private mutating func run(from start: Int) {
        var position = start
        while position < program.stages.count {
            let verdict = trace == nil ? program.stages[position].run(&self) : runTraced(position)
            switch verdict {
            case .next: position += 1
            case .jump(let place): position = place
            case .stop: return
            case .release(let entries):
                let mark = text.count
                for held in entries {
                    load(held)
                    run(from: position + 1)
                    text.truncate(to: mark)
                }
                return
            case .split(let lines):
                let saved = save()
                for part in lines {
                    restore(saved)
                    line = part
                    run(from: position + 1)
                }
                return
            }
        }
        emit()
    }

    private mutating func emit() {
        while streamOfLabels.count < table.sets.count { streamOfLabels.append(-1) }
        var stream = streamOfLabels[Int(labels)]
        if stream < 0 {
            stream = Int32(output.streams.count)
            output.streams.append(table[labels])
            streamOfLabels[Int(labels)] = stream
        }
        output.append(text.bytes(line), stream: stream, timestamp: timestamp, metadata: metadata)
    }

    /// Holds back what leaves from now on until `deadline`, monotonic nanoseconds.
    mutating func delay(until deadline: Int64) {
        // One batch per tenth of a second is fine enough for a rate limit and coarse enough for its receivers.
        guard deadline > notBefore + 100_000_000 else { return }
        cut()
        notBefore = deadline
    }

    private mutating func cut() {
        if !output.isEmpty { outputs.append(TimedBatch(notBefore: notBefore, batch: output)) }
        output = LogBatch()
        notBefore = 0
        streamOfLabels.removeAll(keepingCapacity: true)
    }

    // MARK: Saving and loading entries

    private struct Saved {
        var mark: Int
        var timestamp: Int64
        var labels: Int32
        var origin: Int32
        var metadata: LabelSet
        var values: [ExtractedValue]
        var named: [NamedValue]
        var namedIndex: [UInt64: Int]
    }

    private func save() -> Saved {
        Saved(
            mark: text.count, timestamp: timestamp, labels: labels, origin: origin, metadata: metadata, values: values,
            named: named, namedIndex: namedIndex)
    }

    private mutating func restore(_ saved: Saved) {
        text.truncate(to: saved.mark)
        timestamp = saved.timestamp
        labels = saved.labels
        origin = saved.origin
        metadata = saved.metadata
        values = saved.values
        named = saved.named
        namedIndex = saved.namedIndex
    }

    /// A copy of the current entry that outlives it.
    func hold() -> HeldEntry {
        let held = HeldEntry()
        func keep(_ slice: TextSlice) -> TextSlice {
            let offset = held.text.count
            held.text.append(contentsOf: text.bytes(slice))
            return TextSlice(offset: offset, length: slice.length)
        }
        held.line = keep(line)
        held.timestamp = timestamp
        held.labels = table[labels]
        held.origin = table[origin]
        held.metadata = metadata
        held.values = values
        for index in held.values.indices where held.values[index].slice.length > 0 {
            held.values[index].slice = keep(held.values[index].slice)
        }
        for entry in named {
            var value = entry.value
            value.slice = keep(value.slice)
            held.named.append(NamedValue(name: keep(entry.name), value: value))
        }
        return held
    }

    /// Makes `held` the current entry; its bytes go to the end of `text`.
    private mutating func load(_ held: HeldEntry) {
        let base = text.append(held.text).offset
        func moved(_ slice: TextSlice) -> TextSlice { TextSlice(offset: slice.offset + base, length: slice.length) }
        line = moved(held.line)
        timestamp = held.timestamp
        labels = table.intern(held.labels)
        origin = table.intern(held.origin)
        metadata = held.metadata
        values = held.values
        for index in values.indices { values[index].slice = moved(values[index].slice) }
        named = held.named
        namedIndex.removeAll()
        for index in named.indices {
            named[index].name = moved(named[index].name)
            named[index].value.slice = moved(named[index].value.slice)
        }
        if named.count > Self.indexedFrom { indexNamed() }
    }

    // MARK: Extracted values

    private mutating func clearValues() {
        for index in values.indices { values[index].kind = .unread }
        if !named.isEmpty {
            named.removeAll(keepingCapacity: true)
            namedIndex.removeAll()
        }
    }

    /// Begins a nested pipeline: the labels as they are now become extracted values again.
    mutating func extractLabels() {
        let current = table[labels]
        if program.keepsAllValues {
            current.forEach { name, value in
                let value = ExtractedValue.text(text.append(value))
                set(name, to: value)
            }
            return
        }
        for index in values.indices {
            program.names[index].withUnsafeBytes { name in
                current.withValue(of: name) { found in
                    if let found { values[index] = .text(text.append(found)) }
                }
            }
        }
    }

    /// The value with a number, never `unread`.
    @inline(__always)
    mutating func value(_ slot: Int) -> ExtractedValue {
        let value = values[slot]
        return value.kind == .unread ? readLabel(slot) : value
    }

    private mutating func readLabel(_ slot: Int) -> ExtractedValue {
        var value = ExtractedValue.absent
        program.names[slot].withUnsafeBytes { name in
            table[origin].withValue(of: name) { found in
                if let found { value = .text(text.append(found)) }
            }
        }
        values[slot] = value
        return value
    }

    @inline(__always)
    mutating func set(_ slot: Int, to value: ExtractedValue) { values[slot] = value }

    @inline(__always)
    mutating func set(_ slot: Int, to slice: TextSlice) { values[slot] = .text(slice) }

    /// Stores a value under a name found in the data. `name` may lie in `text`.
    mutating func set(_ name: UnsafeRawBufferPointer, to value: ExtractedValue) {
        if let slot = program.slot(of: name) {
            values[slot] = value
            return
        }
        guard program.keepsAllValues else { return }
        if let index = namedPosition(of: name) {
            named[index].value = value
            return
        }
        let hash = ByteHash.hash(name)
        named.append(NamedValue(name: text.append(name), value: value))
        if named.count > Self.indexedFrom {
            if namedIndex.isEmpty { indexNamed() } else { namedIndex[hash] = named.count - 1 }
        }
    }

    /// Whether a value of this name is there, its entry's labels included.
    mutating func contains(_ name: UnsafeRawBufferPointer) -> Bool {
        if let slot = program.slot(of: name) { return value(slot).isThere }
        if let index = namedPosition(of: name) { return named[index].value.isThere }
        return table[origin].withValue(of: name) { $0 != nil }
    }

    private static let indexedFrom = 24

    private mutating func indexNamed() {
        namedIndex.removeAll(keepingCapacity: true)
        for (index, entry) in named.enumerated() { namedIndex[ByteHash.hash(text.bytes(entry.name))] = index }
    }

    private func namedPosition(of name: UnsafeRawBufferPointer) -> Int? {
        if namedIndex.isEmpty { return named.firstIndex { text.bytes($0.name).equals(name) } }
        guard let index = namedIndex[ByteHash.hash(name)], text.bytes(named[index].name).equals(name) else {
            return nil
        }
        return index
    }

    /// Every value there is with its name, in order of names. Names lie in `text`.
    mutating func allValues() -> [NamedValue] {
        var all: [NamedValue] = []
        for slot in values.indices {
            let value = value(slot)
            if value.isThere { all.append(NamedValue(name: text.append(program.names[slot]), value: value)) }
        }
        table[origin].forEach { name, value in
            guard program.slot(of: name) == nil, namedPosition(of: name) == nil else { return }
            let value = ExtractedValue.text(text.append(value))
            all.append(NamedValue(name: text.append(name), value: value))
        }
        all += named.filter(\.value.isThere)
        return all.sorted { compareBytes(text.bytes($0.name), text.bytes($1.name)) < 0 }
    }

    // MARK: Conversions

    /// The text of a value as upstream converts it; nil when it has none.
    @inline(__always)
    mutating func text(of value: ExtractedValue) -> TextSlice? {
        value.kind == .text ? value.slice : converted(value)
    }

    private mutating func converted(_ value: ExtractedValue) -> TextSlice? {
        switch value.kind {
        case .text: return value.slice
        case .bool: return text.append(value.bits == 1 ? "true" : "false")
        case .unsigned: return text.append(String(value.bits))
        case .number:
            return text.append(GoNumber.formatFloat(Double(bitPattern: value.bits), "f", precision: -1))
        case .jsonNumber:
            if isPlainInteger(text.bytes(value.slice)) { return value.slice }
            let number = DecimalParser.parse(text.bytes(value.slice)) ?? .nan
            return text.append(GoNumber.formatFloat(number, "f", precision: -1))
        case .unread, .absent, .null, .composite: return nil
        }
    }

    /// The number a value stands for: text as a float or a Go duration in seconds.
    func number(of value: ExtractedValue) -> Double? {
        switch value.kind {
        case .number: return Double(bitPattern: value.bits)
        case .unsigned: return Double(value.bits)
        case .bool: return Double(value.bits)
        case .jsonNumber: return DecimalParser.parse(text.bytes(value.slice))
        case .text:
            let bytes = text.bytes(value.slice)
            if let number = DecimalParser.parse(bytes) { return number }
            if let number = GoNumber.parseFloat(bytes.string) { return number }
            return (try? GoDuration.nanoseconds(bytes.string)).map { Double($0) / 1e9 }
        case .unread, .absent, .null, .composite: return nil
        }
    }

    // MARK: Labels

    /// The current entry's labels.
    var labelSet: LabelSet { table[labels] }

    /// Sets one label, or removes it when `value` is empty; entries with equal values share the new set.
    @inline(__always)
    mutating func setLabel(_ name: [UInt8], to value: TextSlice, stage: Int32) {
        let bytes = text.bytes(value)
        labels = table.transition(from: labels, stage: stage, key: bytes) { builder in
            name.withUnsafeBytes { builder.set($0, to: bytes) }
        }
    }
}

/// Digits of an integer that a 64-bit float holds exactly and prints the same.
func isPlainInteger(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let first = bytes.first, bytes.count <= 15 else { return false }
    if first == 0x30 { return bytes.count == 1 }
    return bytes.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
}

func compareBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    if let a = left.baseAddress, let b = right.baseAddress {
        let order = memcmp(a, b, min(left.count, right.count))
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}

/// A batch and the monotonic time, in nanoseconds, before which it must not go out; 0 is at once.
struct TimedBatch: Sendable {
    var notBefore: Int64
    var batch: LogBatch
}

/// What a batch did to the books, kept until it is known whether the batch counts.
struct Tally: Sendable {
    struct Drop: Sendable, Hashable {
        var stage: String
        /// As the metric of dropped lines counts it; nil when upstream counts nothing.
        var reason: String?
    }

    var drops: [Drop: Int] = [:]
    var labelDrops: [[String]: Int] = [:]
    var created = 0
    var merged = 0
    var held = 0
    var truncated: [String: Int] = [:]
    var partialLinesFlushed = 0
    var linesTruncated = 0
    /// Whether the same batch may be processed again with the same result.
    var isRepeatable = true

    mutating func drop(_ stage: String, reason: String?) { drops[Drop(stage: stage, reason: reason), default: 0] += 1 }
}
