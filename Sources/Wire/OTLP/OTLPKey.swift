import Glibc

/// The name of an attribute, made once and compared many times.
///
/// Making one allocates: keep keys in `let` properties, not in loops.
package struct OTLPKey: Sendable, ExpressibleByStringLiteral {
    /// Owns the bytes; immutable after `init`, which is why sharing it between tasks is safe.
    private final class Storage: @unchecked Sendable {
        let bytes: UnsafeRawBufferPointer

        init(_ source: UnsafeRawBufferPointer) {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(source.count, 1), alignment: 1)
            copy.copyMemory(from: source)
            bytes = UnsafeRawBufferPointer(start: copy.baseAddress, count: source.count)
        }

        deinit { bytes.baseAddress?.deallocate() }
    }

    private let storage: Storage

    package init(_ name: String) {
        var name = name
        storage = name.withUTF8 { Storage(UnsafeRawBufferPointer($0)) }
    }

    package init(_ name: UnsafeRawBufferPointer) { storage = Storage(name) }
    package init(stringLiteral name: String) { self.init(name) }

    /// The name; valid as long as the key.
    package var bytes: UnsafeRawBufferPointer { storage.bytes }

    package var name: String { String(decoding: storage.bytes, as: UTF8.self) }
}

extension OTLPKey: Hashable {
    package static func == (left: OTLPKey, right: OTLPKey) -> Bool { OTLPBytes.equal(left.bytes, right.bytes) }
    package func hash(into hasher: inout Hasher) { hasher.combine(bytes: bytes) }
}

/// Comparisons and other small things of byte ranges.
package enum OTLPBytes {
    package static var empty: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    @inline(__always)
    package static func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        guard let a = left.baseAddress, let b = right.baseAddress else { return true }
        return memcmp(a, b, left.count) == 0
    }

    /// Lower-case hexadecimal digits, as trace and span IDs are written.
    package static func hex(_ bytes: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { digits in
            for (index, byte) in bytes.enumerated() {
                digits[index * 2] = digit(byte >> 4)
                digits[index * 2 + 1] = digit(byte & 15)
            }
            return bytes.count * 2
        }
    }

    @inline(__always)
    static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
}
