import AlloySyntax
import Telemetry
import TextFormats

/// A name that may be a label: not empty and UTF-8, which is all that upstream's default scheme asks for.
func isLabelName(_ name: String) -> Bool { !name.isEmpty }

/// A label or value name and the extracted value it is taken from.
struct NamedSource: Sendable, Equatable {
    var name: String
    var source: String

    /// Pairs in order of names; a missing or empty source is the name itself.
    static func read(_ values: [String: String?]) -> [NamedSource] {
        values.sorted { $0.key < $1.key }.map { name, source in
            NamedSource(name: name, source: source.flatMap { $0.isEmpty ? nil : $0 } ?? name)
        }
    }
}

/// What a rule or stage reads from.
enum SourceType: String, AlloyWord {
    case line, label, extracted
    case structuredMetadata = "structured_metadata"
    static var placeholder: SourceType { .line }
}

// MARK: stage.labels

struct LabelsArguments: Block, StageConfiguration {
    private let pairs: [NamedSource]
    private let sourceType: SourceType

    init(from block: inout BlockReader) {
        let values: [String: String?] = block.required(
            "values", "Labels to set, each with the name of the value it is taken from.")
        sourceType = block.optional(
            "source_type", default: .extracted, "Where values come from: `extracted` or `structured_metadata`.")
        pairs = NamedSource.read(values)
        for pair in pairs where !isLabelName(pair.name) { block.reject("values", "invalid label name: \(pair.name)") }
        if sourceType != .extracted, sourceType != .structuredMetadata {
            block.reject(
                "source_type",
                "invalid labels source_type: \(sourceType.rawValue). Can only be 'extracted' or 'structured_metadata'")
        }
    }

    func add(to program: inout ProgramBuilder) {
        let number = Int32(program.position)
        if sourceType == .structuredMetadata {
            program.append(MetadataToLabelsStage(pairs, number: number))
        } else {
            program.append(LabelsStage(pairs.map { (Array($0.name.utf8), program.slot($0.source)) }, number: number))
        }
    }
}

private final class LabelsStage: Stage {
    private let targets: [(name: [UInt8], slot: Int)]
    private let number: Int32
    /// The value of the only target, where there is just one.
    private let only: Int?

    init(_ targets: [(name: [UInt8], slot: Int)], number: Int32) {
        self.targets = targets
        self.number = number
        only = targets.count == 1 ? targets[0].slot : nil
    }

    func run(_ work: inout Work) -> Verdict {
        if let only {
            let value = work.value(only)
            if value.isThere, let slice = work.text(of: value), work.text.bytes(slice).isValidUTF8 {
                work.setLabel(targets[0].name, to: slice, stage: number)
            }
            return .next
        }
        var key = work.takeScratch()
        var isEmpty = true
        for target in targets {
            let value = work.value(target.slot)
            if value.isThere, let slice = work.text(of: value), work.text.bytes(slice).isValidUTF8 {
                appendLabelKey(work.text.bytes(slice), to: &key)
                isEmpty = false
            } else {
                appendLabelKey(nil, to: &key)
            }
        }
        if !isEmpty { work.setLabels(targets.lazy.map(\.name), key: key, stage: number) }
        work.giveBack(key)
        return .next
    }
}

private final class MetadataToLabelsStage: Stage {
    private let targets: [(name: [UInt8], source: [UInt8])]
    private let number: Int32

    init(_ pairs: [NamedSource], number: Int32) {
        targets = pairs.map { (Array($0.name.utf8), Array($0.source.utf8)) }
        self.number = number
    }

    func run(_ work: inout Work) -> Verdict {
        if work.metadata.isEmpty { return .next }
        var key = work.takeScratch()
        for target in targets {
            target.source.withUnsafeBytes { source in
                work.metadata.withValue(of: source) { value in
                    appendLabelKey(value.flatMap { $0.isValidUTF8 ? $0 : nil }, to: &key)
                }
            }
        }
        work.setLabels(targets.lazy.map(\.name), key: key, stage: number)
        work.giveBack(key)
        return .next
    }
}

/// Appends a value with its length, or a mark that there is none, to the key of a transition.
@inline(__always)
func appendLabelKey(_ value: UnsafeRawBufferPointer?, to key: inout [UInt8]) {
    let length = value.map { UInt32(truncatingIfNeeded: $0.count) } ?? .max
    key.append(UInt8(truncatingIfNeeded: length))
    key.append(UInt8(truncatingIfNeeded: length >> 8))
    key.append(UInt8(truncatingIfNeeded: length >> 16))
    key.append(UInt8(truncatingIfNeeded: length >> 24))
    if let value { key.append(contentsOf: value) }
}

extension Work {
    /// Sets the labels `names` to the values written in `key` by ``appendLabelKey(_:to:)``.
    @inline(__always)
    mutating func setLabels(_ names: some Sequence<[UInt8]>, key: [UInt8], stage: Int32) {
        key.withUnsafeBytes { bytes in
            labels = table.transition(from: labels, stage: stage, key: bytes) { builder in
                var offset = 0
                for name in names {
                    let length = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                    offset += 4
                    if length == .max { continue }
                    name.withUnsafeBytes { builder.set($0, to: bytes.part(offset, Int(length))) }
                    offset += Int(length)
                }
            }
        }
    }

