import CYaml

/// Reads YAML through libyaml's events.
///
/// Scalars resolve as in Go's YAML libraries (`YAMLDialect`), merge keys (`<<`) and anchors are applied. A document of
/// more than `maximumNodes` values, each alias counting all it stands for, is refused ("billion laughs"), as is nesting
/// beyond `maximumDepth`.
package struct YAMLParser: Sendable {
    package var dialect: YAMLDialect
    package var maximumDepth: Int
    package var maximumNodes: Int

    package init(_ dialect: YAMLDialect = .v3, maximumDepth: Int = 200, maximumNodes: Int = 1_000_000) {
        self.dialect = dialect
        self.maximumDepth = maximumDepth
        self.maximumNodes = maximumNodes
    }

    /// Parses the first document; null when there is none. Errors carry the line.
    package func parse(_ bytes: UnsafeRawBufferPointer) throws(TextFormatError) -> YAMLValue {
        try parse(bytes, documents: 1).first ?? .null
    }

    /// Parses the first document; null when there is none. Errors carry the line.
    package func parse(_ text: String) throws(TextFormatError) -> YAMLValue {
        try Array(text.utf8).span.bytes.withUnsafeBytes { (raw) throws(TextFormatError) in try parse(raw) }
    }

    /// Parses every document.
    package func parseAll(_ bytes: UnsafeRawBufferPointer) throws(TextFormatError) -> [YAMLValue] {
        try parse(bytes, documents: .max)
    }

    /// Parses every document.
    package func parseAll(_ text: String) throws(TextFormatError) -> [YAMLValue] {
        try Array(text.utf8).span.bytes.withUnsafeBytes { (raw) throws(TextFormatError) in try parseAll(raw) }
    }

    private func parse(_ bytes: UnsafeRawBufferPointer, documents: Int) throws(TextFormatError) -> [YAMLValue] {
        let source = try YAMLEventSource(bytes)
        var builder = YAMLTreeBuilder(dialect: dialect, maximumDepth: maximumDepth, maximumNodes: maximumNodes)
        var values: [YAMLValue] = []
        while values.count < documents {
            let event = try source.next()
            do throws(TextFormatError) {
                switch event.kind {
                case .streamEnd:
                    return values
                case .documentEnd:
                    values.append(builder.finish())
                default:
                    try builder.add(event)
                }
            } catch {
                var located = error
                located.line = located.line ?? event.line
                located.message = "yaml: line \(located.line ?? event.line): \(error.message)"
                throw located
            }
        }
        return values
    }
}

/// One step of the text.
struct YAMLEvent {
    enum Kind {
        case streamEnd, documentEnd, ignored, alias, scalar, sequenceStart, sequenceEnd, mappingStart, mappingEnd
    }

    var kind: Kind
    var line: Int
    var anchor = ""
    var tag = ""
    var text = ""
    var isPlain = false
}

/// Owns a libyaml parser over bytes that outlive it.
private final class YAMLEventSource {
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    init(_ bytes: UnsafeRawBufferPointer) throws(TextFormatError) {
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw TextFormatError("yaml: out of memory")
        }
        yaml_parser_set_input_string(parser, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    func next() throws(TextFormatError) -> YAMLEvent {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw failure }
        defer { yaml_event_delete(&event) }
        var made = YAMLEvent(kind: .ignored, line: Int(clamping: event.start_mark.line) + 1)
        switch event.type {
        case YAML_STREAM_END_EVENT: made.kind = .streamEnd
        case YAML_DOCUMENT_END_EVENT: made.kind = .documentEnd
        case YAML_ALIAS_EVENT:
            made.kind = .alias
            made.anchor = text(event.data.alias.anchor)
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            made.kind = .scalar
            made.anchor = text(scalar.anchor)
            made.tag = text(scalar.tag)
            made.text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            made.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
        case YAML_SEQUENCE_START_EVENT:
            made.kind = .sequenceStart
            made.anchor = text(event.data.sequence_start.anchor)
        case YAML_SEQUENCE_END_EVENT: made.kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            made.kind = .mappingStart
            made.anchor = text(event.data.mapping_start.anchor)
        case YAML_MAPPING_END_EVENT: made.kind = .mappingEnd
        default: break
        }
        return made
    }

    private func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String {
        pointer.map { String(cString: $0) } ?? ""
    }

    private var failure: TextFormatError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "unknown problem parsing YAML content"
        if parser.pointee.error == YAML_READER_ERROR {
            return TextFormatError("yaml: \(problem)", offset: parser.pointee.problem_offset)
        }
        let line = Int(clamping: parser.pointee.problem_mark.line) + 1
        return TextFormatError(
            "yaml: line \(line): \(problem)", offset: Int(clamping: parser.pointee.problem_mark.index), line: line)
    }
}

