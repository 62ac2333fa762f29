import AlloySyntax
import Telemetry
import TextFormats

// MARK: stage.regex

struct RegexArguments: Block, StageConfiguration {
    private let expression: String
    private let source: String?
    private let setsLabels: Bool
    private let pattern: RegularExpression?

    init(from block: inout BlockReader) {
        expression = block.required("expression", "RE2 expression whose named groups become values.")
        source = block.optional("source", "Extracted value to match instead of the line.")
        setsLabels = block.optional(
            "labels_from_groups", default: false, "Whether named groups also become labels.")
        pattern = compile(expression, "expression", &block)
        if block.isSet("expression"), expression.isEmpty { block.reject("expression", "expression is required") }
        if source == "" { block.reject("source", "empty source") }
    }

    func add(to program: inout ProgramBuilder) {
        guard let pattern else { return }
        let number = Int32(program.position)
        var groups: [RegexStage.Group] = []
        for (index, name) in pattern.groupNames.enumerated() where index > 0 {
            guard let name else { continue }
            groups.append(RegexStage.Group(index: index, slot: program.slot(name), name: Array(name.utf8)))
        }
        program.append(
            RegexStage(pattern, groups, source: source.map { program.slot($0) }, setsLabels: setsLabels, number: number)
        )
    }
}

private final class RegexStage: Stage {
    struct Group {
        var index: Int
        var slot: Int
        var name: [UInt8]
    }

    private let pattern: RegularExpression
    private let groups: [Group]
    /// Number and slot of each group, without what costs to copy.
    private let slots: [(index: Int, slot: Int)]
    private let source: Int?
    private let setsLabels: Bool
    private let number: Int32

    init(_ pattern: RegularExpression, _ groups: [Group], source: Int?, setsLabels: Bool, number: Int32) {
        self.pattern = pattern
        self.groups = groups
        slots = groups.map { ($0.index, $0.slot) }
        self.source = source
        self.setsLabels = setsLabels
        self.number = number
    }

    func run(_ work: inout Work) -> Verdict {
        guard let input = work.input(source) else { return .next }
        guard pattern.firstMatch(in: work.text.bytes(input), into: &work.captures) else { return .next }
        for group in slots {
            let range = work.captures[group.index]
            work.set(group.slot, to: range.map { input.part($0) } ?? .empty)
        }
        if setsLabels { setLabels(input, &work) }
        return .next
    }

    private func setLabels(_ input: TextSlice, _ work: inout Work) {
        var key = work.takeScratch()
        for group in groups {
            let slice = work.captures[group.index].map { input.part($0) } ?? .empty
            let value = work.text.bytes(slice)
            appendLabelKey(value.isValidUTF8 ? value : nil, to: &key)
        }
        work.setLabels(groups.lazy.map(\.name), key: key, stage: number)
        work.giveBack(key)
    }
}

extension Work {
    /// The line, or the text of the value a stage is told to read; nil when that is not there or has none.
    @inline(__always)
    mutating func input(_ source: Int?) -> TextSlice? {
        guard let source else { return line }
        let value = value(source)
        return value.isThere ? text(of: value) : nil
    }
}

// MARK: stage.pattern

struct PatternArguments: Block, StageConfiguration {
    private let expression: String
    private let source: String?
    private let setsLabels: Bool
    private let parts: [LogPattern.Part]

    init(from block: inout BlockReader) {
        expression = block.required("pattern", "LogQL pattern such as `<ip> - <_> <user>`.")
        source = block.optional("source", "Extracted value to match instead of the line.")
        setsLabels = block.optional("labels_from_groups", default: false, "Whether captures also become labels.")
        var parts: [LogPattern.Part] = []
        if block.isSet("pattern") {
            do throws(LogPattern.Invalid) {
                parts = try LogPattern.parse(expression)
            } catch {
                block.reject("pattern", error.message)
            }
        }
        self.parts = parts
        if source == "" { block.reject("source", "empty source") }
    }

    func add(to program: inout ProgramBuilder) {
        let number = Int32(program.position)
        var slots: [Int] = []
        var names: [[UInt8]] = []
        for case .capture(let name) in parts where name != "_" {
            slots.append(program.slot(name))
            names.append(Array(name.utf8))
        }
        program.append(
            PatternStage(
                parts, slots, names, source: source.map { program.slot($0) }, setsLabels: setsLabels, number: number))
    }
}

/// LogQL's patterns: literal text and captures `<name>`; `<_>` matches and keeps nothing.
enum LogPattern {
    enum Part: Sendable, Equatable {
        case literal([UInt8])
        case capture(String)
    }

    struct Invalid: Error {
        var message: String
    }

    static func parse(_ text: String) throws(Invalid) -> [Part] {
        if text.isEmpty { throw Invalid(message: "pattern is required") }
        let bytes = Array(text.utf8)
        var parts: [Part] = []
        var literal: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if let name = capture(bytes, index) {
                if !literal.isEmpty { parts.append(.literal(literal)) }
                literal = []
                parts.append(.capture(name))
                index += name.utf8.count + 2
            } else {
                literal.append(bytes[index])
                index += 1
            }
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
        try validate(parts)
        return parts
    }

    private static func capture(_ bytes: [UInt8], _ start: Int) -> String? {
        guard bytes[start] == UInt8(ascii: "<") else { return nil }
        var end = start + 1
        while end < bytes.count, isNamePart(bytes[end], first: end == start + 1) { end += 1 }
        guard end > start + 1, end < bytes.count, bytes[end] == UInt8(ascii: ">") else { return nil }
        return String(decoding: bytes[start + 1..<end], as: UTF8.self)
    }

