/// Why an entry could not be worked on, for people: lower case, no full stop.
struct StanzaError: Error, Sendable, Equatable, CustomStringConvertible {
    let message: String
    var description: String { message }

    init(_ message: String) { self.message = message }
}

/// What becomes of an entry that could not be worked on: the `on_error` of operators and of the syslog receiver.
enum ErrorAction: String, Sendable, CaseIterable {
    case send
    case sendQuietly = "send_quiet"
    case drop
    case dropQuietly = "drop_quiet"

    var sends: Bool { self == .send || self == .sendQuietly }
    var isQuiet: Bool { self == .sendQuietly || self == .dropQuietly }
}
