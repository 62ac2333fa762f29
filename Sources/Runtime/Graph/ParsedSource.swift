import AlloySyntax

/// The statements of a configuration, or why there are none.
struct ParsedSource {
    var bodies: [Body] = []
    var diagnostics = Diagnostics()

    /// Parses every file, so that the errors of all of them are told at once.
    init(_ source: ConfigurationSource) {
        for file in source.files {
            do throws(Diagnostics) {
                bodies.append(try Parser.parse(file).body)
            } catch {
                diagnostics.append(contentsOf: error)
            }
        }
    }
}
