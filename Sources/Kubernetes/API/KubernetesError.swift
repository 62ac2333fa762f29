package import Transport
import TextFormats

/// Why the API server did not give what was asked for.
package enum KubernetesError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No usable response came.
    case transport(HTTPClientError)
    /// The server refused: the status of HTTP and, where it sent a `Status` object, its reason and message.
    case refused(code: Int, reason: String, message: String, retryAfter: Duration?)
    /// An answer that began well says in its body why it does not go on, as a kubelet does within a log.
    case refusedInBody(String)
    /// The response is not what the API promises.
    case malformed(String)

    /// Whether a version or a continuation is too old, so that only a new list helps.
    package var isExpired: Bool {
        guard case .refused(let code, let reason, _, _) = self else { return false }
        return code == 410 || reason == "Expired" || reason == "Gone"
    }

    package var isNotFound: Bool {
        if case .refused(404, _, _, _) = self { return true }
        return false
    }

    /// Whether asking again is of no use: the request itself is at fault, or what is asked for is not there.
    package var isFinal: Bool {
        if case .refused(let code, _, _, _) = self { return (400..<500).contains(code) && code != 408 && code != 429 }
        return false
    }

    package var isCancellation: Bool { self == .transport(.cancelled) }

    /// How long the server asks to be left alone.
    package var retryAfter: Duration? {
        if case .refused(_, _, _, let wait) = self { return wait }
        return nil
    }

    package var description: String {
        switch self {
        case .transport(let error): "\(error)"
        case .refused(let code, _, let message, _) where message.isEmpty:
            "the server responded with the status code \(HTTPStatus(code))"
        case .refused(_, _, let message, _): message
        case .refusedInBody(let text): text
        case .malformed(let reason): "unexpected response: \(reason)"
        }
    }

    /// Reads a `Status` object (meta/v1); anything else gives the status code alone.
    init(code: Int, body: [UInt8], retryAfter: Duration?) {
        var reason = ""
        var message = ""
        var code = code
        if let status = try? JSONValue(parsing: body), status["kind"]?.stringValue == "Status" {
            reason = status["reason"]?.stringValue ?? ""
            message = String((status["message"]?.stringValue ?? "").prefix(1_000))
            if let inner = status["code"]?.intValue, inner >= 400, inner < 600 { code = Int(inner) }
        }
        self = .refused(code: code, reason: reason, message: message, retryAfter: retryAfter)
    }
}
