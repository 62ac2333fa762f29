/// A compiled Go text/template (https://pkg.go.dev/text/template).
///
/// Everything of the language is there but what needs Go's own types: methods (times have the usual ones), channels,
/// function values and complex numbers. `call` therefore refuses every value. A run is bounded: `Limits` caps its steps,
/// its output and the depth of nested `{{template}}` calls.
package final class GoTemplate: Sendable {
    /// Bounds on one execution.
    package struct Limits: Sendable {
        /// Statements and calls executed, each 64 bytes or each element a call makes counting as one more.
        package var steps: Int
        /// Bytes written.
        package var output: Int
        /// Templates inside templates.
        package var depth: Int

        package init(steps: Int = 1_000_000, output: Int = 16 << 20, depth: Int = 100) {
            self.steps = steps
            self.output = output
            self.depth = depth
        }
    }

    /// What a parameter of a function takes.
    package enum Parameter: Sendable {
        case any, string, int, float, bool, list, map, time

        var name: String {
            switch self {
            case .any: "interface {}"
            case .string: "string"
            case .int: "int"
            case .float: "float64"
            case .bool: "bool"
            case .list: "[]interface {}"
            case .map: "map[string]interface {}"
            case .time: "time.Time"
            }
        }
    }

    /// A function a template may call.
    package struct Function: Sendable {
        let parameters: [Parameter]
        let rest: Parameter?
        let refusal: String?
        let body: @Sendable ([GoValue]) throws -> GoValue

        /// A function of `parameters`, and of any number of `rest` after them.
        package init(
            _ parameters: [Parameter], rest: Parameter? = nil, _ body: @escaping @Sendable ([GoValue]) throws -> GoValue
        ) {
            self.parameters = parameters
            self.rest = rest
            self.body = body
            refusal = nil
        }

        private init(refusal: String) {
            parameters = []
            rest = .any
            self.refusal = refusal
            body = { _ in .nil }
        }

        /// A name that is known and refused when a template that uses it is compiled.
        package static func unsupported(_ reason: String) -> Function { Function(refusal: reason) }
    }

    /// The name errors carry.
    package let name: String
    let source: TemplateSource
    let functions: [String: Function]
    let trees: [String: [TemplateStatement]]

    /// Compiles `text`; `functions` come on top of the language's own.
    package init(
        _ text: String, name: String = "template", functions: [String: Function] = [:]
    ) throws(GoTemplateError) {
        self.name = name
        source = TemplateSource(name: name, bytes: Array(text.utf8))
        self.functions = functions.merging(TemplateBuiltins.table) { mine, _ in mine }
        var parser = try TemplateParser(source, functions: self.functions)
        try parser.run()
        trees = parser.trees
    }

    /// Runs the template on `data` and appends what it writes; on an error `output` keeps what came before it.
    package func execute(
        _ data: GoValue, limits: Limits = Limits(), into output: inout [UInt8]
    ) throws(GoTemplateError) {
        var execution = TemplateExecution(self, limits: limits, output: output)
        output = []
        defer { output = execution.output }
        try execution.run(name, data)
    }

    /// What the template writes on `data`.
    package func execute(_ data: GoValue, limits: Limits = Limits()) throws(GoTemplateError) -> String {
        var output: [UInt8] = []
        try execute(data, limits: limits, into: &output)
        return String(decoding: output, as: UTF8.self)
    }
}
