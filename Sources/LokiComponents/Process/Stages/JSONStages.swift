import AlloySyntax
import Essentials
import Glibc
import Telemetry
import TextFormats

// MARK: stage.json

struct JSONArguments: Block, StageConfiguration {
    private let expressions: [NamedExpression]
    private let regex: String
    private let pattern: RegularExpression?
    private let source: String?
    private let dropsMalformed: Bool

    struct NamedExpression: Sendable {
        var name: String
        var path: JMESPath
    }

    init(from block: inout BlockReader) {
        let given: [String: String] =
            block.optional(
                "expressions", "JMESPath expressions by the name of the value they set.") ?? [:]
        regex = block.optional("regex", "Sets a value for every top-level key that matches.") ?? ""
        source = block.optional("source", "Extracted value to read instead of the line.")
        dropsMalformed = block.optional(
            "drop_malformed", default: false, "Whether lines that are not JSON are dropped.")
        var expressions: [NamedExpression] = []
        for (name, text) in given.sorted(by: { $0.key < $1.key }) {
            do throws(JMESPathError) {
                expressions.append(NamedExpression(name: name, path: try JMESPath(text.isEmpty ? name : text)))
            } catch {
                block.reject("expressions", "could not compile JMES expression: \(error)")
            }
        }
        self.expressions = expressions
        pattern = regex.isEmpty ? nil : compile(regex, "regex", &block)
        if given.isEmpty, regex.isEmpty { block.reject("JMES expressions or regex is required") }
        if source == "" { block.reject("source", "empty source") }
    }

    func add(to program: inout ProgramBuilder) {
        if pattern != nil { program.keepsAllValues = true }
        let targets = expressions.map { JSONStage.Target(slot: program.slot($0.name), path: $0.path) }
        program.append(
            JSONStage(
                targets, pattern, source: source.map { program.slot($0) }, dropsMalformed: dropsMalformed))
    }
}

private final class JSONStage: Stage {
    struct Target {
        let slot: Int
        let path: JMESPath
        let keys: [[UInt8]]?

        init(slot: Int, path: JMESPath) {
            self.slot = slot
            self.path = path
            keys = path.keys.map { $0.map { Array($0.utf8) } }
        }
    }

    /// A target that is a path of keys.
    private struct Plain {
        let slot: Int
        /// Number of its first key.
        let key: Int
        /// The keys after the first; nil where there are none.
        let rest: [[UInt8]]?
    }

    private let targets: [Target]
    private let plain: [Plain]
    private let keys: KeyTable
    private let hasQueries: Bool
    private let pattern: RegularExpression?
    private let source: Int?
    private let dropsMalformed: Bool

    init(_ targets: [Target], _ pattern: RegularExpression?, source: Int?, dropsMalformed: Bool) {
        self.targets = targets
        hasQueries = targets.contains { $0.keys == nil }
        self.pattern = pattern
        self.source = source
        self.dropsMalformed = dropsMalformed
        var names: [[UInt8]] = []
        var plain: [Plain] = []
        for target in targets {
            guard let path = target.keys, let first = path.first else { continue }
            let key = names.firstIndex(of: first) ?? names.count
            if key == names.count { names.append(first) }
            plain.append(Plain(slot: target.slot, key: key, rest: path.count > 1 ? Array(path.dropFirst()) : nil))
        }
        self.plain = plain
        keys = KeyTable(names)
    }

    func run(_ work: inout Work) -> Verdict {
        var input = work.line
        if let source {
            let value = work.value(source)
            guard value.isThere, let text = work.text(of: value) else { return .next }
            input = text
        }
        keys.clear()
        var matched: [(key: [UInt8], value: JSONSkimmer.Found)] = []
        let bytes = work.text.bytes(input)
        let isDocument = JSONSkimmer.members(of: bytes) { key, hasEscapes, value in
            if hasEscapes {
                var name: [UInt8] = []
                JSONSkimmer.unescape(key, repairsUTF8: false, into: &name)
                name.withUnsafeBytes { note($0, value, &matched) }
            } else {
                note(key, value, &matched)
            }
        }
        guard isDocument else {
            guard dropsMalformed else { return .next }
            work.tally.drop("stage.json", reason: nil)
            return .stop
        }
        if hasQueries, !runQueries(input, &work) { return .next }
        for target in plain {
            guard var value = keys[target.key] else {
                work.set(target.slot, to: .null)
                continue
            }
            var place = input.part(value.start, value.end - value.start)
            if let rest = target.rest { follow(rest, &value, &place, work) }
            if let extracted = extract(value, place, &work) { work.set(target.slot, to: extracted) }
        }
        for (key, value) in matched {
            guard let extracted = extract(value, input.part(value.start, value.end - value.start), &work) else {
                continue
            }
            key.withUnsafeBytes { work.set($0, to: extracted) }
        }
        return .next
    }

