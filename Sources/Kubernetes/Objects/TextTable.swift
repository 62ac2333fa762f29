import Glibc

/// Makes equal texts and lists of them share their storage: label names, images and node names repeat in thousands of
/// objects.
///
/// Bounded: when it is full it starts over, which costs sharing and nothing else. It also says which labels and
/// annotations are worth reading.
package struct TextTable: Sendable {
    private struct Slot {
        var hash: UInt64 = 0
        var text = ""
    }

    /// Longer texts are not worth looking up.
    private static let longest = 128
    private static let slotCount = 1 << 12

    private var slots: [Slot] = []
    /// Of labels and annotations.
    var pairs = SharedLists<NamedText>()
    var ports = SharedLists<Pod.Port>()
    let labels: KeptTexts
    let annotations: KeptTexts

    package init(labels: KeptTexts = .all, annotations: KeptTexts = .all) {
        self.labels = labels
        self.annotations = annotations
    }

    /// The text of `bytes`, which are UTF-8 without escapes.
    mutating func text(_ bytes: UnsafeRawBufferPointer) -> String {
        // Short texts live inside a String and need no storage to share.
        guard bytes.count > 15, bytes.count <= Self.longest else { return String(decoding: bytes, as: UTF8.self) }
        if slots.isEmpty { slots = Array(repeating: Slot(), count: Self.slotCount) }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        let index = Int(truncatingIfNeeded: hash ^ (hash >> 32)) & (Self.slotCount - 1)
        if slots[index].hash == hash {
            let isSame =
                slots[index].text.utf8.withContiguousStorageIfAvailable { stored in
                    guard let left = stored.baseAddress, let right = bytes.baseAddress else { return false }
                    return stored.count == bytes.count && memcmp(left, right, bytes.count) == 0
                } ?? false
            if isSame { return slots[index].text }
        }
        let made = String(decoding: bytes, as: UTF8.self)
        slots[index] = Slot(hash: hash, text: made)
        return made
    }
}

/// Makes equal lists share their storage: pods of one template have the same labels and ports. Bounded like the texts.
struct SharedLists<Element: Hashable & Sendable>: Sendable {
    private static var slotCount: Int { 1 << 10 }

    private var slots: [[Element]] = []

    /// A list equal to `list` that takes no more than it needs.
    mutating func shared(_ list: [Element]) -> [Element] {
        if list.isEmpty { return [] }
        if slots.isEmpty { slots = Array(repeating: [], count: Self.slotCount) }
        var hasher = Hasher()
        hasher.combine(list)
        let index = hasher.finalize() & (Self.slotCount - 1)
        if slots[index] == list { return slots[index] }
        // A list that grew has room for more; this has none.
        let made = list.map { $0 }
        slots[index] = made
        return made
    }
}
