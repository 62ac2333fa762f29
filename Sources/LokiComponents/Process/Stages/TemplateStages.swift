import AlloySyntax
import Essentials
import Telemetry
import TextFormats

/// Go templates with sprig's functions, as `stage.template` and `stage.replace` run them.
private enum StageTemplate {
    /// One table for the program: the functions read the system's clock.
    static let functions = SprigFunctions(now: { GoTime(unixNanoseconds: EngineClock.system.wallNanoseconds) }).table

    static func compile(_ text: String) throws(GoTemplateError) -> GoTemplate {
        try GoTemplate(text, name: "pipeline_template", functions: functions)
    }
}

extension Work {
    /// The values that have a text form, by name, as templates see them.
    fileprivate mutating func templateValues() -> [String: GoValue] {
        var values: [String: GoValue] = [:]
        for entry in allValues() {
            guard let slice = text(of: entry.value) else { continue }
            values[text.string(entry.name)] = .string(text.string(slice))
        }
        return values
    }
}

// MARK: stage.template

struct TemplateArguments: Block, StageConfiguration {
    private let source: String
    private let text: String
    private let template: GoTemplate?

    init(from block: inout BlockReader) {
        source = block.required("source", "Value that is set to what the template writes.")
        text = block.required("template", "Go template; `.Value` is the source, `.Entry` the line.")
        if block.isSet("source"), source.isEmpty { block.reject("source", "template source value is required") }
        do throws(GoTemplateError) {
            template = try StageTemplate.compile(text)
        } catch {
            template = nil
            block.reject("template", "\(error)")
        }
    }

    func add(to program: inout ProgramBuilder) {
        guard let template else { return }
        program.keepsAllValues = true
        program.append(TemplateStage(template, slot: program.slot(source)))
    }
}

private final class TemplateStage: Stage {
    private let template: GoTemplate
    private let slot: Int

    init(_ template: GoTemplate, slot: Int) {
        self.template = template
        self.slot = slot
    }

    func run(_ work: inout Work) -> Verdict {
        var values = work.templateValues()
        let value = work.value(slot)
        if value.isThere, let slice = work.text(of: value) { values["Value"] = .string(work.text.string(slice)) }
        values["Entry"] = .string(work.text.string(work.line))
        var output = work.takeScratch()
        defer { work.giveBack(output) }
        guard (try? template.execute(.dictionary(values), into: &output)) != nil else { return .next }
        work.set(slot, to: output.isEmpty ? .absent : .text(work.text.append(output)))
        return .next
    }
}

// MARK: stage.replace

struct ReplaceArguments: Block, StageConfiguration {
    private let expression: String
    private let source: String
    private let text: String
    private let pattern: RegularExpression?
    private let template: GoTemplate?

    init(from block: inout BlockReader) {
        expression = block.required("expression", "RE2 expression; what its groups match is replaced.")
        source = block.optional("source", "Extracted value to change instead of the line.") ?? ""
        text = block.optional("replace", "Go template of the replacement; `.Value` is what a group matched.") ?? ""
        pattern = compile(expression, "expression", &block)
        if block.isSet("expression"), expression.isEmpty { block.reject("expression", "expression is required") }
        do throws(GoTemplateError) {
            template = try StageTemplate.compile(text)
        } catch {
            template = nil
            block.reject("replace", "failed to compile template: \(error)")
        }
    }

    func add(to program: inout ProgramBuilder) {
        guard let pattern, let template else { return }
        let isLiteral = !text.contains("{{")
        if !isLiteral { program.keepsAllValues = true }
        var groups: [(index: Int, slot: Int)] = []
        for (index, name) in pattern.groupNames.enumerated() where index > 0 {
            if let name { groups.append((index, program.slot(name))) }
        }
        program.append(
            ReplaceStage(
                pattern, template, literal: isLiteral ? Array(text.utf8) : nil, groups: groups,
                source: source.isEmpty ? nil : program.slot(source)))
    }
}

private final class ReplaceStage: Stage {
    private let pattern: RegularExpression
    private let template: GoTemplate
    private let literal: [UInt8]?
    private let groups: [(index: Int, slot: Int)]
    private let source: Int?

    init(
        _ pattern: RegularExpression, _ template: GoTemplate, literal: [UInt8]?, groups: [(index: Int, slot: Int)],
        source: Int?
    ) {
        self.pattern = pattern
        self.template = template
        self.literal = literal
        self.groups = groups
        self.source = source
    }

    func run(_ work: inout Work) -> Verdict {
        guard let input = work.input(source) else { return .next }
        guard pattern.firstMatch(in: work.text.bytes(input), into: &work.captures) else { return .next }
        let first = groups.map { work.captures[$0.index] ?? 0..<0 }
        var output = work.takeScratch()
        defer { work.giveBack(output) }
        var replacements: [[UInt8]: [UInt8]] = [:]
        guard replaceAll(input, &work, &output, &replacements) else { return .next }
        let result = work.text.append(output)
        if let source { work.set(source, to: result) } else { work.line = result }
        for (group, range) in zip(groups, first) {
            let captured = work.text.array(input.part(range))
            if let replacement = replacements[captured] { work.set(group.slot, to: work.text.append(replacement)) }
        }
        return .next
    }

    /// Copies `input` with what the groups of every match captured replaced; false when the template fails.
    ///
    /// A group inside one that was replaced already is not replaced again. The captures hold the first match.
    private func replaceAll(
        _ input: TextSlice, _ work: inout Work, _ output: inout [UInt8], _ replacements: inout [[UInt8]: [UInt8]]
    ) -> Bool {
        var values = literal == nil ? work.templateValues().filter { !$0.value.isNil } : [:]
        var copied = 0
        var searched = 0
        var previousEnd = -1
        repeat {
            guard let whole = work.captures[0] else { break }
            // An empty match next to the one before does not count.
            let counts = !whole.isEmpty || whole.lowerBound != previousEnd
            previousEnd = whole.upperBound
            for group in 1..<max(1, work.captures.count) where counts {
                guard let range = work.captures[group] else { continue }
                let captured = work.text.array(input.part(range))
                guard let replacement = replacement(of: captured, &values, &replacements) else { return false }
                if copied == 0 || copied <= range.lowerBound {
                    if range.lowerBound > copied {
                        output.append(contentsOf: work.text.bytes(input.part(copied..<range.lowerBound)))
                    }
                    output.append(contentsOf: replacement)
                    copied = range.upperBound
                }
            }
            searched = next(after: whole, from: searched, in: work.text.bytes(input))
        } while searched <= input.length
            && pattern.firstMatch(in: work.text.bytes(input), from: searched, into: &work.captures)
        output.append(contentsOf: work.text.bytes(input.part(copied..<input.length)))
        return true
    }

    private func next(after match: Range<Int>, from searched: Int, in text: UnsafeRawBufferPointer) -> Int {
        if !match.isEmpty { return match.upperBound }
        var place = match.upperBound + 1
        while place < text.count, text[place] & 0xC0 == 0x80 { place += 1 }
        return place
    }

    private func replacement(
        of captured: [UInt8], _ values: inout [String: GoValue], _ replacements: inout [[UInt8]: [UInt8]]
    ) -> [UInt8]? {
        if let literal {
            replacements[captured] = literal
            return literal
        }
        if let known = replacements[captured] { return known }
        values["Value"] = .string(String(decoding: captured, as: UTF8.self))
        var output: [UInt8] = []
        guard (try? template.execute(.dictionary(values), into: &output)) != nil else { return nil }
        replacements[captured] = output
        return output
    }
}