/// Builds values from events with its own stack, so that nesting costs no call depth.
struct YAMLTreeBuilder {
    private struct Frame {
        var anchor: String
        var isMapping: Bool
        var nodes = 1
        var elements: [YAMLValue] = []
        var mapping = YAMLMapping()
        var pendingKey: (value: YAMLValue, line: Int, isMerge: Bool)?
        /// Merged mappings, in the order their entries yield to one another.
        var merged: [YAMLMapping] = []
    }

    let dialect: YAMLDialect
    let maximumDepth: Int
    let maximumNodes: Int
    private var frames: [Frame] = []
    private var anchors: [String: (value: YAMLValue, nodes: Int)] = [:]
    private var total = 0
    private var root: YAMLValue?

    init(dialect: YAMLDialect, maximumDepth: Int, maximumNodes: Int) {
        self.dialect = dialect
        self.maximumDepth = maximumDepth
        self.maximumNodes = maximumNodes
    }

    mutating func finish() -> YAMLValue {
        let value = root ?? .null
        root = nil
        anchors.removeAll()
        total = 0
        return value
    }

    mutating func add(_ event: YAMLEvent) throws(TextFormatError) {
        switch event.kind {
        case .scalar:
            let scalar = try YAMLScalar.resolve(event.text, tag: event.tag, isPlain: event.isPlain, dialect)
            let isMerge = event.text == "<<" && (event.tag.isEmpty ? event.isPlain : event.tag.hasSuffix(":merge"))
            try place(.scalar(scalar), nodes: 1, event, isMerge: isMerge)
        case .alias:
            guard let target = anchors[event.anchor] else {
                throw TextFormatError("unknown anchor '\(event.anchor)' referenced")
            }
            try place(target.value, nodes: target.nodes, event, isMerge: false)
        case .sequenceStart, .mappingStart:
            guard frames.count < maximumDepth else { throw TextFormatError("exceeded max depth of \(maximumDepth)") }
            frames.append(Frame(anchor: event.anchor, isMapping: event.kind == .mappingStart))
        case .sequenceEnd, .mappingEnd:
            guard var frame = frames.popLast() else { return }
            var ended = event
            ended.anchor = frame.anchor
            let value = frame.isMapping ? YAMLValue.mapping(merge(&frame)) : .sequence(frame.elements)
            try place(value, nodes: frame.nodes, ended, isMerge: false, isCounted: true)
        case .streamEnd, .documentEnd, .ignored:
            break
        }
    }

    private mutating func place(
        _ value: YAMLValue, nodes: Int, _ event: YAMLEvent, isMerge: Bool, isCounted: Bool = false
    ) throws(TextFormatError) {
        if !isCounted {
            total = total.addingReportingOverflow(nodes).overflow ? .max : total + nodes
            guard total <= maximumNodes else { throw TextFormatError("document contains excessive aliasing") }
        }
        if !event.anchor.isEmpty, event.kind != .alias { anchors[event.anchor] = (value, nodes) }
        guard var frame = frames.popLast() else {
            root = value
            return
        }
        defer { frames.append(frame) }
        let sum = frame.nodes.addingReportingOverflow(nodes)
        frame.nodes = sum.overflow ? .max : sum.partialValue
        guard frame.isMapping else {
            frame.elements.append(value)
            return
        }
        guard let key = frame.pendingKey else {
            frame.pendingKey = (value, event.line, isMerge)
            return
        }
        frame.pendingKey = nil
        if key.isMerge { return try addMerge(value, to: &frame) }
        if dialect == .v3, let line = frame.mapping.line(of: key.value) {
            throw TextFormatError(
                "mapping key \(GoQuote.quote(key.value.stringValue ?? "")) already defined at line \(line)",
                line: key.line)
        }
        frame.mapping.set(key.value, value, line: key.line)
    }

    private func addMerge(_ value: YAMLValue, to frame: inout Frame) throws(TextFormatError) {
        let refusal = TextFormatError("map merge requires map or sequence of maps as the value")
        switch value {
        case .mapping(let mapping):
            frame.merged.append(mapping)
        case .sequence(let elements):
            for element in elements {
                guard let mapping = element.mappingValue else { throw refusal }
                frame.merged.append(mapping)
            }
        case .scalar:
            throw refusal
        }
    }

    /// The mapping's own entries, then those of merged mappings whose keys it does not have.
    private func merge(_ frame: inout Frame) -> YAMLMapping {
        for source in frame.merged {
            for entry in source where frame.mapping.line(of: entry.key) == nil {
                frame.mapping.set(entry.key, entry.value, line: entry.line)
            }
        }
        return frame.mapping
    }
}
