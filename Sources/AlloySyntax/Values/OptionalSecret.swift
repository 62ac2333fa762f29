public import Essentials

/// Text that is a secret when it was made from one, and plain otherwise, such as the content of a file.
public enum OptionalSecret: Sendable, Equatable {
    /// Text anyone may see.
    case plain(String)
    /// Text that must not be shown.
    case secret(Secret<String>)

    /// Whether the text must not be shown.
    public var isSecret: Bool {
        if case .secret = self { true } else { false }
    }

    /// The text as a secret, whatever it was.
    public var asSecret: Secret<String> {
        switch self {
        case .plain(let text): Secret(text)
        case .secret(let secret): secret
        }
    }
}

extension OptionalSecret: CustomStringConvertible {
    /// The text, or `(secret)`.
    public var description: String {
        switch self {
        case .plain(let text): text
        case .secret: "(secret)"
        }
    }
}
