/// One run of a template.
struct TemplateExecution {
    private enum Flow {
        case onward, leaveLoop, nextRound
    }

    private let template: GoTemplate
    private let limits: GoTemplate.Limits
    private let outputStart: Int
    private var steps = 0
    private var depth = 0
    private var tree = ""
    private var variables: [(name: String, value: GoValue)] = []
    var output: [UInt8]

    init(_ template: GoTemplate, limits: GoTemplate.Limits, output: [UInt8]) {
        self.template = template
        self.limits = limits
        self.output = output
        outputStart = output.count
    }

    mutating func run(_ name: String, _ data: GoValue) throws(GoTemplateError) {
        tree = name
        variables = [("$", data)]
        _ = try execute(template.trees[name] ?? [], data)
    }

    private func error(_ message: String, _ range: Range<Int>) -> GoTemplateError {
        template.source.executionError(message, in: tree, at: range)
    }

    private mutating func spend(_ count: Int, _ range: Range<Int>) throws(GoTemplateError) {
        steps = steps &+ count
        guard steps <= limits.steps, count <= limits.steps else {
            throw error("exceeded the limit of \(limits.steps) steps", range)
        }
    }

    private mutating func write(_ bytes: some Collection<UInt8>, _ range: Range<Int>) throws(GoTemplateError) {
        guard output.count - outputStart + bytes.count <= limits.output else {
            throw error("exceeded the output limit of \(limits.output) bytes", range)
        }
        output.append(contentsOf: bytes)
    }

    // MARK: Statements

    private mutating func execute(_ statements: [TemplateStatement], _ dot: GoValue) throws(GoTemplateError) -> Flow {
        for statement in statements {
            switch statement {
            case .text(let text):
                try spend(1, 0..<0)
                try write(text, 0..<0)
            case .action(let pipeline):
                let value = try evaluate(pipeline, dot)
                if pipeline.declared.isEmpty { try print(value, pipeline.range) }
            case .condition(let pipeline, let then, let otherwise), .with(let pipeline, let then, let otherwise):
                let mark = variables.count
                let value = try evaluate(pipeline, dot)
                var inner = dot
                if case .with = statement { inner = value }
                let flow = value.isTrue ? try execute(then, inner) : try execute(otherwise, dot)
                variables.removeSubrange(mark...)
                if flow != .onward { return flow }
            case .range(let pipeline, let body, let otherwise):
                let flow = try loop(pipeline, body, otherwise, dot)
                if flow != .onward { return flow }
            case .template(let name, let argument, let range):
                try call(name, argument, dot, range)
            case .leaveLoop: return .leaveLoop
            case .nextRound: return .nextRound
            }
        }
        return .onward
    }

    private mutating func print(_ value: GoValue, _ range: Range<Int>) throws(GoTemplateError) {
        switch value {
        case .nil: try write("<no value>".utf8, range)
        case .string(let text): try write(text.utf8, range)
        default: try write(GoFormat.sprint([value]).utf8, range)
        }
    }

    private mutating func call(
        _ name: String, _ argument: TemplatePipeline?, _ dot: GoValue, _ range: Range<Int>
    ) throws(GoTemplateError) {
        guard let statements = template.trees[name] else {
            throw error("template \(GoQuote.quote(name)) not defined", range)
        }
        let data = try argument.map { (pipeline) throws(GoTemplateError) in try evaluate(pipeline, dot) } ?? .nil
        guard depth < limits.depth else { throw error("exceeded maximum template depth (\(limits.depth))", range) }
        depth += 1
        let (outerTree, outerVariables) = (tree, variables)
        tree = name
        variables = [("$", data)]
        _ = try execute(statements, data)
        (tree, variables) = (outerTree, outerVariables)
        depth -= 1
    }

