import TextFormats

/// An ordered list of rules, applied to one label set after another with reused scratch.
package struct Relabeling: Sendable, Equatable {
    package var rules: [RelabelRule]

    package init(_ rules: [RelabelRule]) { self.rules = rules }

    package var isEmpty: Bool { rules.isEmpty }

    /// Applies every rule in order. False when a rule dropped the labels; the builder is then in between.
    package func apply(to labels: inout LabelSetBuilder) -> Bool { firstDrop(&labels) == nil }

    /// As ``apply(to:)``, returning the index of the rule that dropped, or nil.
    package func firstDrop(_ labels: inout LabelSetBuilder) -> Int? {
        var scratch = Scratch()
        for (index, rule) in rules.enumerated() {
            if !rule.apply(to: &labels, &scratch) { return index }
        }
        return nil
    }

    /// The labels after all rules, or nil when dropped. Returns `labels` itself when nothing changed.
    package func apply(to labels: LabelSet, scratch: inout LabelSetBuilder) -> LabelSet? {
        if rules.isEmpty { return labels }
        scratch.reset(to: labels)
        return apply(to: &scratch) ? scratch.finish() : nil
    }
}

/// Buffers a rule works in.
struct Scratch {
    var joined: [UInt8] = []
    var target: [UInt8] = []
    var result: [UInt8] = []
    var captures = RegularExpression.Captures()
}

extension RelabelRule {
    /// Changes `labels`; false when they are to be dropped.
    func apply(to labels: inout LabelSetBuilder, _ scratch: inout Scratch) -> Bool {
        switch action {
        case .labeldrop:
            labels.filter { name, _ in !expression.matchesWhole(name) }
            return true
        case .labelkeep:
            labels.filter { name, _ in expression.matchesWhole(name) }
            return true
        case .labelmap:
            mapNames(&labels)
            return true
        default: break
        }
        join(labels, into: &scratch.joined)
        switch action {
        case .keep: return scratch.joined.withUnsafeBytes { expression.matchesWhole($0) }
        case .drop: return !scratch.joined.withUnsafeBytes { expression.matchesWhole($0) }
        case .keepequal: return targetEquals(scratch.joined, labels)
        case .dropequal: return !targetEquals(scratch.joined, labels)
        case .replace: replace(&labels, &scratch)
        case .lowercase:
            setTarget(of: &labels, to: Array(String(decoding: scratch.joined, as: UTF8.self).lowercased().utf8))
        case .uppercase:
            setTarget(of: &labels, to: Array(String(decoding: scratch.joined, as: UTF8.self).uppercased().utf8))
        case .hashmod:
            let digest = MD5.digest(scratch.joined)
            let tail = digest.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            setTarget(of: &labels, to: Array("\(tail % modulus)".utf8))
        case .labeldrop, .labelkeep, .labelmap: break
        }
        return true
    }

    /// The values of the source labels with separators between; a missing label counts as empty.
    func join(_ labels: LabelSetBuilder, into joined: inout [UInt8]) {
        joined.removeAll(keepingCapacity: true)
        for (index, name) in sourceBytes.enumerated() {
            if index > 0 { joined.append(contentsOf: separatorBytes) }
            name.withUnsafeBytes { name in
                labels.withValue(of: name) { if let value = $0 { joined.append(contentsOf: value) } }
            }
        }
    }

    private func targetEquals(_ joined: [UInt8], _ labels: LabelSetBuilder) -> Bool {
        joined.withUnsafeBytes { joined in
            targetBytes.withUnsafeBytes { name in
                labels.withValue(of: name) { value in
                    guard let value else { return joined.isEmpty }
                    return LabelReader.equal(value, joined)
                }
            }
        }
    }

    private func setTarget(of labels: inout LabelSetBuilder, to value: [UInt8]) {
        targetBytes.withUnsafeBytes { name in value.withUnsafeBytes { labels.set(name, to: $0) } }
    }

    private func replace(_ labels: inout LabelSetBuilder, _ scratch: inout Scratch) {
        let matches = scratch.joined.withUnsafeBytes { expression.matchWhole($0, into: &scratch.captures) }
        guard matches else { return }
        scratch.result.removeAll(keepingCapacity: true)
        scratch.target.removeAll(keepingCapacity: true)
        scratch.joined.withUnsafeBytes { joined in
            expression.expand(targetTemplate, scratch.captures, of: joined, into: &scratch.target)
            expression.expand(replacementTemplate, scratch.captures, of: joined, into: &scratch.result)
        }
        scratch.target.withUnsafeBytes { name in
            guard LabelName.isValid(name) else { return }
            scratch.result.withUnsafeBytes { labels.set(name, to: $0) }
        }
    }

    /// Copies the labels whose name matches to the name the replacement makes of it.
    private func mapNames(_ labels: inout LabelSetBuilder) {
        var copies: [(name: [UInt8], value: [UInt8])] = []
        labels.forEach { name, value in
            guard expression.matchesWhole(name) else { return }
            var mapped: [UInt8] = []
            var captures = RegularExpression.Captures()
            guard expression.matchWhole(name, into: &captures) else { return }
            expression.expand(replacementTemplate, captures, of: name, into: &mapped)
            copies.append((mapped, Array(value)))
        }
        for copy in copies {
            copy.name.withUnsafeBytes { name in copy.value.withUnsafeBytes { labels.set(name, to: $0) } }
        }
    }
}
