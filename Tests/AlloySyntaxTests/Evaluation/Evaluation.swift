import AlloySyntax
import Testing

/// Evaluates the text of an expression.
func evaluate(
    _ text: String, _ variables: [String: Value] = [:], stability: Stability = .experimental
) throws -> Value {
    let library = StandardLibrary(
        minimumStability: stability, version: "1.2.3", hostname: "machine",
        environment: { ["HOME": "/home/me"][$0] })
    let scope = Scope(variables: variables, standardLibrary: library)
    return try Evaluator.evaluate(Parser.parseExpression(text), in: scope)
}

/// `line:column: message` of what is wrong with an expression; an empty string when nothing is.
func problem(
    _ text: String, _ variables: [String: Value] = [:], stability: Stability = .experimental
) throws -> String {
    do {
        _ = try evaluate(text, variables, stability: stability)
        return ""
    } catch let diagnostic as Diagnostic {
        return diagnostic.description
    }
}