    private mutating func loop(
        _ pipeline: TemplatePipeline, _ body: [TemplateStatement], _ otherwise: [TemplateStatement], _ dot: GoValue
    ) throws(GoTemplateError) -> Flow {
        let mark = variables.count
        defer { variables.removeSubrange(mark...) }
        var head = pipeline
        head.declared = []
        let value = try evaluate(head, dot)
        if !pipeline.isAssignment { for name in pipeline.declared { variables.append((name, .nil)) } }
        let inner = variables.count
        func round(_ execution: inout TemplateExecution, _ key: GoValue, _ element: GoValue) throws(GoTemplateError)
            -> Bool
        {
            try execution.spend(1, pipeline.range)
            let names = pipeline.declared
            if names.count == 1 { execution.set(names[0], element, declaredAt: pipeline.isAssignment ? nil : mark) }
            if names.count == 2 {
                execution.set(names[0], key, declaredAt: pipeline.isAssignment ? nil : mark)
                execution.set(names[1], element, declaredAt: pipeline.isAssignment ? nil : mark + 1)
            }
            let flow = try execution.execute(body, element)
            execution.variables.removeSubrange(inner...)
            return flow != .leaveLoop
        }
        switch value {
        case .list(let elements) where !elements.isEmpty:
            for (index, element) in elements.enumerated() {
                guard try round(&self, .int(Int64(index)), element) else { break }
            }
        case .map(let map) where map.count > 0:
            let entries = map.entries
            for key in map.sortedKeys {
                guard try round(&self, .string(key), entries[key] ?? .nil) else { break }
            }
        case .int(let count) where count > 0:
            for index in 0..<count {
                guard try round(&self, .int(index), .int(index)) else { break }
            }
        case .list, .map, .nil, .int:
            return try execute(otherwise, dot)
        default:
            throw error("range can't iterate over \(value.text)", pipeline.range)
        }
        return .onward
    }

    private mutating func set(_ name: String, _ value: GoValue, declaredAt slot: Int?) {
        if let slot {
            variables[slot].value = value
        } else if let index = variables.lastIndex(where: { $0.name == name }) {
            variables[index].value = value
        }
    }

    // MARK: Pipelines

    private mutating func evaluate(_ pipeline: TemplatePipeline, _ dot: GoValue) throws(GoTemplateError) -> GoValue {
        var value: GoValue?
        for command in pipeline.commands {
            try spend(1, command.range)
            value = try evaluate(command, dot, final: value)
        }
        let result = value ?? .nil
        for name in pipeline.declared {
            if pipeline.isAssignment {
                set(name, result, declaredAt: nil)
            } else {
                variables.append((name, result))
            }
        }
        return result
    }

    private mutating func evaluate(
        _ command: TemplateCommand, _ dot: GoValue, final: GoValue?
    ) throws(GoTemplateError) -> GoValue {
        let first = command.operands[0]
        let arguments = command.operands.dropFirst()
        switch first.kind {
        case .function(let name, let fields):
            let result = try call(name, arguments, dot, final, first.range, command.range)
            return fields.isEmpty ? result : try self.fields(fields, of: result, first.range)
        case .field(let names):
            return try member(names, of: dot, arguments, dot, final, first.range)
        case .variable(let name, let names) where !names.isEmpty:
            return try member(names, of: variable(name), arguments, dot, final, first.range)
        case .pipeline(let inner, let names) where !names.isEmpty:
            return try member(names, of: try nested(inner, dot), arguments, dot, final, first.range)
        default:
            guard arguments.isEmpty, final == nil else {
                let piece = String(decoding: template.source.bytes[first.range], as: UTF8.self)
                throw error("can't give argument to non-function \(piece)", first.range)
            }
            return try value(of: first, dot)
        }
    }

    private mutating func nested(_ pipeline: TemplatePipeline, _ dot: GoValue) throws(GoTemplateError) -> GoValue {
        let mark = variables.count
        defer { variables.removeSubrange(mark...) }
        return try evaluate(pipeline, dot)
    }

    private func variable(_ name: String) -> GoValue {
        variables.last { $0.name == name }?.value ?? .nil
    }

    private mutating func value(of operand: TemplateOperand, _ dot: GoValue) throws(GoTemplateError) -> GoValue {
        switch operand.kind {
        case .dot: return dot
        case .constant(let value): return value
        case .field(let names): return try fields(names, of: dot, operand.range)
        case .variable(let name, let names): return try fields(names, of: variable(name), operand.range)
        case .pipeline(let pipeline, let names):
            return try fields(names, of: try nested(pipeline, dot), operand.range)
        case .function(let name, let names):
            let result = try call(name, [], dot, nil, operand.range, operand.range)
            return try fields(names, of: result, operand.range)
        }
    }

    private mutating func fields(
        _ names: [String], of value: GoValue, _ range: Range<Int>
    ) throws(GoTemplateError) -> GoValue {
        guard !names.isEmpty else { return value }
        return try member(names, of: value, [], .nil, nil, range)
    }

