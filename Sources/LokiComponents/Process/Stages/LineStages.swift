import AlloySyntax
import Essentials
import Telemetry
import TextFormats

// MARK: stage.output

struct OutputArguments: Block, StageConfiguration {
    private let source: String

    init(from block: inout BlockReader) {
        source = block.required("source", "Extracted value that becomes the line.")
        if block.isSet("source"), source.isEmpty {
            block.reject("source", "output source value is required if output is specified")
        }
    }

    func add(to program: inout ProgramBuilder) { program.append(OutputStage(slot: program.slot(source))) }
}

private final class OutputStage: Stage {
    private let slot: Int

    init(slot: Int) { self.slot = slot }

    func run(_ work: inout Work) -> Verdict {
        if let text = work.input(slot) { work.line = text }
        return .next
    }
}

// MARK: stage.decolorize

/// Removes the escape sequences that colour text on terminals.
struct DecolorizeArguments: Block, StageConfiguration {
    init(from block: inout BlockReader) {}

    func add(to program: inout ProgramBuilder) {
        if let stage = DecolorizeStage() { program.append(stage) }
    }
}

private final class DecolorizeStage: Stage {
    private let pattern: RegularExpression
    private let nothing: RegularExpression.Template

    init?() {
        // An introducer, its intermediate characters, then either a string ended by BEL or a control function.
        let introducer = "[\u{1B}\u{9B}][[\\]()#;?]*"
        let text = "(?:[a-zA-Z\\d]*(?:;[a-zA-Z\\d]*)*)?\u{07}"
        let control = "(?:\\d{1,4}(?:;\\d{0,4})*)?[\\dA-PRZcf-ntqry=><~]"
        guard let pattern = try? RegularExpression("\(introducer)(?:(?:\(text))|(?:\(control)))") else { return nil }
        self.pattern = pattern
        nothing = pattern.template("")
    }

    func run(_ work: inout Work) -> Verdict {
        let line = work.text.bytes(work.line)
        guard line.index(of: 0x1B) != nil || line.index(of: 0xC2) != nil else { return .next }
        var output = work.takeScratch()
        pattern.replaceAll(in: line, with: nothing, into: &output)
        if output.count != line.count { work.line = work.text.append(output) }
        work.giveBack(output)
        return .next
    }
}

// MARK: stage.luhn

struct LuhnArguments: Block, StageConfiguration {
    fileprivate let replacement: String
    private let source: String?
    fileprivate let minimumLength: Int
    fileprivate let delimiters: String
    private let skipExpression: String
    fileprivate let skipped: RegularExpression?

    init(from block: inout BlockReader) {
        let replacement = block.optional(
            "replacement", default: "**REDACTED**", "What stands in the place of a number.")
        source = block.optional("source", "Extracted value to search instead of the line.")
        let length = block.optional("min_length", default: 13, "Fewest digits of a number that is replaced.")
        delimiters = block.optional("delimiters", default: "", "Characters that may stand between digits.")
        skipExpression = block.optional("skip_regex", default: "", "Numbers inside a match of it are left alone.")
        self.replacement = replacement.isEmpty ? "**REDACTED**" : replacement
        minimumLength = length < 1 ? 13 : length
        skipped = skipExpression.isEmpty ? nil : compile(skipExpression, "skip_regex", &block)
        if source == "" { block.reject("source", "empty source") }
    }

    func add(to program: inout ProgramBuilder) {
        program.append(LuhnStage(self, source: source.map { program.slot($0) }))
    }
}

private final class LuhnStage: Stage {
    private let replacement: [UInt8]
    private let source: Int?
    private let minimumLength: Int
    private let delimiters: Set<Unicode.Scalar>
    private let skipped: RegularExpression?

    init(_ arguments: LuhnArguments, source: Int?) {
        replacement = Array(arguments.replacement.utf8)
        self.source = source
        minimumLength = arguments.minimumLength
        delimiters = Set(arguments.delimiters.unicodeScalars)
        skipped = arguments.skipped
    }

    func run(_ work: inout Work) -> Verdict {
        var input = work.line
        if let source {
            let value = work.value(source)
            guard value.kind == .text else { return .next }
            input = value.slice
        }
        let bytes = work.text.bytes(input)
        var output = work.takeScratch()
        let isChanged = redact(bytes, into: &output)
        // The line takes the text of the source also where nothing was found, as upstream does.
        if isChanged { work.line = work.text.append(output) } else { work.line = input }
        work.giveBack(output)
        return .next
    }

