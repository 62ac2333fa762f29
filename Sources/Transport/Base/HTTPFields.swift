import NIOHTTP1

/// Header or trailer fields in the order they were sent; names compare without regard to case (RFC 9110, 5.1).
package struct HTTPFields: Sendable, Equatable, ExpressibleByDictionaryLiteral, Sequence {
    var storage: HTTPHeaders

    /// No fields.
    package init() { storage = HTTPHeaders() }

    /// Fields in the given order.
    package init(_ fields: [(String, String)]) { storage = HTTPHeaders(fields) }

    package init(dictionaryLiteral elements: (String, String)...) { storage = HTTPHeaders(elements) }

    init(_ storage: HTTPHeaders) { self.storage = storage }

    /// The first value of `name`; setting replaces every value, nil removes the field.
    package subscript(_ name: String) -> String? {
        get { storage.first(name: name) }
        set {
            if let newValue { storage.replaceOrAdd(name: name, value: newValue) } else { storage.remove(name: name) }
        }
    }

    /// Every value of `name`, in order, unsplit.
    package func values(_ name: String) -> [String] { storage[name] }

    /// The values of `name` split at commas and trimmed.
    package func elements(_ name: String) -> [Substring] { storage[canonicalForm: name] }

    /// Whether a field of that name exists.
    package func contains(_ name: String) -> Bool { storage.contains(name: name) }

    /// Adds a field beside those of the same name.
    package mutating func add(_ name: String, _ value: String) { storage.add(name: name, value: value) }

    /// Removes every field of that name.
    package mutating func remove(_ name: String) { storage.remove(name: name) }

    /// Whether there are none.
    package var isEmpty: Bool { storage.isEmpty }

    /// How many there are.
    package var count: Int { storage.count }

    package func makeIterator() -> Iterator { Iterator(base: storage.makeIterator()) }

    /// Walks the fields in order.
    package struct Iterator: IteratorProtocol {
        var base: HTTPHeaders.Iterator

        package mutating func next() -> (name: String, value: String)? { base.next() }
    }

    /// Whether `name` is a token and `value` has no control characters (RFC 9110, 5.1 and 5.5).
    package static func isValid(name: String, value: String) -> Bool {
        isToken(name) && value.utf8.allSatisfy { $0 >= 32 && $0 != 127 || $0 == 9 }
    }

    static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                case 33, 35, 36, 37, 38, 39, 42, 43, 45, 46, 94, 95, 96, 124, 126: true
                default: false
                }
            }
    }
}

/// A request method; names are case-sensitive (RFC 9110, 9.1).
package struct HTTPMethod: Sendable, Hashable, CustomStringConvertible {
    /// The name as sent.
    package let name: String

    /// Any method by its name.
    package init(_ name: String) { self.name = name }

    package static let get = HTTPMethod("GET")
    package static let head = HTTPMethod("HEAD")
    package static let post = HTTPMethod("POST")
    package static let put = HTTPMethod("PUT")
    package static let patch = HTTPMethod("PATCH")
    package static let delete = HTTPMethod("DELETE")
    package static let options = HTTPMethod("OPTIONS")

    package var description: String { name }

    /// Whether a request that may have reached the server can be sent again.
    var isSafe: Bool { self == .get || self == .head || self == .options || name == "TRACE" }

    var nio: NIOHTTP1.HTTPMethod { NIOHTTP1.HTTPMethod(rawValue: name) }
}

/// A status code with its reason phrase.
package struct HTTPStatus: Sendable, Hashable, CustomStringConvertible, ExpressibleByIntegerLiteral {
    /// The three digits.
    package let code: Int

    /// Any status by its code.
    package init(_ code: Int) { self.code = code }

    package init(integerLiteral value: Int) { code = value }

    package static let ok = HTTPStatus(200)
    package static let accepted = HTTPStatus(202)
    package static let noContent = HTTPStatus(204)
    package static let badRequest = HTTPStatus(400)
    package static let unauthorized = HTTPStatus(401)
    package static let forbidden = HTTPStatus(403)
    package static let notFound = HTTPStatus(404)
    package static let methodNotAllowed = HTTPStatus(405)
    package static let contentTooLarge = HTTPStatus(413)
    package static let unsupportedMediaType = HTTPStatus(415)
    package static let tooManyRequests = HTTPStatus(429)
    package static let headerFieldsTooLarge = HTTPStatus(431)
    package static let internalServerError = HTTPStatus(500)
    package static let serviceUnavailable = HTTPStatus(503)

    /// The phrase registered for the code, empty when there is none.
    package var reason: String { nio.reasonPhrase }

    /// `200 OK`.
    package var description: String { reason.isEmpty ? "\(code)" : "\(code) \(reason)" }

    /// Whether the code is 2xx.
    package var isSuccess: Bool { code >= 200 && code < 300 }

    var nio: HTTPResponseStatus { HTTPResponseStatus(statusCode: code) }
}
