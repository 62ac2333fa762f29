import AlloySyntax
import ComponentKit
import TextFormats

/// Compares what a component declares with what the facts say.
struct Comparison {
    private let component: String
    private(set) var differences: [Difference] = []

    init(_ type: any Component.Type, _ facts: JSONValue) {
        component = type.spec.name
        compare("", "name", type.spec.name, facts.text("name") ?? "")
        compare("", "stability", type.spec.stability.rawValue, facts.text("stability") ?? "")
        compare("", "community", type.spec.isCommunity, facts.flag("community"))
        compare("", "singleton", type.spec.isSingleton, facts.flag("singleton"))

        let schema = type.argumentSchema
        arguments("", schema.arguments, facts.list("arguments"))
        blocks(schema.flattenedBlocks, facts.list("blocks"))
        exports(type.exportSchema, facts.list("exports"))
    }

    // MARK: Parts

    private mutating func arguments(_ path: String, _ declared: [BlockSchema.Argument], _ known: [JSONValue]) {
        let prefix = path.isEmpty ? "" : path + " > "
        let byName = Dictionary(known.map { ($0.text("name") ?? "", $0) }, uniquingKeysWith: { first, _ in first })
        for argument in declared {
            guard let fact = byName[argument.name] else {
                add(prefix + argument.name, "extra", argument.typeName, "nothing")
                continue
            }
            self.argument(prefix + argument.name, argument, fact)
        }
        let names = Set(declared.map(\.name))
        for fact in known {
            guard let name = fact.text("name"), !names.contains(name) else { continue }
            add(prefix + name, "missing", "nothing", fact.text("type") ?? "")
        }
    }

    private mutating func argument(_ path: String, _ declared: BlockSchema.Argument, _ fact: JSONValue) {
        let type = fact.text("type") ?? ""
        compare(path, "type", declared.typeName, type)
        compare(path, "required", declared.isRequired, fact.flag("required"))
        compare(path, "deprecated", declared.isDeprecated, fact.flag("deprecated"))
        compare(path, "stability", declared.stability?.rawValue ?? "", fact.text("stability") ?? "")
        // A default in words has no value to compare; whoever declares one says so in words too.
        if fact.flag("default_is_prose") || declared.defaultProse != nil {
            compare(path, "default in words", declared.defaultProse != nil, fact.flag("default_is_prose"))
            return
        }
        let ours = DefaultValue(declared.defaultText, type: type)
        let theirs = DefaultValue(fact.text("default"), type: type)
        if ours != theirs { add(path, "default", "\(ours)", "\(theirs)") }
    }

    private mutating func blocks(_ declared: [BlockSchema.Nested], _ known: [JSONValue]) {
        let byPath = Dictionary(known.map { ($0.text("path") ?? "", $0) }, uniquingKeysWith: { first, _ in first })
        for block in declared {
            guard let fact = byPath[block.path] else {
                add(block.path, "extra", "a block", "nothing")
                continue
            }
            self.block(block, fact)
        }
        let paths = Set(declared.map(\.path))
        for fact in known {
            guard let path = fact.text("path"), !paths.contains(path) else { continue }
            add(path, "missing", "nothing", "a block")
        }
    }

    private mutating func block(_ declared: BlockSchema.Nested, _ fact: JSONValue) {
        let path = declared.path
        compare(path, "required", declared.isRequired, fact.flag("required"))
        compare(path, "repeatable", declared.isRepeatable, fact.flag("repeatable"))
        compare(path, "labeled", declared.isLabeled, fact.flag("labeled"))
        compare(path, "enum", declared.isEnum, fact.flag("enum"))
        compare(path, "recursive", declared.recursivePath ?? "", fact.text("recursive") ?? "")
        compare(path, "deprecated", declared.isDeprecated, fact.flag("deprecated"))
        compare(path, "stability", declared.stability?.rawValue ?? "", fact.text("stability") ?? "")
        compare(path, "free_form", declared.schema.freeFormType ?? "", fact.text("free_form") ?? "")
        if let known = fact.text("when_omitted"), !declared.isRequired {
            let isDefaults = declared.whenOmitted == .defaults
            // The zero value is the block as if given empty when no argument in it has a default.
            let isZero = !isDefaults || declared.schema.arguments.allSatisfy { $0.defaultText == nil }
            if known != "zero" || !isZero {
                compare(path, "when_omitted", isDefaults ? "defaults" : "absent", known)
            }
        }
        if declared.recursivePath == nil {
            arguments(path, declared.schema.arguments, fact.list("arguments"))
        }
    }

    private mutating func exports(_ declared: BlockSchema, _ known: [JSONValue]) {
        let byName = Dictionary(known.map { ($0.text("name") ?? "", $0) }, uniquingKeysWith: { first, _ in first })
        for export in declared.arguments {
            let path = "exports > " + export.name
            if let fact = byName[export.name] {
                compare(path, "type", export.typeName, fact.text("type") ?? "")
            } else {
                add(path, "extra", export.typeName, "nothing")
            }
        }
        for block in declared.blocks { add("exports > " + block.name, "extra", "a block", "nothing") }
        let names = Set(declared.arguments.map(\.name))
        for fact in known {
            guard let name = fact.text("name"), !names.contains(name) else { continue }
            add("exports > " + name, "missing", "nothing", fact.text("type") ?? "")
        }
    }

    // MARK: Noting

    private mutating func compare<Property: Equatable>(
        _ path: String, _ what: String, _ declared: Property, _ known: Property
    ) {
        if declared != known { add(path, what, "\(declared)", "\(known)") }
    }

    private mutating func add(_ path: String, _ what: String, _ declared: String, _ known: String) {
        differences.append(
            Difference(
                component: component, path: path, what: what, declared: declared.isEmpty ? "none" : declared,
                known: known.isEmpty ? "none" : known))
    }
}

/// A default as the value it evaluates to. No default and the zero value of the type are the same.
struct DefaultValue: Equatable, CustomStringConvertible {
    private enum Content: Equatable {
        case zero
        case duration(Duration)
        case value(Value)
        /// Text that is no expression: compared as it is.
        case text(String)
    }

    private let content: Content
    let description: String

    init(_ text: String?, type: String) {
        description = text ?? "none"
        guard let text else {
            content = .zero
            return
        }
        do {
            let expression = try Parser.parseExpression(text)
            let scope = Scope(variables: [:], standardLibrary: StandardLibrary(minimumStability: .experimental))
            let value = try Evaluator.evaluate(expression, in: scope)
            if type == "duration", value == .string("") {
                // No text is no duration, which is none.
                content = .zero
            } else if type == "duration" {
                let duration = try Duration(alloy: value)
                content = duration == .zero ? .zero : .duration(duration)
            } else {
                content = Self.isZero(value) ? .zero : .value(value)
            }
        } catch {
            content = .text(text)
        }
    }

    static func == (left: DefaultValue, right: DefaultValue) -> Bool { left.content == right.content }

    private static func isZero(_ value: Value) -> Bool {
        switch value {
        case .null: true
        case .bool(let flag): !flag
        case .number(let number): number.double == 0
        case .string(let text): text.isEmpty
        case .array(let elements): elements.isEmpty
        case .object(let fields): fields.values.isEmpty
        default: false
        }
    }
}