    private func redact(_ bytes: UnsafeRawBufferPointer, into output: inout [UInt8]) -> Bool {
        var isChanged = false
        var copied = 0
        var index = 0
        var skips: [Range<Int>]?
        while index < bytes.count {
            guard isDigit(bytes[index]) else {
                index += 1
                continue
            }
            let start = index
            var digits: [UInt8] = []
            var end = index
            var afterDelimiters = index
            var trailing: Range<Int>?
            while index < bytes.count {
                if isDigit(bytes[index]) {
                    digits.append(bytes[index] - 0x30)
                    index += 1
                    end = index
                    afterDelimiters = index
                    trailing = nil
                } else if let length = delimiterLength(bytes, index) {
                    trailing = index..<index + length
                    index += length
                    afterDelimiters = index
                } else {
                    break
                }
            }
            guard digits.count >= minimumLength, isLuhn(digits) else { continue }
            if skipped != nil {
                if skips == nil { skips = findSkips(bytes) }
                if let skips, skips.contains(where: { $0.lowerBound <= start && end <= $0.upperBound }) { continue }
            }
            output.append(contentsOf: bytes[copied..<start])
            output.append(contentsOf: replacement)
            if let trailing { output.append(contentsOf: bytes[trailing]) }
            copied = afterDelimiters
            isChanged = true
        }
        if isChanged { output.append(contentsOf: bytes[copied...]) }
        return isChanged
    }

    private func delimiterLength(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Int? {
        if delimiters.isEmpty { return nil }
        let byte = bytes[index]
        if byte < 0x80 { return delimiters.contains(Unicode.Scalar(byte)) ? 1 : nil }
        let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
        guard index + length <= bytes.count,
            let scalar = bytes.part(index, length).string.unicodeScalars.first, scalar.utf8.count == length
        else { return nil }
        return delimiters.contains(scalar) ? length : nil
    }

    private func findSkips(_ bytes: UnsafeRawBufferPointer) -> [Range<Int>] {
        guard let skipped else { return [] }
        var found: [Range<Int>] = []
        var captures = RegularExpression.Captures()
        var start = 0
        while start <= bytes.count, skipped.firstMatch(in: bytes, from: start, into: &captures), let match = captures[0]
        {
            if !match.isEmpty { found.append(match) }
            start = max(match.upperBound, start + (match.isEmpty ? 1 : 0))
            if match.isEmpty, start <= match.upperBound { start = match.upperBound + 1 }
        }
        return found
    }

    @inline(__always)
    private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 <= 9 }

    /// The checksum of ISO/IEC 7812; numbers beyond 63 bits are none, as for upstream's integers.
    private func isLuhn(_ digits: [UInt8]) -> Bool {
        var value: Int64 = 0
        for digit in digits {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int64(digit))
            if overflow || carry { return false }
            value = sum
        }
        var total = 0
        for (place, digit) in digits.reversed().enumerated() {
            let doubled = place % 2 == 1 ? Int(digit) * 2 : Int(digit)
            total += doubled > 9 ? doubled - 9 : doubled
        }
        return total % 10 == 0
    }
}

// MARK: stage.truncate

struct TruncateArguments: Block, StageConfiguration {
    struct Rule: Block, Sendable {
        let limit: Int
        let suffix: String
        let sources: [String]
        let sourceType: SourceType

        init(from block: inout BlockReader) {
            let limit: ByteCount = block.required("limit", "Bytes a value may have.")
            suffix = block.optional("suffix", default: "", "Ends what was cut; counts against the limit.")
            sources = block.optional("sources", default: [], "Names to look at; all when there are none.")
            sourceType = block.optional("source_type", default: .line, "What is cut.")
            self.limit = limit.bytes
            if block.isSet("limit"), limit.bytes <= 0 { block.reject("limit", "limit must be greater than zero") }
            if sourceType == .line, !sources.isEmpty {
                block.reject("sources", "sources cannot be set when source_type is 'line'")
            }
            if !suffix.isEmpty, limit.bytes <= suffix.utf8.count {
                block.reject("suffix", "suffix length cannot be greater than or equal to limit")
            }
        }
    }

    private let rules: [Rule]

    init(from block: inout BlockReader) {
        rules = block.blocks("rule", "What to cut to which length.", required: true)
    }

    func add(to program: inout ProgramBuilder) {
        if rules.contains(where: { $0.sourceType == .extracted && $0.sources.isEmpty }) {
            program.keepsAllValues = true
        }
        let number = Int32(program.position)
        let mark = program.slot("truncated")
        let rules = rules.map { rule in
            TruncateStage.Rule(
                limit: rule.limit - rule.suffix.utf8.count, suffix: Array(rule.suffix.utf8),
                sourceType: rule.sourceType,
                sources: rule.sources.map { Array($0.utf8) },
                slots: rule.sourceType == .extracted ? rule.sources.map { program.slot($0) } : [])
        }
        program.append(TruncateStage(rules, mark: mark, number: number))
    }
}