    private static func isNamePart(_ byte: UInt8, first: Bool) -> Bool {
        let letter = byte | 0x20
        return (letter >= 0x61 && letter <= 0x7A) || byte == 0x5F || (!first && byte >= 0x30 && byte <= 0x39)
    }

    private static func validate(_ parts: [Part]) throws(Invalid) {
        var seen: Set<String> = []
        var previous: String?
        for part in parts {
            guard case .capture(let name) = part else {
                previous = nil
                continue
            }
            if let previous {
                throw Invalid(
                    message:
                        "failed to parse pattern: found consecutive capture '<\(previous)><\(name)>': invalid expression"
                )
            }
            previous = name
            if name != "_", !seen.insert(name).inserted {
                throw Invalid(message: "failed to parse pattern: duplicate capture name (\(name)): invalid expression")
            }
        }
        if seen.isEmpty { throw Invalid(message: "failed to parse pattern: at least one capture is required") }
    }

    /// The named captures in `text` as far as the pattern goes; nil when it does not match at all.
    static func match(_ parts: [Part], in text: UnsafeRawBufferPointer, into captures: inout [Range<Int>]) -> Bool {
        captures.removeAll(keepingCapacity: true)
        guard !text.isEmpty, !parts.isEmpty else { return false }
        var position = 0
        var index = 0
        if case .literal(let literal) = parts[0] {
            guard text.count >= literal.count, text.part(0, literal.count).equals(literal) else { return false }
            position = literal.count
            index = 1
        }
        guard index < parts.count else { return false }
        while index < parts.count {
            guard case .capture(let name) = parts[index] else { return true }
            let isNamed = name != "_"
            guard index + 1 < parts.count, case .literal(let literal) = parts[index + 1] else {
                if isNamed { captures.append(position..<text.count) }
                return true
            }
            let found = literal.withUnsafeBytes { text.index(of: $0, from: position) }
            if isNamed { captures.append(position..<(found ?? text.count)) }
            guard let found else { return true }
            position = found + literal.count
            index += 2
        }
        return true
    }
}

private final class PatternStage: Stage {
    private let parts: [LogPattern.Part]
    private let slots: [Int]
    private let names: [[UInt8]]
    private let source: Int?
    private let setsLabels: Bool
    private let number: Int32
    private var captures: [Range<Int>] = []

    init(
        _ parts: [LogPattern.Part], _ slots: [Int], _ names: [[UInt8]], source: Int?, setsLabels: Bool, number: Int32
    ) {
        self.parts = parts
        self.slots = slots
        self.names = names
        self.source = source
        self.setsLabels = setsLabels
        self.number = number
    }

    func run(_ work: inout Work) -> Verdict {
        guard let input = work.input(source) else { return .next }
        guard LogPattern.match(parts, in: work.text.bytes(input), into: &captures) else { return .next }
        for (index, range) in captures.enumerated() { work.set(slots[index], to: input.part(range)) }
        guard setsLabels else { return .next }
        var key = work.takeScratch()
        for index in names.indices {
            guard index < captures.count else {
                appendLabelKey(nil, to: &key)
                continue
            }
            let value = work.text.bytes(input.part(captures[index]))
            appendLabelKey(value.isValidUTF8 ? value : nil, to: &key)
        }
        work.setLabels(names, key: key, stage: number)
        work.giveBack(key)
        return .next
    }
}

// MARK: stage.logfmt

struct LogfmtArguments: Block, StageConfiguration {
    private let mapping: [NamedSource]
    private let regex: String
    private let pattern: RegularExpression?
    private let source: String

    init(from block: inout BlockReader) {
        let given: [String: String] =
            block.optional("mapping", "Values to set, each with the key it is taken from.") ?? [:]
        source = block.optional("source", default: "", "Extracted value to read instead of the line.")
        regex = block.optional("regex", "Sets a value for every key that matches.") ?? ""
        // One key sets one value; of several the last name counts.
        var byKey: [String: String] = [:]
        for (name, key) in given.sorted(by: { $0.key < $1.key }) { byKey[key.isEmpty ? name : key] = name }
        mapping = byKey.map { NamedSource(name: $0.value, source: $0.key) }.sorted { $0.name < $1.name }
        pattern = regex.isEmpty ? nil : compile(regex, "regex", &block)
        if given.isEmpty, regex.isEmpty { block.reject("logfmt mapping or regex is required") }
    }

    func add(to program: inout ProgramBuilder) {
        if pattern != nil { program.keepsAllValues = true }
        let targets = mapping.map { (Array($0.source.utf8), program.slot($0.name)) }
        program.append(LogfmtStage(targets, pattern, source: source.isEmpty ? nil : program.slot(source)))
    }
}

private final class LogfmtStage: Stage {
    private let targets: [(key: [UInt8], slot: Int)]
    private let pattern: RegularExpression?
    private let source: Int?

    init(_ targets: [(key: [UInt8], slot: Int)], _ pattern: RegularExpression?, source: Int?) {
        self.targets = targets
        self.pattern = pattern
        self.source = source
    }

    func run(_ work: inout Work) -> Verdict {
        guard let input = work.input(source) else { return .next }
        var reader = LogfmtReader()
        while let pair = reader.next(work.text.bytes(input)) {
            let key = work.text.bytes(input.part(pair.key))
            let target = targets.first { key.equals($0.key) }
            let isMatched = pattern?.matches(key) ?? false
            guard target != nil || isMatched else { continue }
            let value: TextSlice
            if pair.hasEscapes {
                guard let content = LogfmtReader.unquote(work.text.bytes(input.part(pair.value))) else { return .next }
                value = work.text.append(content)
            } else {
                value = input.part(pair.value)
            }
            if let target { work.set(target.slot, to: value) }
            if isMatched { work.set(work.text.bytes(input.part(pair.key)), to: .text(value)) }
        }
        return .next
    }
}
