import AlloySyntax
import OTTL
import Telemetry
import TextFormats
import Wire

/// One `action` block: what is done to one attribute.
struct AttributeAction: Block, Sendable {
    enum Source: Sendable {
        case value(OTLPAnyValue)
        case attribute(OTLPKey)
        case metadata(String)
        case authentication(String)
        case clientAddress
    }

    enum Conversion: String, Sendable {
        case int, double, string
    }

    enum Work: Sendable {
        case insert(Source), update(Source), upsert(Source)
        case delete, hash
        case extract(RegularExpression)
        case convert(Conversion)
        case nothing
    }

    private let key: OTLPKey?
    /// Other keys that are deleted or hashed.
    private let pattern: RegularExpression?
    private let work: Work

    init(from block: inout BlockReader) {
        let key = block.optional("key", default: "", "The attribute that is changed.")
        let value: Value? = block.optional("value", "The value to write.")
        let pattern = block.optional(
            "pattern", default: "", "An expression: keys to delete or hash, or what to extract from the value.")
        let attribute = block.optional("from_attribute", default: "", "The attribute whose value is written.")
        let context = block.optional("from_context", default: "", "The piece of the request's context that is written.")
        let conversion = block.optional("converted_type", default: "", "The type to convert to.")
        let action: String = block.required("action", "What is done.")
        self.key = key.isEmpty ? nil : OTLPKey(key)
        var expression: RegularExpression?
        if !pattern.isEmpty {
            do { expression = try RegularExpression(pattern) } catch { block.reject("pattern", "\(error)") }
        }
        let isByPattern = action == "delete" || action == "hash"
        if key.isEmpty, !isByPattern || pattern.isEmpty { block.reject("key", "is required by \"\(action)\"") }
        func refuse(_ names: (name: String, isGiven: Bool)...) {
            for entry in names where entry.isGiven { block.reject(entry.name, "means nothing for \"\(action)\"") }
        }
        let value0 = ("value", value != nil)
        let pattern0 = ("pattern", !pattern.isEmpty)
        let attribute0 = ("from_attribute", !attribute.isEmpty)
        let context0 = ("from_context", !context.isEmpty)
        let conversion0 = ("converted_type", !conversion.isEmpty)
        switch action.lowercased() {
        case "insert", "update", "upsert":
            refuse(pattern0, conversion0)
            let source = Self.source(&block, value, attribute, context)
            work =
                action.lowercased() == "insert"
                ? .insert(source) : action.lowercased() == "update" ? .update(source) : .upsert(source)
            self.pattern = nil
        case "delete", "hash":
            refuse(value0, attribute0, context0, conversion0)
            work = action.lowercased() == "delete" ? .delete : .hash
            self.pattern = expression
        case "extract":
            refuse(value0, attribute0, context0, conversion0)
            if pattern.isEmpty { block.reject("pattern", "is required by \"extract\"") }
            if let expression,
                expression.groupCount == 0 || expression.groupNames.dropFirst().contains(where: { $0 == nil })
            {
                block.reject("pattern", "must have groups, each with a name: (?P<name>...)")
            }
            work = expression.map { .extract($0) } ?? .nothing
            self.pattern = nil
        case "convert":
            refuse(value0, pattern0, attribute0, context0)
            if let type = Conversion(rawValue: conversion) {
                work = .convert(type)
            } else {
                block.reject("converted_type", "must be \"int\", \"double\" or \"string\"")
                work = .nothing
            }
            self.pattern = nil
        default:
            if block.isSet("action") {
                block.reject(
                    "action", "must be one of insert, update, upsert, delete, hash, extract and convert")
            }
            work = .nothing
            self.pattern = nil
        }
    }

    private static func source(
        _ block: inout BlockReader, _ value: Value?, _ attribute: String, _ context: String
    ) -> Source {
        let given = [value != nil, !attribute.isEmpty, !context.isEmpty].count { $0 }
        if given != 1 { block.reject("exactly one of value, from_attribute and from_context must be set") }
        if let value {
            do { return .value(try OTLPAnyValue(configured: value)) } catch { block.reject("value", "\(error)") }
        }
        if !attribute.isEmpty { return .attribute(OTLPKey(attribute)) }
        if context == "client.address" { return .clientAddress }
        if context.hasPrefix("auth.") { return .authentication(String(context.dropFirst(5))) }
        return .metadata(context.hasPrefix("metadata.") ? String(context.dropFirst(9)) : context)
    }

