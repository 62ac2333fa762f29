import TextFormats

/// The one place where this module meets the text formats.
enum Formats {
    /// Reads JSON; with `integers`, whole numbers stay integers, otherwise every number is floating.
    static func decodeJSON(_ text: String, integers: Bool) throws(FormatError) -> Value {
        throw FormatError(message: "pending")
    }

    /// Reads YAML.
    static func decodeYAML(_ text: String) throws(FormatError) -> Value {
        throw FormatError(message: "pending")
    }

    /// Formats like Go's `fmt.Sprintf`.
    static func sprintf(_ format: String, _ arguments: [Value]) -> String {
        format
    }
}

/// Go's spelling of durations.
enum DurationText {
    static func parse(_ text: String) throws(ValueError) -> Duration {
        do throws(TextFormatError) {
            return try GoDuration.parse(text)
        } catch {
            throw ValueError(error.message)
        }
    }

    static func format(_ duration: Duration) -> String { GoDuration.format(duration) }
}
