import Wire

/// What one operator does with entries.
enum StanzaOperator: Sendable {
    typealias Transform = @Sendable (inout StanzaEntry) throws(StanzaError) -> Void

    /// Changes an entry.
    case transform(Transform)
    /// Drops entries for which the expression holds, that part of them.
    case filter(StanzaExpression, ratio: Double)
    /// Sends entries to the outputs of the first route whose expression holds.
    case router([Route], otherwise: [String])
    /// Joins entries.
    case recombine(RecombineSettings)
    /// Changes entries; those for which the function says so are parts to be joined.
    case container(ContainerParser, RecombineSettings)
    /// Takes entries out of the pipeline.
    case sink(StanzaSink)

    struct Route: Sendable {
        var expression: StanzaExpression
        var outputs: [String]
        var attributes: [(key: StanzaField, value: StanzaTemplate)]
    }

    /// The operators by type; those the collector has and this program does not stand in ``refused``.
    static let makers: [String: @Sendable (inout OperatorReader) -> StanzaOperator?] = [
        "json_parser": jsonParser, "regex_parser": regexParser, "key_value_parser": keyValueParser,
        "csv_parser": csvParser, "json_array_parser": jsonArrayParser, "syslog_parser": syslogParser,
        "uri_parser": uriParser, "time_parser": timeParser, "severity_parser": severityParser,
        "trace_parser": traceParser, "scope_name_parser": scopeNameParser, "container": container, "add": add,
        "assign_keys": assignKeys, "copy": copy, "filter": filter, "flatten": flatten, "move": move, "noop": noop,
        "recombine": recombine, "regex_replace": regexReplace, "remove": remove, "retain": retain, "router": router,
        "sanitize_utf8": sanitize, "unquote": unquote, "file_output": fileOutput, "stdout": stdout,
        "drop_output": dropOutput,
    ]

    /// Operators after which nothing comes.
    static let sinks: Set = ["file_output", "stdout", "drop_output"]

    /// Operators that are refused, and why.
    static let refused: [String: String] = [
        "otelcol": "is not supported: what leaves the last operator goes to the output block without it"
    ]
}
