import AlloySyntax
import TextFormats
import Wire

/// Operators that change, move and remove values.
extension StanzaOperator {
    static func noop(_ reader: inout OperatorReader) -> StanzaOperator? { .transform { _ in } }

    static func add(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.requiredField("field")
        guard let given = reader.value("value") else {
            reader.reject("'value' is required")
            return nil
        }
        if case .string(let text) = given, text.hasPrefix("EXPR("), text.hasSuffix(")") {
            do throws(StanzaError) {
                let expression = try StanzaExpression(String(text.dropFirst(5).dropLast()))
                return .transform { (entry) throws(StanzaError) in
                    try field.set(try expression.value(entry).anyValue, in: &entry)
                }
            } catch {
                reader.reject("'value': \(error)")
                return nil
            }
        }
        guard let value = try? OTLPAnyValue(configured: given) else {
            reader.reject("'value' must be data")
            return nil
        }
        return .transform { (entry) throws(StanzaError) in try field.set(value, in: &entry) }
    }

    static func assignKeys(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.requiredField("field")
        let keys = reader.strings("keys").map { Array($0.utf8) }
        if keys.isEmpty { reader.reject("'keys' is required") }
        if Set(keys).count != keys.count { reader.reject("'keys' must not have duplicates") }
        return .transform { (entry) throws(StanzaError) in
            guard case .array(let values)? = field.get(entry) else {
                throw StanzaError("\(field.text) is no list to assign keys to")
            }
            guard values.count == keys.count else {
                throw StanzaError("assign_keys: \(keys.count) keys for \(values.count) values")
            }
            var map = OTLPAnyValue.Map()
            for (key, value) in zip(keys, values) { map[key] = value }
            _ = field.delete(from: &entry)
            try field.set(.map(map), in: &entry)
        }
    }

    static func copy(_ reader: inout OperatorReader) -> StanzaOperator? {
        let (from, to) = (reader.requiredField("from"), reader.requiredField("to"))
        return .transform { (entry) throws(StanzaError) in
            guard let value = from.get(entry) else { throw StanzaError("copy: \(from.text) does not exist") }
            try to.set(value, in: &entry)
        }
    }

    static func move(_ reader: inout OperatorReader) -> StanzaOperator? {
        let (from, to) = (reader.requiredField("from"), reader.requiredField("to"))
        return .transform { (entry) throws(StanzaError) in
            guard let value = from.delete(from: &entry) else { throw StanzaError("move: \(from.text) does not exist") }
            try to.set(value, in: &entry)
        }
    }

    static func remove(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.requiredField("field")
        return .transform { (entry) throws(StanzaError) in
            guard field.delete(from: &entry) != nil else { throw StanzaError("remove: \(field.text) does not exist") }
        }
    }

    static func flatten(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.requiredField("field")
        if field.root != .body, field.keys.isEmpty {
            reader.reject("'field' cannot be all \(field.root.rawValue)")
        }
        return .transform { (entry) throws(StanzaError) in
            guard let value = field.get(entry) else { throw StanzaError("flatten: \(field.text) does not exist") }
            guard case .map(let map) = value else { throw StanzaError("flatten: \(field.text) is not a map") }
            _ = field.delete(from: &entry)
            for item in map.entries { try field.parent.child(item.key).set(item.value, in: &entry) }
        }
    }

    static func retain(_ reader: inout OperatorReader) -> StanzaOperator? {
        var fields: [StanzaField] = []
        for text in reader.strings("fields") {
            do throws(StanzaError) {
                fields.append(try StanzaField(text))
            } catch {
                reader.reject("'fields': \(error)")
            }
        }
        if !reader.isSet("fields") { reader.reject("'fields' is required") }
        let kept = fields
        let roots = Set(kept.map(\.root.rawValue))
        return .transform { (entry) throws(StanzaError) in
            let before = entry
            if roots.contains("body") { entry.body = .empty }
            if roots.contains("attributes") { entry.attributes = OTLPAnyValue.Map() }
            if roots.contains("resource") { entry.resource = OTLPAnyValue.Map() }
            for field in kept {
                if let value = field.get(before) { try field.set(value, in: &entry) }
            }
        }
    }

