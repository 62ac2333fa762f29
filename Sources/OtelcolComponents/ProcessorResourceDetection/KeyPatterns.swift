import AlloySyntax
import TextFormats

/// The `fail_on_missing_metadata` of a detector.
enum MissingMetadata {
    static func read(from block: inout BlockReader) -> Bool {
        block.optional(
            "fail_on_missing_metadata", default: false, "Whether it is an error that the metadata cannot be had.")
    }
}

/// Expressions for the keys of tags and labels that become attributes; without one none does.
struct KeyPatterns: Sendable {
    private var expressions: [RegularExpression] = []

    var isEmpty: Bool { expressions.isEmpty }

    init(_ argument: String, _ doc: String, from block: inout BlockReader) {
        let texts: [String] = block.optional(argument, default: [], doc)
        for text in texts {
            do { expressions.append(try RegularExpression(text)) } catch { block.reject(argument, "\(error)") }
        }
    }

    func match(_ key: String) -> Bool { expressions.contains { $0.matches(key) } }
}
