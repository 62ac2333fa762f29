import AlloySyntax
import Essentials
import TextFormats
import Wire

/// Which attributes are removed and which values masked.
struct RedactionRules: Sendable {
    enum Hash: String, Sendable {
        case none = ""
        case md5, sha1, sha3
        case hmacSHA256 = "hmac-sha256"
        case hmacSHA512 = "hmac-sha512"
    }

    enum Summary: String, Sendable {
        case debug, info, silent
    }

    /// What a set of attributes lost, by key.
    private struct Losses {
        var redacted: [[UInt8]] = []
        var masked: [[UInt8]] = []
        var allowed: [[UInt8]] = []
        var ignored = 0
    }

    private let allowsAllKeys: Bool
    private let allowedKeys: Set<[UInt8]>
    private let ignoredKeys: Set<[UInt8]>
    private let ignoredPatterns: [RegularExpression]
    private let blockedKeyPatterns: [RegularExpression]
    private let allowedValues: [RegularExpression]
    private let blockedValues: [RegularExpression]
    private let hash: Hash
    private let hmacKey: Secret<String>
    private let redactsAllTypes: Bool
    private let summary: Summary

    init(from block: inout BlockReader) {
        func expressions(_ name: String, _ list: [String]) -> [RegularExpression] {
            list.compactMap { text in
                do {
                    return try RegularExpression(text)
                } catch {
                    block.reject(name, "\(error)")
                    return nil
                }
            }
        }
        allowsAllKeys = block.optional("allow_all_keys", default: false, "Whether all attributes stay.")
        let allowed: [String] = block.optional("allowed_keys", default: [], "Attributes that stay.")
        let ignored: [String] = block.optional("ignored_keys", default: [], "Attributes that are not looked at.")
        let blocked: [String] = block.optional(
            "blocked_key_patterns", default: [], "Attributes whose whole value is masked.")
        let ignoredPatterns: [String] = block.optional(
            "ignored_key_patterns", default: [], "Expressions for attributes that are not looked at.")
        let values: [String] = block.optional("allowed_values", default: [], "Values that are never masked.")
        let blockedValues: [String] = block.optional("blocked_values", default: [], "What is masked in values.")
        let hash = block.optional("hash_function", default: "", "How what is masked is hashed instead.")
        hmacKey = block.optional("hmac_key", default: Secret(""), "The key of the HMAC functions.")
        redactsAllTypes = block.optional(
            "redact_all_types", default: false, "Whether numbers and others are masked too.")
        let summary = block.optional(
            "summary", default: "", "Which attributes say what was done: debug, info or silent.")
        allowedKeys = Set(allowed.map { Array($0.utf8) })
        ignoredKeys = Set(ignored.map { Array($0.utf8) })
        self.ignoredPatterns = expressions("ignored_key_patterns", ignoredPatterns)
        blockedKeyPatterns = expressions("blocked_key_patterns", blocked)
        allowedValues = expressions("allowed_values", values)
        self.blockedValues = expressions("blocked_values", blockedValues)
        self.hash = Hash(rawValue: hash) ?? .none
        if Hash(rawValue: hash) == nil {
            block.reject("hash_function", "must be one of md5, sha1, sha3, hmac-sha256 and hmac-sha512")
        }
        if self.hash == .hmacSHA256 || self.hash == .hmacSHA512 {
            let length = hmacKey.reveal { $0.utf8.count }
            if length == 0 { block.reject("hmac_key", "is required by \(hash)") }
        }
        self.summary = summary.isEmpty ? .silent : Summary(rawValue: summary) ?? .silent
        if !summary.isEmpty, Summary(rawValue: summary) == nil {
            block.reject("summary", "must be \"debug\", \"info\" or \"silent\"")
        }
    }

    // MARK: Attributes

    func apply(to attributes: OTLPAttributes) {
        if attributes.isEmpty { return }
        var losses = Losses()
        attributes.filter { key, _ in
            if isIgnored(key) || allowsAllKeys || allowedKeys.contains(Array(key)) { return true }
            losses.redacted.append(Array(key))
            return false
        }
        attributes.replaceValues { key, value in
            if isIgnored(key) {
                losses.ignored += 1
                return nil
            }
            switch masked(key, value) {
            case .kept: return nil
            case .allowed:
                losses.allowed.append(Array(key))
                return nil
            case .masked(let new):
                losses.masked.append(Array(key))
                return new
            }
        }
        report(losses, on: attributes)
    }

    private func isIgnored(_ key: UnsafeRawBufferPointer) -> Bool {
        (!ignoredKeys.isEmpty && ignoredKeys.contains(Array(key))) || ignoredPatterns.contains { $0.matches(key) }
    }

    private enum Outcome {
        case kept, allowed
        case masked(OTLPAnyValue)
    }

    private func masked(_ key: UnsafeRawBufferPointer, _ value: OTLPValue) -> Outcome {
        let text: [UInt8]
        switch value {
        case .string(let bytes): text = Array(bytes)
        case .map(let map) where !redactsAllTypes: return maskedMap(OTLPAnyValue.Map(map))
        case .array(let list) where !redactsAllTypes: return maskedList(OTLPAnyValue(.array(list)))
        default:
            let isBlocked = blockedKeyPatterns.contains { $0.matches(key) }
            guard redactsAllTypes || isBlocked else { return .kept }
            text = OTLPText.bytes(value)
        }
        if text.withRawBytes({ bytes in allowedValues.contains { $0.matches(bytes) } }) { return .allowed }
        if blockedKeyPatterns.contains(where: { $0.matches(key) }) { return .masked(.string(mask(text))) }
        let changed = maskedText(text)
        return changed == text ? .kept : .masked(.string(changed))
    }