    // MARK: Work

    func run(_ attributes: OTLPAttributes, _ client: OTLPClient?) {
        switch work {
        case .insert(let source):
            if let key, !attributes.contains(key) { write(source, key, attributes, client) }
        case .update(let source):
            if let key, attributes.contains(key) { write(source, key, attributes, client) }
        case .upsert(let source):
            if let key { write(source, key, attributes, client) }
        case .delete:
            if let key { attributes.remove(key) }
            if let pattern { attributes.filter { name, _ in !pattern.matches(name) } }
        case .hash:
            attributes.replaceValues { name, value in
                let isMeant = key.map { OTLPBytes.equal($0.bytes, name) } ?? false
                guard isMeant || pattern?.matches(name) ?? false else { return nil }
                return Self.hash(value)
            }
        case .extract(let expression): extract(expression, attributes)
        case .convert(let type): convert(type, attributes)
        case .nothing: break
        }
    }

    private func write(_ source: Source, _ key: OTLPKey, _ attributes: OTLPAttributes, _ client: OTLPClient?) {
        switch source {
        case .value(let value): attributes.set(key, to: value)
        case .attribute(let other): if let value = attributes[other] { attributes.set(key, to: value) }
        case .metadata(let name): write(client?.values(of: name) ?? [], key, attributes)
        case .authentication(let name):
            write(client?.authentication.first { $0.name == name }?.values ?? [], key, attributes)
        case .clientAddress:
            write(client?.host.map { [$0] } ?? [], key, attributes)
        }
    }

    private func write(_ values: [String], _ key: OTLPKey, _ attributes: OTLPAttributes) {
        if !values.isEmpty { attributes.set(key, to: values.joined(separator: ";")) }
    }

    /// SHA-256 of the text, or of the number or flag in little endian order; other kinds and empty text become empty.
    private static func hash(_ value: OTLPValue) -> OTLPAnyValue {
        let digest: [UInt8]
        switch value {
        case .string(let bytes) where !bytes.isEmpty: digest = SHA256.digest(bytes)
        case .bool(let flag): digest = SHA256.digest([flag ? 1 : 0])
        case .int(let number): digest = withUnsafeBytes(of: number.littleEndian) { SHA256.digest($0) }
        case .double(let number): digest = withUnsafeBytes(of: number.bitPattern.littleEndian) { SHA256.digest($0) }
        case .string, .bytes, .empty, .array, .map: return .string([])
        }
        return .string(Hex.encode(digest))
    }

    private func extract(_ expression: RegularExpression, _ attributes: OTLPAttributes) {
        guard let key, let text = attributes[key]?.stringBytes else { return }
        var captures = RegularExpression.Captures()
        guard expression.firstMatch(in: text, into: &captures) else { return }
        for (group, name) in expression.groupNames.enumerated() {
            guard let name else { continue }
            let part = captures[group].map { UnsafeRawBufferPointer(rebasing: text[$0]) } ?? OTLPBytes.empty
            attributes.set(OTLPKey(name), to: .string(part) as OTLPValue)
        }
    }

    private func convert(_ type: Conversion, _ attributes: OTLPAttributes) {
        guard let key, let value = attributes[key] else { return }
        switch (type, value) {
        case (.string, .string), (.int, .int), (.double, .double): break
        case (.string, _): attributes.set(key, to: OTLPAnyValue.string(OTLPText.bytes(value)))
        case (.int, .double(let number)):
            if let integer = Int64(exactly: number.rounded(.towardZero)) {
                attributes.set(key, to: .int(integer) as OTLPValue)
            }
        case (.int, .bool(let flag)): attributes.set(key, to: .int(flag ? 1 : 0) as OTLPValue)
        case (.int, .string(let text)):
            if let integer = GoNumber.parseInt(String(decoding: text, as: UTF8.self)) {
                attributes.set(key, to: .int(integer) as OTLPValue)
            }
        case (.double, .int(let number)): attributes.set(key, to: .double(Double(number)) as OTLPValue)
        case (.double, .bool(let flag)): attributes.set(key, to: .double(flag ? 1 : 0) as OTLPValue)
        case (.double, .string(let text)):
            if let number = GoNumber.parseFloat(String(decoding: text, as: UTF8.self)) {
                attributes.set(key, to: .double(number) as OTLPValue)
            }
        default: break
        }
    }
}