private final class TruncateStage: Stage {
    struct Rule {
        var limit: Int
        var suffix: [UInt8]
        var sourceType: SourceType
        var sources: [[UInt8]]
        var slots: [Int]

        func applies(to name: UnsafeRawBufferPointer) -> Bool {
            sources.isEmpty || sources.contains { name.equals($0) }
        }
    }

    private let rules: [Rule]
    private let mark: Int
    private let number: Int32

    init(_ rules: [Rule], mark: Int, number: Int32) {
        self.rules = rules
        self.mark = mark
        self.number = number
    }

    func run(_ work: inout Work) -> Verdict {
        var truncated: Set<String> = []
        for (index, rule) in rules.enumerated() {
            let count: Int
            switch rule.sourceType {
            case .line:
                count = work.line.length > rule.limit ? 1 : 0
                if count > 0 { work.line = cut(work.line, rule, &work) }
            case .label: count = cutLabels(rule, index, &work)
            case .structuredMetadata: count = cutMetadata(rule, &work)
            case .extracted: count = cutValues(rule, &work)
            }
            if count > 0 {
                truncated.insert(rule.sourceType.rawValue)
                work.tally.truncated[rule.sourceType.rawValue, default: 0] += count
            }
            if !truncated.isEmpty { note(&truncated, &work) }
        }
        return .next
    }

    private func cut(_ slice: TextSlice, _ rule: Rule, _ work: inout Work) -> TextSlice {
        if rule.suffix.isEmpty { return slice.part(0, rule.limit) }
        let head = work.text.append(copying: slice.part(0, rule.limit))
        let tail = work.text.append(rule.suffix)
        return TextSlice(offset: head.offset, length: head.length + tail.length)
    }

    /// Leaves the sorted list of what was cut in the value `truncated`.
    private func note(_ truncated: inout Set<String>, _ work: inout Work) {
        let existing = work.value(mark)
        if existing.kind == .text {
            for part in work.text.string(existing.slice).split(separator: ",", omittingEmptySubsequences: false) {
                truncated.insert(String(part))
            }
        }
        let text = truncated.sorted().joined(separator: ",")
        work.set(mark, to: work.text.append(text))
    }

    private func cutLabels(_ rule: Rule, _ index: Int, _ work: inout Work) -> Int {
        let labels = work.labelSet
        var count = 0
        labels.forEach { name, value in
            if value.count > rule.limit, rule.applies(to: name) { count += 1 }
        }
        guard count > 0 else { return 0 }
        let key = [UInt8(truncatingIfNeeded: index), UInt8(truncatingIfNeeded: index >> 8)]
        let labelsStage = number
        key.withUnsafeBytes { key in
            work.labels = work.table.transition(from: work.labels, stage: labelsStage, key: key) { builder in
                labels.forEach { name, value in
                    guard value.count > rule.limit, rule.applies(to: name) else { return }
                    let shortened = Array(value.part(0, rule.limit)) + rule.suffix
                    shortened.withUnsafeBytes { builder.set(name, to: $0) }
                }
            }
        }
        return count
    }

    private func cutMetadata(_ rule: Rule, _ work: inout Work) -> Int {
        let metadata = work.metadata
        var count = 0
        var builder = LabelSetBuilder(metadata)
        metadata.forEach { name, value in
            guard value.count > rule.limit, rule.applies(to: name) else { return }
            let shortened = Array(value.part(0, rule.limit)) + rule.suffix
            shortened.withUnsafeBytes { builder.set(name, to: $0) }
            count += 1
        }
        if count > 0 { work.metadata = builder.finish() }
        return count
    }

    private func cutValues(_ rule: Rule, _ work: inout Work) -> Int {
        var count = 0
        if rule.sources.isEmpty {
            for entry in work.allValues() where entry.value.kind == .text && entry.value.slice.length > rule.limit {
                let shortened = cut(entry.value.slice, rule, &work)
                work.set(work.text.bytes(entry.name), to: .text(shortened))
                count += 1
            }
        } else {
            for slot in rule.slots {
                let value = work.value(slot)
                guard value.kind == .text, value.slice.length > rule.limit else { continue }
                work.set(slot, to: cut(value.slice, rule, &work))
                count += 1
            }
        }
        return count
    }
}
