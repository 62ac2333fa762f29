import AlloySyntax
import Telemetry
import TextFormats

// MARK: stage.structured_metadata

struct StructuredMetadataArguments: Block, StageConfiguration {
    private let pairs: [NamedSource]
    private let expression: String
    private let pattern: RegularExpression?

    init(from block: inout BlockReader) {
        let values: [String: String?] =
            block.optional("values", default: [:], "Metadata to set, each with the value or label it is taken from.")
        expression = block.optional("regex", default: "", "Takes all values and labels whose names match.")
        pairs = NamedSource.read(values)
        pattern = expression.isEmpty ? nil : compile(expression, "regex", &block)
        for pair in pairs where !isLabelName(pair.name) { block.reject("values", "invalid label name: \(pair.name)") }
    }

    func add(to program: inout ProgramBuilder) {
        if pattern != nil { program.keepsAllValues = true }
        let number = Int32(program.position)
        let targets = pairs.map { pair in
            MetadataStage.Target(
                name: Array(pair.name.utf8), source: Array(pair.source.utf8), slot: program.slot(pair.source))
        }
        program.append(MetadataStage(targets, pattern, number: number))
    }
}

/// Compiles an expression given as `argument`, or says what is wrong with it.
func compile(_ expression: String, _ argument: String, _ block: inout BlockReader) -> RegularExpression? {
    do throws(RegularExpressionError) {
        return try RegularExpression(expression)
    } catch {
        block.reject(argument, "could not compile regular expression: \(error)")
        return nil
    }
}

private final class MetadataStage: Stage {
    struct Target {
        var name: [UInt8]
        var source: [UInt8]
        var slot: Int
    }

    private let targets: [Target]
    private let pattern: RegularExpression?
    private let number: Int32

    init(_ targets: [Target], _ pattern: RegularExpression?, number: Int32) {
        self.targets = targets
        self.pattern = pattern
        self.number = number
    }

    func run(_ work: inout Work) -> Verdict {
        work.builder.reset(to: work.metadata)
        for target in targets {
            let value = work.value(target.slot)
            if value.isThere, let slice = work.text(of: value) { set(target.name, work.text.bytes(slice), &work) }
        }
        if let pattern {
            for entry in work.allValues() where pattern.matches(work.text.bytes(entry.name)) {
                guard let slice = work.text(of: entry.value) else { continue }
                let value = work.text.bytes(slice)
                if value.isValidUTF8 { work.builder.set(work.text.bytes(entry.name), to: value) }
            }
        }
        takeLabels(&work)
        work.metadata = work.builder.finish()
        return .next
    }

    private func set(_ name: [UInt8], _ value: UnsafeRawBufferPointer, _ work: inout Work) {
        if value.isValidUTF8 { name.withUnsafeBytes { work.builder.set($0, to: value) } }
    }

    /// Labels that are named become metadata and are labels no more.
    private func takeLabels(_ work: inout Work) {
        let labels = work.labelSet
        var taken = false
        for target in targets {
            target.source.withUnsafeBytes { source in
                labels.withValue(of: source) { value in
                    guard let value else { return }
                    target.name.withUnsafeBytes { work.builder.set($0, to: value) }
                    taken = true
                }
            }
        }
        if let pattern {
            labels.forEach { name, value in
                let isNamed = targets.contains { name.equals($0.source) }
                if !isNamed, pattern.matches(name) {
                    work.builder.set(name, to: value)
                    taken = true
                }
            }
        }
        guard taken else { return }
        work.changeLabels(stage: number) { builder in
            builder.filter { name, _ in
                !targets.contains { name.equals($0.source) } && !(pattern?.matches(name) ?? false)
            }
        }
    }
}

// MARK: stage.structured_metadata_drop

struct StructuredMetadataDropArguments: Block, StageConfiguration {
    private let names: [String]

    init(from block: inout BlockReader) {
        names = block.required("values", "Metadata to remove.")
        if names.isEmpty { block.reject("values", "structured_metadata_drop stage config cannot be empty") }
    }

    func add(to program: inout ProgramBuilder) { program.append(MetadataDropStage(names)) }
}

private final class MetadataDropStage: Stage {
    private let names: [[UInt8]]

    init(_ names: [String]) { self.names = names.map { Array($0.utf8) } }

    func run(_ work: inout Work) -> Verdict {
        if work.metadata.isEmpty { return .next }
        work.builder.reset(to: work.metadata)
        for name in names { _ = name.withUnsafeBytes { work.builder.remove($0) } }
        work.metadata = work.builder.finish()
        return .next
    }
}
