import Glibc

/// Scratch for making and changing label sets; reuse one instance, it keeps its memory.
///
/// Setting an empty value removes the label, as in Prometheus. Names are unique; order does not matter until `finish`.
package struct LabelSetBuilder: Sendable {
    private struct Slot {
        var nameOffset: Int
        var nameLength: Int
        var valueOffset: Int
        var valueLength: Int
    }

    private var arena: [UInt8] = []
    private var slots: [Slot] = []
    private var encoded: [UInt8] = []
    private var isChanged = false
    private var origin: LabelSet?

    package init() {}

    package init(_ labels: LabelSet) { reset(to: labels) }

    /// Forgets everything and starts from `labels`.
    package mutating func reset(to labels: LabelSet = .empty) {
        arena.removeAll(keepingCapacity: true)
        slots.removeAll(keepingCapacity: true)
        labels.forEach { name, value in
            appendSlot(name, value)
        }
        isChanged = false
        origin = labels
    }

    package var count: Int { slots.count }
    package var isEmpty: Bool { slots.isEmpty }

    /// Sets a label, or removes it when `value` is empty. Neither buffer may point into this builder.
    package mutating func set(_ name: UnsafeRawBufferPointer, to value: UnsafeRawBufferPointer) {
        let index = index(of: name)
        if value.isEmpty {
            if let index { removeSlot(index) }
            return
        }
        guard let index else {
            appendSlot(name, value)
            isChanged = true
            return
        }
        let slot = slots[index]
        let isSame = arena.withUnsafeBytes {
            LabelReader.equal(
                UnsafeRawBufferPointer(rebasing: $0[slot.valueOffset..<slot.valueOffset + slot.valueLength]), value)
        }
        if isSame { return }
        slots[index].valueOffset = arena.count
        slots[index].valueLength = value.count
        arena.append(contentsOf: value)
        isChanged = true
    }

    package mutating func set(_ name: String, to value: String) {
        var name = name
        var value = value
        name.withUTF8 { name in
            value.withUTF8 { set(UnsafeRawBufferPointer(name), to: UnsafeRawBufferPointer($0)) }
        }
    }

    /// Adds a label whose name is known to be new: what a parser uses that checks duplicates itself.
    package mutating func appendUnchecked(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        if value.isEmpty { return }
        appendSlot(name, value)
        isChanged = true
    }

    @discardableResult
    package mutating func remove(_ name: UnsafeRawBufferPointer) -> Bool {
        guard let index = index(of: name) else { return false }
        removeSlot(index)
        return true
    }

    @discardableResult
    package mutating func remove(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { remove(UnsafeRawBufferPointer($0)) }
    }

    /// Keeps the labels for which `isIncluded` is true. The buffers are valid until it returns.
    package mutating func filter(
        _ isIncluded: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) {
        let before = slots.count
        arena.withUnsafeBytes { bytes in
            slots.removeAll { slot in
                !isIncluded(
                    UnsafeRawBufferPointer(rebasing: bytes[slot.nameOffset..<slot.nameOffset + slot.nameLength]),
                    UnsafeRawBufferPointer(rebasing: bytes[slot.valueOffset..<slot.valueOffset + slot.valueLength]))
            }
        }
        if slots.count != before { isChanged = true }
    }

    /// Calls `body` with the value of `name`, nil when there is none. The bytes are valid until it returns.
    package func withValue<Result>(
        of name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) throws -> Result
    ) rethrows -> Result {
        guard let index = index(of: name) else { return try body(nil) }
        let slot = slots[index]
        return try arena.withUnsafeBytes {
            try body(UnsafeRawBufferPointer(rebasing: $0[slot.valueOffset..<slot.valueOffset + slot.valueLength]))
        }
    }

    package func value(of name: String) -> String? {
        var name = name
        return name.withUTF8 {
            withValue(of: UnsafeRawBufferPointer($0)) { $0.map { String(decoding: $0, as: UTF8.self) } }
        }
    }

    /// Calls `body` with each label in the order they were set. The bytes are valid until it returns.
    package func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        arena.withUnsafeBytes { bytes in
            for slot in slots {
                body(
                    UnsafeRawBufferPointer(rebasing: bytes[slot.nameOffset..<slot.nameOffset + slot.nameLength]),
                    UnsafeRawBufferPointer(rebasing: bytes[slot.valueOffset..<slot.valueOffset + slot.valueLength]))
            }
        }
    }

    /// Sorts and encodes. Returns the very set this builder was reset to when nothing changed. The builder stays usable.
    package mutating func finish() -> LabelSet {
        if !isChanged, let origin { return origin }
        encoded.removeAll(keepingCapacity: true)
        arena.withUnsafeBytes { bytes in
            slots.sort { left, right in
                let a = bytes[left.nameOffset..<left.nameOffset + left.nameLength]
                let b = bytes[right.nameOffset..<right.nameOffset + right.nameLength]
                guard let x = bytes.baseAddress else { return false }
                let order = memcmp(x + a.startIndex, x + b.startIndex, min(a.count, b.count))
                return order != 0 ? order < 0 : a.count < b.count
            }
            for slot in slots {
                let inner =
                    2 + Self.varintLength(slot.nameLength) + slot.nameLength + Self.varintLength(slot.valueLength)
                    + slot.valueLength
                encoded.append(0x0A)
                Self.appendVarint(inner, to: &encoded)
                encoded.append(0x0A)
                Self.appendVarint(slot.nameLength, to: &encoded)
                encoded.append(contentsOf: bytes[slot.nameOffset..<slot.nameOffset + slot.nameLength])
                encoded.append(0x12)
                Self.appendVarint(slot.valueLength, to: &encoded)
                encoded.append(contentsOf: bytes[slot.valueOffset..<slot.valueOffset + slot.valueLength])
            }
        }
        let made = encoded.withUnsafeBytes { LabelSet(encoded: $0, count: slots.count) }
        if let origin, made == origin { return origin }
        return made
    }

    private func index(of name: UnsafeRawBufferPointer) -> Int? {
        arena.withUnsafeBytes { bytes in
            slots.firstIndex { slot in
                slot.nameLength == name.count
                    && LabelReader.equal(
                        UnsafeRawBufferPointer(rebasing: bytes[slot.nameOffset..<slot.nameOffset + slot.nameLength]),
                        name)
            }
        }
    }

    private mutating func appendSlot(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let nameOffset = arena.count
        arena.append(contentsOf: name)
        let valueOffset = arena.count
        arena.append(contentsOf: value)
        slots.append(
            Slot(nameOffset: nameOffset, nameLength: name.count, valueOffset: valueOffset, valueLength: value.count))
    }

    private mutating func removeSlot(_ index: Int) {
        slots.remove(at: index)
        isChanged = true
    }

    private static func varintLength(_ value: Int) -> Int {
        var rest = value
        var length = 1
        while rest >= 0x80 {
            rest >>= 7
            length += 1
        }
        return length
    }

    private static func appendVarint(_ value: Int, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