    /// Follows `names` from `value`; the last may be a method that takes arguments.
    private mutating func member(
        _ names: [String], of value: GoValue, _ arguments: ArraySlice<TemplateOperand>, _ dot: GoValue,
        _ final: GoValue?, _ range: Range<Int>
    ) throws(GoTemplateError) -> GoValue {
        var current = value
        for (index, name) in names.enumerated() {
            let isLast = index == names.count - 1
            let hasArguments = isLast && (!arguments.isEmpty || final != nil)
            switch current {
            case .map(let map):
                if hasArguments { throw error("\(name) is not a method but has arguments", range) }
                current = map[name] ?? .nil
            case .nil:
                if hasArguments { throw error("nil data; no entry for key \(GoQuote.quote(name))", range) }
            case .time(let time):
                guard let method = TemplateTimeMethods.table[name] else {
                    throw error("can't evaluate field \(name) in type time.Time", range)
                }
                var values: [GoValue] = []
                if isLast {
                    for argument in arguments { values.append(try self.value(of: argument, dot)) }
                    if let final { values.append(final) }
                }
                do { current = try method(time, values) } catch {
                    throw self.error("error calling \(name): \(error)", range)
                }
            default:
                throw error("can't evaluate field \(name) in type \(current.typeName)", range)
            }
        }
        return current
    }

    // MARK: Calls

    private mutating func call(
        _ name: String, _ operands: ArraySlice<TemplateOperand>, _ dot: GoValue, _ final: GoValue?,
        _ nameRange: Range<Int>, _ range: Range<Int>
    ) throws(GoTemplateError) -> GoValue {
        guard let function = template.functions[name] else {
            throw error("\(GoQuote.quote(name)) is not a defined function", nameRange)
        }
        let count = operands.count + (final == nil ? 0 : 1)
        let wanted = function.parameters.count
        if function.rest == nil ? count != wanted : count < wanted {
            let least = function.rest == nil ? "" : "at least "
            throw error("wrong number of args for \(name): want \(least)\(wanted) got \(count)", nameRange)
        }
        if name == "and" || name == "or" { return try shortCircuit(isAnd: name == "and", operands, dot, final) }
        var values: [GoValue] = []
        values.reserveCapacity(count)
        for operand in operands {
            let parameter = values.count < wanted ? function.parameters[values.count] : function.rest ?? .any
            values.append(try convert(try value(of: operand, dot), parameter, operand.range))
        }
        if let final {
            let parameter = values.count < wanted ? function.parameters[values.count] : function.rest ?? .any
            values.append(try convert(final, parameter, range))
        }
        let result: GoValue
        do { result = try function.body(values) } catch {
            throw self.error("error calling \(name): \(error)", range)
        }
        try spend(1 + weight(result), range)
        return result
    }

    private func weight(_ value: GoValue) -> Int {
        switch value {
        case .string(let text): text.utf8.count / 64
        case .list(let elements): elements.count
        case .map(let map): map.count
        default: 0
        }
    }

    private mutating func shortCircuit(
        isAnd: Bool, _ operands: ArraySlice<TemplateOperand>, _ dot: GoValue, _ final: GoValue?
    ) throws(GoTemplateError) -> GoValue {
        var result = GoValue.nil
        for operand in operands {
            result = try value(of: operand, dot)
            if result.isTrue != isAnd { return result }
        }
        return final ?? result
    }

    private func convert(
        _ value: GoValue, _ parameter: GoTemplate.Parameter, _ range: Range<Int>
    ) throws(GoTemplateError) -> GoValue {
        switch (parameter, value) {
        case (.any, _), (.string, .string), (.int, .int), (.float, .float), (.bool, .bool), (.list, .list),
            (.map, .map),
            (.time, .time), (.list, .nil), (.map, .nil):
            return value
        case (.int, .uint(let number)):
            if let signed = Int64(exactly: number) { return .int(signed) }
        case (.int, .duration(let number)): return .int(number)
        case (.float, .int(let number)): return .float(Double(number))
        case (_, .nil): throw error("invalid value; expected \(parameter.name)", range)
        default: break
        }
        throw error("wrong type for value; expected \(parameter.name); got \(value.typeName)", range)
    }
}
