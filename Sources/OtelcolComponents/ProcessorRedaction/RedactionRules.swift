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

    /// Attributes that say what was done; another processor of this kind lets them through.
    private static let summaries: Set<[UInt8]> = Set(
        ["redaction.", "redaction.body."].flatMap { prefix in
            [
                "redacted.keys", "redacted.count", "masked.keys", "masked.count", "allowed.keys", "allowed.count",
                "ignored.count",
            ].map { Array((prefix + $0).utf8) }
        })

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
        allowedKeys = Set(allowed.map { Array($0.utf8) }).union(Self.summaries)
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
        report(losses, "redaction.", on: attributes)
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
        default:
            if redactsAllTypes {
                text = OTLPText.bytes(value)
            } else if isBlocked(key) {
                // As upstream, to which what is no string is empty.
                text = []
            } else {
                switch value {
                case .map(let map): return maskedMap(OTLPAnyValue.Map(map))
                case .array(let list): return maskedList(OTLPAnyValue(.array(list)))
                default: return .kept
                }
            }
        }
        if isAllowed(text) { return .allowed }
        if isBlocked(key) { return .masked(.string(maskedWhole(text))) }
        let changed = maskedText(text)
        return changed == text ? .kept : .masked(.string(changed))
    }

    private func isBlocked(_ key: UnsafeRawBufferPointer) -> Bool { blockedKeyPatterns.contains { $0.matches(key) } }

    private func isAllowed(_ value: [UInt8]) -> Bool {
        !allowedValues.isEmpty && value.withRawBytes { bytes in allowedValues.contains { $0.matches(bytes) } }
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
        case .string(let text): return isAllowed(text) ? value : .string(maskedText(text))
        case .array(let elements) where depth < 100: return .array(elements.map { walked($0, depth: depth + 1) })
        case .map(let map) where depth < 100:
            return .map(
                OTLPAnyValue.Map(
                    unique: map.entries.map { entry in
                        if entry.key.withRawBytes({ isBlocked($0) }), case .string(let text) = entry.value {
                            return OTLPAnyValue.Map.Entry(key: entry.key, value: .string(maskedWhole(text)))
                        }
                        return OTLPAnyValue.Map.Entry(key: entry.key, value: walked(entry.value, depth: depth + 1))
                    }))
        default: return value
        }
    }

    // MARK: Bodies

    /// Masks a log record's body and says so in its attributes; maps in it lose keys as attributes do. Keys inside are
    /// named by their way: `user.cards.[0]`.
    func applyToBody(_ record: OTLPLogRecord) {
        let value = record.body
        // Most bodies are text in which nothing is found.
        if let text = value.stringBytes, !blockedValues.contains(where: { $0.matches(text) }) { return }
        let before = OTLPAnyValue(value)
        if before == .empty { return }
        var losses = Losses()
        let after: OTLPAnyValue
        switch before {
        case .map, .array: after = body(before, path: [], depth: 0, &losses)
        default: after = body(before, path: Array("body".utf8), depth: 0, &losses)
        }
        if after != before { record.message.set(OTLPField.LogRecord.body, value: after) }
        report(losses, "redaction.body.", on: record.attributes)
    }

    private func body(_ value: OTLPAnyValue, path: [UInt8], depth: Int, _ losses: inout Losses) -> OTLPAnyValue {
        let prefix = path.isEmpty ? path : path + [UInt8(ascii: ".")]
        switch value {
        case .map(let map) where depth < 100:
            var entries: [OTLPAnyValue.Map.Entry] = []
            for entry in map.entries {
                let way = prefix + entry.key
                if entry.key.withRawBytes({ isIgnored($0) }) {
                    losses.ignored += 1
                    entries.append(entry)
                } else if !allowsAllKeys, !allowedKeys.contains(entry.key) {
                    losses.redacted.append(way)
                } else if entry.key.withRawBytes({ isBlocked($0) }) {
                    losses.masked.append(way)
                    let text: [UInt8] = if case .string(let text) = entry.value { text } else { [] }
                    entries.append(OTLPAnyValue.Map.Entry(key: entry.key, value: .string(maskedWhole(text))))
                } else {
                    let inner = body(entry.value, path: way, depth: depth + 1, &losses)
                    entries.append(OTLPAnyValue.Map.Entry(key: entry.key, value: inner))
                }
            }
            return .map(OTLPAnyValue.Map(unique: entries))
        case .array(let elements) where depth < 100:
            return .array(
                elements.enumerated().map { index, element in
                    body(element, path: prefix + Array("[\(index)]".utf8), depth: depth + 1, &losses)
                })
        default:
            let text: [UInt8] = if case .string(let text) = value { text } else { Array(OTLPText.string(value).utf8) }
            if isAllowed(text) {
                // As upstream, a body that is one value does not say so.
                if depth > 0 { losses.allowed.append(path) }
                return value
            }
            let changed = maskedText(text)
            if changed == text { return value }
            losses.masked.append(path)
            return .string(changed)
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

    /// What stands in the place of a whole value: each line for itself, as the expression `.*` finds them.
    private func maskedWhole(_ text: [UInt8]) -> [UInt8] {
        Array(
            text.split(separator: 0x0A, omittingEmptySubsequences: false).map { mask(Array($0)) }.joined(separator: [
                0x0A
            ]))
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

    /// Says on `attributes` what was done, on top of what an earlier processor said.
    private func report(_ losses: Losses, _ prefix: String, on attributes: OTLPAttributes) {
        guard summary != .silent else { return }
        for (name, keys) in [("redacted", losses.redacted), ("masked", losses.masked), ("allowed", losses.allowed)]
        where !keys.isEmpty {
            if summary == .debug {
                let key = OTLPKey(prefix + name + ".keys")
                var keys = keys
                if let before = attributes[key]?.stringBytes, !before.isEmpty {
                    keys += before.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map(Array.init)
                }
                let list = keys.sorted { $0.lexicographicallyPrecedes($1) }.joined(separator: [UInt8(ascii: ",")])
                attributes.set(key, to: OTLPAnyValue.string(Array(list)))
            }
            count(keys.count, OTLPKey(prefix + name + ".count"), attributes)
        }
        if losses.ignored > 0 { count(losses.ignored, OTLPKey(prefix + "ignored.count"), attributes) }
    }

    private func count(_ number: Int, _ key: OTLPKey, _ attributes: OTLPAttributes) {
        var total = Int64(number)
        if case .int(let before)? = attributes[key] { total = total.addingReportingOverflow(before).partialValue }
        attributes.set(key, to: .int(total) as OTLPValue)
    }
}
