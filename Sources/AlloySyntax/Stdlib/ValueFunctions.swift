import Essentials

/// The functions that look at values of any kind: `coalesce`, `convert.nonsensitive` and `json_path`.
enum ValueFunctions {
    static let all: [Function] = [
        Function("coalesce") { arguments throws(Function.Failure) in
            arguments.first { !isEmpty($0) } ?? arguments.last ?? .null
        },
        Function("convert.nonsensitive") { arguments throws(Function.Failure) in
            try arguments.check(count: 1)
            let secret: Secret<String> = try arguments.argument(0)
            return .string(secret.reveal { $0 })
        },
        Function("json_path") { arguments throws(Function.Failure) in
            let texts = try arguments.strings(count: 2)
            do throws(FormatError) {
                let path = try JSONPath(texts[1])
                return .array(try path.values(in: Formats.decodeJSON(texts[0], integers: true)))
            } catch {
                throw .call(error.message)
            }
        },
    ]

    /// Whether a value is null, zero, false, or has nothing in it.
    private static func isEmpty(_ value: Value) -> Bool {
        switch value {
        case .null: true
        case .bool(let bool): !bool
        case .number(let number): number == .int(0)
        case .string(let text), .optionalSecret(.plain(let text)): text.isEmpty
        case .array(let elements): elements.isEmpty
        case .object(let object): object.isEmpty
        case .function: false
        case .capsule(let capsule): capsule.object.map { $0.isEmpty } ?? false
        case .secret(let secret): secret.reveal { $0.isEmpty }
        case .optionalSecret(.secret): false
        }
    }
}

/// A failure of one of the text formats behind the standard library.
struct FormatError: Error, Equatable {
    var message: String
}

/// Reading what is inside secrets for a result that becomes a secret itself.
enum Revealing {
    /// The text as a string, or as a secret when something secret went into it.
    static func result(_ text: String, secret: Bool) -> Value {
        secret ? .secret(Secret(text)) : .string(text)
    }

    /// The text of a secret or optional secret; `nil` for every other value.
    static func text(of value: Value) -> String? {
        switch value {
        case .secret(let secret): secret.reveal { $0 }
        case .optionalSecret(let optional): optional.asSecret.reveal { $0 }
        default: nil
        }
    }
}
