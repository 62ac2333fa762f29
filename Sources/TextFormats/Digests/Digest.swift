/// A hash function fed piece by piece.
package protocol Digest: Sendable {
    /// Bytes per block, which HMAC needs.
    static var blockSize: Int { get }
    init()
    /// Takes more input.
    mutating func update(_ bytes: UnsafeRawBufferPointer)
    /// The hash of everything taken; the value must not be updated afterwards.
    consuming func finish() -> [UInt8]
}

extension Digest {
    /// Takes more input.
    package mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// Takes the UTF-8 of `text`.
    package mutating func update(_ text: String) { text.withBytes { update($0) } }

    /// The hash of `bytes`.
    package static func digest(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var hasher = Self()
        hasher.update(bytes)
        return hasher.finish()
    }

    /// The hash of `bytes`.
    package static func digest(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { digest($0) } }

    /// The hash of the UTF-8 of `text`.
    package static func digest(_ text: String) -> [UInt8] { text.withBytes { digest($0) } }
}

/// Cuts input into blocks for a hash function of the Merkle-Damgard kind.
struct BlockBuffer: Sendable {
    let size: Int
    private var pending: [UInt8] = []
    private(set) var length: UInt64 = 0

    init(size: Int) {
        self.size = size
        pending.reserveCapacity(size)
    }

    mutating func feed(_ bytes: UnsafeRawBufferPointer, _ compress: (UnsafeRawPointer) -> Void) {
        length &+= UInt64(bytes.count)
        var rest = bytes
        if !pending.isEmpty {
            let count = min(size - pending.count, rest.count)
            pending.append(contentsOf: rest[..<count])
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            guard pending.count == size else { return }
            pending.withUnsafeBytes { block in
                if let base = block.baseAddress { compress(base) }
            }
            pending.removeAll(keepingCapacity: true)
        }
        guard let base = rest.baseAddress else { return }
        var offset = 0
        while offset + size <= rest.count {
            compress(base + offset)
            offset += size
        }
        pending.append(contentsOf: rest[offset...])
    }

    /// Pads with a one bit, zeros and the length in bits, `lengthSize` bytes of it.
    mutating func finish(lengthSize: Int, isBigEndian: Bool, _ compress: (UnsafeRawPointer) -> Void) {
        let bits = length &* 8
        var padding: [UInt8] = [0x80]
        let used = (pending.count + 1 + lengthSize) % size
        padding.append(contentsOf: repeatElement(0, count: (used == 0 ? 0 : size - used) + lengthSize - 8))
        for index in 0..<8 {
            let shift = UInt64(8 * (isBigEndian ? 7 - index : index))
            padding.append(UInt8(truncatingIfNeeded: bits >> shift))
        }
        padding.withUnsafeBytes { feed($0, compress) }
    }
}

func bigEndianBytes<Word: FixedWidthInteger>(_ words: some Sequence<Word>) -> [UInt8] {
    var output: [UInt8] = []
    for word in words {
        withUnsafeBytes(of: word.bigEndian) { output.append(contentsOf: $0) }
    }
    return output
}

/// HMAC (RFC 2104) over any of the hash functions here.
package struct HMAC<Hash: Digest>: Sendable {
    private var inner = Hash()
    private let outerKey: [UInt8]

    /// Begins a code with `key`, of any length.
    package init(key: [UInt8]) {
        var block = key.count > Hash.blockSize ? Hash.digest(key) : key
        block.append(contentsOf: repeatElement(0, count: Hash.blockSize - block.count))
        inner.update(block.map { $0 ^ 0x36 })
        outerKey = block.map { $0 ^ 0x5C }
    }

    /// Takes more input.
    package mutating func update(_ bytes: [UInt8]) { inner.update(bytes) }

    /// Takes more input.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) { inner.update(bytes) }

    /// The code of everything taken.
    package consuming func finish() -> [UInt8] {
        var outer = Hash()
        outer.update(outerKey)
        outer.update(inner.finish())
        return outer.finish()
    }

    /// The code of `bytes` under `key`.
    package static func code(_ bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        var code = HMAC(key: key)
        code.update(bytes)
        return code.finish()
    }
}