    @inline(__always)
    private func note(
        _ key: UnsafeRawBufferPointer, _ value: JSONSkimmer.Found,
        _ matched: inout [(key: [UInt8], value: JSONSkimmer.Found)]
    ) {
        keys.note(key, value)
        if let pattern, pattern.matches(key) { matched.append((Array(key), value)) }
    }

    /// Goes from `value` along `path`; where it does not lead anywhere the value becomes null.
    private func follow(
        _ path: [[UInt8]], _ value: inout JSONSkimmer.Found, _ place: inout TextSlice, _ work: borrowing Work
    ) {
        for key in path {
            guard value.kind == .object, let inner = member(key, of: work.text.bytes(place)) else {
                value.kind = .null
                return
            }
            value = inner
            place = place.part(inner.start, inner.end - inner.start)
        }
    }

    private func member(_ key: [UInt8], of object: UnsafeRawBufferPointer) -> JSONSkimmer.Found? {
        var found: JSONSkimmer.Found?
        _ = JSONSkimmer.members(of: object) { name, hasEscapes, value in
            if hasEscapes {
                var decoded: [UInt8] = []
                JSONSkimmer.unescape(name, repairsUTF8: false, into: &decoded)
                if decoded == key { found = value }
            } else if name.equals(key) {
                found = value
            }
        }
        return found
    }

    /// The value as upstream keeps it: text, numbers and truth values as they are, anything else as JSON.
    private func extract(_ value: JSONSkimmer.Found, _ place: TextSlice, _ work: inout Work) -> ExtractedValue? {
        switch value.kind {
        case .null: return .null
        case .bool: return .bool(place.length == 4)
        case .number: return ExtractedValue(kind: .jsonNumber, slice: place)
        case .string:
            let content = place.part(1, place.length - 2)
            if !value.hasEscapes { return .text(content) }
            var buffer = work.takeScratch()
            JSONSkimmer.unescape(work.text.bytes(content), repairsUTF8: false, into: &buffer)
            let slice = work.text.append(buffer)
            work.giveBack(buffer)
            return .text(slice)
        case .array, .object:
            guard let tree = try? JSONValue(parsing: work.text.bytes(place)) else { return nil }
            return .text(work.text.append(jsonText(tree)))
        }
    }

    /// Runs the expressions that need the whole document; false when it cannot be had.
    private func runQueries(_ input: TextSlice, _ work: inout Work) -> Bool {
        guard let document = try? JSONValue(parsing: work.text.bytes(input)) else { return false }
        for target in targets where target.keys == nil {
            guard let result = try? target.path.search(document) else { continue }
            work.set(target.slot, to: extractedValue(result, &work))
        }
        return true
    }
}

/// The keys that expressions begin with, and the member last found for each.
///
/// Looked up for every member of every document, hence flat memory; it is private to this type and lives as long.
private final class KeyTable {
    private struct Entry {
        var offset: Int
        var length: Int
        var isFound: Bool
        var found: JSONSkimmer.Found
    }

    private let entries: UnsafeMutableBufferPointer<Entry>
    private let bytes: UnsafeMutableRawBufferPointer
    /// A bit for each length there is; the last for all that are longer.
    private let lengths: UInt64