    static func regexReplace(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.requiredField("field")
        var pattern = reader.pattern("regex")
        let name = reader.string("regex_name") ?? ""
        let replacement = reader.string("replace_with") ?? ""
        if reader.isSet("regex") == !name.isEmpty { reader.reject("one of 'regex' and 'regex_name' is required") }
        if name == "ansi_control_sequences" {
            pattern = try? RegularExpression("(?:\\x{1b}\\[|\\x{9b})[0-?]*[ -/]*[@-~]")
        } else if !name.isEmpty {
            reader.reject("unknown regex_name '\(name)'")
        }
        guard let pattern else { return nil }
        let template = pattern.template(replacement)
        return .transform { (entry) throws(StanzaError) in
            let text = try field.string(entry)
            var output: [UInt8] = []
            text.withUnsafeBytes { pattern.replaceAll(in: $0, with: template, into: &output) }
            try field.set(.text(output), in: &entry)
        }
    }

    static func sanitize(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.field("field", default: .body)
        return .transform { (entry) throws(StanzaError) in
            let text = try field.string(entry)
            try field.set(.string(String(decoding: text, as: UTF8.self)), in: &entry)
        }
    }

    static func unquote(_ reader: inout OperatorReader) -> StanzaOperator? {
        let field = reader.requiredField("field")
        return .transform { (entry) throws(StanzaError) in
            let text = try field.string(entry)
            let inner = text.dropFirst().dropLast()
            let invalid = StanzaError("unquote: the value is not quoted")
            guard text.count >= 2, text.first == text.last else { throw invalid }
            switch text[0] {
            case 0x60:
                guard !inner.contains(0x60) else { throw invalid }
                try field.set(.text(inner.filter { $0 != 0x0D }), in: &entry)
            case 0x22, 0x27:
                // A lone quote of the other kind needs no escape within these.
                let literal = "\"" + String(decoding: inner, as: UTF8.self) + "\""
                guard let value = StringLiteral.unquoted(literal),
                    text[0] == 0x22 || value.unicodeScalars.count == 1
                else { throw invalid }
                try field.set(.string(value), in: &entry)
            default: throw invalid
            }
        }
    }

    // MARK: Ways

    static func filter(_ reader: inout OperatorReader) -> StanzaOperator? {
        let expression = reader.expression("expr")
        if expression == nil, !reader.isSet("expr") { reader.reject("'expr' is required") }
        let ratio = reader.double("drop_ratio", default: 1)
        if !(0...1).contains(ratio) { reader.reject("'drop_ratio' must be a number between 0 and 1") }
        return expression.map { .filter($0, ratio: ratio) }
    }

    static func router(_ reader: inout OperatorReader) -> StanzaOperator? {
        var routes: [Route] = []
        for var route in reader.objects("routes") {
            let expression = route.expression("expr")
            if expression == nil, !route.isSet("expr") { route.reject("'expr' is required") }
            let outputs = route.strings("output")
            if outputs.isEmpty { route.reject("'output' is required") }
            let attributes = route.templates("attributes")
            route.finish()
            if let expression { routes.append(Route(expression: expression, outputs: outputs, attributes: attributes)) }
        }
        if !reader.isSet("routes") { reader.reject("'routes' is required") }
        return .router(routes, otherwise: reader.strings("default"))
    }

    static func recombine(_ reader: inout OperatorReader) -> StanzaOperator? {
        RecombineSettings(&reader).map { .recombine($0) }
    }

    static func container(_ reader: inout OperatorReader) -> StanzaOperator? {
        let maximum = reader.byteCount("max_log_size", default: 1 << 20)
        let parser = ContainerParser(&reader)
        return .container(parser, .ofContainers(maximumBytes: maximum, tag: parser.tag))
    }
}
