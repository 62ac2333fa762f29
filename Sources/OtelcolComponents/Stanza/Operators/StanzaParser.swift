import Wire

/// What all parsers share: where the value comes from, where what was read goes, and the blocks that follow.
struct StanzaParser: Sendable {
    typealias Function = @Sendable (OTLPAnyValue, StanzaEntry) throws(StanzaError) -> OTLPAnyValue

    private let from: StanzaField
    private let to: StanzaField
    private let body: StanzaField?
    private let timestamp: StanzaTimestamp?
    private let severity: StanzaSeverity?
    private let trace: StanzaTrace?
    private let scopeName: StanzaField?
    private let function: Function

    init(_ reader: inout OperatorReader, to fallback: StanzaField = .attributes, _ function: @escaping Function) {
        from = reader.field("parse_from", default: .body)
        to = reader.field("parse_to", default: fallback)
        body = reader.field("body")
        if body != nil, to == .body { reader.reject("'parse_to: body' is not allowed when 'body' is set") }
        func block<T>(_ key: String, _ make: (inout OperatorReader) -> T?) -> T? {
            guard var inner = reader.object(key) else { return nil }
            defer { inner.finish() }
            return make(&inner)
        }
        timestamp = block("timestamp") { StanzaTimestamp(&$0) }
        severity = block("severity") { StanzaSeverity(&$0) }
        trace = block("trace") { StanzaTrace(&$0) }
        scopeName = block("scope_name") { $0.requiredField("parse_from") }
        self.function = function
    }

    /// Parses and follows the blocks; all of them are tried before the first error is thrown.
    func apply(_ entry: inout StanzaEntry) throws(StanzaError) {
        guard let value = from.get(entry) else { throw StanzaError("entry is missing \(from.text)") }
        try to.set(try function(value, entry), in: &entry)
        try follow(&entry)
    }

    func follow(_ entry: inout StanzaEntry) throws(StanzaError) {
        if let body, let value = body.get(entry) { entry.body = value }
        var failure: StanzaError?
        func attempt(_ body: (inout StanzaEntry) throws(StanzaError) -> Void) {
            do throws(StanzaError) {
                try body(&entry)
            } catch {
                if failure == nil { failure = error }
            }
        }
        if let timestamp { attempt { (entry) throws(StanzaError) in try timestamp.parse(&entry) } }
        if let severity { attempt { (entry) throws(StanzaError) in try severity.parse(&entry) } }
        if let trace { attempt { (entry) throws(StanzaError) in try trace.parse(&entry) } }
        if let scopeName {
            attempt { (entry) throws(StanzaError) in entry.scopeName = try scopeName.string(entry) }
        }
        if let failure { throw failure }
    }

    /// The text of a value; throws when it is none.
    static func text(_ value: OTLPAnyValue, _ what: String) throws(StanzaError) -> [UInt8] {
        switch value {
        case .string(let bytes), .bytes(let bytes): return bytes
        default: throw StanzaError("\(value.kindName) cannot be parsed as \(what)")
        }
    }
}
