package import AlloySyntax
package import ComponentKit
import Essentials
import Telemetry
import TextFormats
import Wire

/// Changes the names and statuses of spans.
package final class OtelcolProcessorSpan: Component {
    package typealias Exports = InputExports

    package static let spec = ComponentSpec(
        "otelcol.processor.span", .generallyAvailable, "Changes the names and statuses of spans.")

    package struct Arguments: Block, Sendable {
        let include: MatchArguments?
        let exclude: MatchArguments?
        let name: SpanName
        let status: SpanStatus?
        let output: OTLPOutput

        package init(from block: inout BlockReader) {
            include = block.optionalBlock("include", "The spans that are changed.")
            exclude = block.optionalBlock("exclude", "The spans that are left alone.")
            name = block.block("name", "How spans are named.")
            status = block.optionalBlock("status", "The status spans are given.")
            output = block.requiredBlock("output", OTLPOutput.doc)
            DebugMetrics.read(from: &block)
            MatchArguments.check(include, "include", .traces, &block)
            MatchArguments.check(exclude, "exclude", .traces, &block)
            if name.attributes.isEmpty, name.rules == nil, status == nil {
                block.reject("one of name and status must say what to change")
            }
        }
    }

    private let arguments: Live<Arguments>

    package init(_ arguments: Live<Arguments>, _ context: Context<InputExports>) throws {
        self.arguments = arguments
        let receiver = OTLPProcessor.receiver(
            context, output: { [weak self] in self?.arguments.current.output },
            transform: { batch in
                batch.kind == .traces ? try Self.change(batch, arguments.current) : batch
            })
        context.export(InputExports(input: receiver))
    }

    private static func change(_ batch: OTLPBatch, _ arguments: Arguments) throws -> OTLPBatch {
        let walker = OTLPWalker()
        return try walker.edit(batch, to: .item) { level in
            guard level == .item else { return .keep }
            if let include = arguments.include, !include.matches(walker) { return .keep }
            if let exclude = arguments.exclude, exclude.matches(walker) { return .keep }
            arguments.name.apply(to: walker.span)
            arguments.status?.apply(to: walker.span)
            return .keep
        }
    }
}

/// The `name` block: names from attributes, attributes from names.
struct SpanName: Block, Sendable {
    struct Rules: Block, Sendable {
        let expressions: [RegularExpression]
        let breaksAfterMatch: Bool
        let keepsName: Bool

        init(from block: inout BlockReader) {
            let texts: [String] = block.required("rules", "Expressions whose named groups become attributes.")
            breaksAfterMatch = block.optional(
                "break_after_match", default: false, "Whether the first rule that matches is the last one.")
            keepsName = block.optional(
                "keep_original_name", default: false, "Whether the name stays as it is.")
            var expressions: [RegularExpression] = []
            for text in texts {
                do {
                    let expression = try RegularExpression(text)
                    if expression.groupCount == 0 || expression.groupNames.dropFirst().contains(where: { $0 == nil }) {
                        block.reject("rules", "\"\(text)\" must have groups, each with a name: (?P<name>...)")
                    }
                    expressions.append(expression)
                } catch {
                    block.reject("rules", "\(error)")
                }
            }
            if texts.isEmpty, block.isSet("rules") { block.reject("rules", "must not be empty") }
            self.expressions = expressions
        }
    }

    let attributes: [OTLPKey]
    let separator: [UInt8]
    let rules: Rules?

    init(from block: inout BlockReader) {
        let keys: [String] = block.optional(
            "from_attributes", default: [], "The attributes whose values make the name.")
        separator = Array(block.optional("separator", default: "", "What stands between the values.").utf8)
        rules = block.optionalBlock("to_attributes", "How attributes are made from the name.")
        attributes = keys.map { OTLPKey($0) }
    }

    func apply(to span: OTLPSpan) {
        if !attributes.isEmpty { join(span) }
        if let rules { extract(span, rules) }
    }

    /// Names the span by its attributes, unless one is missing.
    private func join(_ span: OTLPSpan) {
        var name: [UInt8] = []
        for (place, key) in attributes.enumerated() {
            guard let value = span.attributes[key] else { return }
            if place > 0 { name.append(contentsOf: separator) }
            name.append(contentsOf: OTLPText.bytes(value))
        }
        name.withRawBytes { span.name = $0 }
    }

    private func extract(_ span: OTLPSpan, _ rules: Rules) {
        var captures = RegularExpression.Captures()
        for expression in rules.expressions {
            let name = Array(span.name)
            var renamed: [UInt8] = []
            let isFound = name.withRawBytes { bytes in
                guard expression.firstMatch(in: bytes, into: &captures) else { return false }
                var copied = 0
                for (group, label) in expression.groupNames.enumerated() {
                    guard let label, let range = captures[group] else { continue }
                    let part = UnsafeRawBufferPointer(rebasing: bytes[range])
                    span.attributes.set(OTLPKey(label), to: .string(part) as OTLPValue)
                    // A group inside of another is part of what was replaced.
                    guard range.lowerBound >= copied else { continue }
                    renamed.append(contentsOf: bytes[copied..<range.lowerBound])
                    renamed.append(contentsOf: "{\(label)}".utf8)
                    copied = range.upperBound
                }
                renamed.append(contentsOf: bytes[copied...])
                return true
            }
            guard isFound else { continue }
            if !rules.keepsName { renamed.withRawBytes { span.name = $0 } }
            if rules.breaksAfterMatch { return }
        }
    }
}

/// The `status` block.
struct SpanStatus: Block, Sendable {
    private let code: UInt32
    private let description: [UInt8]

    init(from block: inout BlockReader) {
        let name: String = block.required("code", "The status: Ok, Error or Unset.")
        let text = block.optional("description", default: "", "The message of an error.")
        description = Array(text.utf8)
        let number = ["Unset", "Ok", "Error"].firstIndex(of: name)
        if number == nil, block.isSet("code") { block.reject("code", "must be \"Ok\", \"Error\" or \"Unset\"") }
        if number != 2, !text.isEmpty { block.reject("description", "needs the code \"Error\"") }
        code = UInt32(number ?? 0)
    }

    func apply(to span: OTLPSpan) {
        description.withRawBytes { span.setStatus(code: code, message: $0) }
    }
}

extension OtelcolProcessorSpan: Explaining {
    package func explain(_ item: ExplainedItem) -> Explanation? {
        let current = arguments.current
        let rule = OTLPExplaining.Rule("name and status") { $0.kind == .traces ? try Self.change($0, current) : $0 }
        return OTLPExplaining.explanation(of: item, [rule], to: current.output)
    }
}