    /// Changes the labels in a way that depends on nothing but the labels themselves.
    @inline(__always)
    mutating func changeLabels(stage: Int32, _ change: (inout LabelSetBuilder) -> Void) {
        labels = table.transition(
            from: labels, stage: stage, key: UnsafeRawBufferPointer(start: nil, count: 0), change)
    }

    /// The scratch buffer, empty; give it back after use.
    @inline(__always)
    mutating func takeScratch() -> [UInt8] {
        var buffer: [UInt8] = []
        swap(&buffer, &scratch)
        buffer.removeAll(keepingCapacity: true)
        return buffer
    }

    @inline(__always)
    mutating func giveBack(_ buffer: consuming [UInt8]) { scratch = buffer }
}

// MARK: stage.static_labels, stage.label_drop, stage.label_keep

struct StaticLabelsArguments: Block, StageConfiguration {
    private let pairs: [NamedSource]

    init(from block: inout BlockReader) {
        let values: [String: String?] = block.required("values", "Labels to set with their values.")
        pairs = values.compactMap { name, value in
            value.flatMap { $0.isEmpty ? nil : NamedSource(name: name, source: $0) }
        }.sorted { $0.name < $1.name }
        for name in values.keys where !isLabelName(name) { block.reject("values", "invalid label name: \(name)") }
    }

    func add(to program: inout ProgramBuilder) {
        let pairs = pairs.map { (Array($0.name.utf8), Array($0.source.utf8)) }
        program.append(
            LabelChangeStage(number: program.position) { builder in
                for (name, value) in pairs {
                    name.withUnsafeBytes { name in value.withUnsafeBytes { builder.set(name, to: $0) } }
                }
            })
    }
}

struct LabelDropArguments: Block, StageConfiguration {
    private let names: [String]

    init(from block: inout BlockReader) {
        names = block.required("values", "Labels to remove.")
        if names.isEmpty { block.reject("values", "labeldrop stage config cannot be empty") }
    }

    func add(to program: inout ProgramBuilder) {
        let names = names
        program.append(
            LabelChangeStage(number: program.position) { builder in
                for name in names { builder.remove(name) }
            })
    }
}

struct LabelKeepArguments: Block, StageConfiguration {
    private let names: [String]

    init(from block: inout BlockReader) {
        names = block.required("values", "Labels to keep; all others are removed.")
        if names.isEmpty { block.reject("values", "labelallow stage config cannot be empty") }
    }

    func add(to program: inout ProgramBuilder) {
        let names = names.map { Array($0.utf8) }
        program.append(
            LabelChangeStage(number: program.position) { builder in
                builder.filter { name, _ in names.contains { name.equals($0) } }
            })
    }
}

/// A change that gives equal labels for equal labels.
private final class LabelChangeStage: Stage {
    private let number: Int32
    private let change: (inout LabelSetBuilder) -> Void

    init(number: Int, _ change: @escaping (inout LabelSetBuilder) -> Void) {
        self.number = Int32(number)
        self.change = change
    }

    func run(_ work: inout Work) -> Verdict {
        work.changeLabels(stage: number, change)
        return .next
    }
}

// MARK: stage.tenant

struct TenantArguments: Block, StageConfiguration {
    private let label: String
    private let source: String
    private let value: String

    /// The label that carries the tenant to `loki.write`.
    static let tenantLabel = "__tenant_id__"

    init(from block: inout BlockReader) {
        label = block.optional("label", default: "", "Label the tenant is taken from.")
        source = block.optional("source", default: "", "Extracted value the tenant is taken from.")
        value = block.optional("value", default: "", "The tenant itself.")
        let given = [label, source, value].filter { !$0.isEmpty }.count
        if given == 0 { block.reject("label, source or value config are required") }
        if given > 1 {
            block.reject(
                "label, source and value are mutually exclusive: you should set source, value or label but not all")
        }
    }

    func add(to program: inout ProgramBuilder) {
        let number = program.position
        if !source.isEmpty {
            program.append(TenantStage(slot: program.slot(source), number: Int32(number)))
            return
        }
        let label = label
        let value = value
        program.append(
            LabelChangeStage(number: number) { builder in
                let tenant = label.isEmpty ? value : builder.value(of: label) ?? ""
                if !tenant.isEmpty { builder.set(Self.tenantLabel, to: tenant) }
            })
    }
}

private final class TenantStage: Stage {
    private let slot: Int
    private let number: Int32
    private let label = Array(TenantArguments.tenantLabel.utf8)

    init(slot: Int, number: Int32) {
        self.slot = slot
        self.number = number
    }

    func run(_ work: inout Work) -> Verdict {
        if let tenant = work.text(of: work.value(slot)), !tenant.isEmpty {
            work.setLabel(label, to: tenant, stage: number)
        }
        return .next
    }
}