    init(_ names: [[UInt8]]) {
        let entries = UnsafeMutableBufferPointer<Entry>.allocate(capacity: names.count)
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: names.reduce(0) { $0 + $1.count }, alignment: 1)
        var lengths: UInt64 = 0
        var offset = 0
        for (index, name) in names.enumerated() {
            name.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyMemory(from: $0) }
            let nothing = JSONSkimmer.Found(kind: .null, start: 0, end: 0, hasEscapes: false)
            entries.initializeElement(
                at: index, to: Entry(offset: offset, length: name.count, isFound: false, found: nothing))
            lengths |= 1 << UInt64(min(name.count, 63))
            offset += name.count
        }
        self.entries = entries
        self.bytes = bytes
        self.lengths = lengths
    }

    deinit {
        entries.deallocate()
        bytes.deallocate()
    }

    /// What was found for the key with a number.
    subscript(key: Int) -> JSONSkimmer.Found? { entries[key].isFound ? entries[key].found : nil }

    func clear() { for index in entries.indices { entries[index].isFound = false } }

    /// Keeps `value` when `key` is among the keys; of equal keys the last counts.
    @inline(__always)
    func note(_ key: UnsafeRawBufferPointer, _ value: JSONSkimmer.Found) {
        guard lengths >> UInt64(min(key.count, 63)) & 1 == 1 else { return }
        for index in entries.indices where entries[index].length == key.count {
            guard UnsafeRawBufferPointer(rebasing: bytes[entries[index].offset...]).begins(with: key) else { continue }
            entries[index].found = value
            entries[index].isFound = true
            return
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the first bytes are those of `other`, which is not longer.
    @inline(__always)
    fileprivate func begins(with other: UnsafeRawBufferPointer) -> Bool {
        guard let left = baseAddress, let right = other.baseAddress else { return true }
        return memcmp(left, right, other.count) == 0
    }
}

/// A JSON value as upstream's stages keep it.
func extractedValue(_ value: JSONValue, _ work: inout Work) -> ExtractedValue {
    switch value {
    case .null: .null
    case .bool(let bool): .bool(bool)
    case .number(let number): .number(number.doubleValue)
    case .string(let text): .text(work.text.append(text))
    case .array, .object: .text(work.text.append(jsonText(value)))
    }
}

/// Lists and objects as JSON, numbers as 64-bit floats print.
private func jsonText(_ value: JSONValue) -> [UInt8] {
    var output: [UInt8] = []
    JSONWriter().append(normalized(value), to: &output)
    return output
}

private func normalized(_ value: JSONValue) -> JSONValue {
    switch value {
    case .number(let number):
        var text = number.text
        let isPlain = text.withUTF8 { isPlainInteger(UnsafeRawBufferPointer($0)) }
        return isPlain ? value : .double(number.doubleValue)
    case .array(let array): return .array(array.map(normalized))
    case .object(let object):
        var result = JSONObject()
        for member in object { result[member.key] = normalized(member.value) }
        return .object(result)
    default: return value
    }
}

// MARK: stage.split_json

struct SplitJSONArguments: Block, StageConfiguration {
    private let source: String?

    init(from block: inout BlockReader) {
        source = block.optional("source", "Extracted value to split instead of the line.")
        if source == "" { block.reject("source", "source cannot be empty") }
    }

    func add(to program: inout ProgramBuilder) {
        program.append(SplitJSONStage(source: source.map { program.slot($0) }))
    }
}

private final class SplitJSONStage: Stage {
    private let source: Int?

    init(source: Int?) { self.source = source }

    func run(_ work: inout Work) -> Verdict {
        var input = work.line
        if let source {
            let value = work.value(source)
            guard value.isThere, let text = work.text(of: value) else { return .next }
            input = text
        }
        guard let elements = JSONSkimmer.elements(of: work.text.bytes(input)) else { return .next }
        if elements.isEmpty {
            work.tally.drop("stage.split_json", reason: nil)
        } else {
            work.tally.created += elements.count - 1
        }
        return .split(elements.map { input.part($0) })
    }
}

// MARK: stage.pack

struct PackArguments: Block, StageConfiguration {
    private let labels: [String]
    private let usesIngestTime: Bool

    init(from block: inout BlockReader) {
        labels = block.required("labels", "Values and labels to put into the line.")
        usesIngestTime = block.optional(
            "ingest_timestamp", default: true, "Whether the entry gets the current time as its timestamp.")
    }

    func add(to program: inout ProgramBuilder) {
        let names = Set(labels).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let targets = names.map { (Array($0.utf8), program.slot($0)) }
        program.append(PackStage(targets, number: program.position, usesIngestTime: usesIngestTime))
    }
}

private final class PackStage: Stage {
    private let targets: [(name: [UInt8], slot: Int)]
    private let number: Int32
    private let usesIngestTime: Bool
    private let writer = JSONWriter()
    private var key: [UInt8] = []

    init(_ targets: [(name: [UInt8], slot: Int)], number: Int, usesIngestTime: Bool) {
        self.targets = targets
        self.number = Int32(number)
        self.usesIngestTime = usesIngestTime
    }

    func run(_ work: inout Work) -> Verdict {
        var output = work.takeScratch()
        key.removeAll(keepingCapacity: true)
        output.append(UInt8(ascii: "{"))
        for target in targets {
            let value = work.value(target.slot)
            guard value.isThere, let text = work.text(of: value) else {
                key.append(0)
                continue
            }
            key.append(1)
            if output.count > 1 { output.append(UInt8(ascii: ",")) }
            target.name.withUnsafeBytes { writer.append(string: $0, to: &output) }
            output.append(UInt8(ascii: ":"))
            writer.append(string: work.text.bytes(text), to: &output)
        }
        if output.count > 1 { output.append(UInt8(ascii: ",")) }
        output.append(contentsOf: "\"_entry\":".utf8)
        writer.append(string: work.text.bytes(work.line), to: &output)
        output.append(UInt8(ascii: "}"))
        work.line = work.text.append(output)
        work.giveBack(output)
        if key.contains(1) {
            let packed = key
            let targets = targets
            work.labels = packed.withUnsafeBytes { bytes in
                work.table.transition(from: work.labels, stage: number, key: bytes) { builder in
                    for (index, target) in targets.enumerated() where bytes[index] == 1 {
                        _ = target.name.withUnsafeBytes { builder.remove($0) }
                    }
                }
            }
        }
        if usesIngestTime { work.timestamp = work.clock.wallNanoseconds }
        return .next
    }
}