    private func maskedMap(_ map: OTLPAnyValue.Map) -> Outcome {
        let changed = walked(.map(map), depth: 0)
        return changed == .map(map) ? .kept : .masked(changed)
    }

    private func maskedList(_ list: OTLPAnyValue) -> Outcome {
        let changed = walked(list, depth: 0)
        return changed == list ? .kept : .masked(changed)
    }

    /// A value with all strings inside of it masked.
    private func walked(_ value: OTLPAnyValue, depth: Int) -> OTLPAnyValue {
        switch value {
        case .string(let text):
            if text.withRawBytes({ bytes in allowedValues.contains { $0.matches(bytes) } }) { return value }
            return .string(maskedText(text))
        case .array(let elements) where depth < 100: return .array(elements.map { walked($0, depth: depth + 1) })
        case .map(let map) where depth < 100:
            return .map(
                OTLPAnyValue.Map(
                    unique: map.entries.map { entry in
                        let isBlocked = entry.key.withRawBytes { key in blockedKeyPatterns.contains { $0.matches(key) }
                        }
                        if isBlocked, case .string(let text) = entry.value {
                            return OTLPAnyValue.Map.Entry(key: entry.key, value: .string(mask(text)))
                        }
                        return OTLPAnyValue.Map.Entry(key: entry.key, value: walked(entry.value, depth: depth + 1))
                    }))
        default: return value
        }
    }

    // MARK: Bodies

    /// Masks the text of a log record's body; a body that is a map loses its keys as attributes do.
    func applyToBody(_ record: OTLPLogRecord) {
        switch record.body {
        case .string(let text):
            if allowedValues.contains(where: { $0.matches(text) }) { return }
            let text = Array(text)
            let changed = maskedText(text)
            if changed != text { record.message.set(OTLPField.LogRecord.body, value: .string(changed) as OTLPAnyValue) }
        case .map(let map):
            let before = OTLPAnyValue.Map(map)
            var kept = before
            kept.filter { entry in
                allowsAllKeys || allowedKeys.contains(entry.key) || entry.key.withRawBytes { isIgnored($0) }
            }
            let after = OTLPAnyValue.Map(
                unique: kept.entries.map { entry in
                    if entry.key.withRawBytes({ isIgnored($0) }) { return entry }
                    guard case .map(let inner) = walked(.map(OTLPAnyValue.Map(unique: [entry])), depth: 0) else {
                        return entry
                    }
                    return inner.entries.first ?? entry
                })
            if after != before { record.message.set(OTLPField.LogRecord.body, value: .map(after) as OTLPAnyValue) }
        case .array(let list):
            let before = OTLPAnyValue(.array(list))
            let after = walked(before, depth: 0)
            if after != before { record.message.set(OTLPField.LogRecord.body, value: after) }
        default: break
        }
    }

    // MARK: Masks

    private func maskedText(_ text: [UInt8]) -> [UInt8] {
        var text = text
        for expression in blockedValues {
            guard text.withRawBytes({ expression.matches($0) }) else { continue }
            text = text.withRawBytes { bytes in
                var output: [UInt8] = []
                var captures = RegularExpression.Captures()
                var copied = 0
                var searched = 0
                while searched <= bytes.count, expression.firstMatch(in: bytes, from: searched, into: &captures) {
                    guard let whole = captures[0] else { break }
                    output.append(contentsOf: bytes[copied..<whole.lowerBound])
                    output.append(contentsOf: mask(Array(bytes[whole])))
                    copied = whole.upperBound
                    searched = max(whole.upperBound, whole.lowerBound + 1)
                }
                output.append(contentsOf: bytes[copied...])
                return output
            }
        }
        return text
    }

    /// What stands in the place of a secret.
    private func mask(_ text: [UInt8]) -> [UInt8] {
        switch hash {
        case .none: Array("****".utf8)
        case .md5: Array(Hex.encode(MD5.digest(text)).utf8)
        case .sha1: Array(Hex.encode(SHA1.digest(text)).utf8)
        case .sha3: Array(Hex.encode(SHA3_256.digest(text)).utf8)
        case .hmacSHA256: hmacKey.reveal { Array(Hex.encode(HMAC<SHA256>.code(text, key: Array($0.utf8))).utf8) }
        case .hmacSHA512: hmacKey.reveal { Array(Hex.encode(HMAC<SHA512>.code(text, key: Array($0.utf8))).utf8) }
        }
    }

    // MARK: Summaries

    private func report(_ losses: Losses, on attributes: OTLPAttributes) {
        guard summary != .silent else { return }
        for (name, keys) in [("redacted", losses.redacted), ("masked", losses.masked), ("allowed", losses.allowed)]
        where !keys.isEmpty {
            if summary == .debug {
                let list = keys.sorted { $0.lexicographicallyPrecedes($1) }.map { String(decoding: $0, as: UTF8.self) }
                attributes.set(OTLPKey("redaction.\(name).keys"), to: list.joined(separator: ","))
            }
            attributes.set(OTLPKey("redaction.\(name).count"), to: .int(Int64(keys.count)) as OTLPValue)
        }
        if losses.ignored > 0 {
            attributes.set(OTLPKey("redaction.ignored.count"), to: .int(Int64(losses.ignored)) as OTLPValue)
        }
    }
}
