import Synchronization
import TextFormats

/// A regular expression of a statement: compiled at load, or computed for each record and kept for the next.
final class Pattern: Sendable {
    /// Expressions kept; when there are more all are forgotten.
    private static let cacheLimit = 64

    private let fixed: RegularExpression?
    private let computed: Expression?
    private let cache = Mutex<[[UInt8]: RegularExpression]>([:])

    init(_ text: String) throws {
        fixed = try Self.compile(text)
        computed = nil
    }

    init(_ expression: Expression) {
        fixed = nil
        computed = expression
    }

    /// The expression, where it is a literal.
    var literal: RegularExpression? { fixed }

    @inline(__always)
    func expression(_ frame: OTTLFrame) throws -> RegularExpression {
        if let fixed { return fixed }
        return try lookUp(frame)
    }

    @inline(never)
    private func lookUp(_ frame: OTTLFrame) throws -> RegularExpression {
        guard let computed else { throw OTTLError("no regular expression") }
        let text = try computed.evaluate(frame).requireText("pattern")
        if let known = cache.withLock({ $0[text] }) { return known }
        let made = try Self.compile(String(decoding: text, as: UTF8.self))
        cache.withLock { cache in
            if cache.count >= Self.cacheLimit { cache.removeAll() }
            cache[text] = made
        }
        return made
    }

    private static func compile(_ text: String) throws -> RegularExpression {
        do {
            return try RegularExpression(text)
        } catch {
            throw OTTLError("invalid regular expression: \(error)")
        }
    }
}
